"""Runs a cut-out graph on the master after all, when no peer can: the node expands into it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from comfy_api.latest import io  # type: ignore[import-not-found]

from ..orchestrator.core.engine.parameter_patcher import patch_parameters
from ..orchestrator.core.models.job import Prompt
from ..orchestrator.core.workflow.cut import Stash
from ..orchestrator.core.workflow.prompt import class_of, is_link
from ..orchestrator.core.workflow.result_nodes import replace_link
from ..orchestrator.errors import NoEligiblePeerError
from ..orchestrator.host import comfy as host_comfy


def expand(
    stash: Stash,
    node_id: str,
    changes: Mapping[str, Any],
    upstream: Mapping[str, Any],
    item: int | None,
) -> io.NodeOutput:
    """The node's output as an expansion, with the `changes` of its overrides; the user's own boxes light up.
    `upstream`: what other nodes handed to this one, of a list the `item` that it was called for.

    Raises:
        NoEligiblePeerError: this computer lacks classes too, or a loop would have to run inside the node.
        ParameterError: a change fits no input, or several.
    """
    if any(host_comfy.loop_side(class_of(node)) for node in stash.prompt.values()):
        raise NoEligiblePeerError(
            "No peer can run this now, and a loop (Start Loop to End Loop) cannot run here from inside this "
            "node. Switch a peer on, or take Remote Dispatch out of the graph to run all of it here."
        )
    missing = sorted({c for c in map(class_of, stash.prompt.values()) if not host_comfy.has_class(c)})
    if missing:
        raise NoEligiblePeerError(
            f"No peer can run this now, and this computer lacks {', '.join(missing)}. "
            "Switch a peer on, or install the node pack here."
        )
    prompt = patch_parameters(stash.prompt, (), changes) if changes else stash.prompt
    link = [stash.link.node_id, stash.link.slot] if stash.link else _first_picture_link(prompt)
    for name, source in stash.boundaries.items():
        # The value itself: a link would bring the whole list, of which this is one item.
        prompt = replace_link(prompt, source, upstream[name])
    prefix = f"{node_id}.here.{item}." if item else f"{node_id}.here."
    own = stash.prompt.keys()

    def moved(value: Any) -> Any:
        return [prefix + str(value[0]), value[1]] if is_link(value) and str(value[0]) in own else value

    graph = {
        prefix + i: {
            "class_type": node["class_type"],
            "inputs": {name: moved(value) for name, value in node["inputs"].items()},
            "override_display_id": i,
        }
        for i, node in prompt.items()
    }
    return io.NodeOutput(moved(link), expand=graph)


def _first_picture_link(prompt: Prompt) -> Any:
    for node in prompt.values():
        if host_comfy.is_output_class(class_of(node)):
            for name in ("images", "image"):
                if is_link(node["inputs"].get(name)):
                    return node["inputs"][name]
    return None
