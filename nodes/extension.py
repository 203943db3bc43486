"""The list of nodes ComfyUI gets from this package."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io  # type: ignore[import-not-found]

from .remote_dispatch import RemoteDispatch
from .split import RemoteGather, RemoteSplit, RemoteSplitTiles


class RemoteDispatchExtension(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [RemoteDispatch, RemoteSplit, RemoteSplitTiles, RemoteGather]


async def comfy_entrypoint() -> ComfyExtension:
    return RemoteDispatchExtension()
