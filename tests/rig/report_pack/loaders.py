"""Nodes that read files and names in ways of their own, which nobody sees in /object_info."""

from __future__ import annotations

import os

import folder_paths
import torch


class LenientVideo:
    """Its list is a suggestion: its own check takes any file of the input folder. No upload button."""

    @classmethod
    def INPUT_TYPES(cls):
        found = os.listdir(folder_paths.get_input_directory())
        videos = sorted(name for name in found if name.endswith(".mp4"))
        return {"required": {"video": (videos or ["none.mp4"],)}}

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "load"
    CATEGORY = "reports"

    @classmethod
    def VALIDATE_INPUTS(cls, video):
        return folder_paths.exists_annotated_filepath(video) or f"Invalid video file: {video}"

    def load(self, video):
        size = os.path.getsize(folder_paths.get_annotated_filepath(video))
        return (torch.full((1, 64, 64, 3), (size % 256) / 255.0),)


class _AnyInputs(dict):
    def __contains__(self, key):
        return True

    def __getitem__(self, key):
        return dict.get(self, key, ("*",))


class LoraDict:
    """Keeps models in objects, and skips without a word what it does not find."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}, "optional": _AnyInputs(image=("IMAGE",))}

    RETURN_TYPES = ("IMAGE", "STRING")
    FUNCTION = "load"
    CATEGORY = "reports"

    def load(self, image=None, **rows):
        known = folder_paths.get_filename_list("loras")
        rows = [row for row in rows.values() if isinstance(row, dict) and row.get("on")]
        used = [row["lora"] for row in rows if row.get("lora") in known]
        return (image, ", ".join(used) or "no lora applied")


class FolderOfPictures:
    """Reads a folder below the input folder of the machine it runs on."""

    @classmethod
    def INPUT_TYPES(cls):
        folder = folder_paths.get_input_directory()
        found = [name for name in os.listdir(folder) if os.path.isdir(os.path.join(folder, name))]
        return {"required": {"directory": (sorted(found),)}}

    RETURN_TYPES = ("STRING",)
    FUNCTION = "load"
    CATEGORY = "reports"

    @classmethod
    def VALIDATE_INPUTS(cls, directory):
        there = os.path.isdir(os.path.join(folder_paths.get_input_directory(), directory))
        return there or f"Directory {directory} cannot be found."

    def load(self, directory):
        return (directory,)


class WorkflowReader:
    """Tells which workflow it belongs to."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"seed": ("INT", {"default": 0})}, "hidden": {"extra_pnginfo": "EXTRA_PNGINFO"}}

    RETURN_TYPES = ("STRING",)
    FUNCTION = "read"
    CATEGORY = "reports"

    def read(self, seed, extra_pnginfo=None):
        workflow = (extra_pnginfo or {}).get("workflow") or {}
        return (f"{seed} of {workflow.get('id', 'no workflow')}",)


_CLASSES = (LenientVideo, LoraDict, FolderOfPictures, WorkflowReader)
NODE_CLASS_MAPPINGS = {f"Report{found.__name__}": found for found in _CLASSES}
