"""The prompts that the clients send, in API format. All but `Test…` are stock classes.

`Test…` classes and the tiny random models are those of the end-to-end tests. Ids and titles are the ones that
ComfyUI's script_examples write into: node 3 has the seed, node 6 takes a text that it does not use. A node
stands after those that it needs: krita-ai-diffusion wants it so.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

GraphName = Literal[
    "sampled",
    "sampled_to_socket",
    "pictures",
    "slow",
    "slow_pictures",
    "slow_to_socket",
    "error",
    "krita_sampled",
    "krita_with_image",
    "krita_to_socket",
]
GRAPHS: tuple[GraphName, ...] = get_args(GraphName)
Graph = dict[str, Any]
SLEEP_S = 2.0  #: long enough for a client that connects only after it has queued


def graph(name: GraphName, seed: int) -> Graph:
    """`seed` makes its pictures, and so its caches, its own."""
    made = {
        "sampled": lambda: {**_sampled(seed), "9": _save(["8", 0])},
        "sampled_to_socket": lambda: {
            **_sampled(seed, batch=3),
            "save_image_websocket_node": _node("SaveImageWebsocket", images=["8", 0]),
        },
        "pictures": lambda: {
            **_stamp(seed, batch=2),
            "9": _save(["1", 0]),
            "10": _node("PreviewImage", images=["1", 0]),
            "11": _node("PreviewAny", source=["12", 0]),
            "12": _node("PrimitiveInt", value=seed),
        },
        "slow": lambda: {**_slept(seed), "9": _save(["2", 0])},
        "slow_pictures": lambda: {
            **_slept(seed, batch=2),
            "9": _save(["2", 0]),
            "10": _node("PreviewImage", images=["2", 0]),
            "11": _node("PreviewAny", source=["12", 0]),
            "12": _node("PrimitiveInt", value=seed),
        },
        "slow_to_socket": lambda: {
            **_slept(seed, batch=3),
            "9": _node("SaveImageWebsocket", "Save Image", images=["2", 0]),
        },
        "error": lambda: {
            **_stamp(seed),
            "2": _node("TestError", value=["1", 0], text="this graph fails"),
            "9": _save(["2", 0]),
        },
        "krita_sampled": lambda: {
            **_sampled(seed),
            "9": _node("ETN_SaveImageCache", images=["8", 0], format="PNG"),
        },
        "krita_with_image": lambda: {
            "1": _node("ETN_KritaCanvas"),
            "2": _node("ImageInvert", image=["1", 0]),
            "9": _node("ETN_SaveImageCache", images=["2", 0], format="PNG"),
        },
        "krita_to_socket": lambda: {
            **_sampled(seed, batch=2),
            "9": _node("SaveImageWebsocket", images=["8", 0]),
        },
    }
    return made[name]()


def _node(class_type: str, title: str = "", **inputs: Any) -> Graph:
    return {"class_type": class_type, "inputs": inputs, "_meta": {"title": title or class_type}}


def _save(images: list[Any]) -> Graph:
    return _node("SaveImage", "Save Image", images=images, filename_prefix="client")


def _stamp(seed: int, batch: int = 1) -> Graph:
    return {"1": _node("TestStamp", width=48, height=32, batch=batch, seed=seed)}


def _slept(seed: int, batch: int = 1) -> Graph:
    return {**_stamp(seed, batch), "2": _node("TestSleep", value=["1", 0], seconds=SLEEP_S)}


def _sampled(seed: int, batch: int = 1) -> Graph:
    return {
        "4": _node("UNETLoader", unet_name="tiny-random-unet.safetensors", weight_dtype="default"),
        "5": _node("EmptyLatentImage", width=64, height=64, batch_size=batch),
        "6": _node("LotusConditioning"),
        "7": _node("VAELoader", vae_name="taesd"),
        "3": _node(
            "KSampler",
            model=["4", 0],
            positive=["6", 0],
            negative=["6", 0],
            latent_image=["5", 0],
            seed=seed,
            steps=6,
            cfg=1.0,
            sampler_name="euler",
            scheduler="simple",
            denoise=1.0,
        ),
        "8": _node("VAEDecode", samples=["3", 0], vae=["7", 0]),
    }
