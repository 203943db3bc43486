"""Nodes that fail on one machine only, in words of one's choice, or that work for long without a word."""

from __future__ import annotations

import os
import time

import comfy.model_management
import folder_paths
import numpy as np
import torch

BROKEN = "broken_machine"  #: a file of this name in ComfyUI's input folder makes its ``Fails`` fail


class Fails:
    """Raises `message` on a machine that is broken, and hands its pictures on everywhere else."""

    @classmethod
    def INPUT_TYPES(cls):
        said = {"default": "MPS backend out of memory (MPS allocated: 18.1 GB, max allowed: 18.1 GB)."}
        return {
            "required": {"images": ("IMAGE",), "message": ("STRING", said), "nonce": ("INT", {"default": 0})}
        }

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "go"
    CATEGORY = "reports"

    def go(self, images, message, nonce):
        folder = folder_paths.get_input_directory()
        if os.environ.get("FAILS_HERE") or os.path.exists(os.path.join(folder, BROKEN)):
            raise RuntimeError(message)
        time.sleep(0.5)
        return (images,)


class Allocates:
    """Asks for more memory than a machine can address, where that is broken; else hands its pictures on."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"images": ("IMAGE",), "library": (["torch", "numpy", "python"],)}}

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "go"
    CATEGORY = "reports"

    def go(self, images, library):
        ask = {"torch": torch.empty, "numpy": np.empty, "python": bytearray}[library]
        if os.path.exists(os.path.join(folder_paths.get_input_directory(), BROKEN)):
            ask(1 << 50)
        return (images,)


class Silent:
    """Works for some seconds without a word, as a download or a language model does."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"images": ("IMAGE",), "seconds": ("INT", {"default": 150})}}

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "go"
    CATEGORY = "reports"

    def go(self, images, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            comfy.model_management.throw_exception_if_processing_interrupted()
            time.sleep(0.2)
        return (images,)


NODE_CLASS_MAPPINGS = {"ReportFails": Fails, "ReportAllocates": Allocates, "ReportSilent": Silent}
