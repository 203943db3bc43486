"""Save nodes with habits of their own: in how they name files, tell of them, and go on."""

from __future__ import annotations

import json
import os
import time
import uuid

import comfy.model_management
import folder_paths
import numpy as np
from comfy_execution.graph_utils import GraphBuilder
from PIL import Image
from server import PromptServer


def picture_of(image):
    return Image.fromarray(np.clip(255.0 * image.cpu().numpy(), 0, 255).astype(np.uint8))


def inputs_with(prefix, **more):
    return {"required": {"images": ("IMAGE",), "filename_prefix": ("STRING", {"default": prefix}), **more}}


class PrefixSaver:
    """Joins the prefix to the output folder, makes no folder, and swallows the error. May tell nothing."""

    @classmethod
    def INPUT_TYPES(cls):
        return inputs_with("reports", show=(["true", "false"],))

    RETURN_TYPES = ()
    FUNCTION = "save"
    OUTPUT_NODE = True
    CATEGORY = "reports"

    def save(self, images, filename_prefix, show):
        told = []
        for number, image in enumerate(images):
            name = f"{filename_prefix}_{number:04}.png"
            try:
                picture_of(image).save(os.path.join(folder_paths.get_output_directory(), name))
            except OSError as exc:
                print("PrefixSaver could not save:", exc)
                continue
            folder, name = os.path.split(name)
            told.append({"filename": name, "subfolder": folder, "type": "output"})
        return {"ui": {"images": told if show == "true" else []}}


class HiddenSaver:
    """Writes into a folder below the output folder that no route lists, and tells nothing."""

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {"text": ("STRING", {"default": "x"}), "output_path": ("STRING", {"default": "x"})}
        }

    RETURN_TYPES = ()
    FUNCTION = "save"
    OUTPUT_NODE = True
    CATEGORY = "reports"

    def save(self, text, output_path):
        folder = os.path.join(folder_paths.get_output_directory(), output_path)
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "note.txt"), "w", encoding="utf-8") as file:
            file.write(text)
        return {}


class DrawingSaver:
    """Writes the text as an SVG drawing and tells its plain path."""

    @classmethod
    def INPUT_TYPES(cls):
        text = ("STRING", {"default": "", "multiline": True})
        return {"required": {"text": text, "filename_prefix": ("STRING", {"default": "drawing"})}}

    RETURN_TYPES = ()
    FUNCTION = "save"
    OUTPUT_NODE = True
    CATEGORY = "reports"

    def save(self, text, filename_prefix):
        output = folder_paths.get_output_directory()
        folder, name, counter, _, _ = folder_paths.get_save_image_path(filename_prefix, output)
        path = os.path.join(folder, f"{name}_{counter:05}_.svg")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return {"ui": {"files": [path]}}


class SequenceSaver:
    """Writes numbered frames and tells their pattern, with the names of companions that lie beside them."""

    @classmethod
    def INPUT_TYPES(cls):
        return inputs_with("clip")

    RETURN_TYPES = ()
    FUNCTION = "save"
    OUTPUT_NODE = True
    CATEGORY = "reports"

    def save(self, images, filename_prefix):
        output = folder_paths.get_output_directory()
        folder, name, counter, subfolder, _ = folder_paths.get_save_image_path(filename_prefix, output)
        start = f"{name}_{counter:05}"
        picture_of(images[0]).save(os.path.join(folder, f"{start}.png"))
        for number, image in enumerate(images, 1):
            picture_of(image).save(os.path.join(folder, f"{start}_{number:03}.png"))
        entry = {
            "filename": f"{start}_%03d.png",
            "subfolder": subfolder,
            "type": "output",
            "format": "video/8bit-png",
            "frame_rate": 8.0,
            "workflow": f"{start}.png",
            "fullpath": os.path.join(folder, f"{start}_%03d.png"),
        }
        return {"ui": {"gifs": [entry]}}


class Requeue:
    """Puts its prompt into the queue again until the last round, which alone saves."""

    @classmethod
    def INPUT_TYPES(cls):
        rounds, done = ("INT", {"default": 3}), ("INT", {"default": 0})
        seconds = ("FLOAT", {"default": 0.0, "min": 0.0, "max": 60.0})
        return {
            **inputs_with("batch", rounds=rounds, done=done),
            "optional": {"seconds": seconds},
            "hidden": {"unique_id": "UNIQUE_ID"},
        }

    RETURN_TYPES = ()
    FUNCTION = "go"
    OUTPUT_NODE = True
    CATEGORY = "reports"

    def go(self, images, filename_prefix, rounds, done, unique_id, seconds=0.0):
        if done + 1 < rounds:
            self._again(unique_id, done + 1)
            wait(seconds)
            return {"ui": {"unfinished_batch": [True]}}
        wait(seconds)
        output = folder_paths.get_output_directory()
        folder, name, counter, subfolder, _ = folder_paths.get_save_image_path(filename_prefix, output)
        file = f"{name}_{counter:05}_.png"
        picture_of(images[0]).save(os.path.join(folder, file))
        return {"ui": {"images": [{"filename": file, "subfolder": subfolder, "type": "output"}]}}

    def _again(self, node_id, done):
        server = PromptServer.instance
        item = next(iter(server.prompt_queue.currently_running.values()))
        prompt = json.loads(json.dumps(item[2]))
        prompt[node_id]["inputs"]["done"] = done
        number = -server.number
        server.number += 1
        server.prompt_queue.put((number, str(uuid.uuid4()), prompt, *item[3:]))


def wait(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        comfy.model_management.throw_exception_if_processing_interrupted()
        time.sleep(0.02)


class ExpandSave:
    """Becomes as many save nodes as it is told, whose ids are made at run time."""

    @classmethod
    def INPUT_TYPES(cls):
        return inputs_with("loop", n=("INT", {"default": 3}))

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "go"
    OUTPUT_NODE = True
    CATEGORY = "reports"

    def go(self, images, filename_prefix, n):
        graph = GraphBuilder()
        for number in range(n):
            graph.node("SaveImage", images=images, filename_prefix=f"{filename_prefix}_{number}")
        return {"result": (images,), "expand": graph.finalize()}


NODE_CLASS_MAPPINGS = {
    "ReportPrefixSaver": PrefixSaver,
    "ReportHiddenSaver": HiddenSaver,
    "ReportDrawingSaver": DrawingSaver,
    "ReportSequenceSaver": SequenceSaver,
    "ReportRequeue": Requeue,
    "ReportExpandSave": ExpandSave,
}
