"""Peers and jobs as the page and the HTTP API see them. Credentials and local paths are not in here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from urllib.parse import urlencode

from ...core.engine.estimates.knowledge import Origin
from ...core.engine.placement.explain import Forecast, Outlook, caution, in_full
from ...core.models.backend import BackendConfig, BackendStatus, QueueState
from ...core.models.job import Attempt, Job, JobRequest, JobState, OutputFile
from ...core.prompts.titles import described
from ...dispatch.queue.first_look import FirstLook
from .answers import (
    AttemptView,
    BatchPlaceView,
    DryRunView,
    ForecastView,
    JobsView,
    JobView,
    OutlookView,
    OutputView,
    PeerView,
    RunningPromptView,
)

PeerName = Callable[[str], str]  #: the name of a peer's id, also of one that was removed since


def peer_view(
    config: BackendConfig,
    status: BackendStatus,
    *,
    ours: int,
    node_types: int | None,
    running: RunningPromptView | None = None,
) -> PeerView:
    """``ours``: our jobs there, running and handed over. ``node_types``: None while its list is not known.
    ``running``: see running_view."""
    vitals = status.vitals
    queue = vitals.queue if vitals else QueueState()
    devices = vitals.devices if vitals else ()
    return {
        "id": config.id,
        "name": config.name,
        "url": config.url,
        "enabled": config.enabled,
        "draining": config.draining,
        "tags": list(config.tags),
        "has_credentials": config.has_credentials,
        "tls": config.tls,
        "exclusive": config.exclusive,
        "only_idle": config.only_idle,
        "hours": config.hours,
        "relay_events": config.relays_events,
        "health": status.health.value,
        "reason": status.reason,
        "version": vitals.comfyui_version if vitals else "",
        "devices": [
            {
                "name": device.name,
                "type": device.type,
                "vram_total_bytes": device.vram_total_bytes,
                "vram_free_bytes": device.vram_free_bytes,
            }
            for device in devices
        ],
        "queue_running": queue.running_count,
        "queue_pending": queue.pending_count,
        "ours": ours,
        "checked_at": _moment(status.checked_at),
        "node_types": node_types,
        "running": running,
    }


def dry_run_view(requests: Sequence[JobRequest], look: FirstLook) -> DryRunView:
    first = requests[0]
    return {
        "count": len(requests),
        "title": first.title or described(look.prompt or first.prompt, first.changes),
        "prompt": look.prompt,
        "waits_for": look.waits_for,
        "notes": list(look.notes),
    }


def outlook_view(outlook: Outlook, here: str) -> OutlookView:
    """`here`: what of it would run on the master, and why."""
    return {
        "peers": [_forecast_view(forecast) for forecast in outlook.peers],
        "paused": outlook.paused,
        "held": outlook.held,
        "waiting": outlook.waiting,
        "here": here,
    }


def _forecast_view(forecast: Forecast) -> ForecastView:
    verdict, able = forecast.eligibility, forecast.eligibility.eligible
    return {
        "id": verdict.backend_id,
        "name": verdict.name,
        "eligible": able,
        "awaits": bool(verdict.awaited),
        "reason": in_full(forecast),
        "is_guess": forecast.origin is not Origin.HERE,
        "origin": forecast.origin.value,
        "need_bytes": round(forecast.need_gb * 2**30) or None,
        "caution": caution(forecast),
        "start_s": forecast.start_s if able else None,
        "load_s": forecast.load_s if able else None,
        "run_s": forecast.run_s if able and forecast.origin is not Origin.NOTHING else None,
        "finish_s": forecast.finish_s if forecast.origin is not Origin.NOTHING else None,
    }


def jobs_view(
    jobs: Sequence[Job],
    line: Sequence[Job],
    peer_name: PeerName,
    *,
    skip: int = 0,
    limit: int | None = None,
    only_line: bool = False,
) -> JobsView:
    """`jobs` newest first. ``line``: ids of the waiting ones, the next first; ``counts``: how many there are
    of each kind. With a `limit`: at most that many of the queue, and as many of the ended ones, after the
    first `skip` of each; running ones come with the first of them. `only_line`: `jobs` stays empty."""
    in_line = {job.id for job in line}
    elsewhere = (job for job in reversed(jobs) if job.state is JobState.WAITING and job.id not in in_line)
    waiting = [*line, *elsewhere]
    ended = [job for job in jobs if job.state.is_final]
    page = slice(skip, None if limit is None else skip + limit)
    shown = {job.id for job in (*waiting[page], *ended[page])}
    listed = [job for job in jobs if job.id in shown or (job.state is JobState.RUNNING and not skip)]
    return {
        "jobs": [] if only_line else [job_view(job, peer_name) for job in listed],
        "line": [job.id for job in waiting[page]],
        "counts": {
            "waiting": len(waiting),
            "running": sum(job.state is JobState.RUNNING for job in jobs),
            "ended": len(ended),
        },
    }


def job_view(job: Job, peer_name: PeerName) -> JobView:
    return {
        "job_id": job.id,
        "state": job.state.value,
        "source": job.request.source.value,
        "title": job.request.title,
        "pinned_to": job.request.peer,
        "retry_of": job.request.retry_of,
        "client_id": job.request.client_id,
        "batch": _batch_view(job),
        "held": job.request.held,
        "peer_id": job.backend_id,
        "peer": peer_name(job.backend_id) if job.backend_id else "",
        "attempts": [_attempt_view(attempt, peer_name) for attempt in job.attempts],
        "inputs": [{"name": sent.name, "sha256": sent.sha256} for sent in job.inputs],
        "outputs": [_output_view(output) for output in job.outputs],
        "texts": list(job.texts),
        "notes": list(job.notes),
        "error": None if job.error is None else dict(job.error),
        "explanation": job.explanation,
        "progress": min(max(job.progress, 0.0), 1.0),
        "progress_text": job.progress_text,
        "is_silent": job.is_silent and job.state is JobState.RUNNING,
        "expected_s": job.expected_s if job.state is JobState.RUNNING else None,
        "previews": job.previews if job.state is JobState.RUNNING else 0,
        "created_at": _moment(job.created_at),
        "started_at": _moment(job.started_at),
        "begun_at": _moment(job.begun_at),
        "ended_at": _moment(job.ended_at),
    }


def _batch_view(job: Job) -> BatchPlaceView | None:
    """Which of the jobs of one question it is, and what it changes; None for a single one."""
    request = job.request
    if not request.batch_id:
        return None
    return {"id": request.batch_id, "index": request.batch_index, "changes": dict(request.changes)}


def _attempt_view(attempt: Attempt, peer_name: PeerName) -> AttemptView:
    return {
        "peer_id": attempt.backend_id,
        "peer": peer_name(attempt.backend_id),
        "prompt_id": attempt.prompt_id,
        "started_at": _moment(attempt.started_at),
        "begun_at": _moment(attempt.begun_at),
        "loaded_at": _moment(attempt.loaded_at),
        "ended_at": _moment(attempt.ended_at),
        "outcome": attempt.outcome,
        "reason": attempt.reason,
    }


def _output_view(output: OutputFile) -> OutputView:
    place = {"filename": output.filename, "subfolder": output.subfolder, "type": output.type}
    return {
        "node_id": output.node_id,
        "filename": output.filename,
        "subfolder": output.subfolder,
        "type": output.type,
        # A file's name may hold what UTF-8 cannot; the host could not serve that one, the others it can.
        "url": f"/view?{urlencode(place, errors='replace')}",
    }


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment_text(moment)


def moment_text(moment: datetime) -> str:
    """ISO 8601 in UTC with a trailing Z and milliseconds."""
    return moment.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
