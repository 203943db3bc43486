"""The journal on a real SQLite file."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import re
import sqlite3
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.core.engine.estimates.learned import LearnedRow
from orchestrator.core.engine.faults.withdrawal import Unwanted
from orchestrator.core.models.backend import LOCAL_PEER_ID, BackendConfig
from orchestrator.core.models.job import (
    Attempt,
    InputFile,
    Job,
    JobRequest,
    JobState,
    OutputFile,
    ResultLink,
    Source,
)
from orchestrator.errors import StoreError
from orchestrator.journal.schema import STEPS, upgrade
from orchestrator.journal.sqlite_file import COMPANIONS, Rescued, connect, disconnect, rescue
from orchestrator.journal.store import Store
from tests.fakes.waiting import until

NOW = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=timezone.utc)
PROMPT = {
    "3": {"class_type": "KSampler", "inputs": {"seed": 2**64 - 1, "cfg": 7.5, "model": ["4", 0]}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "ein Käse 🧀 \ud83d\x00 'quoted' %s"}},
}
FULL_JOB = Job(
    id="job-1",
    request=JobRequest(
        prompt=PROMPT,
        workflow={"nodes": [{"id": 1, "widgets_values": [2**53 + 1, None, 1e400]}]},
        changes={"KSampler.seed": 42},
        drop_classes=frozenset({"RemoteDispatch", "Other"}),
        result=ResultLink("8", 0),
        exact=True,
        peer="gpu-2",
        tags=("fast", "größer"),
        avoid=("slow",),
        source=Source.NODE,
        wait_for_peer=False,
        title="A title",
        extra_data={"preview_method": "auto"},
        priority=2.5,
        targets=("9", "12"),
        client_id="page-1",
        retry_of="job-0",
        batch_id="batch-1",
        batch_index=2,
        graph_id="graph-1",
        request_id="once-1",
        prompt_id="a prompt of its own",
        notes=("Left out what is not a node: _comment.",),
        held=True,
        outdated_attempts=1,
    ),
    created_at=NOW,
    state=JobState.FAILED,
    backend_id="peer-2",
    attempts=(
        Attempt("", "peer-1", NOW, NOW + timedelta(seconds=1), "unreachable", "no answer"),
        Attempt("0", "peer-1", NOW, NOW + timedelta(seconds=1), "lost", "it went away", is_victim=True),
        Attempt("11111111-2222-3333-4444-555555555555", "peer-2", NOW + timedelta(seconds=2)),
    ),
    inputs=(InputFile("b.png", "0" * 64), InputFile("sub/a.png [temp]", "f" * 64)),
    outputs=(
        OutputFile("9", "/out/b.png", "b.png", "sub", "output"),
        OutputFile("9", "/out/a.png", "a.png", "", "temp"),
    ),
    texts=("one", ""),
    notes=("gpu-2 lacks a.safetensors, which node 3 skips.",),
    result_type="IMAGE",
    error={"code": "execution_error", "traceback": ["a", "b"], "value": None},
    explanation="ran on gpu-2 because it was free",
    progress=0.25,
    progress_text="step 5/20",
    started_at=NOW + timedelta(seconds=2),
    ended_at=NOW + timedelta(minutes=1),
)


@asynccontextmanager
async def opened(path: Path, **options: Any) -> AsyncIterator[Store]:
    store = Store(path, **options)
    await store.open()
    try:
        yield store
    finally:
        await store.aclose()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "journal.sqlite3"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[Store]:
    async with opened(path) as store:
        yield store


def job(number: int, state: JobState = JobState.WAITING, **details: Any) -> Job:
    request = JobRequest(prompt={"1": {"class_type": "A", "inputs": {}}})
    return Job(f"job-{number}", request, NOW + timedelta(seconds=number), state, **details)


async def test_a_job_comes_back_exactly_as_it_was_after_a_restart(path: Path) -> None:
    async with opened(path) as store:
        await store.save_job(FULL_JOB)
    async with opened(path) as store:
        assert await store.load_job("job-1") == FULL_JOB


def test_the_full_job_of_these_tests_differs_from_the_defaults_in_every_field() -> None:
    for value, of in ((FULL_JOB, Job), (FULL_JOB.request, JobRequest)):
        for field in filter(lambda field: field.compare, dataclasses.fields(of)):
            assert getattr(value, field.name) != field.default, field.name


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
moments = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(timezone.utc))
requests = st.builds(
    JobRequest,
    prompt=st.dictionaries(st.text(max_size=5), json_values, max_size=3),
    workflow=st.none() | st.dictionaries(st.text(max_size=5), json_values, max_size=3),
    changes=st.dictionaries(st.text(max_size=5), json_values, max_size=3),
    drop_classes=st.frozensets(texts, max_size=3),
    result=st.none() | st.builds(ResultLink, texts, st.integers(0, 9)),
    peer=texts,
    tags=st.lists(texts, max_size=3).map(tuple),
    source=st.sampled_from(Source),
    wait_for_peer=st.booleans(),
    title=texts,
    extra_data=st.dictionaries(st.text(max_size=5), json_values, max_size=3),
)
jobs = st.builds(
    Job,
    id=st.uuids().map(lambda value: value.hex),
    request=requests,
    created_at=moments,
    state=st.sampled_from(JobState),
    backend_id=texts,
    attempts=st.lists(
        st.builds(Attempt, texts, texts, moments, st.none() | moments, texts, texts), max_size=3
    ).map(tuple),
    outputs=st.lists(st.builds(OutputFile, texts, texts, texts, texts, texts), max_size=3).map(tuple),
    texts=st.lists(st.text(max_size=9), max_size=3).map(tuple),
    result_type=texts,
    error=st.none() | st.dictionaries(st.text(max_size=5), json_values, max_size=3),
    explanation=texts,
    progress=st.floats(0, 1),
    progress_text=texts,
    started_at=st.none() | moments,
    ended_at=st.none() | moments,
)


@settings(max_examples=40, deadline=None)
@given(jobs)
def test_any_job_comes_back_as_it_was(job: Job) -> None:
    async def there_and_back(path: Path) -> Job | None:
        async with opened(path) as store:
            await store.save_job(job)
            return await store.load_job(job.id)

    with tempfile.TemporaryDirectory() as folder:
        assert asyncio.run(there_and_back(Path(folder, "any.sqlite3"))) == job


async def test_text_that_no_database_holds_is_kept_without_the_impossible_characters(store: Store) -> None:
    await store.save_job(job(1, explanation="a\0b\ud800c"))
    loaded = await store.load_job("job-1")
    assert loaded is not None
    assert loaded.explanation == "a\ufffdb\ufffdc"


async def test_an_unknown_job_is_none(store: Store) -> None:
    assert await store.load_job("nobody") is None


async def test_saving_again_replaces_the_story_but_never_the_request(store: Store) -> None:
    await store.save_job(FULL_JOB)
    later = dataclasses.replace(
        FULL_JOB, state=JobState.DONE, attempts=FULL_JOB.attempts[1:], outputs=(), error=None
    )
    other_request = dataclasses.replace(later, request=JobRequest(title="something else"))
    await store.save_job(other_request)
    assert await store.load_job("job-1") == later


async def test_a_job_that_cannot_be_written_leaves_the_old_one_whole(store: Store) -> None:
    await store.save_job(FULL_JOB)
    broken = dataclasses.replace(
        FULL_JOB,
        progress=1.0,
        outputs=(dataclasses.replace(FULL_JOB.outputs[0], path=None),),  # type: ignore[arg-type]
    )
    with pytest.raises(StoreError):
        await store.save_job(broken)
    assert await store.load_job("job-1") == FULL_JOB


async def test_the_newest_jobs_come_first_up_to_the_limit(store: Store) -> None:
    for number in (2, 3, 1):
        await store.save_job(job(number))
    same_moment = dataclasses.replace(job(4), created_at=job(3).created_at)
    await store.save_job(same_moment)
    assert [j.id for j in await store.load_jobs(limit=3)] == ["job-4", "job-3", "job-2"]


async def test_jobs_are_found_by_their_states(store: Store) -> None:
    for number, state in enumerate(JobState):
        await store.save_job(job(number, state))
    found = await store.load_jobs(states=[JobState.WAITING, JobState.RUNNING])
    assert {j.state for j in found} == {JobState.WAITING, JobState.RUNNING}
    assert await store.load_jobs(states=[]) == ()


async def test_more_jobs_than_one_query_asks_for_keep_their_order(store: Store) -> None:
    await asyncio.gather(*(store.save_job(job(number)) for number in range(503)))
    loaded = await store.load_jobs(limit=5_000)
    assert [j.id for j in loaded] == [f"job-{number}" for number in reversed(range(503))]


async def test_pruning_forgets_finished_jobs_that_are_old_or_too_many(store: Store, path: Path) -> None:
    for number in range(6):
        await store.save_job(job(number, JobState.DONE, ended_at=NOW + timedelta(seconds=number)))
    await store.save_job(dataclasses.replace(job(0), id="waiting"))
    assert await store.prune(keep=9, before=NOW + timedelta(seconds=3)) == 3
    assert [j.id for j in await store.load_jobs()] == ["job-5", "job-4", "job-3", "waiting"]
    assert await store.prune(keep=2, before=NOW - timedelta(days=1)) == 1
    assert [j.id for j in await store.load_jobs()] == ["job-5", "job-4", "waiting"]
    assert await store.prune(keep=9, before=NOW + timedelta(days=1)) == 2


async def test_pruning_takes_all_parts_of_a_job_along(path: Path) -> None:
    async with opened(path) as store:
        await store.save_job(FULL_JOB)
        assert await store.prune(keep=0, before=NOW + timedelta(days=1)) == 1
    database = sqlite3.connect(path)
    for table in ("requests", "attempts", "outputs"):
        assert database.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
    database.close()


async def test_peers_come_back_as_they_were_in_the_order_they_were_added(path: Path) -> None:
    peers = (
        BackendConfig(id="b", name="Zweite Küche", url="https://[::1]:8443/comfy", tags=("fast", "24gb")),
        BackendConfig(id="a", host="gpu-2", port=9000, enabled=False, draining=True),
    )
    async with opened(path) as store:
        for peer in peers:
            await store.save_peer(peer)
        renamed = dataclasses.replace(peers[0], name="B")
        await store.save_peer(renamed)
    async with opened(path) as store:
        assert await store.load_peers() == (renamed, peers[1])
        await store.delete_peer("b")
        assert await store.load_peers() == (peers[1],)


async def test_calls_made_together_are_done_in_their_order(store: Store) -> None:
    states = [JobState.WAITING, JobState.RUNNING, JobState.DONE]
    await asyncio.gather(*(store.save_job(job(1, state)) for state in states))
    loaded = await store.load_job("job-1")
    assert loaded is not None and loaded.state is JobState.DONE


async def test_a_write_that_was_asked_for_happens_before_closing(path: Path) -> None:
    store = Store(path)
    await store.open()
    writing = [asyncio.ensure_future(store.save_job(job(number))) for number in range(20)]
    await asyncio.sleep(0)  # all are handed over, none has to be done
    await store.aclose()
    await asyncio.gather(*writing)
    async with opened(path) as again:
        assert len(await again.load_jobs()) == 20


async def test_f52_what_became_of_accepted_jobs_waits_until_it_can_be_written(path: Path) -> None:
    async with opened(path, busy_timeout_s=0.01, retry_s=0.01) as store:
        told: list[str] = []
        store.on_trouble(told.append)
        await store.accept_jobs([job(1)], {})
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        later = asyncio.create_task(store.save_job(job(1, JobState.RUNNING)))
        await until(lambda: store.trouble, "it is said")
        with pytest.raises(StoreError, match=r"no new jobs for now\. The journal .* locked"):
            await store.accept_jobs([job(2)], {})
        last = asyncio.create_task(store.save_job(job(1, JobState.DONE)))
        other.execute("ROLLBACK")
        other.close()
        await asyncio.gather(later, last)
        assert (store.trouble, [bool(text) for text in told]) == ("", [True, False])
        assert await store.load_jobs() == (job(1, JobState.DONE),)


async def test_f52_new_jobs_are_taken_all_or_none_and_with_their_places(store: Store) -> None:
    await store.accept_jobs([job(1), job(2)], {"job-2": (0.0, -1.0)})
    broken = dataclasses.replace(job(3), explanation=None)  # type: ignore[arg-type]
    with pytest.raises(StoreError, match="cannot be kept"):
        await store.accept_jobs([job(4), broken], {"job-4": (0.0, -2.0)})
    assert {j.id for j in await store.load_jobs()} == {"job-1", "job-2"}
    assert await store.load_places() == {"job-2": (0.0, -1.0)}


async def test_f52_who_waits_for_the_disk_when_the_process_ends_is_not_kept_from_ending(path: Path) -> None:
    store = Store(path, busy_timeout_s=0.01, retry_s=60)
    await store.open()
    await store.accept_jobs([job(1)], {})
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    later = asyncio.create_task(store.save_job(job(1, JobState.DONE)))
    await until(lambda: store.trouble, "it is said")
    store.hurry()
    with pytest.raises(asyncio.CancelledError):
        await later
    other.close()
    await store.aclose()
    async with opened(path) as again:
        assert await again.load_jobs() == (job(1),)


async def test_a_closed_journal_says_so_and_may_be_closed_again(path: Path) -> None:
    store = Store(path)
    await store.aclose()
    opened_once = Store(path)
    await opened_once.open()
    await opened_once.aclose()
    await opened_once.aclose()
    with pytest.raises(StoreError, match="journal"):
        await opened_once.save_job(job(1))


async def test_no_statement_runs_on_the_event_loops_thread(path: Path) -> None:
    threads: set[int] = set()
    note: Callable[..., None] = lambda *args: threads.add(threading.get_ident())  # noqa: E731
    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        async with opened(path) as store:
            calls: list[Coroutine[Any, Any, Any]] = [
                store.save_job(job(1)),
                store.load_jobs(),
                store.save_peer(BackendConfig(id="a", host="gpu-2")),
                store.load_peers(),
            ]
            for call in calls:
                await call
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)
    assert len(threads) == 1
    assert threading.get_ident() not in threads


# Damage


def not_a_database(path: Path) -> None:
    path.write_bytes(b"this is no database, it only says so" * 100)


def a_page_of_noise(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[4096 * 2 : 4096 * 4] = b"\xa5" * (4096 * 2)
    path.write_bytes(raw)


def noise_where_nothing_is_read_at_the_start(path: Path) -> None:
    raw = path.read_bytes()
    path.write_bytes(raw[:-4096] + b"\xa5" * 4096)


def torn_in_the_middle(path: Path) -> None:
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) // 2])


def nothing_at_all(path: Path) -> None:
    path.write_bytes(b"")


def noise_in_the_middle(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    middle = len(raw) // 8192 * 4096
    raw[middle : middle + 4096] = b"\xa5" * 4096
    path.write_bytes(raw)


def torn_near_its_end(path: Path) -> None:
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) * 3 // 4])


def contents(path: Path) -> bytes:
    return path.read_bytes()


def damaged_beside(path: Path) -> list[Path]:
    return [other for other in path.parent.iterdir() if ".damaged-" in other.name]


@pytest.mark.parametrize(
    "damage", [not_a_database, a_page_of_noise, noise_where_nothing_is_read_at_the_start, torn_in_the_middle]
)
async def test_a_damaged_file_is_kept_aside_and_a_new_one_begun(
    path: Path, damage: Callable[[Path], None]
) -> None:
    async with opened(path) as store:
        for number in range(20):
            await store.save_job(job(number))
        assert store.notice == ""
    damage(path)
    broken = contents(path)
    async with opened(path) as store:
        readable = await store.load_jobs()
        assert "damaged" in store.notice
        await store.save_job(job(99))
    assert [contents(kept) for kept in damaged_beside(path) if not kept.name.endswith(COMPANIONS)] == [broken]
    async with opened(path) as store:
        assert store.notice == ""
        assert await store.load_jobs() == (job(99), *readable)


@pytest.mark.parametrize("damage", [noise_in_the_middle, torn_near_its_end])
async def test_what_can_be_read_of_a_damaged_file_is_kept(path: Path, damage: Callable[[Path], None]) -> None:
    async with opened(path) as store:
        await store.save_peer(BackendConfig(id="a", host="gpu-1"))
        await store.save_settings({"paused": True})
        lessons = [LearnedRow("run", "a", f"kind {number}", (1.0, 2.0)) for number in range(100)]
        await store.save_learned(lessons)
        for number in range(200):
            await store.save_job(job(number, texts=("some text",) * 20))
    damage(path)
    async with opened(path) as store:
        kept = await store.load_jobs()
        assert len(kept) > 20
        assert all(found == job(int(found.id[4:]), texts=("some text",) * 20) for found in kept)
        assert [peer.id for peer in await store.load_peers()] == ["a"]
        assert await store.load_settings() == {"paused": True}
        assert set(lessons) >= set(await store.load_learned()) > set()
        assert re.search(r"1 peers and \d+ jobs could be read", store.notice)


def rescued(old: Path, new: Path) -> Rescued:
    connection = connect(new, 1.0, STEPS)
    try:
        with connection.begin():
            return rescue(old, connection)
    finally:
        disconnect(connection)


async def test_a_running_job_whose_attempts_were_lost_waits_again(path: Path) -> None:
    async with opened(path) as store:
        attempts = (Attempt("p", "peer-1", NOW),)
        await store.save_job(job(1, JobState.RUNNING, backend_id="peer-1", attempts=attempts))
    run_sql(path, "DELETE FROM attempts")
    anew = path.with_name("new.sqlite3")
    assert rescued(path, anew) == Rescued(jobs=1)
    async with opened(anew) as store:
        assert (await store.load_jobs())[0].state is JobState.WAITING


# One process


async def test_a_second_comfyui_on_the_folder_says_so_and_sees_peers_but_no_jobs(path: Path) -> None:
    async with opened(path) as first:
        await first.save_peer(BackendConfig(id="a", host="gpu-1"))
        await first.save_settings({"fleet_mode": True})
        await first.save_job(job(1))
        async with opened(path, lock_wait_s=0) as second:
            assert second.is_guest
            assert f"process {os.getpid()}" in second.notice
            assert [peer.id for peer in await second.load_peers()] == ["a"]
            assert await second.load_settings() == {"fleet_mode": True}
            assert await second.master_id() != await first.master_id()
            assert await second.load_jobs() == ()
            await second.save_job(job(2))
            await second.save_peer(BackendConfig(id="b", host="gpu-2"))
            assert await second.load_jobs() == (job(2),)
        assert await first.load_jobs() == (job(1),)
        assert [peer.id for peer in await first.load_peers()] == ["a"]
    async with opened(path) as third:
        assert (third.is_guest, third.notice) == (False, "")


async def test_a_master_is_known_by_the_same_id_after_a_restart(path: Path) -> None:
    async with opened(path) as store:
        first = await store.master_id()
    async with opened(path) as store:
        assert await store.master_id() == first


async def test_a_comfyui_that_is_just_ending_is_waited_for(path: Path) -> None:
    first, second = Store(path), Store(path)
    await first.open()
    opening = asyncio.create_task(second.open())
    await first.aclose()
    await opening
    assert not second.is_guest
    await second.aclose()


async def test_a_journal_that_could_not_be_opened_is_not_held(path: Path) -> None:
    async with opened(path):
        pass
    run_sql(path, "UPDATE meta SET value = '999' WHERE key = 'schema'")
    store = Store(path)
    with pytest.raises(StoreError):
        await store.open()
    run_sql(path, f"UPDATE meta SET value = '{len(STEPS) + 1}' WHERE key = 'schema'")
    async with opened(path) as again:
        assert not again.is_guest
    await store.aclose()


async def test_an_empty_file_is_a_new_journal(path: Path) -> None:
    async with opened(path):
        pass
    nothing_at_all(path)
    async with opened(path) as store:
        assert store.notice == ""
        assert await store.load_jobs() == ()


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE requests SET body = 'not json' WHERE job_id = 'job-1'",
        "UPDATE jobs SET state = 'flying' WHERE id = 'job-1'",
        "UPDATE jobs SET created_at = 'yesterday' WHERE id = 'job-1'",
        "UPDATE jobs SET texts = 'null' WHERE id = 'job-1'",
        "UPDATE requests SET body = '[]' WHERE job_id = 'job-1'",
        "UPDATE requests SET body = CAST(X'ff' AS TEXT) WHERE job_id = 'job-1'",
        "UPDATE attempts SET started_at = 'soon' WHERE job_id = 'job-1'",
    ],
)
async def test_a_job_that_makes_no_sense_hides_no_other(path: Path, edit: str) -> None:
    async with opened(path) as store:
        for number in range(5):
            await store.save_job(dataclasses.replace(FULL_JOB, id=f"job-{number}"))
    run_sql(path, edit)
    async with opened(path) as store:
        assert sorted(j.id for j in await store.load_jobs()) == ["job-0", "job-2", "job-3", "job-4"]
        assert await store.load_job("job-1") is None


async def test_a_peer_that_makes_no_sense_hides_no_other(path: Path) -> None:
    async with opened(path) as store:
        await store.save_peer(BackendConfig(id="a", host="gpu-1"))
        await store.save_peer(BackendConfig(id="b", host="gpu-2"))
    run_sql(path, "UPDATE peers SET url = 'gopher://x' WHERE id = 'a'")
    async with opened(path) as store:
        assert [peer.id for peer in await store.load_peers()] == ["b"]


async def test_a_folder_that_cannot_be_used_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = Store(tmp_path / "file" / "journal.sqlite3")
    with pytest.raises(StoreError, match="folder is writable"):
        await store.open()
    await store.aclose()


async def test_a_journal_that_somebody_else_holds_is_not_taken_for_a_damaged_one(path: Path) -> None:
    async with opened(path):
        pass
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    store = Store(path, busy_timeout_s=0.05)
    with pytest.raises(StoreError, match="locked"):
        await store.open()
    await store.aclose()
    other.close()
    assert not damaged_beside(path)


# Versions of the schema


def run_sql(path: Path, statement: str) -> None:
    database = sqlite3.connect(path)
    with database:
        database.execute(statement)
    database.close()


def without_shared_graphs(path: Path) -> None:
    run_sql(path, "DROP TABLE graphs")
    run_sql(path, "ALTER TABLE requests DROP COLUMN parts")


def without_withdrawals(path: Path) -> None:
    without_shared_graphs(path)
    run_sql(path, "DROP TABLE unwanted")
    run_sql(path, "ALTER TABLE attempts DROP COLUMN is_victim")


def without_relays(path: Path) -> None:
    without_withdrawals(path)
    run_sql(path, "ALTER TABLE peers DROP COLUMN relay_events")


def without_notes(path: Path) -> None:
    without_relays(path)
    run_sql(path, "ALTER TABLE jobs DROP COLUMN notes")


def without_rules_and_lessons(path: Path) -> None:
    without_notes(path)
    run_sql(path, "DROP TABLE learned")
    for column in ("exclusive", "only_idle", "hours"):
        run_sql(path, f"ALTER TABLE peers DROP COLUMN {column}")


def without_inputs_and_places(path: Path) -> None:
    without_rules_and_lessons(path)
    for table in ("inputs", "places"):
        run_sql(path, f"DROP TABLE {table}")


def without_request_ids(path: Path) -> None:
    without_inputs_and_places(path)
    run_sql(path, "DROP INDEX ix_jobs_request_id")
    run_sql(path, "ALTER TABLE jobs DROP COLUMN request_id")


async def test_a_journal_of_a_newer_version_is_refused_and_left_alone(path: Path) -> None:
    async with opened(path) as store:
        await store.save_job(job(1))
    run_sql(path, "UPDATE meta SET value = '999' WHERE key = 'schema'")
    store = Store(path)
    with pytest.raises(StoreError, match="newer Remote Dispatch"):
        await store.open()
    await store.aclose()
    run_sql(path, f"UPDATE meta SET value = '{len(STEPS) + 1}' WHERE key = 'schema'")
    async with opened(path) as again:
        assert len(await again.load_jobs()) == 1


async def test_a_journal_from_before_attempts_were_timed_keeps_them(path: Path) -> None:
    wanted = dataclasses.replace(job(1), attempts=(Attempt("p", "peer-1", NOW, NOW, "done"),))
    async with opened(path) as store:
        await store.save_job(wanted)
    for column in (
        "attempts DROP COLUMN begun_at",
        "attempts DROP COLUMN loaded_at",
        "peers DROP COLUMN tls",
    ):
        run_sql(path, f"ALTER TABLE {column}")
    without_request_ids(path)
    run_sql(path, "UPDATE meta SET value = '1' WHERE key = 'schema'")
    async with opened(path) as again:
        assert (await again.load_jobs())[0].attempts == wanted.attempts
        attempt = dataclasses.replace(wanted.attempts[0], begun_at=NOW, loaded_at=NOW)
        timed = wanted.evolve(attempts=(attempt,))
        await again.save_job(timed)
        assert (await again.load_jobs())[0].attempts == timed.attempts


async def test_a_journal_from_before_certificates_were_pinned_keeps_its_peers(path: Path) -> None:
    peer = BackendConfig("a", url="https://gpu-2")
    async with opened(path) as store:
        await store.save_peer(peer)
    without_request_ids(path)
    run_sql(path, "ALTER TABLE peers DROP COLUMN tls")
    run_sql(path, "UPDATE meta SET value = '2' WHERE key = 'schema'")
    async with opened(path) as again:
        assert await again.load_peers() == (peer,)
        pinned = dataclasses.replace(peer, tls="sha256:" + "0" * 64)
        await again.save_peer(pinned)
        assert await again.load_peers() == (pinned,)


async def test_a_journal_from_before_requests_had_ids_keeps_its_jobs(path: Path) -> None:
    async with opened(path) as store:
        await store.save_job(job(1))
    without_request_ids(path)
    run_sql(path, "UPDATE meta SET value = '3' WHERE key = 'schema'")
    async with opened(path) as again:
        assert len(await again.load_jobs()) == 1
        named = dataclasses.replace(job(2), request=dataclasses.replace(job(2).request, request_id="r"))
        await again.save_job(named)
        assert await again.load_jobs_of("r") == (named,)
        assert await again.load_jobs_of("x") == ()


async def test_a_journal_from_before_the_line_was_kept_gets_inputs_and_places(path: Path) -> None:
    async with opened(path) as store:
        await store.save_job(job(1))
    without_inputs_and_places(path)
    run_sql(path, "UPDATE meta SET value = '4' WHERE key = 'schema'")
    async with opened(path) as again:
        assert await again.load_jobs() == (job(1),)
        sent = job(1, inputs=(InputFile("a.png", "0" * 64),))
        await again.save_job(sent)
        await again.save_places({"job-1": (-2.0, -1.0)})
        assert await again.load_jobs() == (sent,)
        assert await again.load_places() == {"job-1": (-2.0, -1.0)}
        await again.save_job(sent.evolve(state=JobState.DONE))
        assert await again.load_places() == {}
        assert await again.prune(keep=0, before=NOW + timedelta(days=1)) == 1
    database = sqlite3.connect(path)
    for table in ("inputs", "places"):
        assert database.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
    database.close()


async def test_a_journal_from_before_anything_was_learned_gets_rules_and_lessons(path: Path) -> None:
    peer = BackendConfig("a", url="http://gpu-2")
    async with opened(path) as store:
        await store.save_peer(peer)
    without_rules_and_lessons(path)
    run_sql(path, "UPDATE meta SET value = '5' WHERE key = 'schema'")
    async with opened(path) as again:
        assert await again.load_peers() == (peer,)
        assert await again.load_learned() == ()
        at_night = dataclasses.replace(peer, exclusive=True, only_idle=True, hours="22:00-07:00")
        await again.save_peer(at_night)
        assert await again.load_peers() == (at_night,)


async def test_a_journal_from_before_packs_events_were_told_on_leaves_that_to_the_address(
    path: Path,
) -> None:
    peer = BackendConfig("a", url="http://gpu.example.com")
    async with opened(path) as store:
        await store.save_peer(peer)
    without_relays(path)
    run_sql(path, "UPDATE meta SET value = '7' WHERE key = 'schema'")
    async with opened(path) as again:
        assert await again.load_peers() == (peer,) and not peer.relays_events
        trusted = dataclasses.replace(peer, relay_events=True)
        await again.save_peer(trusted)
        assert await again.load_peers() == (trusted,) and trusted.relays_events


async def test_a_journal_from_before_cancels_were_kept_keeps_them(path: Path) -> None:
    tried = job(1, attempts=(Attempt("p", "peer-1", NOW, NOW, "peer_died"),))
    async with opened(path) as store:
        await store.save_job(tried)
    without_withdrawals(path)
    run_sql(path, "UPDATE meta SET value = '8' WHERE key = 'schema'")
    async with opened(path) as again:
        assert await again.load_jobs() == (tried,)
        assert await again.load_unwanted() == ()
        unwanted = Unwanted("p", "peer-1", NOW, was_there=True)
        await again.save_unwanted(unwanted)
        assert await again.load_unwanted() == (unwanted,)
        await again.forget_unwanted("p")
        assert await again.load_unwanted() == ()


async def test_what_was_learned_of_the_master_under_its_former_id_is_kept(path: Path) -> None:
    times, others = (1.0, 2.0), LearnedRow("run", "a", "k", (3.0,))
    async with opened(path) as store:
        await store.save_learned([LearnedRow("run", "this-machine", "k", times), others])
    run_sql(path, "UPDATE meta SET value = '10' WHERE key = 'schema'")
    async with opened(path) as again:
        assert set(await again.load_learned()) == {LearnedRow("run", LOCAL_PEER_ID, "k", times), others}


async def test_a_journal_from_before_jobs_had_notes_keeps_its_jobs(path: Path) -> None:
    async with opened(path) as store:
        await store.save_job(job(1))
    without_notes(path)
    run_sql(path, "UPDATE meta SET value = '6' WHERE key = 'schema'")
    async with opened(path) as again:
        assert await again.load_jobs() == (job(1),)
        await again.save_job(job(1).noting("one file is missing"))
        assert await again.load_jobs() == (job(1).noting("one file is missing"),)


async def test_what_was_learned_is_kept_and_replaced_by_its_key(store: Store) -> None:
    first, other = LearnedRow("run", "a", "k", (1.0, 2.5)), LearnedRow("speed", "a", "", (0.5, 3.0), "note")
    await store.save_learned([first, other])
    newer = LearnedRow("run", "a", "k", (2.0, 2.5, 2.0))
    await store.save_learned([newer])
    assert set(await store.load_learned()) == {newer, other}
    await store.save_learned(
        [LearnedRow(newer.topic, newer.peer, newer.name, ()), LearnedRow("size", "", "f", ())]
    )
    assert await store.load_learned() == (other,)
    await store.save_learned([newer], only=True)
    assert await store.load_learned() == (newer,)


@pytest.mark.parametrize(
    "numbers",
    ['[1, "x', "7", "[null]", f"[1{'0' * 400}]", "[" * 200_000],
    ids=["torn", "no list", "no numbers", "too large", "nested without end"],
)
async def test_a_lesson_that_makes_no_sense_is_left_out(path: Path, numbers: str) -> None:
    kept = LearnedRow("run", "a", "k", (1.0, 2.5))
    async with opened(path) as store:
        await store.save_learned([kept, LearnedRow("run", "b", "k", (1.0,))])
    run_sql(path, f"UPDATE learned SET numbers = '{numbers}' WHERE peer = 'b'")
    async with opened(path) as again:
        assert await again.load_learned() == (kept,)


async def test_places_of_jobs_that_are_not_in_the_journal_are_left_out(store: Store) -> None:
    await store.save_job(job(1))
    await store.save_places({"job-1": (0.0, 1.0), "a node's": (0.0, 2.0)})
    assert await store.load_places() == {"job-1": (0.0, 1.0)}


def test_an_older_journal_goes_through_each_step_it_lacks_once() -> None:
    taken: list[str] = []

    def step(name: str) -> Callable[[sa.Connection], None]:
        return lambda db: taken.append(name)

    engine = sa.create_engine("sqlite://")
    with engine.begin() as db:
        upgrade(db, ())
    with engine.begin() as db:
        upgrade(db, (step("1 to 2"), step("2 to 3")))
    with engine.begin() as db:
        upgrade(db, (step("1 to 2"), step("2 to 3"), step("3 to 4")))
    engine.dispose()
    assert taken == ["1 to 2", "2 to 3", "3 to 4"]


def test_a_new_journal_needs_no_steps() -> None:
    def step(db: sa.Connection) -> None:
        raise AssertionError("a new file has the newest tables at once")

    engine = sa.create_engine("sqlite://")
    with engine.begin() as db:
        upgrade(db, (step,))
    engine.dispose()


async def test_a_step_that_fails_leaves_the_journal_as_it_was(path: Path) -> None:
    async with opened(path) as store:
        await store.save_job(job(1))

    def step(db: sa.Connection) -> None:
        db.execute(sa.text("DROP TABLE outputs"))
        raise ValueError("half way")

    store = Store(path, steps=(*STEPS, step))
    with pytest.raises(StoreError, match="half way"):
        await store.open()
    await store.aclose()
    async with opened(path) as again:
        assert len(await again.load_jobs()) == 1
