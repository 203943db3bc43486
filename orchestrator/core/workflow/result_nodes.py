"""Stock nodes that carry a value over: out of a peer (results), and into one (boundaries of a chain).

Exactness, as measured on ComfyUI 0.3.75: IMAGE and MASK come back with 8 bits a channel (values k/255
survive exactly, others lose up to 1/255, downwards); LATENT samples are exact float32, without noise_mask
and batch_index; texts and numbers are exact.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ...errors import UnsupportedTypeError, WorkflowError
from ..models.job import Prompt, ResultLink
from .object_info import ObjectInfo
from .prompt import is_link

TEXT_TYPES = frozenset({"STRING", "INT", "FLOAT", "BOOLEAN", "COMBO"})
SUPPORTED = ("IMAGE", "MASK", "LATENT", "STRING", "INT", "FLOAT", "BOOLEAN")
RESULT_ID = "rd-result"
_ANY = ("*", "COMFY_MATCHTYPE_V3")
#: What cannot travel, and what to link in its place; the page refuses such a link when it is made
INSTEAD = {
    "MODEL": "the IMAGE or LATENT that is made with it",
    "CLIP": "the IMAGE or LATENT that is made with it",
    "VAE": "the IMAGE after VAE Decode",
    "CONDITIONING": "the LATENT after the sampler",
    "AUDIO": "a graph that saves it, with nothing linked to this node",
    "VIDEO": "its frames (IMAGE), or a graph that saves it, with nothing linked to this node",
}


@dataclass(frozen=True)
class ResultPlan:
    """Which node of the extended prompt carries the wanted value, and of what type it is."""

    node_id: str
    type: str


def link_type(prompt: Prompt, link: ResultLink, info: ObjectInfo) -> str:
    """The type of an output as the peer's classes declare it.

    An any-type output (a switch, a reroute) has a type of what is linked into its any-type inputs: that of
    the pictures or latents among them, for the rest decides which way it takes; of texts and numbers alone,
    "INT,STRING" or the like, for nodes that compute may well make a text of them. "*" when nothing tells.
    """
    kinds = _kinds_of(prompt, link.node_id, link.slot, info, set())
    declared = info.output_types(prompt[link.node_id]["class_type"])[link.slot]
    if declared not in _ANY:
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
    if types[slot] not in _ANY:
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
    return spec is None or spec.type in _ANY


def add_result_node(prompt: Prompt, link: ResultLink, info: ObjectInfo) -> tuple[Prompt, ResultPlan]:
    """Extend the prompt by the stock node that makes the value fetchable.

    Raises:
        UnsupportedTypeError: no stock node carries this type; names what to link instead.
    """
    kind = link_type(prompt, link, info)
    source: list[Any] = [link.node_id, link.slot]
    nodes: dict[str, Any]
    if kind == "IMAGE":
        nodes = {RESULT_ID: _node("PreviewImage", images=source)}
    elif kind == "MASK":
        convert = f"{RESULT_ID}-image"
        nodes = {
            convert: _node("MaskToImage", mask=source),
            RESULT_ID: _node("PreviewImage", images=[convert, 0]),
        }
    elif kind == "LATENT":
        nodes = {RESULT_ID: _node("SaveLatent", samples=source, filename_prefix="latent")}
    elif TEXT_TYPES.issuperset(kind.split(",")):
        nodes = {RESULT_ID: _node("PreviewAny", source=source)}
    else:
        shown = "an unknown type" if kind == "*" else kind
        instead = INSTEAD.get(kind, f"one of {', '.join(SUPPORTED)}")
        raise UnsupportedTypeError(
            f"Remote Dispatch cannot bring back {shown} from node {link.node_id} "
            f"({prompt[link.node_id]['class_type']}). Link {instead}."
        )
    return {**prompt, **nodes}, ResultPlan(RESULT_ID, kind)


def loader_nodes(kind: str, names: Sequence[str], prefix: str) -> tuple[Prompt, list[Any]]:
    """Stock nodes that load the files `names` on a peer as one value of `kind`, and the link to it.

    Names are as LoadImage takes them, one file per picture of the batch. Ids start with `prefix`.

    Raises:
        UnsupportedTypeError: `kind` is not IMAGE, MASK or LATENT.
    """
    if kind == "LATENT":
        return {prefix: _node("LoadLatent", latent=names[0])}, [prefix, 0]
    if kind not in ("IMAGE", "MASK"):
        raise UnsupportedTypeError(f"A value of type {kind} cannot travel to the next peer.")
    nodes: Prompt = {}
    link: list[Any] = []
    for number, name in enumerate(names):
        loader = f"{prefix}-{number}"
        nodes[loader] = _node("LoadImage", image=name)
        if not link:
            link = [loader, 0]
            continue
        joined = f"{prefix}-batch-{number}"
        nodes[joined] = _node("ImageBatch", image1=link, image2=[loader, 0])
        link = [joined, 0]
    if kind == "MASK":
        nodes[f"{prefix}-mask"] = _node("ImageToMask", image=link, channel="red")
        link = [f"{prefix}-mask", 0]
    return nodes, link


def can_travel(kind: str) -> bool:
    """Whether a value of the master's of this declared type may go to a peer; of an unknown one, perhaps."""
    return kind in SUPPORTED or kind in TEXT_TYPES or kind in _ANY or "," in kind


def cannot_travel(source: ResultLink, kind: str) -> str:
    """The sentence about a value of the master's that no stock node loads on a peer."""
    return (
        f"Node {source.node_id} runs on this computer, and its value ({kind}) cannot travel to a peer. "
        f"Only {', '.join(SUPPORTED)} can: end the part that runs here with one of these, "
        "or put Remote Dispatch before it."
    )


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
