"""What of a prompt runs on this computer alone, and how it does in fleet mode: through ComfyUI's own door.

A prompt that must run here is no help that this computer gives to the fleet: it runs here whether or not the
user lets this computer run the fleet's prompts. Nothing of it is posted to a peer, so nothing is paid twice,
and all of its extra_data stays with the host's own handler.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from aiohttp import web

from ...core.models.job import JobRequest
from ...core.workflow.boundaries import Boundaries
from ...core.workflow.cut import stash_upstream
from ...core.workflow.object_info import ObjectInfo
from ...core.workflow.prompt import class_of
from ...core.workflow.runs_here import HereClasses, HereNode, Why, in_words
from ...errors import ConfigError
from ...runtime import Runtime
from .. import comfy
from ..api.bodies import request_id_of
from ..page.page_events import PageEvent
from ..sanitise import header_text, sanitise

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
ANSWERS_KEPT = 1000  #: of requests that came with an id
NOTE_HEADER = "X-Remote-Dispatch-Note"  #: on the answer of POST /prompt, for who has no page
NOTE_MAX = 2_000  #: characters of it
SPLIT_IT = (
    "Put a Remote Dispatch node behind the part that needs it: that part then runs on a peer, the rest here."
)
ADVICE = "To have the heavy part done by a peer, put a Remote Dispatch node behind it."


class RunsHere:
    """`send(event, data, client_id)` tells a page."""

    def __init__(self, runtime: Runtime, send: Callable[[str, Any, str], None]) -> None:
        self._runtime = runtime
        self._send = send
        self._turn = asyncio.Lock()
        self._answered: dict[str, dict[str, Any]] = {}

    @property
    def classes(self) -> HereClasses:
        return self._runtime.settings.here_classes

    def stays_here(self, class_type: str) -> bool:
        return self.classes.why(class_type, is_partner=self._is_partner(class_type)) is not None

    def nodes(self, body: Mapping[str, Any]) -> tuple[HereNode, ...]:
        """Those that would run of the prompt in a body of POST /prompt."""
        prompt, targets = body.get("prompt"), body.get("partial_execution_targets")
        wanted = tuple(map(str, targets)) if isinstance(targets, (list, tuple)) else ()
        return self._reached(prompt, wanted) if isinstance(prompt, Mapping) else ()

    def _reached(self, prompt: Mapping[str, Any], targets: Collection[str]) -> tuple[HereNode, ...]:
        """What the output nodes need, or those of them that are the `targets`."""
        infos = self._infos()
        outputs = (
            node_id
            for node_id, node in prompt.items()
            if (not targets or node_id in targets) and _is_output(class_of(node), infos)
        )
        return self.classes.nodes(prompt, outputs, self._is_partner)

    def parted(self, request: JobRequest) -> tuple[JobRequest, str]:
        """Before it is sent: what of it peers would get, and what runs here, in words; "" for nothing."""
        link = request.result
        if link is None:
            kept = self._reached(request.prompt, request.targets)
            return request, f"{in_words(kept)} So the whole prompt would run here. {ADVICE}" if kept else ""
        kept = self.classes.nodes(request.prompt, [link.node_id], self._is_partner)
        if not kept:
            return request, ""
        boundaries = Boundaries(
            self.stays_here, comfy.loop_side, comfy.output_type, comfy.gives_list, comfy.takes_list
        )
        stash, _ = stash_upstream(request.prompt, link, boundaries=boundaries)
        told = [node for node in kept if node.why is not Why.PIECES]  # who cuts a value into pieces knows
        words = f"{in_words(told)} What feeds it runs here too. {stash.refusal}" if told else stash.refusal
        return replace(request, prompt=stash.prompt), words.rstrip()

    async def run(
        self,
        request: web.Request,
        handler: Handler,
        body: Mapping[str, Any],
        nodes: Sequence[HereNode],
        options: Mapping[str, Any],
    ) -> web.StreamResponse:
        """The host's own answer to the prompt in `body`, and word of why it runs here.

        A request that carries an id which was answered before is not run again: it may have been paid for.

        Raises:
            ConfigError: the prompt wants a peer, or its request id is none.
        """
        if options.get("peer") or options.get("tags"):
            raise ConfigError(f"This prompt cannot run on a peer. {in_words(nodes)} {ADVICE}")
        request_id = request_id_of(options)
        if not request_id:
            return await self._run(request, handler, body, nodes)
        async with self._turn:
            if request_id in self._answered:
                return web.json_response(self._answered[request_id])
            answer = await self._run(request, handler, body, nodes)
            if answer.status == 200:
                self._answered[request_id] = _json_of(answer)
                while len(self._answered) > ANSWERS_KEPT:
                    del self._answered[next(iter(self._answered))]
            return answer

    async def _run(
        self,
        request: web.Request,
        handler: Handler,
        body: Mapping[str, Any],
        nodes: Sequence[HereNode],
    ) -> web.StreamResponse:
        answer = await handler(request)
        if answer.status != 200 or self._missing(answer, body):
            return self.explained(answer, body, nodes)
        words = f"{in_words(nodes)} So the whole prompt runs here."
        helps = "" if self._runtime.settings.this_machine else f" {ADVICE}"
        return self._told(answer, body, nodes, words + helps)

    def explained(
        self, answer: web.StreamResponse, body: Mapping[str, Any], nodes: Sequence[HereNode]
    ) -> web.StreamResponse:
        """The host's answer; where it refuses what only peers have, with a sentence about what helps."""
        lacks = self._missing(answer, body) if nodes else []
        if not lacks:
            return answer
        has_them = all(comfy.has_class(node.class_type) for node in nodes)
        helps = SPLIT_IT if has_them else "Install its node pack here, or update ComfyUI."
        words = f"{in_words(nodes)} So this has to run here, where {', '.join(lacks)} is missing. {helps}"
        refusal = _json_of(answer)
        error = refusal.get("error")
        if answer.status == 200 or not isinstance(error, dict):
            return self._told(answer, body, nodes, words)
        details = error.get("details")
        error["details"] = f"{details}\n{words}" if details else words
        return self._told(web.json_response(sanitise(refusal), status=answer.status), body, nodes, words)

    def _missing(self, answer: web.StreamResponse, body: Mapping[str, Any]) -> list[str]:
        """What the host said this computer lacks, and peers have."""
        if answer.status not in (200, 400):
            return []
        refusal = _json_of(answer)
        names = body.get("prompt") if answer.status == 400 else {}
        return list(dict.fromkeys(self._lacks(names, refusal.get("node_errors"))))

    def _told(
        self, answer: web.StreamResponse, body: Mapping[str, Any], nodes: Sequence[HereNode], words: str
    ) -> web.StreamResponse:
        log.info("%s", words)
        answer.headers[NOTE_HEADER] = header_text(words, NOTE_MAX)
        client_id = body.get("client_id")
        if isinstance(client_id, str) and client_id:  # who has no page reads the header
            listed = [{"node_id": n.node_id, "class_type": n.class_type, "why": n.why.value} for n in nodes]
            data = {"runs": answer.status == 200, "message": words, "nodes": listed[:20]}
            self._send(PageEvent.RUNS_HERE, sanitise(data), client_id)
        return answer

    def _lacks(self, prompt: Any, node_errors: Any) -> Iterator[str]:
        """What this computer has not and peers have, as names."""
        infos = self._infos()
        names = {class_of(node) for node in prompt.values()} if isinstance(prompt, Mapping) else set()
        for name in sorted(names):
            if name and not comfy.has_class(name) and any(name in info for info in infos):
                yield f"the node {name}"
        for node_error in node_errors.values() if isinstance(node_errors, Mapping) else ():
            for error in node_error.get("errors") or ():
                extra = error.get("extra_info") or {}
                value, name = extra.get("received_value"), str(extra.get("input_name"))
                if error.get("type") != "value_not_in_list" or not isinstance(value, str):
                    continue
                if any(_offers(info, node_error.get("class_type"), name, value) for info in infos):
                    yield f"the file {value}"

    def _is_partner(self, class_type: str) -> bool:
        if comfy.has_class(class_type):
            return comfy.is_partner_class(class_type)
        return any(info.is_api_node(class_type) for info in self._infos())

    def _infos(self) -> tuple[ObjectInfo, ...]:
        return self._runtime.manager.node_lists()


def _json_of(answer: web.StreamResponse) -> dict[str, Any]:
    try:
        value = json.loads(answer.text or "{}") if isinstance(answer, web.Response) else {}
    except ValueError:
        value = {}
    return value if isinstance(value, dict) else {}


def _is_output(class_type: str, infos: Sequence[ObjectInfo]) -> bool:
    if comfy.has_class(class_type):
        return comfy.is_output_class(class_type)
    return any(class_type in info and info.is_output_node(class_type) for info in infos)


def _offers(info: ObjectInfo, class_type: object, name: str, value: str) -> bool:
    spec = info.input(class_type, name) if isinstance(class_type, str) and class_type in info else None
    listed = (str(choice).replace("\\", "/") for choice in (spec.choices or ())) if spec else ()
    return value.replace("\\", "/") in listed
