"""Node classes that only the peers of the tests have."""

from __future__ import annotations

import os
import time

import comfy.model_management
import comfy.utils
import torch


class TestStamp:
    """A picture that depends on its inputs alone; every value is k/255, so 8 bits hold it exactly."""

    @classmethod
    def INPUT_TYPES(cls):
        size = ("INT", {"default": 32, "min": 1, "max": 4096})
        return {
            "required": {
                "width": size,
                "height": size,
                "batch": ("INT", {"default": 1, "min": 1, "max": 256}),
                "seed": ("INT", {"default": 0, "min": 0, "max": 2**64 - 1}),
            }
        }

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "make"
    CATEGORY = "test"

    def make(self, width, height, batch, seed):
        generator = torch.Generator().manual_seed(seed % 2**63)
        picture = torch.randint(0, 256, (batch, height, width, 3), generator=generator)
        return (picture.float() / 255.0,)


class TestSleep:
    """Hands its value on after some seconds, with progress; can be interrupted."""

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "value": ("IMAGE",),
                "seconds": ("FLOAT", {"default": 1.0, "min": 0.0, "max": 3600.0}),
            }
        }

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "sleep"
    CATEGORY = "test"
    STEP_S = 0.05

    def sleep(self, value, seconds):
        steps = max(round(seconds / self.STEP_S), 1)
        bar = comfy.utils.ProgressBar(steps)
        for _ in range(steps):
            comfy.model_management.throw_exception_if_processing_interrupted()
            time.sleep(seconds / steps)
            bar.update(1)
        return (value,)


class TestError:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("IMAGE",), "text": ("STRING", {"default": "an error"})}}

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "fail"
    CATEGORY = "test"

    def fail(self, value, text):
        raise RuntimeError(text)


class TestExit:
    """Takes its whole ComfyUI down, as a driver crash would."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("IMAGE",)}}

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "leave"
    CATEGORY = "test"

    def leave(self, value):
        os._exit(1)


NODE_CLASS_MAPPINGS = {cls.__name__: cls for cls in (TestStamp, TestSleep, TestError, TestExit)}
