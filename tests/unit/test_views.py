"""What the page and the HTTP API see of peers and jobs."""

from __future__ import annotations

import dataclasses
import json
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from orchestrator.core.models.backend import BackendConfig, BackendStatus, Device, Health, QueueState, Vitals
from orchestrator.core.models.job import Attempt, Job, JobRequest, JobState, OutputFile, Source
from orchestrator.host.api.views import job_view, jobs_view, peer_view

NOW = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=timezone.utc)
CONFIG = BackendConfig(id="p1", name="GPU 2", host="gpu-2", tags=("fast",), has_credentials=True)
STATUS = BackendStatus(
    health=Health.UP,
    vitals=Vitals(
        comfyui_version="0.3.75",
        devices=(Device("RTX", "cuda", 24 << 30, 20 << 30),),
        queue=QueueState(("a",), ("b", "c")),
    ),
    checked_at=NOW,
)
JOB = Job(
    id="j1",
    request=JobRequest(prompt={"1": {"class_type": "A", "inputs": {"text": "private"}}}, title="Cat"),
    created_at=NOW,
    state=JobState.DONE,
    backend_id="p1",
    attempts=(Attempt("prompt-1", "p1", NOW, NOW, "done", ""), Attempt("prompt-2", "gone", NOW)),
    outputs=(OutputFile("9", "/home/me/out/a b&c.png", "a b&c.png", "sub/ü", "output"),),
    texts=("said",),
    notes=("one file is missing",),
    error={"code": "lost", "message": "Gone."},
    explanation="ran on GPU 2 because it was free",
    progress=0.5,
    progress_text="step 1/2",
    started_at=NOW,
)


def name_of(backend_id: str) -> str:
    return {"p1": "GPU 2"}.get(backend_id, backend_id)


def test_a_peer_is_shown_with_exactly_these_fields() -> None:
    assert peer_view(CONFIG, STATUS, ours=1, node_types=700) == {
        "id": "p1",
        "name": "GPU 2",
        "url": "http://gpu-2:8188",
        "enabled": True,
        "draining": False,
        "tags": ["fast"],
        "has_credentials": True,
        "tls": "",
        "exclusive": False,
        "only_idle": False,
        "hours": "",
        "relay_events": True,
        "health": "up",
        "reason": "",
        "version": "0.3.75",
        "devices": [
            {"name": "RTX", "type": "cuda", "vram_total_bytes": 24 << 30, "vram_free_bytes": 20 << 30}
        ],
        "queue_running": 1,
        "queue_pending": 2,
        "ours": 1,
        "checked_at": "2026-03-01T12:30:15.123Z",
        "node_types": 700,
        "running": None,
    }


def test_a_peer_that_was_never_asked_has_the_same_fields() -> None:
    unknown = peer_view(CONFIG, BackendStatus(), ours=0, node_types=None)
    assert unknown.keys() == peer_view(CONFIG, STATUS, ours=1, node_types=700).keys()
    assert (unknown["health"], unknown["devices"], unknown["checked_at"]) == ("unknown", [], None)


def test_a_job_is_shown_with_exactly_these_fields() -> None:
    assert job_view(JOB, name_of) == {
        "job_id": "j1",
        "state": "done",
        "source": "http",
        "client_id": "",
        "title": "Cat",
        "pinned_to": "",
        "retry_of": "",
        "batch": None,
        "held": False,
        "peer_id": "p1",
        "peer": "GPU 2",
        "attempts": [
            {
                "peer_id": "p1",
                "peer": "GPU 2",
                "prompt_id": "prompt-1",
                "started_at": "2026-03-01T12:30:15.123Z",
                "begun_at": None,
                "loaded_at": None,
                "ended_at": "2026-03-01T12:30:15.123Z",
                "outcome": "done",
                "reason": "",
            },
            {
                "peer_id": "gone",
                "peer": "gone",
                "prompt_id": "prompt-2",
                "started_at": "2026-03-01T12:30:15.123Z",
                "begun_at": None,
                "loaded_at": None,
                "ended_at": None,
                "outcome": "",
                "reason": "",
            },
        ],
        "inputs": [],
        "outputs": [
            {
                "node_id": "9",
                "filename": "a b&c.png",
                "subfolder": "sub/ü",
                "type": "output",
                "url": "/view?filename=a+b%26c.png&subfolder=sub%2F%C3%BC&type=output",
            }
        ],
        "texts": ["said"],
        "notes": ["one file is missing"],
        "error": {"code": "lost", "message": "Gone."},
        "explanation": "ran on GPU 2 because it was free",
        "progress": 0.5,
        "progress_text": "step 1/2",
        "is_silent": False,
        "expected_s": None,
        "previews": 0,
        "created_at": "2026-03-01T12:30:15.123Z",
        "started_at": "2026-03-01T12:30:15.123Z",
        "begun_at": None,
        "ended_at": None,
    }


def of(job_id: str, state: JobState) -> Job:
    return Job(job_id, JobRequest(), NOW, state=state)


NEWEST_FIRST = (
    *(of("w3", JobState.WAITING), of("w2", JobState.WAITING), of("r", JobState.RUNNING)),
    *(of("w1", JobState.WAITING), of("d2", JobState.DONE), of("d1", JobState.FAILED)),
)


def test_the_line_tells_the_order_of_the_waiting_and_those_outside_it_come_last() -> None:
    shown = jobs_view(NEWEST_FIRST, (NEWEST_FIRST[0], NEWEST_FIRST[3]), name_of)
    assert [job["job_id"] for job in shown["jobs"]] == ["w3", "w2", "r", "w1", "d2", "d1"]
    assert shown["line"] == ["w3", "w1", "w2"]
    assert shown["counts"] == {"waiting": 3, "running": 1, "ended": 2}


def test_a_limit_leaves_the_head_of_the_line_all_running_and_the_last_that_ended() -> None:
    shown = jobs_view(NEWEST_FIRST, (NEWEST_FIRST[3], NEWEST_FIRST[0]), name_of, limit=1)
    assert [job["job_id"] for job in shown["jobs"]] == ["r", "w1", "d2"]
    assert shown["line"] == ["w1"]
    assert shown["counts"] == {"waiting": 3, "running": 1, "ended": 2}


def test_what_a_limit_left_out_comes_with_the_next_pages() -> None:
    line = (NEWEST_FIRST[3], NEWEST_FIRST[0])
    pages = [jobs_view(NEWEST_FIRST, line, name_of, skip=skip, limit=1) for skip in range(3)]
    ids = [[job["job_id"] for job in page["jobs"]] for page in pages]
    assert ids == [["r", "w1", "d2"], ["w3", "d1"], ["w2"]]
    assert [page["line"] for page in pages] == [["w1"], ["w3"], ["w2"]]


def test_the_line_alone_can_be_asked_for() -> None:
    whole = jobs_view(NEWEST_FIRST, (NEWEST_FIRST[3],), name_of)
    assert jobs_view(NEWEST_FIRST, (NEWEST_FIRST[3],), name_of, only_line=True) == {**whole, "jobs": []}


def test_a_job_without_a_peer_names_none() -> None:
    view = job_view(Job("j1", JobRequest(source=Source.NODE), NOW), name_of)
    assert (view["peer_id"], view["peer"], view["source"], view["error"]) == ("", "", "node", None)


def test_neither_the_graph_nor_a_local_path_is_shown() -> None:
    shown = json.dumps(job_view(JOB, name_of))
    assert "private" not in shown
    assert "/home/me" not in shown


@pytest.mark.parametrize(
    "name", ["a&type=temp.png", "a#b?.png", "100%.png", "\ud800.png", "../x.png", "+ .png"]
)
def test_any_file_name_stays_one_parameter_of_the_url(name: str) -> None:
    job = dataclasses.replace(JOB, outputs=(OutputFile("9", "/p", name, "", "output"),))
    query = parse_qs(urlsplit(job_view(job, name_of)["outputs"][0]["url"]).query, keep_blank_values=True)
    assert query == {"filename": [name.replace("\ud800", "?")], "subfolder": [""], "type": ["output"]}


def test_moments_are_shown_in_utc() -> None:
    elsewhere = NOW.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert job_view(dataclasses.replace(JOB, created_at=elsewhere), name_of) == job_view(JOB, name_of)


@pytest.mark.parametrize(("progress", "shown"), [(-1.0, 0.0), (2.0, 1.0), (0.3, 0.3)])
def test_progress_is_between_nothing_and_all(progress: float, shown: float) -> None:
    view: dict[str, Any] = job_view(dataclasses.replace(JOB, progress=progress), name_of)
    assert view["progress"] == shown
