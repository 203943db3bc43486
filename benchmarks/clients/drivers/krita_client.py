"""krita-ai-diffusion: its ComfyClient with a custom workflow, outside Krita and without a screen.

The checkout's own stand-in for the `krita` module is used; its bundled websockets package is a submodule, in
whose place the installed one is put.
"""

from __future__ import annotations

import json
import os
import sys
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
from pathlib import Path

import websockets
import websockets.asyncio.client
from notes import Notes

server, graph, folder, tree = sys.argv[1:5]
os.environ["QT_QPA_PLATFORM"] = "offscreen"
sys.path[:0] = [tree, f"{tree}/tests/mock"]
from PyQt5.QtCore import QByteArray, QCoreApplication  # noqa: E402

app = QCoreApplication([])
for name in ("ai_diffusion.websockets", "ai_diffusion.websockets.src"):
    sys.modules[name] = module_from_spec(ModuleSpec(name, None, is_package=True))
sys.modules["ai_diffusion.websockets.src"].websockets = websockets
sys.modules["ai_diffusion.websockets.src.websockets"] = websockets
from ai_diffusion import eventloop  # noqa: E402
from ai_diffusion.backend.api import (  # noqa: E402
    CustomWorkflowInput,
    ImageInput,
    InpaintMode,
    InpaintParams,
    SamplingInput,
    WorkflowInput,
    WorkflowKind,
)
from ai_diffusion.backend.client import ClientEvent  # noqa: E402
from ai_diffusion.backend.comfy_client import ComfyClient  # noqa: E402
from ai_diffusion.image import Bounds, Extent, Image  # noqa: E402
from ai_diffusion.settings import settings  # noqa: E402

settings.check_server_resources = False
JOBS = 2  #: the second is sent while the first one runs
given = Path(graph).read_text(encoding="utf-8")


def work(number: int) -> WorkflowInput:
    graph = json.loads(given)
    if "3" in graph:
        graph["3"]["inputs"]["seed"] += number
    extent = Extent(48, 32)
    images = ImageInput.from_extent(extent)
    images.initial_image = Image.create(extent, 0xFF336699)
    return WorkflowInput(
        WorkflowKind.custom,
        images,
        sampling=SamplingInput("euler", "simple", cfg_scale=1.0, total_steps=6, seed=1),
        inpaint=InpaintParams(InpaintMode.fill, Bounds(0, 0, *extent)),
        custom_workflow=CustomWorkflowInput(graph, {}),
    )


async def main(notes: Notes) -> None:
    client = ComfyClient(server)
    await client.connect()
    jobs: list[str] = []
    ended = 0
    async for message in client.listen():
        if message.event is ClientEvent.connected and not jobs:
            jobs += [await client.enqueue(work(number)) for number in range(JOBS)]
        elif message.event is ClientEvent.progress:
            number = jobs.index(message.job_id)
            # How far the second one seems to be at its start depends on what its peer has in its cache.
            if number == 0:
                notes.note("progress", round(message.progress, 3))
        elif message.event is not ClientEvent.connected:
            notes.note(message.event.name, jobs.index(message.job_id), message.error)
            for number, image in enumerate(message.images or ()):
                notes.keep(f"{number}.png", bytes(QByteArray(image.to_bytes())))
            ended += 1
        if ended == JOBS:
            break
    notes.note("idle", not client.is_executing, client.queued_count)
    await client.disconnect()


eventloop.setup()
with Notes(folder) as kept:
    task = eventloop.run(main(kept))
    while not task.done():
        app.processEvents()
    task.result()
