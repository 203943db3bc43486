"""The model files of a peer, by kind, as its lists in GET /object_info and GET /embeddings name them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from weakref import WeakKeyDictionary, proxy

from ...errors import WorkflowError
from ..workflow.object_info import ObjectInfo
from .resemblance import resembling

ANY_KIND = ""
LORAS, EMBEDDINGS = "loras", "embeddings"

# A choice with such an ending names a model file; the peer has to have it.
_MODEL_FILE = re.compile(r"\.(safetensors|sft|ckpt|pt|pt2|pth|bin|gguf|onnx|engine|pkl|yaml)$", re.IGNORECASE)
#: The loaders of ComfyUI itself whose list is all that the peer has of a kind.
_LISTED_BY: Mapping[str, tuple[str, str]] = {
    LORAS: ("LoraLoader", "lora_name"),
    "checkpoints": ("CheckpointLoaderSimple", "ckpt_name"),
    "vae": ("VAELoader", "vae_name"),
    "controlnet": ("ControlNetLoader", "control_net_name"),
    "upscale_models": ("UpscaleModelLoader", "model_name"),
    "diffusion_models": ("UNETLoader", "unet_name"),
    "clip_vision": ("CLIPVisionLoader", "clip_name"),
    "text_encoders": ("CLIPLoader", "clip_name"),
    "hypernetworks": ("HypernetworkLoader", "hypernetwork_name"),
}
#: How inputs and keys that hold a file of a kind are called; the first that fits counts.
_WORDS: tuple[tuple[str, str], ...] = (
    ("lora", LORAS),
    ("embedding", EMBEDDINGS),
    ("ckpt", "checkpoints"),
    ("checkpoint", "checkpoints"),
    ("control_net", "controlnet"),
    ("controlnet", "controlnet"),
    ("clip_vision", "clip_vision"),
    ("upscale_model", "upscale_models"),
    ("hypernetwork", "hypernetworks"),
    ("unet", "diffusion_models"),
    ("vae", "vae"),
)


class PeerFiles:
    """What of each kind a peer has. Names are compared with "/" between folders."""

    def __init__(self, info: ObjectInfo) -> None:
        self._info: ObjectInfo = proxy(info)  # kept by what is kept for it, it would never go
        self._by_kind: dict[str, dict[str, str] | None] = {}
        self._stems: dict[str, dict[str, str]] = {}
        self._bare: dict[str, set[str]] = {}  #: without folder and ending

    def is_known(self, kind: str) -> bool:
        """Whether the peer told what it has of it."""
        return self._names(kind) is not None

    def spelled(self, name: str, kind: str) -> str | None:
        """How the peer itself spells the file; None when it has no such file. An ending may be left out; if
        `name` has none, neither has the answer."""
        names, wanted = self._names(kind) or {}, _normal(name)
        if wanted in names:
            return names[wanted]
        stems = self._stems_of(kind)
        known = stems.get(_stem(wanted)) if kind == EMBEDDINGS else stems.get(wanted)
        if known is None:
            return None
        return known + (wanted[len(_stem(wanted)) :] if kind == EMBEDDINGS else "")

    def has_somewhere(self, name: str, kind: str) -> bool:
        """Whether a file of that name lies in any folder of its kind, which text loaders look through."""
        wanted = _stem(_normal(name)).rpartition("/")[2]
        if kind not in self._bare:
            self._bare[kind] = {stem.rpartition("/")[2] for stem in self._stems_of(kind)}
        return wanted in self._bare[kind]

    def nearest(self, name: str, kind: str) -> str:
        """A file that may be meant; "" for none."""
        names, wanted = self._names(kind) or {}, _normal(name)
        same = [known for known in names if known.rpartition("/")[2] == wanted.rpartition("/")[2]]
        near = same or resembling(wanted, names, 1, 0.8)
        return names[near[0]] if near else ""

    def _stems_of(self, kind: str) -> dict[str, str]:
        if kind not in self._stems:
            names = self._names(kind) or {}
            self._stems[kind] = {_stem(normal): _stem(spelled) for normal, spelled in names.items()}
        return self._stems[kind]

    def _names(self, kind: str) -> dict[str, str] | None:
        if kind not in self._by_kind:
            self._by_kind[kind] = self._read(kind)
        return self._by_kind[kind]

    def _read(self, kind: str) -> dict[str, str] | None:
        if kind == EMBEDDINGS:
            return None if self._info.embeddings is None else _by_normal(self._info.embeddings)
        if kind == ANY_KIND:
            return _by_normal(_all_choices(self._info))
        class_type, name = _LISTED_BY[kind]
        try:
            spec = self._info.input(class_type, name) if class_type in self._info else None
        except WorkflowError:
            spec = None
        return None if spec is None or spec.choices is None else _by_normal(spec.choices)


_known: WeakKeyDictionary[ObjectInfo, PeerFiles] = WeakKeyDictionary()


def files_of_peer(info: ObjectInfo) -> PeerFiles:
    """The files of the peer with these definitions, read once for each."""
    known = _known.get(info)
    if known is None:
        known = _known[info] = PeerFiles(info)
    return known


def listing_class(kind: str) -> str:
    """ComfyUI's own class whose list has all files of a kind; "" where there is none."""
    return _LISTED_BY[kind][0] if kind in _LISTED_BY else ""


def kind_of_word(word: str) -> str:
    """The kind of files that an input or key of this name holds; ANY_KIND where it does not tell."""
    lower = word.lower()
    return next((kind for part, kind in _WORDS if part in lower), ANY_KIND)


def is_model_file(value: str) -> bool:
    return bool(_MODEL_FILE.search(value))


def model_files(info: ObjectInfo) -> frozenset[str]:
    """The model files that the peer offers in any of its nodes, with "/" between folders."""
    return frozenset(_normal(name) for name in _all_choices(info))


def _all_choices(info: ObjectInfo) -> Iterable[str]:
    for class_type in info:
        try:
            specs = info.inputs(class_type)
        except WorkflowError:
            continue
        for spec in specs:
            for choice in (spec.choices or ()) if spec.upload is None else ():
                if isinstance(choice, str) and is_model_file(choice):
                    yield choice


def _by_normal(names: Iterable[object]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in names:
        if isinstance(name, str):
            found.setdefault(_normal(name), name)
    return found


def _normal(name: str) -> str:
    return name.strip().replace("\\", "/")


def _stem(name: str) -> str:
    """Without the ending of a model file; other dots belong to the name."""
    return _MODEL_FILE.sub("", name)
