"""Runs the jobs of one Remote Dispatch node on the server's loop, while the node waits on its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import comfy.model_management  # type: ignore[import-not-found]
from comfy_execution.progress import get_progress_state  # type: ignore[import-not-found]

from ..orchestrator.core.models.job import AttemptResult, Job, JobRequest
from ..orchestrator.errors import NoEligiblePeerError, OrchestratorError
from ..orchestrator.host.current import Host
from ..orchestrator.host.node.kept_results import key_of
from ..orchestrator.host.node.progress import NodeProgress
from ..orchestrator.runtime import Runtime
from .change_check import fingerprint

log = logging.getLogger(__name__)

INTERRUPT_POLL_S = 0.2


@dataclass(frozen=True)
class Call:
    """One call of the node by the host. ``node_ids``: the boxes whose work is sent away. ``item``: which of a
    list it is called for, None where there is none. ``is_local_next``: where no peer can, it runs here.
    ``may_be_kept``: what came of the same before will do."""

    host: Host
    node_id: str
    node_ids: frozenset[str]
    item: int | None
    is_local_next: bool
    may_be_kept: bool


async def run_all(call: Call, requests: Sequence[JobRequest]) -> list[AttemptResult]:
    """Run the jobs at once; return what came of each, in the order of their requests.

    Raises:
        OrchestratorError: one of them, or another item's, failed. InterruptProcessingException: the user
            stopped the prompt.
    """
    if len(requests) == 1:
        return [await _run(call, requests[0], call.item)]
    first = (call.item or 0) * len(requests)
    works = (_run(call, request, first + number) for number, request in enumerate(requests))
    results: list[AttemptResult] = []
    # The first that fails ends the others, and the end of each is waited for.
    for ended in await asyncio.gather(*works, return_exceptions=True):
        if isinstance(ended, BaseException):
            raise ended
        results.append(ended)
    return results


async def _run(call: Call, request: JobRequest, index: int | None) -> AttemptResult:
    registry, host = get_progress_state(), call.host
    key = key_of(request, await fingerprint(request.prompt)) if call.may_be_kept else ""
    kept = host.kept.get(key) if key else None
    work = _on_server_loop(call, request, index, kept, registry, asyncio.get_running_loop())
    future = asyncio.run_coroutine_threadsafe(work, host.loop)
    task = asyncio.wrap_future(future)
    try:
        while not task.done():
            # /interrupt does not wake an awaiting node.
            await asyncio.wait({task}, timeout=INTERRUPT_POLL_S)
            comfy.model_management.throw_exception_if_processing_interrupted()
        result = task.result()
        if key and result is not kept:
            host.kept.put(key, result)
        return result
    except comfy.model_management.InterruptProcessingException as exc:
        stopped = exc
        host.loop.call_soon_threadsafe(lambda: host.fans.of(registry, call.node_id).fail(stopped))
        raise
    except OrchestratorError as exc:
        log.debug("The job of node %s did not end well", call.node_id, exc_info=exc)
        raise exc.with_traceback(None) from None  # ComfyUI logs every frame, and the words say it all
    finally:
        future.cancel()


async def _on_server_loop(
    call: Call,
    request: JobRequest,
    index: int | None,
    kept: AttemptResult | None,
    registry: Any,
    node_loop: asyncio.AbstractEventLoop,
) -> AttemptResult:
    host = call.host
    fan = host.fans.of(registry, call.node_id)
    if fan.failure is not None:
        raise fan.failure
    progress = NodeProgress(
        server=host.server,
        registry=registry,
        node_loop=node_loop,
        node_id=call.node_id,
        node_ids=call.node_ids,
        fan=fan,
        peer_name=host.runtime.peers.name,
        packs=host.packs,
    )
    begun = host.prefetch.claim(progress.prompt_id, call.node_id, request)
    if kept is not None and begun is None:
        progress.show_kept(kept)
        return kept
    try:
        job = await _done(host.runtime, begun, fan.placed(request, index), progress)
    except OrchestratorError as exc:
        if call.is_local_next and isinstance(exc, NoEligiblePeerError):
            raise
        raise fan.fail(exc, progress.piece) from None
    finally:
        progress.finish()
    progress.show_outputs(job.shown)
    return job.result


async def _done(runtime: Runtime, begun: str | None, request: JobRequest, progress: NodeProgress) -> Job:
    """The job once it is done: the one that was `begun` ahead, or a new one. It ends with its node."""
    job_id = begun
    try:
        if job_id is None:
            job_id = (await runtime.jobs.submit(request, progress)).id
        else:
            runtime.jobs.attach(job_id, progress)
        return await runtime.jobs.wait(job_id)
    except asyncio.CancelledError:
        if job_id is not None:
            await runtime.jobs.cancel(job_id)
        raise
