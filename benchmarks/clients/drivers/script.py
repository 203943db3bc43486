"""comfy-script: nodes as functions; a sampled picture, its progress and its previews."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

from comfy_script.runtime import load
from notes import Notes

server, graph, folder = sys.argv[1:4]
load(server + "/")
from comfy_script.runtime import Workflow  # noqa: E402
from comfy_script.runtime.nodes import (  # noqa: E402
    EmptyLatentImage,
    KSampler,
    LotusConditioning,
    SaveImage,
    UNETLoader,
    VAEDecode,
    VAELoader,
)

seed = json.loads(Path(graph).read_text(encoding="utf-8"))["3"]["inputs"]["seed"]
with Notes(folder) as notes:
    with Workflow(wait=True) as workflow:
        model = UNETLoader("tiny-random-unet.safetensors", "default")
        conditioning = LotusConditioning()
        latent = EmptyLatentImage(64, 64, 1)
        latent = KSampler(model, seed, 6, 1.0, "euler", "simple", conditioning, conditioning, latent, 1.0)
        saved = SaveImage(VAEDecode(latent, VAELoader("taesd")), "client")
        workflow.queue()
        workflow.task.add_progress_callback(lambda step: notes.note("progress", step.value, step.max))
        workflow.task.add_preview_callback(lambda task, node, picture: notes.note("preview", picture.size))
    for number, picture in enumerate(saved.wait()):
        body = io.BytesIO()
        picture.save(body, "PNG")
        notes.keep(f"{number}.png", body.getvalue())
