"""The Remote Dispatch node: runs what lies upstream of it on another computer and gives the value back."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import uuid
from collections.abc import Mapping
from functools import partial
from typing import Any

from comfy_api.latest import io  # type: ignore[import-not-found]
from comfy_execution.utils import get_executing_context  # type: ignore[import-not-found]

from ..orchestrator.core.models.job import Prompt
from ..orchestrator.core.prompts.variations import copies as copies_of
from ..orchestrator.core.workflow.carriers import CARRIED, cannot_travel
from ..orchestrator.core.workflow.cut import DISPATCH_CLASS, Stash
from ..orchestrator.core.workflow.prompt import is_link, links_of
from ..orchestrator.core.workflow.result_nodes import INSTEAD, replace_link
from ..orchestrator.errors import (
    NoEligiblePeerError,
    OrchestratorError,
    PeerExecutionError,
    PromptRefusedError,
    UnsupportedTypeError,
    WorkflowError,
)
from ..orchestrator.host.comfy import temp_dir
from ..orchestrator.host.current import current
from ..orchestrator.host.node.request import (
    ALWAYS,
    AUTOMATIC,
    EIGHT_BIT,
    EXACT,
    FAIL,
    RUN_HERE,
    TAG_PREFIX,
    WAIT,
    WHEN_CHANGED,
    node_request,
)
from . import carriers, local_run
from .change_check import fingerprint
from .outcome import is_small, outcome
from .running import Call, run_all

log = logging.getLogger(__name__)

COPIES_MAX = 1000


class RemoteDispatch(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        # Newer hosts drop links to undeclared inputs unless told otherwise; chains need them.
        takes_all = any(field.name == "accept_all_inputs" for field in dataclasses.fields(io.Schema))
        return io.Schema(
            node_id=DISPATCH_CLASS,
            display_name="Remote Dispatch",
            category="remote dispatch",
            description=(
                "Runs everything linked to it on one of your other computers and gives the value back. "
                "With nothing linked, runs the whole workflow there and gives back its first pictures."
            ),
            inputs=[
                io.AnyType.Input(
                    "value",
                    optional=True,
                    tooltip="What you want computed on another computer.",
                    extra_dict={"instead": INSTEAD},
                ),
                io.String.Input(
                    "overrides",
                    default="",
                    multiline=True,
                    optional=True,
                    placeholder="overrides, like KSampler.seed = 42",
                    tooltip="Changes made before sending, one a line: title, class or id . input = value",
                ),
                io.Combo.Input(
                    "peer",
                    options=_peer_choices(),
                    default=AUTOMATIC,
                    optional=True,
                    tooltip="Which computer: the first free one, one of your choice, or any with a tag.",
                ),
                io.Combo.Input(
                    "if_no_peer",
                    options=[FAIL, WAIT, RUN_HERE],
                    default=FAIL,
                    optional=True,
                    tooltip="What to do when no peer can run it now.",
                ),
                io.Combo.Input(
                    "run_again",
                    options=[WHEN_CHANGED, ALWAYS],
                    default=WHEN_CHANGED,
                    optional=True,
                    tooltip=(
                        "What has not changed is not run again, unless a node in it that this computer has "
                        "says it changed. Choose 'always' to ask the other computer every time."
                    ),
                ),
                io.Combo.Input(
                    "precision",
                    options=[EIGHT_BIT, EXACT],
                    default=EIGHT_BIT,
                    optional=True,
                    tooltip=(
                        "How pictures and masks travel: with 8 bits a channel, as in a PNG, or exactly as "
                        "they are, in about eight times the bytes."
                    ),
                ),
                io.Int.Input(
                    "copies",
                    default=1,
                    min=1,
                    max=COPIES_MAX,
                    optional=True,
                    tooltip=(
                        "How often it runs, on all your computers at once, each time with seeds one higher. "
                        "All pictures, masks or latents come back as one batch."
                    ),
                ),
            ],
            outputs=[io.AnyType.Output("result", display_name="value")],
            hidden=[io.Hidden.unique_id, io.Hidden.dynprompt, io.Hidden.extra_pnginfo],
            is_output_node=True,
            enable_expand=True,
            **({"accept_all_inputs": True} if takes_all else {}),
        )

    @classmethod
    def validate_inputs(cls, peer: str = AUTOMATIC, value: Any = None, **_: Any) -> bool | str:
        # Taking `peer` here keeps the host from comparing it with the list of this moment: peers come and go.
        if not isinstance(peer, str):
            return "peer must be a name, 'automatic' or 'tag: …'"
        try:
            stash = Stash.from_input(value)
        except WorkflowError as exc:
            return str(exc)
        return (stash.refusal if stash else "") or True

    @classmethod
    async def fingerprint_inputs(cls, value: Any = None, run_again: str = WHEN_CHANGED, **_: Any) -> str:
        """Changes whenever the host would run a node of the cut-out graph again, had it stayed here."""
        if run_again == ALWAYS:
            return uuid.uuid4().hex
        stash = Stash.from_input(value)
        return await fingerprint(stash.prompt) if stash else ""

    @classmethod
    async def execute(
        cls,
        value: Any = None,
        overrides: str = "",
        peer: str = AUTOMATIC,
        if_no_peer: str = FAIL,
        run_again: str = WHEN_CHANGED,
        precision: str = EIGHT_BIT,
        copies: int = 1,
        **upstream: Any,
    ) -> io.NodeOutput:
        host = current()
        if host is None:
            raise OrchestratorError(
                "Remote Dispatch has not been started. Restart ComfyUI and look at its log."
            )
        stash = Stash.from_input(value)
        if stash is None:
            raise WorkflowError(
                "This graph reached ComfyUI in a way Remote Dispatch cannot see, so it was not cut. "
                "Queue it with POST /prompt or the Run button."
            )
        node_id = str(cls.hidden.unique_id)
        for name, source in stash.boundaries.items():
            if stash.link == source:
                return io.NodeOutput(upstream[name])
        request = node_request(
            stash,
            await asyncio.to_thread(_bridged, stash, upstream, precision) if upstream else stash.prompt,
            node_id=node_id,
            overrides=overrides,
            peer=peer,
            if_no_peer=if_no_peer,
            precision=precision,
            extra_pnginfo=cls.hidden.extra_pnginfo,
        )
        requests = await asyncio.to_thread(copies_of, request, copies) if copies > 1 else (request,)
        item = _item_of(cls.hidden.dynprompt, node_id)
        call = Call(
            host,
            node_id,
            frozenset(stash.prompt),
            item,
            is_local_next=if_no_peer == RUN_HERE,
            may_be_kept=stash.link is not None and run_again != ALWAYS,
        )
        try:
            results = await run_all(call, requests)
        except NoEligiblePeerError:
            if if_no_peer != RUN_HERE:
                raise
            return local_run.expand(stash, node_id, [each.changes for each in requests], upstream, item)
        except (PeerExecutionError, PromptRefusedError) as exc:
            _blame(cls.hidden.dynprompt, node_id, stash, exc)
            raise
        is_used = _is_used(cls.hidden.dynprompt, node_id)
        make_output = partial(outcome, results, is_whole=stash.link is None, is_used=is_used)
        return make_output() if is_small(results) else await asyncio.to_thread(make_output)


def _peer_choices() -> list[str]:
    host = current()
    peers = host.runtime.manager.all() if host else ()
    tags = sorted({tag for config in peers for tag in config.tags})
    return [AUTOMATIC, *sorted(config.name for config in peers), *(TAG_PREFIX + tag for tag in tags)]


def _item_of(dynprompt: Any, node_id: str) -> int | None:
    """Which item of a list the host calls the node for; None where nothing linked to it can be a list."""
    inputs = dynprompt.get_node(node_id)["inputs"]
    context = get_executing_context()
    return context.list_index if context is not None and any(map(is_link, inputs.values())) else None


def _bridged(stash: Stash, upstream: Mapping[str, Any], precision: str) -> Prompt:
    """The graph to send, with the values of nodes that run here put in as constants or files to load."""
    prompt = stash.prompt
    for name, source in stash.boundaries.items():
        value = upstream[name]
        try:
            kind = carriers.kind_of(value)
        except UnsupportedTypeError as exc:
            raise UnsupportedTypeError(cannot_travel(source, type(value).__name__)) from exc
        if kind in CARRIED:
            exact = precision == EXACT
            loaders, link = carriers.carried(kind, value, temp_dir(), f"rd-{name}", exact=exact)
            prompt = {**replace_link(prompt, source, link), **loaders}
        else:
            prompt = replace_link(prompt, source, value)
    return prompt


def _blame(dynprompt: Any, node_id: str, stash: Stash, exc: PeerExecutionError | PromptRefusedError) -> None:
    """Let the host report the error on the node that caused it, although that node was cut out.

    The host asks `dynprompt` for the real node of the one that failed, after it failed.
    """
    if isinstance(exc, PeerExecutionError):
        guilty = str(exc.details.get("node_id"))
    else:
        guilty = next(iter(exc.node_errors), "")
    if guilty in stash.prompt:
        own = dynprompt.get_node(node_id)
        dynprompt.get_original_prompt().update(stash.prompt)
        dynprompt.add_ephemeral_node(node_id, own, guilty, guilty)


def _is_used(dynprompt: Any, node_id: str) -> bool:
    prompt = dynprompt.get_original_prompt()
    return any(source == node_id for node in prompt.values() for _, source, _ in links_of(node))
