"""Remote Dispatch: ComfyUI's door to this package.

Outside ComfyUI (tests, the command line) importing it does nothing.
"""

from __future__ import annotations

try:
    from server import PromptServer
except ModuleNotFoundError:
    PromptServer = None

if PromptServer is not None and getattr(PromptServer, "instance", None) is not None:
    from .nodes.extension import comfy_entrypoint
    from .orchestrator.host.installation import install

    WEB_DIRECTORY = "./web"
    __all__ = ["WEB_DIRECTORY", "comfy_entrypoint"]
    install(PromptServer.instance)
