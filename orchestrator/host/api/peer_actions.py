"""What a person does to one peer now: test it, end what runs there, free its memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence

from ...backends.smoke_test import try_out
from ...core.models.job import Job
from ...core.prompts.peer_files import model_files
from ...core.workflow.object_info import ObjectInfo
from ...errors import IllegalTransitionError
from ...runtime import Runtime
from .answers import InterruptedView, PeerTestView, RunningPromptView

MODELS_NAMED = 3
OwnModels = Callable[[], Collection[str]]  #: names of the master's own model files, as its nodes list them


async def test_peer(runtime: Runtime, backend_id: str, own_models: OwnModels) -> PeerTestView:
    """Run a tiny graph there and say what was found.

    Raises:
        NotFoundError: there is no such peer.
    """
    config = runtime.manager.get(backend_id)
    runtime.manager.forget_body_limit(backend_id)
    trial = await try_out(runtime.client(backend_id), config.name)
    await runtime.peers.check(backend_id, is_tried=trial.ok)
    info = runtime.manager.get_object_info(backend_id)
    only_there = None if info is None else await asyncio.to_thread(_only_there, info, own_models)
    node_types = None if info is None else len(info)
    return {
        "ok": trial.ok,
        "seconds": round(trial.seconds, 3),
        "node_types": node_types,
        "models_only_there": None if only_there is None else len(only_there),
        "message": _told(trial.seconds, node_types, only_there) if trial.ok else trial.message,
    }


async def interrupt_peer(
    runtime: Runtime, backend_id: str, *, foreign: bool = False, prompt_id: str = ""
) -> InterruptedView:
    """End what runs there: our job wholly, somebody else's prompt only when `foreign` says so.

    `prompt_id`: only if it is this one that runs.

    Raises:
        NotFoundError: there is no such peer. IllegalTransitionError: nothing runs, or it is not ours.
        PeerError: it could not be told.
    """
    name = runtime.manager.get(backend_id).name
    running = (await runtime.client(backend_id).queue()).running
    ours = {job.attempts[-1].prompt_id: job for job in runtime.jobs.running() if job.backend_id == backend_id}
    wanted = next((found for found in running if prompt_id in ("", found)), None)
    if wanted is None:
        raise IllegalTransitionError(
            f"That prompt does not run on {name} any more." if running else f"Nothing runs on {name} now."
        )
    job = ours.get(wanted)
    if job is not None:
        await runtime.jobs.cancel(job.id)
    elif foreign:
        await runtime.client(backend_id).interrupt(wanted)
    else:
        raise IllegalTransitionError(
            f"What runs on {name} was not sent by this computer. Say so if it shall end all the same."
        )
    return {"job_id": job.id if job else None, "prompt_id": wanted, "whose": "ours" if job else "others"}


async def free_peer(runtime: Runtime, backend_id: str) -> None:
    """Let the peer unload its models, then look what came free.

    Raises:
        NotFoundError: there is no such peer. PeerError: it could not be told.
    """
    await runtime.client(backend_id).free()
    await runtime.peers.check(backend_id)


def running_view(runtime: Runtime, backend_id: str, ours: Collection[Job]) -> RunningPromptView | None:
    """What runs there, None for nothing. ``ours``: our running jobs there; of others only the id is known."""
    job = next((job for job in ours if job.begun_at is not None), None)
    if job is not None:
        return {
            "job_id": job.id,
            "prompt_id": job.attempts[-1].prompt_id,
            "whose": "ours",
            "title": job.request.title,
            "node": job.progress_text,
            "progress": min(max(job.progress, 0.0), 1.0),
        }
    vitals = runtime.manager.get_status(backend_id).vitals
    known = {job.attempts[-1].prompt_id for job in ours}
    other = next((found for found in (vitals.queue.running if vitals else ()) if found not in known), None)
    if other is None or runtime.has_sent(other):
        return None
    return {
        "job_id": None,
        "prompt_id": other,
        "whose": "others",
        "title": "",
        "node": "",
        "progress": None,
    }


def _only_there(info: ObjectInfo, own_models: OwnModels) -> list[str]:
    own = {name.replace("\\", "/") for name in own_models()}
    return sorted(model_files(info) - own)


def _told(seconds: float, node_types: int | None, only_there: Sequence[str] | None) -> str:
    """What a test found, for its person."""
    found = [_counted(node_types, "node type")] if node_types is not None else []
    if only_there:
        named = ", ".join(only_there[:MODELS_NAMED])
        more = len(only_there) - MODELS_NAMED
        rest = f" and {more} more" if more > 0 else ""
        found.append(f"{_counted(len(only_there), 'model')} you don't have: {named}{rest}")
    return " ".join(filter(None, [f"Works ({seconds:.1f} s).", ", ".join(found)]))


def _counted(count: int, one: str) -> str:
    return f"{count} {one}{'' if count == 1 else 's'}"
