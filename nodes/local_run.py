"""Runs a cut-out graph on the master after all, when no peer can: the node expands into it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from comfy_api.latest import io  # type: ignore[import-not-found]

from ..orchestrator.core.engine.parameter_patcher import patch_parameters
from ..orchestrator.core.models.job import Prompt
from ..orchestrator.core.workflow.cut import Stash
from ..orchestrator.core.workflow.prompt import class_of, is_link
from ..orchestrator.core.workflow.result_nodes import replace_link
from ..orchestrator.errors import NoEligiblePeerError
from ..orchestrator.host import comfy as host_comfy

#: Stock nodes that put two batches together, with their inputs.
_JOINS = {
    "IMAGE": ("ImageBatch", "image1", "image2"),
    "LATENT": ("LatentBatch", "samples1", "samples2"),
}


def expand(
    stash: Stash,
    node_id: str,
    copies: Sequence[Mapping[str, Any]],
    upstream: Mapping[str, Any],
    item: int | None,
) -> io.NodeOutput:
    """The node's output as an expansion; the user's own boxes light up. `copies`: the changes of each, which
    all come back as one batch. `upstream`: what other nodes handed to this one, of a list the `item` that it
    was called for.

    Raises:
        NoEligiblePeerError: this computer lacks classes too, or a loop would have to run inside the node, or
            nothing here joins the copies.
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
    prefix = f"{node_id}.here.{item}." if item else f"{node_id}.here."
    graph: dict[str, Any] = {}
    links = [
        _added(graph, stash, f"{prefix}{number}." if number else prefix, changes, upstream)
        for number, changes in enumerate(copies)
    ]
    return io.NodeOutput(_joined(graph, stash, prefix, links), expand=graph)


def _added(
    graph: dict[str, Any],
    stash: Stash,
    prefix: str,
    changes: Mapping[str, Any],
    upstream: Mapping[str, Any],
) -> Any:
    """Add one copy, whose ids begin with `prefix`; return the link to its value."""
    prompt = patch_parameters(stash.prompt, (), changes) if changes else stash.prompt
    link = [stash.link.node_id, stash.link.slot] if stash.link else _first_picture_link(prompt)
    for name, source in stash.boundaries.items():
        # The value itself: a link would bring the whole list, of which this is one item.
        prompt = replace_link(prompt, source, upstream[name])
    own = stash.prompt.keys()

    def moved(value: Any) -> Any:
        return [prefix + str(value[0]), value[1]] if is_link(value) and str(value[0]) in own else value

    for i, node in prompt.items():
        inputs = {name: moved(value) for name, value in node["inputs"].items()}
        graph[prefix + i] = {
            "class_type": node["class_type"],
            "inputs": inputs,
            "override_display_id": i,
        }
    return moved(link)


def _joined(graph: dict[str, Any], stash: Stash, prefix: str, links: Sequence[Any]) -> Any:
    """The link to all of them as one batch."""
    whole, *rest = links
    if not rest:
        return whole
    source = stash.link
    kind = host_comfy.output_type(class_of(stash.prompt[source.node_id]), source.slot) if source else "IMAGE"
    if whole is None or kind not in _JOINS:
        raise NoEligiblePeerError(
            f"No peer can run this now, and this computer makes no batch of copies of {kind}. "
            "Switch a peer on, or set copies to 1."
        )
    class_type, first, second = _JOINS[kind]
    box = str(whole[0]).removeprefix(prefix)
    for number, link in enumerate(rest):
        joined = f"{prefix}join{number}"
        inputs = {first: whole, second: link}
        graph[joined] = {"class_type": class_type, "inputs": inputs, "override_display_id": box}
        whole = [joined, 0]
    return whole


def _first_picture_link(prompt: Prompt) -> Any:
    for node in prompt.values():
        if host_comfy.is_output_class(class_of(node)):
            for name in ("images", "image"):
                if is_link(node["inputs"].get(name)):
                    return node["inputs"][name]
    return None
