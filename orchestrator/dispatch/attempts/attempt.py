"""One try of a job on one peer: inputs up, prompt there, results down. Knows no other peer and no retry."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any

from ...backends.client import ComfyUIClient
from ...backends.events import EventStream, Message, PeerEvent, PreviewFrame
from ...backends.gate import when_let
from ...background import even_if_cancelled
from ...clock import utc_now
from ...core.engine.faults.withdrawal import Unwanted
from ...core.models.backend import BackendConfig
from ...core.models.job import AttemptResult, InputFile, JobRequest, RemoteFile, Source
from ...core.prompts.input_names import with_own_names
from ...core.prompts.output_names import with_output_names
from ...core.prompts.preparation import Prepared
from ...core.workflow.execution_errors import looked_for
from ...core.workflow.object_info import ObjectInfo
from ...core.workflow.outputs import ProgressMeter, check_success
from ...core.workflow.prompt import class_of, seeded_nodes, title_of
from ...core.workflow.result_files import (
    files_of,
    kept,
    merged,
    outputs_told,
    sequence_of,
    texts_of,
)
from ...core.workflow.shown_outputs import shown_of
from ...errors import (
    JobLostError,
    LocalDiskError,
    PeerError,
    PeerExecutionError,
    PeerUnfitError,
    PromptRefusedError,
    ResultError,
)
from ..queue.queued_job import Hold
from ..sent_prompts import SentPrompts
from .free_names import Counters
from .gathering import Gathering, Made
from .kept_frames import KeptFrames
from .live_outputs import LiveOutputs
from .remote_prompt import FollowPolicy, RemotePrompt
from .results import Delivered, Earlier, Published, Results
from .rounds import rounds_of, tag_of
from .transport import Folders, Transport
from .withdrawals import Withdrawals


@dataclass(frozen=True)
class AttemptContext:
    """What every attempt of an engine uses."""

    transport: Transport
    folders: Folders
    follow: FollowPolicy
    withdrawals: Withdrawals
    delivered: Delivered
    sent: SentPrompts = field(default_factory=SentPrompts)
    counters: Counters = field(default_factory=Counters)


class AttemptRun(Hold):
    """``send_inputs`` comes before ``run``, each once; ``run`` alone for one that an earlier process sent.

    `prompt_id` names it on the peer: that of an earlier process, or "" for a new one. `left_at`: see
    QueuedJob.
    """

    def __init__(
        self,
        context: AttemptContext,
        client: ComfyUIClient,
        events: EventStream,
        peer: BackendConfig,
        info: ObjectInfo,
        prepared: Prepared,
        *,
        prompt_id: str = "",
        left_at: datetime | None = None,
        node_s: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        self._node_s = node_s  #: what its nodes took in an earlier run
        self._context = context
        self._client = client
        self._events = events
        self._peer, self._backend_id = peer.name, peer.id
        self._is_sent = bool(prompt_id)
        self._earlier = Earlier(left_at, context.delivered) if left_at else None
        self.prompt_id = prompt_id or str(uuid.uuid4())
        self._rounds = rounds_of(self.prompt_id, client, events, context.sent)
        self._remote = RemotePrompt(client, events, self._rounds, peer.name, context.follow)
        # Output names repeat across runs and peers: each attempt gets a folder of its own there.
        self._info = info
        prompt = prepared.prompt
        self._stock_nodes = frozenset(i for i, node in prompt.items() if info.is_stock(class_of(node)))
        #: a prompt of ComfyUI's own nodes alone never queues itself again
        self._remote.may_go_on = len(self._stock_nodes) < len(prompt)
        tag = tag_of(self.prompt_id)
        self._prompt, self._names = with_output_names(prepared.prompt, info, tag)
        self._references = prepared.inputs
        self._plan = prepared.plan
        if self._plan:
            self._prompt = self._plan.placed(self._prompt, tag)
        self._value_node = prepared.plan.node_id if prepared.plan else ""
        #: nodes that only store or show what others made; they run even if all of that was in the cache
        self.output_nodes = frozenset(
            node_id for node_id, node in self._prompt.items() if info.is_output_node(class_of(node))
        )
        self.inputs: tuple[InputFile, ...] = ()  #: what was sent along

    @property
    def seeded_nodes(self) -> frozenset[str]:
        """Those that make something new with each seed."""
        return seeded_nodes(self._prompt)

    @property
    def has_inputs(self) -> bool:
        return bool(self._references)

    async def send_inputs(self) -> None:
        """Put the master's files that the prompt names onto the peer.

        Raises:
            WorkflowError, PeerError
        """
        if self._references:
            limit = await when_let(self._client.max_upload_bytes, self._context.follow.keep_trying_s)
            self._prompt, self.inputs = await self._context.transport.send_inputs(
                self._client, self._prompt, self._references, limit
            )

    async def take_back(self) -> bool:
        """Get it back if the peer has not started it; ``run`` then raises TakenBackError."""
        return await self._remote.take_back()

    async def run(
        self,
        job_id: str,
        request: JobRequest,
        on_event: Callable[[Message], None],
        on_progress: Callable[[ProgressMeter], None],
        may_outlive: Callable[[], bool] = lambda: False,
        on_trouble: Callable[[str], None] = lambda text: None,
        delivery: AbstractAsyncContextManager[object] | None = None,
        may_run_elsewhere: Callable[[], bool] = lambda: False,
    ) -> AttemptResult:
        """POST, follow, fetch; return what that brought.

        When it is cancelled, so is the prompt on the peer, unless `may_outlive` says that a later process
        will go on with it. `on_trouble` hears what keeps a finished result from being stored here. Results
        are brought to their places within `delivery`. `may_run_elsewhere`: whether a run whose every file is
        lost may be a failure; else it is done all the same, and its notes name what is missing.

        Raises:
            PeerError, ResultError, TakenBackError
        """
        results = Results(
            self._client,
            self._context.folders,
            self._context.counters,
            job_id=job_id,
            names=self._names,
            value_node=self._value_node,
            stock_nodes=self._stock_nodes,
            earlier=self._earlier,
        )
        titles = {node_id: title_of(node) for node_id, node in self._prompt.items()}
        meter = ProgressMeter(titles, self._node_s)

        frames, cuts_before = KeptFrames(self._prompt, self._info, results.keep), self._events.cuts
        # A client of fleet mode gets them as they come, and nothing else, as from any ComfyUI.
        are_kept = request.source is not Source.FLEET

        live = LiveOutputs(results, self._names) if request.client_id else None

        def hear(message: Message) -> None:
            if isinstance(message, PreviewFrame) and are_kept:
                frames.take(message)
            if isinstance(message, PeerEvent):
                if message.type == "execution_success" and not self._remote.may_go_on:
                    results.run_ended()
                if told := outputs_told(message.type, message.data):
                    files = files_of(told, self._prompt)
                    results.expect(file for file in files if sequence_of(file) is None)
                    message = live.named(message, told, files) if live else message
            on_event(message)
            if isinstance(message, PeerEvent) and meter.observe(message.type, message.data):
                on_progress(meter)

        try:
            entries = await self._entries(request, hear, may_outlive)
            outputs = self._outputs(entries, titles, request)
            gathering = Gathering(
                self._client,
                self._prompt,
                self._info,
                self._names,
                targets=request.targets,
                value_node=self._value_node,
            )
            told = self._plan.told(outputs, self._names.tag) if self._plan else outputs
            made = self._with_frames(await gathering.made(told), outputs, frames, cuts_before)
            if live:
                await live.settled()
            async with delivery or contextlib.nullcontext():
                delivered = await self._published(results, made, on_trouble)
                lost = self._loss(gathering, made, delivered.missing, may_run_elsewhere)
                if lost is not None:
                    raise ResultError(str(lost))
        finally:
            if results.has_leftovers or (live and live.is_naming):
                await even_if_cancelled(_left(live, results))
            else:
                results.release_names()
        notes = gathering.notes(made, delivered.missing, self._peer)
        if frames.left_out:
            left_out = f"{frames.left_out} pictures that came over the websocket were too many to keep."
            notes = (*notes, left_out)
        return await self._result(job_id, outputs, made, delivered, notes)

    def _outputs(
        self, entries: Sequence[Mapping[str, Any]], titles: Mapping[str, str], request: JobRequest
    ) -> dict[str, Any]:
        """
        Raises:
            PeerExecutionError, PeerInterruptedError, JobLostError, PeerProtocolError: see ``check_success``.
        """
        try:
            return merged([check_success(entry, self._peer, titles) for entry in entries])
        except PeerExecutionError as exc:
            pnginfo = request.extra_data.get("extra_pnginfo")
            workflow = pnginfo.get("workflow") if isinstance(pnginfo, Mapping) else None
            told = looked_for(exc, self._prompt, workflow) if self._value_node else exc
            if told is exc:
                raise
            raise told from exc

    def _with_frames(
        self, made: Made, outputs: Mapping[str, Any], frames: KeptFrames, cuts_before: int
    ) -> Made:
        """With what came over the websocket, and the nodes whose pictures nobody could hear."""
        told = {file.node_id for file in made.files}
        if streamed := frames.files(told):
            made = replace(made, files=(*made.files, *streamed))
        if self._is_sent or self._events.cuts > cuts_before or not self._events.is_connected:
            made = replace(made, cut_off=tuple(frames.senders - told - outputs.keys()))
        return made

    def _loss(
        self,
        gathering: Gathering,
        made: Made,
        missing: Mapping[RemoteFile, ResultError],
        may_run_elsewhere: Callable[[], bool],
    ) -> ResultError | None:
        """What makes the run a failure although its prompt succeeded: its value, or every file, is lost."""
        lost = next((why for file, why in missing.items() if file.node_id == self._value_node), None)
        if lost is None and missing and may_run_elsewhere() and gathering.is_lost(made, missing):
            lost = next(iter(missing.values()))
        return lost

    async def _result(
        self,
        job_id: str,
        outputs: Mapping[str, Any],
        made: Made,
        delivered: Published,
        notes: tuple[str, ...],
    ) -> AttemptResult:
        """What the attempt brought, in the words of this computer."""
        places, folders = delivered.places, self._context.folders
        texts = tuple(map(self._restored, texts_of(outputs, self._prompt, self._value_node)))
        if not self._value_node and kept(texts) != texts:
            notes = (*notes, f"Texts that {self._peer} made are too long to be kept; what fits is.")
        shown = shown_of(outputs, made.with_sequences(places), self._restored)
        if folders.with_assets is not None and places and not self._value_node:
            shown = await asyncio.to_thread(folders.with_assets, job_id, shown)
        brought = ((file, places[file]) for file in made.files if file in places)
        return AttemptResult(
            outputs=tuple(replace(at, is_extra=True) if file in made.extra else at for file, at in brought),
            shown=shown,
            texts=texts if self._value_node else kept(texts),
            result_type=self._plan.type if self._plan else "",
            notes=notes,
        )

    def _restored(self, text: str) -> str:
        """A text of the peer's, with the names that files have here."""
        return with_own_names(self._names.restored(text), self.inputs)

    async def _published(self, results: Results, made: Made, on_trouble: Callable[[str], None]) -> Published:
        """A full disk here is no reason to compute it all again: the peer keeps the files for a while.

        Raises:
            JobLostError: files are gone, and so is the peer's memory of the prompt: it was started again.
        """
        clock, follow = asyncio.get_running_loop().time, self._context.follow
        end = clock() + follow.keep_trying_s
        while True:
            try:
                delivered = await results.publish(made.files, extra=made.extra, heads=made.heads)
                break
            except LocalDiskError as exc:
                if clock() > end:
                    raise
                on_trouble(str(exc))
                await asyncio.sleep(follow.fetch_again_s)
        if delivered.missing and not await self._remote.is_remembered():
            raise JobLostError(f"{self._peer} was restarted before all results were fetched.")
        return delivered

    async def _entries(
        self,
        request: JobRequest,
        hear: Callable[[Message], None],
        may_outlive: Callable[[], bool],
    ) -> Sequence[Mapping[str, Any]]:
        """The history of the prompt, and of each further round of it. Where that fails the prompt is
        withdrawn: it may run on, or come back with its machine."""
        try:
            if self._is_sent:
                return await self._remote.go_on(self._prompt, hear)
            return await self._remote.run(self._prompt, extra_for_peer(request), hear, request.targets)
        except asyncio.CancelledError:
            if self._remote.may_run and not may_outlive():
                await even_if_cancelled(self._withdraw(is_away=False))
            raise
        except (PeerError, ResultError) as exc:
            if self._remote.may_run:
                is_away = not isinstance(exc, (PromptRefusedError, PeerUnfitError, ResultError))
                await even_if_cancelled(self._withdraw(is_away=is_away))
            raise

    async def _withdraw(self, *, is_away: bool) -> None:
        """A peer that is away is not waited for; if it has the prompt afterwards, the job goes on with it."""
        sent_as, now = self._remote.sent_as, utc_now()
        unwanted = Unwanted(sent_as, self._backend_id, now, was_there=self._remote.is_there)
        await self._context.withdrawals.withdraw(
            unwanted,
            self._rounds if sent_as == self.prompt_id else None,
            self._client,
            wait_s=0.0 if is_away else self._context.follow.cancel_s,
            may_return=is_away,
        )


async def _left(live: LiveOutputs | None, results: Results) -> None:
    if live:
        await live.aclose()
    await results.discard()


def extra_for_peer(request: JobRequest) -> dict[str, Any]:
    """Of a prompt's extra data what its peer needs. Anything there is public on the peer and lands in its
    files: the workflow is meant to, the rest is between a client and the master."""
    extra, wanted = request.extra_data, {}
    if isinstance(extra.get("preview_method"), str):
        wanted["preview_method"] = extra["preview_method"]
    if isinstance(extra.get("extra_pnginfo"), Mapping):
        wanted["extra_pnginfo"] = dict(extra["extra_pnginfo"])
    elif request.workflow is not None and not request.changes:  # with changes it would tell other values
        wanted["extra_pnginfo"] = {"workflow": dict(request.workflow)}
    return wanted
