"""Our own graphs, which use the packs as people do, by the name of the pack's folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..cases import Case
from . import (
    custom_scripts,
    easy_use,
    essentials,
    impact,
    kjnodes,
    lora_manager,
    rgthree,
    use_everywhere,
    video_helper,
    was,
)

GRAPHS: Mapping[str, Sequence[Case]] = {
    "ComfyUI-VideoHelperSuite": video_helper.CASES,
    "was-node-suite-comfyui": was.CASES,
    "rgthree-comfy": rgthree.CASES,
    "ComfyUI-KJNodes": kjnodes.CASES,
    "ComfyUI-Impact-Pack": impact.CASES,
    "ComfyUI-Easy-Use": easy_use.CASES,
    "cg-use-everywhere": use_everywhere.CASES,
    "ComfyUI-Custom-Scripts": custom_scripts.CASES,
    "ComfyUI_essentials": essentials.CASES,
    "ComfyUI-Lora-Manager": lora_manager.CASES,
}
