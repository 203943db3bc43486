"""Makes a value of every type that travels, and tells what such a value holds, to the last bit."""

from __future__ import annotations

import base64
import json
from fractions import Fraction

import torch
from comfy_api.latest import Input, InputImpl, Types

FRAMES, SIDE, RATE = 6, 64, 8_000


def noise(seed, *shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


class Values:
    """Any two with one seed are equal. No picture is of 8 bits, and the latents are from the middle of a
    batch."""

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "seed": ("INT", {"default": 0, "min": 0, "max": 1 << 31}),
                "batch": ("INT", {"default": 3, "min": 1, "max": 64}),
                "channels": ("INT", {"default": 3, "min": 1, "max": 4}),
            },
            "optional": {"brightness": ("FLOAT", {"default": 1.0, "min": 0.0, "max": 8.0})},
        }

    RETURN_TYPES = ("IMAGE", "MASK", "LATENT", "AUDIO", "VIDEO")
    FUNCTION = "make"
    CATEGORY = "reports"

    def make(self, seed, batch, channels, brightness=1.0):
        latent = {
            "samples": noise(seed + 1, batch, 4, 8, 8) * 8 - 4,
            "noise_mask": noise(seed + 2, batch, 1, 64, 64),
            "batch_index": list(range(70, 70 + batch)),
        }
        sound = {"waveform": noise(seed + 3, 1, 2, RATE) * 2 - 1, "sample_rate": RATE}
        shades = torch.linspace(0, 1, FRAMES)[:, None, None, None].expand(-1, SIDE, SIDE, 3)
        parts = Types.VideoComponents(images=shades, audio=sound, frame_rate=Fraction(6))
        picture, mask = noise(seed, batch, 16, 16, channels) * brightness, noise(seed + 4, batch, 16, 16)
        return (picture, mask, latent, sound, InputImpl.VideoFromComponents(parts))


class OwnValues(Values):
    """The same, on the master alone."""

    API_NODE = True


def told(value):
    if isinstance(value, torch.Tensor):
        value = value.float().cpu().contiguous()
        return {"shape": list(value.shape), "data": base64.b64encode(value.numpy().tobytes()).decode()}
    if isinstance(value, Input.Video):
        parts = value.get_components()
        sound = parts.audio["waveform"].shape if parts.audio else []
        levels = parts.images.mean((1, 2, 3)).tolist()
        return {
            "shape": list(parts.images.shape),
            "levels": levels,
            "fps": float(parts.frame_rate),
            "sound": list(sound),
        }
    return {name: told(item) for name, item in value.items()} if isinstance(value, dict) else value


class Tell:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("*",)}}

    @classmethod
    def VALIDATE_INPUTS(cls, input_types):
        return True

    RETURN_TYPES = ("STRING",)
    FUNCTION = "tell"
    OUTPUT_NODE = True
    CATEGORY = "reports"

    def tell(self, value):
        text = json.dumps(told(value))
        return {"ui": {"text": [text]}, "result": (text,)}


NODE_CLASS_MAPPINGS = {"ReportValues": Values, "ReportOwnValues": OwnValues, "ReportTell": Tell}
