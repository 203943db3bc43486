"""Runs the jobs of one Remote Dispatch node on the server's loop, while the node waits on its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import comfy.model_management  # type: ignore[import-not-found]
from comfy_execution.progress import get_progress_state  # type: ignore[import-not-found]

from ..orchestrator.core.models.job import Job, JobRequest
from ..orchestrator.errors import NoEligiblePeerError, OrchestratorError
from ..orchestrator.host.current import Host
from ..orchestrator.host.node.progress import NodeProgress

log = logging.getLogger(__name__)

INTERRUPT_POLL_S = 0.2


@dataclass(frozen=True)
class Call:
    """One call of the node by the host. ``node_ids``: the boxes whose work is sent away. ``item``: which of a
    list it is called for, None where there is none. ``is_local_next``: where no peer can, it runs here."""

    host: Host
    node_id: str
    node_ids: frozenset[str]
    item: int | None
    is_local_next: bool


async def run_all(call: Call, requests: Sequence[JobRequest]) -> list[Job]:
    """Run the jobs at once; they come back in the order of their requests, all done.

    Raises:
        OrchestratorError: one of them, or another item's, failed. InterruptProcessingException: the user
            stopped the prompt.
    """
    if len(requests) == 1:
        return [await _run(call, requests[0], call.item)]
    first = (call.item or 0) * len(requests)
    works = (_run(call, request, first + number) for number, request in enumerate(requests))
    jobs: list[Job] = []
    # The first that fails ends the others, and the end of each is waited for.
    for ended in await asyncio.gather(*works, return_exceptions=True):
        if isinstance(ended, BaseException):
            raise ended
        jobs.append(ended)
    return jobs


async def _run(call: Call, request: JobRequest, index: int | None) -> Job:
    runtime = call.host.runtime
    registry, node_loop = get_progress_state(), asyncio.get_running_loop()

    async def on_server_loop() -> Job:
        fan = call.host.fans.of(registry, call.node_id)
        if fan.failure is not None:
            raise fan.failure
        progress = NodeProgress(
            server=call.host.server,
            registry=registry,
            node_loop=node_loop,
            node_id=call.node_id,
            node_ids=call.node_ids,
            fan=fan,
            peer_name=runtime.peers.name,
            packs=call.host.packs,
        )
        job_id = call.host.prefetch.claim(progress.prompt_id, call.node_id, request)
        try:
            if job_id is None:
                job_id = (await runtime.jobs.submit(fan.placed(request, index), progress)).id
            else:
                runtime.jobs.attach(job_id, progress)
            job = await runtime.jobs.wait(job_id)
            progress.show_outputs(job.shown)
            return job
        except asyncio.CancelledError:
            if job_id is not None:
                await runtime.jobs.cancel(job_id)
            raise
        except OrchestratorError as exc:
            if call.is_local_next and isinstance(exc, NoEligiblePeerError):
                raise
            raise fan.fail(exc, progress.piece) from None
        finally:
            progress.finish()

    future = asyncio.run_coroutine_threadsafe(on_server_loop(), call.host.loop)
    task = asyncio.wrap_future(future)
    try:
        while not task.done():
            # /interrupt does not wake an awaiting node.
            await asyncio.wait({task}, timeout=INTERRUPT_POLL_S)
            comfy.model_management.throw_exception_if_processing_interrupted()
        return task.result()
    except comfy.model_management.InterruptProcessingException as exc:
        stopped = exc
        call.host.loop.call_soon_threadsafe(lambda: call.host.fans.of(registry, call.node_id).fail(stopped))
        raise
    except OrchestratorError as exc:
        log.debug("The job of node %s did not end well", call.node_id, exc_info=exc)
        raise exc.with_traceback(None) from None  # ComfyUI logs every frame, and the words say it all
    finally:
        future.cancel()
