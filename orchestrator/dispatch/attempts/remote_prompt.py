"""One prompt on one peer, from POST to its end. Knows no other peer and no retry."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ...backends.client import ComfyUIClient
from ...backends.events import EventStream, Message, PeerEvent
from ...backends.gate import when_let
from ...backends.wire import told_under
from ...core.engine.faults.retry import SERVER_ERROR
from ...core.engine.faults.withdrawal import WithdrawalPolicy
from ...core.models.job import Prompt
from ...errors import (
    AnswerError,
    JobLostError,
    MachineError,
    PeerAuthError,
    PeerBusyError,
    PeerDiedError,
    PeerError,
    PeerRefusedError,
    PeerTimeoutError,
    PeerUnfitError,
    PeerUnreachableError,
    PromptRefusedError,
    ResultError,
    TakenBackError,
)
from .prompt_lookup import InQueue, PromptLookup
from .rounds import ROUNDS_MAX, Rounds
from .told_history import ENDINGS, ToldHistory

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FollowPolicy:
    """Durations in seconds. ``lost_after``: polls in a row that must agree that the job is gone. After its
    event stream was cut a peer is asked every ``cut_poll_s`` until it answers.

    ``fetch_again_s``: between two tries to store a result here, for ``keep_trying_s`` in all.
    ``cancel_s``: how long a Stop waits for its peer. ``withdrawal``: of copies that nobody waits for.
    """

    poll_s: float = 2.0
    cut_poll_s: float = 0.25
    lost_after: int = 3
    suspect_s: float = 60.0
    settle_pause_s: float = 0.5
    history_pauses_s: tuple[float, ...] = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4)
    cancel_s: float = 2.0
    fetch_again_s: float = 10.0
    keep_trying_s: float = 600.0
    withdrawal: WithdrawalPolicy = field(default_factory=WithdrawalPolicy)


class RemotePrompt:
    def __init__(
        self, client: ComfyUIClient, events: EventStream, rounds: Rounds, peer: str, policy: FollowPolicy
    ) -> None:
        self._client = client
        self._events = events
        self._rounds = rounds
        self.prompt_id = self.sent_as = rounds.ids[0]
        self._current = self.prompt_id  #: the round that is followed
        self.may_go_on = True  #: whether it may queue itself again
        self.peer = peer
        self._policy = policy
        self._ended = asyncio.Event()
        self._look = asyncio.Event()  #: it ended, or the next poll is due
        self.may_run = False  #: whether the peer may have it
        self.is_there = False  #: whether it has, for certain
        self._is_taken_back = self._is_adopted = False
        self._has_begun = False
        self._cuts_before = events.cuts
        self._cuts_answered = events.cuts  #: how many there were when the peer last answered
        self._lookup = PromptLookup(client, rounds, peer)
        self._told = ToldHistory(events, is_late=True)
        self._hear: Callable[[Message], None] | None = None

    async def run(
        self,
        prompt: Prompt,
        extra_data: Mapping[str, Any],
        on_event: Callable[[Message], None],
        targets: Sequence[str] = (),
    ) -> list[Mapping[str, Any]]:
        """POST the prompt once and stay with it; return its history entry, and those of its further rounds.
        `targets`: see JobRequest.

        Raises:
            PromptRefusedError: the peer's validation said no, wholly or for some outputs.
            JobLostError: the peer went away or no longer knows the job.
            PeerError: it could not be handed over. TakenBackError: see ``take_back``.
        """
        self._rounds.prompt = prompt
        with self._hearing(on_event):
            await self._submit(prompt, extra_data, targets)
            self.is_there = True
            first = await self._follow(self._ended)
        return await self._all_rounds(first, on_event)

    async def go_on(self, prompt: Prompt, on_event: Callable[[Message], None]) -> list[Mapping[str, Any]]:
        """Stay with a prompt that an earlier process sent; otherwise as ``run``."""
        self._rounds.prompt = prompt
        self.may_run = self._is_adopted = True
        self._ended.set()  # it may have: look at once
        with self._hearing(on_event):
            first = await self._follow(self._ended)
        return await self._all_rounds(first, on_event)

    async def _all_rounds(
        self, first: Mapping[str, Any], on_event: Callable[[Message], None]
    ) -> list[Mapping[str, Any]]:
        entries = [_telling(first)]
        while self.may_go_on:
            await self._look_for_rounds()
            if len(self._rounds.ids) > ROUNDS_MAX:
                raise ResultError(
                    f"The job queued itself {ROUNDS_MAX} times on {self.peer}, and was stopped."
                )
            if len(self._rounds.ids) == len(entries):
                break
            self._current = self._rounds.ids[len(entries)]
            self._ended.set()  # it may have: look at once
            with self._hearing(on_event):
                entries.append(_telling(await self._follow(self._ended)))
        return entries

    async def _look_for_rounds(self) -> None:
        """What has ended well is not run again because its peer has a bad moment.

        Raises:
            PeerError: it does not answer.
        """
        clock = asyncio.get_running_loop().time
        unwell, end = 0, clock() + self._policy.suspect_s
        while True:
            try:
                await self._rounds.look(may_have_missed=self._is_adopted)
                return
            except PeerError as exc:
                unwell += isinstance(exc, MachineError) and not isinstance(exc, PeerTimeoutError)
                if unwell >= self._policy.lost_after or (clock() > end and isinstance(exc, MachineError)):
                    raise
                if clock() > end:
                    log.warning("Whether %s goes on with %s is not known: %s", self.peer, self.prompt_id, exc)
                    return
            await asyncio.sleep(self._policy.poll_s)

    async def is_remembered(self) -> bool:
        return await self._client.has_ended(self._current)

    @contextlib.contextmanager
    def _hearing(self, on_event: Callable[[Message], None]) -> Iterator[None]:
        told = self._told = ToldHistory(self._events, is_late=self._is_adopted)

        def hear(message: Message) -> None:
            self._note_beginning()  # a peer tells nothing of a prompt before; its very first word may be lost
            told.hear(message)
            if isinstance(message, PeerEvent) and message.type in ENDINGS:
                self._end()
            is_first = message.prompt_id == self.prompt_id
            on_event(message if is_first else told_under(message, self.prompt_id))

        self._hear = hear
        unsubscribe = self._events.subscribe(self._current, hear)
        unsubscribe_cuts = self._events.hear_cuts(self._look.set)
        try:
            yield
        finally:
            unsubscribe()
            unsubscribe_cuts()
            self._hear = None  # it leads back here: thousands of such circles keep the collector busy

    def _note_beginning(self) -> None:
        if not self._has_begun:
            self._has_begun, self._cuts_before = True, self._events.cuts

    async def take_back(self) -> bool:
        """Take it out of the peer's queue; ``run`` then raises TakenBackError.

        False: it is not there yet, or has been started.

        Raises:
            PeerError: nobody knows; it is followed on.
        """
        if not (self.is_there or self._is_adopted) or self._is_taken_back:
            return self._is_taken_back
        await self._client.delete_queued(self.prompt_id)
        known = self.prompt_id in _all_ids(await self._client.queue())
        if known or await self._client.has_ended(self.prompt_id):
            return False
        self._is_taken_back, self.may_run = True, False
        self._end()
        return True

    async def is_known(self) -> bool:
        """Whether the peer has the prompt in queue or history; asked twice, since it moves between them."""
        for attempt in range(2):
            if attempt:
                await asyncio.sleep(self._policy.settle_pause_s)
            if self.prompt_id in _all_ids(await self._client.queue()):
                return True
            if await self._client.has_ended(self.prompt_id):
                return True
        return False

    async def _submit(self, prompt: Prompt, extra_data: Mapping[str, Any], targets: Sequence[str]) -> None:
        self.may_run = True
        try:
            refused = await self._post(prompt, extra_data, targets)
        except (PeerAuthError, PromptRefusedError):
            self.may_run = False
            raise
        except (PeerUnreachableError, PeerRefusedError) as exc:
            if _never_arrived(exc):
                self.may_run = False
                raise
            # Nobody knows whether it arrived: look it up, never post it a second time.
            if not await self._arrived():
                raise
            log.info("The answer of %s to a job was lost; the job is there and goes on", self.peer)
            return
        if refused:
            self.is_there = True
            raise PromptRefusedError(f"{self.peer} would have left out a part of the graph.", None, refused)

    async def _post(
        self, prompt: Prompt, extra_data: Mapping[str, Any], targets: Sequence[str]
    ) -> dict[str, Any]:
        submit = partial(
            self._client.submit,
            prompt,
            prompt_id=self.prompt_id,
            client_id=self._events.client_id,
            extra_data=extra_data,
            targets=targets,
        )
        # A refusal that names no time is not repeated: nobody knows whether the prompt arrived.
        work = when_let(submit, self._policy.keep_trying_s, untold_s=0.0)
        post = asyncio.create_task(work, name=f"remote-dispatch post {self.prompt_id}")
        try:
            return await asyncio.shield(post)
        except PeerUnfitError as exc:
            self._note_stray(exc)
            raise
        except asyncio.CancelledError:
            # A peer takes in what it has read although we hang up. Only after its answer can it be cancelled.
            await asyncio.wait([post], timeout=self._policy.cancel_s)
            post.cancel()
            answer = (await asyncio.gather(post, return_exceptions=True))[0]
            self.is_there = not isinstance(answer, BaseException)
            self._note_stray(answer)
            raise

    def _note_stray(self, told: object) -> None:
        if isinstance(told, PeerUnfitError):  # to be ended under that id
            self.sent_as, self.is_there = told.prompt_id or self.prompt_id, True

    async def _arrived(self) -> bool:
        try:
            return await self.is_known()
        except PeerError:
            return False

    async def _follow(self, ended: asyncio.Event) -> Mapping[str, Any]:  # noqa: C901  one loop, all its ends
        clock = asyncio.get_running_loop().time
        absent = unwell = 0
        silent_since: float | None = None
        unsure_since: float | None = None
        unwell_since = 0.0
        self._cuts_answered = self._events.cuts
        while True:
            await self._next_look()
            if self._is_taken_back:
                raise TakenBackError(f"{self.peer} had not started it, and another peer is to run it.")
            try:
                entry = await self._history(patient=ended.is_set())
                if entry is None:
                    ended.clear()
                    is_absent = await self._in_queue() is InQueue.ABSENT
                    # It may have ended between the two questions.
                    entry = await self._entry() if is_absent else None
                    absent = absent + 1 if is_absent else 0
                if entry is not None:
                    return entry
                unwell, silent_since, unsure_since = 0, None, None
                self._cuts_answered = self._events.cuts
            except PeerTimeoutError as exc:
                silent_since = clock() if silent_since is None else silent_since
                if clock() - silent_since > self._policy.suspect_s:
                    raise JobLostError(
                        f"{self.peer} has been silent for {self._policy.suspect_s:.0f} s.", went_away=True
                    ) from exc
            except PeerError as error:
                told = await self._judged(error)
                if isinstance(told, AnswerError):
                    # It is well, and this cannot be had of it now: nobody knows how far the job is.
                    self._cuts_answered = self._events.cuts
                    unsure_since = clock() if unsure_since is None else unsure_since
                    if clock() - unsure_since > self._policy.keep_trying_s:
                        raise
                    continue
                is_closed = isinstance(told, PeerUnreachableError) and told.is_closed
                unwell_since = unwell_since if unwell else clock()
                unwell += 1
                # A bad moment takes a few polls to tell; a port that refuses after a cut stream does not.
                lasted = clock() - unwell_since >= self._policy.poll_s * (self._policy.lost_after - 1)
                if (is_closed and self._was_cut) or (unwell >= self._policy.lost_after and lasted):
                    raise self._went_away(told, is_closed) from told
            if absent >= self._policy.lost_after:
                if self._has_begun and self._events.cuts > self._cuts_before:
                    raise PeerDiedError(
                        f"{self.peer} was started again while it ran the job.", went_away=True
                    )
                raise JobLostError(
                    f"{self.peer} no longer knows the job: it was restarted, or its queue was cleared."
                )

    async def _judged(self, error: PeerError) -> PeerError:
        """A server error on one route is the machine's where its health route gives one too."""
        is_server_error = isinstance(error, PeerRefusedError) and error.status >= SERVER_ERROR
        if not is_server_error or isinstance(error, PeerBusyError):
            return error
        try:
            await self._client.vitals()
        except PeerError as exc:
            return exc if isinstance(exc, MachineError) else error
        return error

    @property
    def _was_cut(self) -> bool:
        """Whether the event stream was cut since the peer last answered."""
        return self._events.cuts > self._cuts_answered

    def _went_away(self, error: PeerError, is_closed: bool) -> JobLostError:
        if self._has_begun and is_closed:
            return PeerDiedError(f"{self.peer} went away while it ran the job. {error}", went_away=True)
        is_there = isinstance(error, PeerAuthError)
        return JobLostError(f"{self.peer} went away with the job. {error}", went_away=not is_there)

    async def _next_look(self) -> None:
        if self._ended.is_set():
            return
        self._look.clear()
        pause_s = min(self._policy.cut_poll_s, self._policy.poll_s) if self._was_cut else self._policy.poll_s
        timer = asyncio.get_running_loop().call_later(pause_s, self._look.set)
        try:
            await self._look.wait()
        finally:
            timer.cancel()

    def _end(self) -> None:
        self._ended.set()
        self._look.set()

    async def _history(self, *, patient: bool) -> Mapping[str, Any] | None:
        """The ending is announced a moment before it is written into history."""
        entry = await self._entry()
        for pause in self._policy.history_pauses_s if patient else ():
            if entry is not None:
                break
            await asyncio.sleep(pause)
            entry = await self._entry()
        return entry

    async def _entry(self) -> Mapping[str, Any] | None:
        return await self._lookup.entry(self._current, self._told)

    async def _in_queue(self) -> InQueue:
        place = await self._lookup.in_queue(self._current, note_rounds=self.may_go_on)
        self.is_there |= place in (InQueue.WAITING, InQueue.RUNNING)
        if place is InQueue.RUNNING and not self._has_begun and self._hear:
            # Its events do not come through, or not yet: the queue says what they would.
            self._hear(PeerEvent("execution_start", {"prompt_id": self._current}))
        return place


def _never_arrived(error: PeerUnreachableError | PeerRefusedError) -> bool:
    """Whether a POST that ended like this cannot have brought the prompt to its peer."""
    return error.status < 500 if isinstance(error, PeerRefusedError) else error.is_closed


def _telling(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """What of a history entry is looked at later: the whole graph is in each, and there may be thousands."""
    return {key: entry[key] for key in ("status", "outputs") if key in entry}


def _all_ids(queue: Any) -> set[str]:
    return {*queue.running, *queue.pending}
