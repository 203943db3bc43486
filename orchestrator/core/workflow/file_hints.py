"""What a saved file alone tells about widget names, for nodes whose class nobody has described.

Good enough to show and to name parameters; never used to make a prompt that runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..models.workflow import Node
from .prompt import SEED_NAMES
from .widgets import Widget

_CONTROL_VALUES = ("fixed", "increment", "decrement", "randomize", "increment-wrap")
_SAMPLER = ("steps", "cfg", "sampler_name", "scheduler")
# Widget names in file order of the core classes that older files do not name themselves.
_CORE: Mapping[str, Sequence[str]] = {
    "KSampler": ("seed", *_SAMPLER, "denoise"),
    "KSamplerAdvanced": ("add_noise", "noise_seed", *_SAMPLER, "start_at_step", "end_at_step"),
    "RandomNoise": ("noise_seed",),
    "KSamplerSelect": ("sampler_name",),
    "BasicScheduler": ("scheduler", "steps", "denoise"),
    "CLIPTextEncode": ("text",),
    "EmptyLatentImage": ("width", "height", "batch_size"),
    "EmptySD3LatentImage": ("width", "height", "batch_size"),
    "CheckpointLoaderSimple": ("ckpt_name",),
    "UNETLoader": ("unet_name", "weight_dtype"),
    "CLIPLoader": ("clip_name", "type"),
    "DualCLIPLoader": ("clip_name1", "clip_name2", "type"),
    "VAELoader": ("vae_name",),
    "LoraLoader": ("lora_name", "strength_model", "strength_clip"),
    "LoraLoaderModelOnly": ("lora_name", "strength_model"),
    "ControlNetLoader": ("control_net_name",),
    "LoadImage": ("image",),
    "SaveImage": ("filename_prefix",),
    "FluxGuidance": ("guidance",),
}


def told_widgets(node: Node) -> list[Widget]:
    """The widgets of `node` with their values, as far as the file names them."""
    if node.named is not None:
        return [Widget(name, value) for name, value in node.named.items() if not _is_control(name, value)]
    if isinstance(node.values, Mapping):
        return [Widget(name, value) for name, value in node.values.items() if _is_plain(value)]
    names = [slot.widget for slot in node.inputs if slot.widget is not None]
    known = _CORE.get(node.type, ())
    if len(known) > len(names):
        names = list(known)
    values = list(node.values)
    widgets: list[Widget] = []
    for name in names:
        if not values:
            break
        widgets.append(Widget(name, values.pop(0)))
        if name in SEED_NAMES and values and values[0] in _CONTROL_VALUES:
            values.pop(0)
    return widgets


def _is_control(name: str, value: Any) -> bool:
    return name == "control_after_generate" or (name == "upload" and value == "image")


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, (str, int, float, bool))
