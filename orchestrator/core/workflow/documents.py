"""What a JSON document that somebody has holds: a prompt (API format), a workflow (UI format), or both.

Prompts come as the page exports them, inside the body that a script posts, as an entry of /history, and with
comments among their nodes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...errors import WorkflowError
from ..models.job import Prompt
from .parser import is_api_format
from .uncut import restored

_WRAPPERS = ("prompt", "output", "workflow", "nodes")  #: under which a prompt is found
_ID_PROMPT, _ID_EXTRA = 2, 3  #: places in the tuple of a history entry
_DEPTH_MAX = 4
_NAMED_MAX = 5


@dataclass(frozen=True)
class Document:
    """``prompt`` is what a page or client made, ``workflow`` what a page saved; at least one is there.

    ``notes`` say what was done to the document, a sentence each.
    """

    prompt: Prompt | None = None
    workflow: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()

    @property
    def graph(self) -> dict[str, Any]:
        """What runs: the prompt where there is one. It is never made again from the workflow beside it."""
        return self.prompt or self.workflow or {}


def document_of(found: Mapping[str, Any], what: str = "The file") -> Document:
    """Read a parsed document.

    Raises:
        WorkflowError: it holds neither, or a node without a class.
    """
    if isinstance(found.get("nodes"), list):
        return Document(workflow=dict(found))
    prompt, notes = _prompt_in(found, 0)
    workflow = _workflow_in(found, 0)
    if prompt is None and workflow is not None:
        return Document(workflow=workflow)
    if prompt is None:
        raise WorkflowError(
            f"{what} is no ComfyUI workflow: it has neither a 'nodes' list nor nodes with a class_type. "
            "Save it again in ComfyUI, with Export or Export (API)."
        )
    return Document(restored(prompt, workflow), workflow, notes)


def without_comments(prompt: Mapping[str, Any]) -> tuple[Prompt, tuple[str, ...]]:
    """The nodes of `prompt`, and a sentence that names the entries that are none.

    Raises:
        WorkflowError: an entry is a node but for its class, or a node is linked to what is left out.
    """
    nodes: Prompt = {}
    others: list[str] = []
    for key, entry in prompt.items():
        if isinstance(entry, Mapping) and "class_type" in entry:
            nodes[str(key)] = {name: value for name, value in entry.items() if name != "is_changed"}
        elif isinstance(entry, Mapping) and "inputs" in entry:
            raise WorkflowError(
                f"Node {str(key)[:60]} has no class_type: the page that saved it did not have the node's "
                "pack. Export it again (API) where the pack is installed."
            )
        else:
            others.append(str(key)[:60])
    _refuse_links(nodes, others)
    if not others:
        return nodes, ()
    more = f" and {len(others) - _NAMED_MAX} more" if len(others) > _NAMED_MAX else ""
    return nodes, (f"Left out what is not a node: {', '.join(others[:_NAMED_MAX])}{more}.",)


def _refuse_links(nodes: Prompt, left_out: list[str]) -> None:
    gone = set(left_out)
    for node_id, node in nodes.items() if gone else ():
        inputs = node.get("inputs")
        for name, value in inputs.items() if isinstance(inputs, Mapping) else ():
            if isinstance(value, list) and len(value) == 2 and str(value[0]) in gone:
                raise WorkflowError(
                    f"Node {node_id} takes its {name} from {str(value[0])[:60]!r}, which is not a node: "
                    "it has no class_type. Export the workflow again (API)."
                )


def _prompt_in(found: Any, depth: int) -> tuple[Prompt | None, tuple[str, ...]]:
    found = _parsed(found)
    if isinstance(found, list) and len(found) > _ID_PROMPT:
        found = found[_ID_PROMPT]
    if not isinstance(found, Mapping) or depth > _DEPTH_MAX:
        return None, ()
    if is_api_format(found) or any(is_api_format({key: entry}) for key, entry in found.items()):
        return without_comments(found)
    for name in _WRAPPERS:
        prompt, notes = _prompt_in(found.get(name), depth + 1)
        if prompt is not None:
            return prompt, notes
    if len(found) == 1:  # an answer of /history/{id}
        return _prompt_in(next(iter(found.values())), depth + 1)
    return None, ()


def _workflow_in(found: Any, depth: int) -> dict[str, Any] | None:
    found = _parsed(found)
    if isinstance(found, list) and len(found) > _ID_EXTRA:
        found = found[_ID_EXTRA]
    if not isinstance(found, Mapping) or depth > _DEPTH_MAX:
        return None
    if isinstance(found.get("nodes"), list):
        return dict(found)
    inner = [found.get(name) for name in ("workflow", "extra_pnginfo", "extra_data", "prompt")]
    inner += list(found.values()) if len(found) == 1 else []
    return next((workflow for each in inner if (workflow := _workflow_in(each, depth + 1))), None)


def _parsed(found: Any) -> Any:
    """Some tools keep JSON inside JSON."""
    if not isinstance(found, str) or found.lstrip()[:1] not in ("{", "["):
        return found
    try:
        return json.loads(found)
    except (ValueError, RecursionError):
        return None
