"""GET /orchestrator/report and …/jobs/{id}/report: what somebody who helps needs to know, and nothing else.

Prompts, titles, texts, file names, keys and addresses are not in it: what may name them is left out, and what
is known of them is struck out of every sentence; a peer's own words may quote them.
"""

from __future__ import annotations

import asyncio
import logging
import platform
import re
import sys
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import aiohttp

from ...clock import utc_now
from ...core.models.backend import BackendConfig, BackendStatus
from ...core.models.job import Attempt, Job
from ...core.models.trust import pinned_digest
from ...runtime import Runtime
from ...version import UNKNOWN, version

LINES_KEPT = 300
JOBS_TOLD = 200
STRUCK = "•••"
_SHORTEST = 4  #: characters; shorter ones would strike out half of every sentence
_ADDRESS = re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}\b|\[[0-9A-Fa-f:.]+\]|(?<=://)[^\s/:]+")
_PATH = re.compile(r"(?:[A-Za-z]:|~)?(?:[\\/]+[^\s'\"\\/:<>]+){2,}")
_TELLING = re.compile(r"[\s./\\]")  #: what a text or a file's name has, and a choice like "euler" has not
_LONGEST = 2_000  #: characters; nobody quotes more
#: What a node was given is not among it
_OF_ERROR = frozenset(
    {"code", "message", "node_id", "node_type", "exception_type", "exception_message", "traceback"}
)


class Recorder(logging.Handler):
    """Keeps the last lines that this package wrote into the log."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: deque[str] = deque(maxlen=LINES_KEPT)
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(module)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


recorder = Recorder()


def keep_log_lines() -> None:
    """From now on; harmless when it was called before."""
    package = logging.getLogger(__name__.rpartition(".host")[0])
    if recorder not in package.handlers:
        package.addHandler(recorder)


async def report(runtime: Runtime, token: str) -> dict[str, Any]:
    """The bundle, as JSON."""
    jobs = runtime.jobs.all()[:JOBS_TOLD]
    told = {
        "process": {"tasks": len(asyncio.all_tasks())},
        "settings": dict(vars(runtime.settings)),
        "notices": list(runtime.notices),
        "peers": _peers(runtime, runtime.manager.all()),
        "jobs": [_job(job) for job in jobs],
        "log": list(recorder.lines),
    }
    return await _struck_out(told, runtime, token, jobs)


async def job_report(runtime: Runtime, token: str, job: Job) -> dict[str, Any]:
    """The same about one job, with all that was told of its error."""
    there = {attempt.backend_id for attempt in job.attempts}
    peers = [config for config in runtime.manager.all() if config.id in there]
    error = {key: value for key, value in (job.error or {}).items() if key in _OF_ERROR}
    told = {
        "job": {**_job(job), "error": error, "explanation": job.explanation},
        "peers": _peers(runtime, peers),
    }
    return await _struck_out(told, runtime, token, [job])


async def _struck_out(
    told: Mapping[str, Any], runtime: Runtime, token: str, jobs: Sequence[Job]
) -> dict[str, Any]:
    peers = runtime.manager.all()
    strike = striker(
        {
            token: STRUCK,
            str(Path.home()): "~",
            **dict.fromkeys(runtime.secrets.values(), STRUCK),
            **dict.fromkeys((config.path for config in peers), f"/{STRUCK}"),
            **dict.fromkeys(_private_words(jobs), STRUCK),
            **{config.host: f"<{config.id}>" for config in peers},
        }
    )
    whole = {
        "made_at": utc_now().isoformat(timespec="seconds"),
        "versions": await asyncio.to_thread(_versions),
        **told,
    }
    # Many texts in many sentences take a while.
    return await asyncio.to_thread(lambda: {key: strike(value) for key, value in whole.items()})


def _private_words(jobs: Iterable[Job]) -> set[str]:
    """Titles, texts and names of files in their requests, as far as a sentence might quote them."""
    found: set[str] = set()
    for job in jobs:
        found.add(job.request.title)
        for node in job.request.prompt.values():
            meta, inputs = node.get("_meta"), node.get("inputs")
            found.add(str(meta.get("title", "")) if isinstance(meta, Mapping) else "")
            values = inputs.values() if isinstance(inputs, Mapping) else ()
            found |= {value for value in values if isinstance(value, str) and _TELLING.search(value)}
        found |= {value for value in job.request.changes.values() if isinstance(value, str)}
    return {word for word in found if len(word) <= _LONGEST}


def striker(known: Mapping[str, str]) -> Callable[[Any], Any]:
    """Replaces these texts, the longest first, and all that looks like an address, however deep."""
    longest = sorted((text for text in known if len(text) >= _SHORTEST), key=len, reverse=True)

    def strike(value: Any) -> Any:
        if isinstance(value, str):
            for text in longest:
                value = value.replace(text, known[text])
            value = _PATH.sub(STRUCK, value)
            return _ADDRESS.sub(_struck, value)
        if isinstance(value, Mapping):
            return {key: strike(item) for key, item in value.items()}
        return [strike(item) for item in value] if isinstance(value, (list, tuple)) else value

    return strike


def _struck(match: re.Match[str]) -> str:
    """A peer's id in place of its address stays."""
    return match[0] if match[0].startswith("<") else STRUCK


def _versions() -> dict[str, str]:
    return {
        "remote_dispatch": version(),
        "comfyui": str(getattr(sys.modules.get("comfyui_version"), "__version__", UNKNOWN)),
        "frontend": _version_of("comfyui-frontend-package"),
        "python": sys.version.split()[0],
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "aiohttp": aiohttp.__version__,
    }


def _version_of(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return UNKNOWN


def _peers(runtime: Runtime, configs: Iterable[BackendConfig]) -> list[dict[str, Any]]:
    return [
        _peer(config, runtime.manager.get_status(config.id), runtime.ours_on(config.id)) for config in configs
    ]


def _peer(config: BackendConfig, status: BackendStatus, ours: int) -> dict[str, Any]:
    vitals = status.vitals
    return {
        "id": config.id,
        "scheme": config.scheme,
        "port": config.port,
        "has_path": bool(config.path),
        "has_credentials": config.has_credentials,
        "checks_certificate": "pinned" if pinned_digest(config.tls) else "own" if config.tls else "",
        "enabled": config.enabled,
        "draining": config.draining,
        "health": status.health.value,
        "reason": status.reason,
        "misses": status.misses,
        "generation": status.generation,
        "conduct": asdict(status.conduct),
        "version": vitals.comfyui_version if vitals else "",
        "devices": [asdict(device) for device in vitals.devices] if vitals else [],
        "queue": [vitals.queue.running_count, vitals.queue.pending_count] if vitals else [],
        "ours": ours,
    }


def _job(job: Job) -> dict[str, Any]:
    error = job.error or {}
    return {
        "id": job.id,
        "state": job.state.value,
        "source": job.request.source.value,
        "nodes": len(job.request.prompt),
        "is_pinned": bool(job.request.peer),
        "attempts": [_attempt(attempt) for attempt in job.attempts],
        "outputs": len(job.outputs),
        "error": {
            key: error[key] for key in ("code", "message", "node_type", "exception_type") if key in error
        },
        "created_at": job.created_at.isoformat(),
        "ended_at": job.ended_at.isoformat() if job.ended_at else None,
    }


def _attempt(attempt: Attempt) -> dict[str, Any]:
    moments = (attempt.started_at, attempt.begun_at, attempt.loaded_at, attempt.ended_at)
    return {
        "peer_id": attempt.backend_id,
        "outcome": attempt.outcome,
        "reason": attempt.reason,
        "moments": [moment.isoformat() if moment else None for moment in moments],
    }
