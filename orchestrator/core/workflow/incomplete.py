"""What a conversion lacks because only the page of a node pack knows it: refused by name, never left out."""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import WorkflowError
from ..models.job import Prompt
from .object_info import AUTOGROW, ObjectInfo
from .prompt import class_of, title_of, upstream

_SHOWN_MAX = 5
HELP = (
    "Only the page with its node packs can make this prompt: open the workflow there and export it with "
    "Export (API), or use a picture it made, which carries its own prompt."
)


def refuse(doubts: Sequence[str]) -> None:
    """Raises WorkflowError that tells the doubts and what helps, if there are any."""
    if doubts:
        more = f" And {len(doubts) - _SHOWN_MAX} more." if len(doubts) > _SHOWN_MAX else ""
        raise WorkflowError(f"{' '.join(doubts[:_SHOWN_MAX])}{more} {HELP}")


def refuse_missing(prompt: Prompt, info: ObjectInfo) -> None:
    """Refuse a node of a pack that will run and lacks a required input: its page may fill it."""
    packs = {kind for kind in map(class_of, prompt.values()) if info.is_from_pack(kind)}
    if not packs:
        return
    outputs = [
        i for i, node in prompt.items() if class_of(node) in info and info.is_output_node(class_of(node))
    ]
    found: list[str] = []
    for node_id in sorted(upstream(prompt, outputs)):
        node = prompt[node_id]
        kind = class_of(node)
        if kind not in packs:
            continue
        names = [
            spec.name
            for spec in info.inputs(kind)
            if spec.section == "required" and spec.type != AUTOGROW and node["inputs"].get(spec.name) is None
        ]
        if names:
            listed = ", ".join(names[:_SHOWN_MAX])
            found.append(
                f"Node {node_id} {title_of(node)!r} ({kind}) has neither link nor value for {listed}."
            )
    refuse(found)
