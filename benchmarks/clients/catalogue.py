"""The clients: how each is installed, which driver uses it, and on which graphs."""

from __future__ import annotations

from dataclasses import dataclass

from .graphs import GraphName


@dataclass(frozen=True)
class Client:
    """`pip` and `npm` are requirements, installed together. `checkout` is the option that names a source tree
    which the client needs; its path is the driver's last argument. `script` is a file in that tree."""

    name: str
    driver: str
    graphs: tuple[GraphName, ...]
    pip: tuple[str, ...] = ()
    npm: tuple[str, ...] = ()
    checkout: str = ""
    script: str = ""

    @property
    def needs(self) -> str:
        """In words, for a list."""
        packages = [*self.pip, *self.npm]
        tree = [f"a source tree (--{self.checkout})"] if self.checkout else []
        return ", ".join(packages + tree) or "go"


def _example(script: str, *graphs: GraphName) -> Client:
    return Client(
        f"script_examples/{script}",
        "script_example.py",
        graphs,
        pip=("websocket-client", "Pillow"),
        checkout="comfyui",
        script=f"script_examples/{script}.py",
    )


CLIENTS = (
    _example("basic_api_example", "sampled"),
    _example("websockets_api_example", "sampled", "pictures"),
    _example("websockets_api_example_ws_images", "sampled_to_socket"),
    Client(
        "comfy-api-simplified", "api_simplified.py", ("slow", "slow_to_socket"), ("comfy-api-simplified",)
    ),
    Client("comfy-script", "script.py", ("sampled",), ("comfy-script[default]",)),
    Client("comfy-cli", "cli.py", ("sampled", "pictures", "error"), ("comfy-cli",)),
    Client("@saintno/comfyui-sdk", "saintno.mjs", ("sampled",), npm=("@saintno/comfyui-sdk",)),
    Client("comfy-ui-client", "comfy_ui_client.mjs", ("pictures",), npm=("comfy-ui-client",)),
    Client(
        "comfyui-api-client",
        "api_client.py",
        ("sampled", "pictures"),
        ("comfyui-api-client",),
    ),
    Client("comfy-headless", "headless.py", ("sampled",), ("comfy-headless", "websockets", "httpx")),
    Client(
        "comfy-sdk over comfy-api-proxy", "sdk.py", ("sampled", "error"), ("comfy-sdk", "comfy-api-proxy")
    ),
    Client("strict Go struct", "strict_client.go", ("slow_pictures",)),
    Client("every route", "every_route.py", ("pictures",), ("aiohttp",)),
    Client(
        "krita-ai-diffusion",
        "krita_client.py",
        ("krita_sampled", "krita_with_image", "krita_to_socket"),
        ("PyQt5", "websockets", "aiohttp", "psutil"),
        checkout="krita",
    ),
)
