"""Ends prompts that nobody waits for any more: after a Stop, copies that lost, attempts that were given up.

There is no other way to end one. A peer is asked until its queue and history prove that the prompt has ended;
the journal remembers it till then, so that another process goes on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from ...backends.client import ComfyUIClient
from ...backends.manager import BackendManager
from ...backends.wire import QueuedPrompt
from ...clock import utc_now
from ...core.engine.faults.withdrawal import (
    Sight,
    Unwanted,
    WithdrawalPolicy,
    has_ended,
    is_too_old,
    pause_s,
)
from ...errors import OrchestratorError, PeerError, PeerProtocolError
from ..interfaces import Claims, Journal, Peers
from ..sent_prompts import SentPrompts
from .rounds import Rounds, rounds_of

log = logging.getLogger(__name__)


@dataclass(eq=False)
class _Case:
    """``client``: of a peer that may have been removed since. ``may_return``: its job may go on with it after
    all. ``told``: the peer was asked to end it, or has
    nothing to end. ``over``: it has ended there. ``absent_since_s``: since when no look found
    it. ``is_kept``: in the journal."""

    unwanted: Unwanted
    rounds: Rounds
    client: ComfyUIClient
    may_return: bool
    told: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    absent_since_s: float | None = None
    is_kept: bool = False


@dataclass(eq=False)
class _Peer:
    """All that is to end on one peer. ``looks``: that were answered since anything was new. ``looked``: the
    next one was answered. ``is_out``: the last one was not."""

    cases: dict[str, _Case] = field(default_factory=dict)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    looked: asyncio.Event = field(default_factory=asyncio.Event)
    looks: int = 0
    is_out: bool = False
    task: asyncio.Task[None] | None = None


class Withdrawals:
    """Belongs to one event loop."""

    def __init__(
        self,
        manager: BackendManager,
        peers: Peers,
        journal: Journal,
        sent: SentPrompts,
        claims: Claims,
        policy: WithdrawalPolicy,
    ) -> None:
        self._manager = manager
        self._peers = peers
        self._journal = journal
        self._sent = sent
        self._claims = claims
        self._policy = policy
        self._busy: dict[str, _Peer] = {}
        self._resumed = asyncio.Event()
        self._resumed.set()
        self._closing = False
        self._unsubscribe: Callable[[], None] = lambda: None

    def start(self) -> None:
        self._unsubscribe = self._manager.subscribe(self._peer_changed)

    async def left(self) -> tuple[Unwanted, ...]:
        """Those of earlier processes.

        Raises:
            StoreError: the journal cannot be read.
        """
        unwanted = await self._journal.load_unwanted()
        for one in unwanted:
            self._sent.append(one.prompt_id, one.backend_id)
        if unwanted:
            self._resumed.clear()
        return unwanted

    async def resume(self, unwanted: Iterable[Unwanted]) -> None:
        """Have those of earlier processes end, once their jobs are here: a job may go on with its own."""
        try:
            for one in unwanted:
                await self.withdraw(one)
        finally:
            self._resumed.set()

    async def resumed(self) -> None:
        """Until then nothing is known of those of earlier processes."""
        await self._resumed.wait()

    def has(self, prompt_id: str) -> bool:
        """Whether it is not yet known to have ended on its peer."""
        return any(prompt_id in peer.cases for peer in self._busy.values())

    async def look_now(self, backend_id: str, wait_s: float) -> bool:
        """Ask this peer again at once; whether it answered within that time."""
        peer = self._busy.get(backend_id)
        if peer is None:
            return True
        looked = peer.looked
        peer.wake.set()
        try:
            await asyncio.wait_for(looked.wait(), wait_s)
        except asyncio.TimeoutError:
            return False
        return True

    async def settled(self, prompt_ids: Iterable[str], wait_s: float) -> None:
        """Wait until all of these have ended on their peers, for at most `wait_s`."""
        await self.resumed()
        cases = [
            peer.cases[name] for name in prompt_ids for peer in self._busy.values() if name in peer.cases
        ]
        name = "remote-dispatch wait for withdrawals"
        waiting = {asyncio.create_task(case.over.wait(), name=name) for case in cases}
        if waiting:
            try:
                await asyncio.wait(waiting, timeout=wait_s)
            finally:
                for each in waiting:
                    each.cancel()

    async def withdraw(
        self,
        unwanted: Unwanted,
        rounds: Rounds | None = None,
        client: ComfyUIClient | None = None,
        *,
        wait_s: float = 0.0,
        may_return: bool = True,
    ) -> None:
        """Have it end. Returns when that is written down, and its peer was told so or did not answer within
        `wait_s`. `rounds`, `client`: of the attempt that sent it, where that was in this process.
        `may_return`: its job goes on with it if the peer, which was away, has it still."""
        config = self._manager.find(unwanted.backend_id)
        is_known = config is not None and config.id == unwanted.backend_id
        if config is not None and is_known:
            client = self._peers(config)
            rounds = rounds or rounds_of(unwanted.prompt_id, client, self._peers.events(config), self._sent)
        if client is None or rounds is None:
            log.info("%s may still run on a peer that was removed", unwanted.prompt_id)
            await self._forget(unwanted.prompt_id)
            return
        self._sent.append(unwanted.prompt_id, unwanted.backend_id)
        case = self._begin(_Case(unwanted, rounds, client, may_return))
        keeping = asyncio.create_task(self._keep(case), name="remote-dispatch keep a withdrawal")
        if wait_s:
            telling = asyncio.create_task(case.told.wait(), name="remote-dispatch wait for a withdrawal")
            await asyncio.wait({telling}, timeout=wait_s)
            telling.cancel()
        await keeping

    async def aclose(self) -> None:
        self._closing = True
        self._unsubscribe()
        tasks = [peer.task for peer in self._busy.values() if peer.task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _peer_changed(self, backend_id: str) -> None:
        peer = self._busy.get(backend_id)
        if peer is not None and peer.is_out:
            peer.wake.set()  # it may answer again

    def _begin(self, case: _Case) -> _Case:
        backend_id = case.unwanted.backend_id
        peer = self._busy.setdefault(backend_id, _Peer())
        case = peer.cases.setdefault(case.unwanted.prompt_id, case)
        peer.looks = 0
        peer.wake.set()
        if peer.task is None:
            peer.task = asyncio.create_task(
                self._work(backend_id, peer), name=f"remote-dispatch withdraw {backend_id}"
            )
        return case

    async def _work(self, backend_id: str, peer: _Peer) -> None:
        while peer.cases and not self._closing:
            peer.wake.clear()
            try:
                await self._look(peer)
                rest_s = pause_s(peer.looks, self._policy)
                peer.looks += 1
                peer.is_out = False
                peer.looked.set()
                peer.looked = asyncio.Event()
            except PeerError as exc:
                peer.is_out = True
                log.debug("%s cannot be told what to end: %s", backend_id, exc)
                rest_s = self._policy.every_s
                for case in peer.cases.values():
                    case.absent_since_s = None
            except Exception:
                log.exception("Ending prompts on %s failed; it is tried again", backend_id)
                rest_s = self._policy.every_s
            for case in tuple(peer.cases.values()):
                if not case.is_kept:  # its journal had no room, say
                    await self._keep(case)
            await self._give_up_the_oldest(peer)
            if peer.cases:
                await _pause(peer.wake, rest_s)
        self._busy.pop(backend_id, None)

    async def _look(self, peer: _Peer) -> None:
        """One look at the peer, for all that is to end there.

        Raises:
            PeerError
        """
        everything = tuple(peer.cases.values())
        config = self._manager.find(everything[0].unwanted.backend_id)
        client = self._peers(config) if config else everything[-1].client
        asked_by = {case.rounds.client_id for case in everything}
        queued = await client.queued(asked_by)
        cases = [case for case in everything if not await self._is_claimed(case, client, queued)]
        waiting = [prompt for prompt in _listed(cases, queued) if not prompt.is_running]
        for prompt in waiting:
            await client.delete_queued(prompt.prompt_id)
        if waiting:  # one may have begun meanwhile
            queued = await client.queued(asked_by)
        listed = _listed(cases, queued)
        for prompt in listed:
            if prompt.is_running:
                await client.interrupt(prompt.prompt_id)
        there = {prompt.prompt_id for prompt in listed}
        for case in cases:
            case.told.set()
            if await self._is_over(case, client, not there.isdisjoint(case.rounds.ids)):
                await self._drop(peer, case)

    async def _is_claimed(self, case: _Case, client: ComfyUIClient, queued: tuple[QueuedPrompt, ...]) -> bool:
        """Whether its job wants it after all, as the peer has it still, or has done it."""
        prompt_id = case.unwanted.prompt_id
        if not (case.may_return and self._claims.may_want(prompt_id)):
            return False
        listed = _listed([case], queued)
        if not listed and not await _has_ended(client, prompt_id):
            return False
        return self._claims.takes(prompt_id, not listed or any(prompt.is_running for prompt in listed))

    async def _drop(self, peer: _Peer, case: _Case) -> None:
        peer.cases.pop(case.unwanted.prompt_id, None)
        case.over.set()
        await self._forget(case.unwanted.prompt_id)

    async def _is_over(self, case: _Case, client: ComfyUIClient, is_listed: bool) -> bool:
        now_s = asyncio.get_running_loop().time()
        if is_listed:
            case.unwanted, case.absent_since_s = replace(case.unwanted, was_there=True), None
            return False
        if case.absent_since_s is None:
            case.absent_since_s = now_s
        knows_its_end = not case.unwanted.was_there and await _has_ended(client, case.unwanted.prompt_id)
        return has_ended(
            case.unwanted, Sight(False, knows_its_end, now_s - case.absent_since_s), self._policy
        )

    async def _give_up_the_oldest(self, peer: _Peer) -> None:
        for case in tuple(peer.cases.values()):
            if is_too_old(case.unwanted, utc_now(), self._policy):
                log.warning("%s may still run on a peer that does not come back", case.unwanted.prompt_id)
                await self._drop(peer, case)

    async def _keep(self, case: _Case) -> None:
        try:
            await self._journal.save_unwanted(case.unwanted)
            case.is_kept = True
        except OrchestratorError as exc:
            log.error("The withdrawal of %s could not be written down: %s", case.unwanted.prompt_id, exc)

    async def _forget(self, prompt_id: str) -> None:
        try:
            await self._journal.forget_unwanted(prompt_id)
        except OrchestratorError as exc:
            log.error("The end of %s could not be written down: %s", prompt_id, exc)


def _listed(cases: Sequence[_Case], queued: tuple[QueuedPrompt, ...]) -> list[QueuedPrompt]:
    """What of the peer's queue is to end; a prompt may have queued itself again since the last look."""
    ids: set[str] = set()
    for case in cases:
        case.rounds.note(queued)
        ids.update(case.rounds.ids)
    return [prompt for prompt in queued if prompt.prompt_id in ids]


async def _has_ended(client: ComfyUIClient, prompt_id: str) -> bool:
    """A history that cannot be read proves nothing, and must not stop the search for the other prompts.

    Raises:
        PeerError: the peer does not answer.
    """
    try:
        return await client.has_ended(prompt_id)
    except PeerProtocolError:
        return False


async def _pause(wake: asyncio.Event, seconds: float) -> None:
    timer = asyncio.get_running_loop().call_later(seconds, wake.set)
    try:
        await wake.wait()
    finally:
        timer.cancel()
