"""Stock nodes that bring a value back from a peer.

Exactness, as measured on ComfyUI 0.3.75 and 0.33: IMAGE and MASK come back with 8 bits a channel (values
k/255 survive exactly, others lose up to 1/255, downwards), or on request as they are: as EXR where a peer can
write that, else in the shards of a training set, which hold any tensor. LATENT samples are exact float32,
without noise_mask and batch_index; AUDIO has 16 bits; a VIDEO is as its peer encodes it; texts and numbers
are exact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ...errors import UnsupportedTypeError, WorkflowError
from ..models.job import Prompt, ResultLink
from .carriers import ANY_TYPES, CARRIED, SUPPORTED, TEXT_TYPES
from .object_info import ObjectInfo
from .prompt import is_link

RESULT_ID = "rd-result"
#: What cannot travel, and what to link in its place; the page refuses such a link when it is made
INSTEAD = {
    "MODEL": "the IMAGE or LATENT that is made with it",
    "CLIP": "the IMAGE or LATENT that is made with it",
    "VAE": "the IMAGE after VAE Decode",
    "CONDITIONING": "the LATENT after the sampler",
}


_SHARD = "shard_0000.pkl"  #: as SaveTrainingDataset names its first file


@dataclass(frozen=True)
class ResultPlan:
    """Which node of the extended prompt carries the wanted value, and of what type it is. ``shards``: nodes
    that write a file each, in the order of the value's channels, and tell nobody of it."""

    node_id: str
    type: str
    shards: tuple[str, ...] = ()

    def placed(self, prompt: Prompt, tag: str) -> Prompt:
        """The prompt of one attempt, whose files all have `tag` in their place."""
        moved = {
            i: {**prompt[i], "inputs": {**prompt[i]["inputs"], "folder_name": _folder(tag, i)}}
            for i in self.shards
        }
        return {**prompt, **moved} if moved else prompt

    def told(self, outputs: Mapping[str, Any], tag: str) -> Mapping[str, Any]:
        """What the nodes of such a prompt told, with the files that they did not tell."""
        files = [{"filename": _SHARD, "subfolder": _folder(tag, i), "type": "output"} for i in self.shards]
        return {**outputs, self.node_id: {"files": files}} if files else outputs


def _folder(tag: str, node_id: str) -> str:
    return tag + node_id.removeprefix(RESULT_ID)


def is_for_result(node_id: str) -> bool:
    """Whether the node is one that was added to bring the value back."""
    return node_id == RESULT_ID or node_id.startswith(f"{RESULT_ID}-")


def link_type(prompt: Prompt, link: ResultLink, info: ObjectInfo) -> str:
    """The type of an output as the peer's classes declare it.

    An any-type output (a switch, a reroute) has a type of what is linked into its any-type inputs: that of
    the pictures or latents among them, for the rest decides which way it takes; of texts and numbers alone,
    "INT,STRING" or the like, for nodes that compute may well make a text of them. "*" when nothing tells.
    """
    kinds = _kinds_of(prompt, link.node_id, link.slot, info, set())
    declared = info.output_types(prompt[link.node_id]["class_type"])[link.slot]
    if declared not in ANY_TYPES:
        return declared
    large = [kind for kind in kinds if kind not in TEXT_TYPES]
    return large[0] if large else ",".join(dict.fromkeys((*kinds, "STRING"))) if kinds else "*"


def _kinds_of(prompt: Prompt, node_id: str, slot: int, info: ObjectInfo, seen: set[str]) -> list[str]:
    """Each type that this output may have, once, in the order of the inputs; [] when nothing tells."""
    node = prompt.get(node_id)
    if node is None or node.get("class_type") not in info:
        raise WorkflowError(f"Node {node_id}, which Remote Dispatch waits for, is not in the graph it sent.")
    types = info.output_types(node["class_type"])
    if slot >= len(types):
        raise WorkflowError(f"Node {node_id} ({node['class_type']}) has no output number {slot}.")
    if types[slot] not in ANY_TYPES:
        return [types[slot]]
    if node_id in seen:
        return []
    seen.add(node_id)
    sources = [
        value
        for name, value in node.get("inputs", {}).items()
        if is_link(value) and _takes_anything(info, node["class_type"], name)
    ]
    found = (_kinds_of(prompt, str(source[0]), source[1], info, seen) for source in sources)
    return list(dict.fromkeys(kind for kinds in found for kind in kinds))


def _takes_anything(info: ObjectInfo, class_type: str, name: str) -> bool:
    spec = info.input(class_type, name)
    return spec is None or spec.type in ANY_TYPES


def add_result_node(
    prompt: Prompt, link: ResultLink, info: ObjectInfo, *, exact: bool = False
) -> tuple[Prompt, ResultPlan]:
    """Extend the prompt by the stock nodes that make the value fetchable. `exact`: pictures and masks as they
    are, to the last bit.

    Raises:
        UnsupportedTypeError: no stock node carries this type; names what to link instead.
    """
    kind = link_type(prompt, link, info)
    source: list[Any] = [link.node_id, link.slot]
    if exact and kind in ("IMAGE", "MASK"):
        nodes, shards = _exact(kind, source, info)
        return {**prompt, **nodes}, ResultPlan(RESULT_ID, kind, shards)
    if kind == "MASK":
        image = f"{RESULT_ID}-image"
        nodes = {image: _node("MaskToImage", mask=source), RESULT_ID: _carrier("IMAGE", [image, 0])}
    elif kind in CARRIED or TEXT_TYPES.issuperset(kind.split(",")):
        nodes = {RESULT_ID: _carrier(kind, source)}
    else:
        shown = "an unknown type" if kind == "*" else kind
        instead = INSTEAD.get(kind, f"one of {', '.join(SUPPORTED)}")
        raise UnsupportedTypeError(
            f"Remote Dispatch cannot bring back {shown} from node {link.node_id} "
            f"({prompt[link.node_id]['class_type']}). Link {instead}."
        )
    return {**prompt, **nodes}, ResultPlan(RESULT_ID, kind)


def _carrier(kind: str, source: list[Any]) -> dict[str, Any]:
    if kind == "IMAGE":
        return _node("PreviewImage", images=source)
    if kind == "LATENT":
        return _node("SaveLatent", samples=source, filename_prefix="latent")
    if kind == "AUDIO":
        return _node("PreviewAudio", audio=source)
    if kind == "VIDEO":
        # Newer peers ask for the codec under the format, older ones beside it; neither minds the other.
        auto = {"format": "auto", "codec": "auto", "format.codec": "auto"}
        return _node("SaveVideo", video=source, filename_prefix="video", **auto)
    return _node("PreviewAny", source=source)


def _exact(kind: str, source: list[Any], info: ObjectInfo) -> tuple[Prompt, tuple[str, ...]]:
    if "SaveImageAdvanced" in info or not _has_shards(info):  # a peer with neither lacks the newer one
        nodes: Prompt = {}
        if kind == "MASK":
            nodes[f"{RESULT_ID}-image"] = _node("MaskToImage", mask=source)
            source = [f"{RESULT_ID}-image", 0]
        # "linear": written as it is; any other colour space would be converted.
        form = {"format": "exr", "format.bit_depth": "32-bit float", "format.input_color_space": "linear"}
        nodes[RESULT_ID] = _node("SaveImageAdvanced", images=source, filename_prefix="exact", **form)
        return nodes, ()
    return _in_shards(kind, source)


def _has_shards(info: ObjectInfo) -> bool:
    """Whether the shards lie where GET /view finds them. Since they lie elsewhere, the folder to load is
    chosen from a list."""
    if "SaveTrainingDataset" not in info or "LoadTrainingDataset" not in info:
        return False
    folder = info.input("LoadTrainingDataset", "folder_name")
    return folder is not None and folder.type == "STRING"


def _in_shards(kind: str, source: list[Any]) -> tuple[Prompt, tuple[str, ...]]:
    """A latent's noise mask may be any tensor; so each channel travels as the mask of an empty latent."""
    latent, words = f"{RESULT_ID}-latent", f"{RESULT_ID}-words"
    nodes = {
        latent: _node("EmptyLatentImage", width=16, height=16, batch_size=1),
        words: _node("LotusConditioning"),
    }
    channels = {RESULT_ID: "red", f"{RESULT_ID}-green": "green", f"{RESULT_ID}-blue": "blue"}
    shards = tuple(channels) if kind == "IMAGE" else (RESULT_ID,)
    for shard in shards:
        mask = source
        if kind == "IMAGE":
            nodes[f"{shard}-mask"] = _node("ImageToMask", image=source, channel=channels[shard])
            mask = [f"{shard}-mask", 0]
        nodes[f"{shard}-masked"] = _node("SetLatentNoiseMask", samples=[latent, 0], mask=mask)
        nodes[shard] = _node(
            "SaveTrainingDataset",
            latents=[f"{shard}-masked", 0],
            conditioning=[words, 0],
            folder_name=shard,
            shard_size=1000,
        )
    return nodes, shards


def replace_source(prompt: Prompt, source_id: str, value: Any) -> Prompt:
    """The prompt with every link from `source_id` replaced by `value` (a link or a constant)."""
    return _replaced(prompt, lambda link: str(link[0]) == source_id, value)


def replace_link(prompt: Prompt, source: ResultLink, value: Any) -> Prompt:
    """The prompt with every link to this output replaced by `value` (a link or a constant)."""
    return _replaced(prompt, lambda link: (str(link[0]), link[1]) == (source.node_id, source.slot), value)


def _replaced(prompt: Prompt, is_meant: Callable[[list[Any]], bool], value: Any) -> Prompt:
    def swapped(old: Any) -> Any:
        return value if is_link(old) and is_meant(old) else old

    return {
        node_id: {**node, "inputs": {k: swapped(v) for k, v in node.get("inputs", {}).items()}}
        for node_id, node in prompt.items()
    }


def _node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}
