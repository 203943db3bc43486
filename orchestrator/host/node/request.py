"""The engine's request for what one Remote Dispatch node holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...core.models.job import JobRequest, Prompt, Source
from ...core.prompts.overrides import parse_overrides
from ...core.workflow.cut import DISPATCH_CLASS, Stash, graph_id_of

AUTOMATIC = "automatic"
TAG_PREFIX = "tag: "
FAIL, WAIT, RUN_HERE = "fail", "wait", "run here"
WHEN_CHANGED, ALWAYS = "when changed", "always"
EIGHT_BIT, EXACT = "8 bit", "exact"
_PREVIEWS = {"preview_method": "auto"}  # newer peers send previews when asked, older ones ignore it


def node_request(
    stash: Stash,
    prompt: Prompt,
    *,
    node_id: str,
    overrides: str,
    peer: str,
    if_no_peer: str,
    extra_pnginfo: object,
    precision: str = EIGHT_BIT,
) -> JobRequest:
    """`prompt` is the stash's, with the values of other dispatch nodes put in.

    Raises:
        ParameterError: `overrides` cannot be read.
    """
    told = dict(extra_pnginfo) if isinstance(extra_pnginfo, Mapping) else {}
    workflow = told.get("workflow")
    workflow = workflow if isinstance(workflow, Mapping) else None
    whole = stash.link is None
    # Files shall open as a workflow again, and some nodes read it as they run. Beside the stash, not in it: a
    # box that was only moved runs nothing again.
    pnginfo: dict[str, Any] = {"extra_pnginfo": told} if told else {}
    return JobRequest(
        prompt=prompt,
        # With values of the master put in, the prompt is the only one that has them.
        workflow=workflow if whole and not stash.boundaries else None,
        changes=parse_overrides(overrides or ""),
        drop_classes=frozenset({DISPATCH_CLASS}),
        result=stash.link,
        exact=precision == EXACT,
        peer="" if peer == AUTOMATIC or peer.startswith(TAG_PREFIX) else peer,
        tags=(peer.removeprefix(TAG_PREFIX),) if peer.startswith(TAG_PREFIX) else (),
        source=Source.NODE,
        wait_for_peer=if_no_peer == WAIT,
        title=f"Remote Dispatch {node_id}",
        graph_id=graph_id_of(workflow),
        extra_data={**_PREVIEWS, **pnginfo},
    )
