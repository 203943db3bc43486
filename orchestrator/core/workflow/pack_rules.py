"""What the pages of node packs do that no definition tells: the one table of it.

Seen in the page of a real ComfyUI with each pack installed (tests/data/converter, sets ``packs_…``). What
stands neither here nor in a definition is refused (``pack_widgets``), never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class PageOnly:
    """A node that never reaches a prompt. What is linked to its output comes from its input of that number,
    or from the node that ``setter`` names: the one of that class with the same first value, in its own graph,
    or also in those around it (``outwards``). ``untold`` says why nobody but the page knows."""

    setter: str = ""
    outwards: bool = False
    untold: str = ""


_GONE = PageOnly()

PAGE_ONLY: Mapping[str, PageOnly] = {
    # KJNodes
    "SetNode": _GONE,
    "GetNode": PageOnly(setter="SetNode", outwards=True),
    # Easy-Use
    "easy setNode": _GONE,
    "easy getNode": PageOnly(setter="easy setNode"),
    "easy bookmark": _GONE,
    # rgthree
    "Reroute (rgthree)": _GONE,
    "Label (rgthree)": _GONE,
    "Bookmark (rgthree)": _GONE,
    "Fast Muter (rgthree)": _GONE,
    "Fast Bypasser (rgthree)": _GONE,
    "Fast Groups Muter (rgthree)": _GONE,
    "Fast Groups Bypasser (rgthree)": _GONE,
    "Fast Actions Button (rgthree)": _GONE,
    "Mute / Bypass Relay (rgthree)": _GONE,
    "Mute / Bypass Repeater (rgthree)": _GONE,
    "Node Collector (rgthree)": _GONE,
    "Node Combiner (rgthree)": _GONE,
    "Random Unmuter (rgthree)": PageOnly(
        untold="the page picks at random, each time it queues, which nodes run"
    ),
    # Custom-Scripts
    "PresetText|pysssss": PageOnly(untold="its texts are kept in the browser"),
    # VideoHelperSuite
    "VHS_SelectLatest": PageOnly(untold="the page looks for the newest file when it queues"),
}

# Classes whose prompt the page changes when it queues.
REWRITTEN: Mapping[str, str] = {
    "Repeater|pysssss": "the page makes several nodes of it",
    "MultiPrimitive|pysssss": "the page makes several values of it",
    "Lora Cycler (LoraManager)": "the page counts up with each run",
    "Lora Randomizer (LoraManager)": "the page draws its LoRAs at random as it queues",
    "ScreencapStream": "the page sends what it captured of the screen",
}

# Classes that the page sends under another name.
SENT_AS: Mapping[str, str] = {"easy showAnythingLazy": "easy showAnything"}

REST = "*"  #: the widgets of the definition that are not named
FORMAT = "<format>"  #: the widgets that the chosen format brings (VideoHelperSuite)
UNSENT = "-"  #: before the name of a widget that takes a place in the file and is not sent

_LORA_TEXT = ("__lm_autocomplete_meta_text", "text")
_UPDATE = (REST, "Update inputs")
_SET_ALL = (REST, "Set all")
_INFO = (REST, "-info")
_VIDEO = (REST, "-choose video to upload", "-videopreview")
_SEEKERS = (REST, "RESET ALL", "ZERO ALL", "REPEAT FIRST")

# The widgets that the page gives a class, in the order of the file.
PAGE_WIDGETS: Mapping[str, tuple[str, ...]] = {
    # Custom-Scripts
    "CheckpointLoader|pysssss": (REST, "example"),
    "LoraLoader|pysssss": (REST, "example"),
    "ReroutePrimitive|pysssss": ("value",),
    # Easy-Use
    "easy humanSegmentation": (REST, "mask_components"),
    "easy imagePixelPerfect": _INFO,
    "easy imageRatio": _INFO,
    "easy imageSize": _INFO,
    "easy imageSizeByLongerSide": _INFO,
    "easy imageSizeBySide": _INFO,
    "easy multiAngle": ("multi_angle",),
    "easy poseEditor": (REST, "editor"),
    "easy promptAwait": (REST, "toolbar"),
    "easy promptLine": (REST, "-get values from COMBO link"),
    "easy seed": (REST, "-🎲 Manual Random Seed"),
    "easy sliderControl": (REST, "values"),
    "easy stableDiffusion3API": (REST, "-cost_credit", "account"),
    "easy stylesSelector": (REST, "select_styles"),
    "easy tableEditor": ("table_data",),
    # Impact Pack
    "ImpactSEGSPicker": (REST, "pick"),
    # KJNodes
    "ConditioningMultiCombine": _UPDATE,
    "CrossFadeImagesMulti": _UPDATE,
    "ImageAddMulti": _UPDATE,
    "ImageBatchMulti": _UPDATE,
    "JoinStringMulti": _UPDATE,
    "MaskBatchMulti": _UPDATE,
    "TransitionImagesMulti": _UPDATE,
    "FluxBlockLoraSelect": _SET_ALL,
    "HunyuanVideoBlockLoraSelect": _SET_ALL,
    "LTX2BlockLoraSelect": _SET_ALL,
    "Wan21BlockLoraSelect": _SET_ALL,
    "FastPreviewBatch": (REST, "-fast_preview_batch"),
    "HDRPreviewKJ": (REST, "-hdr_preview"),
    "ModelPreviewOverrideKJ": (REST, "-preview"),
    "PointsEditor": (REST, "-PointsEditor", "-editor_buttons"),
    "SplineEditor": (REST, "-SplineEditor", "-editor_buttons"),
    "SoundReactive": (REST, "Start mic capture", "Stop mic capture"),
    # LoraManager
    "Create Hook LoRA (LoraManager)": (*_LORA_TEXT, "loras"),
    "Debug Metadata (LoraManager)": ("-metadata",),
    "Lora Cycler (LoraManager)": ("cycler_config",),
    "Lora Info (LoraManager)": ("lora_info_display",),
    "Lora Loader (LoraManager)": (*_LORA_TEXT, "loras"),
    "Lora Pool (LoraManager)": ("pool_config",),
    "Lora Randomizer (LoraManager)": ("randomizer_config", "loras"),
    "Lora Stacker (LoraManager)": (*_LORA_TEXT, "loras"),
    "Prompt (LoraManager)": _LORA_TEXT,
    "Text (LoraManager)": _LORA_TEXT,
    "TriggerWord Toggle (LoraManager)": (REST, "toggle_trigger_words", "orinalMessage"),
    "WanVideo Lora Select (LoraManager)": (REST, *_LORA_TEXT, "loras"),
    # VideoHelperSuite
    "VHS_BatchManager": (REST, "count"),
    "VHS_LoadAudio": (REST, "seek_seconds", "duration", "-audiopreview"),
    "VHS_LoadAudioUpload": (REST, "start_time", "duration", "-choose audio to upload", "-audiopreview"),
    "VHS_LoadImagePath": (REST, "-videopreview"),
    "VHS_LoadImages": (REST, "-choose folder to upload", "-videopreview"),
    "VHS_LoadImagesPath": (REST, "-videopreview"),
    "VHS_LoadVideo": _VIDEO,
    "VHS_LoadVideoFFmpeg": (REST, "start_time", "-choose video to upload", "-videopreview"),
    "VHS_LoadVideoFFmpegPath": (REST, "start_time", "-videopreview"),
    "VHS_LoadVideoPath": (REST, "-videopreview"),
    "VHS_VideoCombine": (REST, FORMAT, "-videopreview"),
    # essentials
    "FluxAttentionSeeker+": _SEEKERS,
    "SD3AttentionSeekerLG+": (REST, "RESET L", "RESET G", "REPEAT FIRST"),
    "SD3AttentionSeekerT5+": (REST, "RESET ALL", "REPEAT FIRST"),
    # rgthree
    "Power Primitive (rgthree)": ("type", "value"),
    "Power Puter (rgthree)": ("outputs", "code"),
    "Seed (rgthree)": ("seed", "-🎲 Randomize Each Time", "-🎲 New Fixed Random", "-USE_LAST_SEED"),
}  # fmt: skip

# Choosing a format resets the inputs that still have what the first format set, as the page loads a file
# too (VideoHelperSuite): from ``{"target_rate": 8, "dim": [8, 0, 512, 512]}`` of a format.
RESET_BY_FORMAT: Mapping[str, tuple[str, int | None]] = {
    "force_rate": ("target_rate", None),
    "custom_width": ("dim", 2),
    "custom_height": ("dim", 3),
}

# Widgets that name a picture in the memory of the server that made it, as ``$7-1796055205.7``. A server that
# was started since knows none of them, and its page sends ``$7-0`` (Impact Pack).
IN_MEMORY: Mapping[str, str] = {"PreviewBridge": "image", "PreviewBridgeLatent": "image"}

# Classes of which an empty choice is not sent.
UNCHOSEN = frozenset({"Checkpoint Loader (LoraManager)", "Unet Loader (LoraManager)"})

# Classes of packs whose filename_prefix the page fills as it does those of its own save nodes.
FILLED_PREFIX = frozenset(
    {
        "VHS_VideoCombine", "SaveImageKJ", "SaveImageWithAlpha", "SaveStringKJ", "DecodeAndSaveVideo",
        "ModelSaveKJ", "LoraExtractKJ", "Save Image (LoraManager)",
    }
)  # fmt: skip

# Their inputs are linked by rules of the page: the result stands in the ``extra.ue_links`` of the file.
BROADCASTERS = frozenset(
    {
        "Anything Everywhere", "Anything Everywhere3", "Anything Everywhere?", "Prompts Everywhere",
        "Seed Everywhere",
    }
)  # fmt: skip
# Of these, the ones that send to some inputs of their kind only.
CHOOSY = frozenset({"Anything Everywhere?", "Prompts Everywhere", "Seed Everywhere"})
