"""F53 of the fault list: parts of the journal are gone when it is opened, and what there is to go back to."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from orchestrator.core.models.backend import BackendConfig
from orchestrator.core.models.job import JobState
from tests.fakes.waiting import until

from .test_store import job, opened

JOBS = 40


def wal_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def contents(path: Path) -> bytes:
    """Nothing at all for a file that is not there."""
    return path.read_bytes() if path.exists() else b""


@pytest.fixture
async def crashed(tmp_path: Path) -> Path:
    """The files of a process that was killed: some jobs are in the journal's file, the rest beside it."""
    path = tmp_path / "live" / "journal.sqlite3"
    async with opened(path) as store:
        await store.save_peer(BackendConfig(id="a", host="gpu-1"))
        for number in range(JOBS // 2):
            await store.save_job(job(number))
    async with opened(path, idle_s=3600) as store:
        for number in range(JOBS // 2, JOBS):
            await store.save_job(job(number))
        assert contents(wal_of(path))
        shutil.copytree(path.parent, tmp_path / "crashed")
    return tmp_path / "crashed" / path.name


async def test_f53_after_a_sudden_death_everything_is_there_and_nothing_is_said(crashed: Path) -> None:
    async with opened(crashed) as store:
        assert (store.notice, len(await store.load_jobs())) == ("", JOBS)
    async with opened(crashed) as store:
        assert (store.notice, len(await store.load_jobs())) == ("", JOBS)


def removed(path: Path) -> None:
    wal_of(path).unlink()


def cut(path: Path) -> None:
    raw = wal_of(path).read_bytes()
    wal_of(path).write_bytes(raw[: len(raw) // 2])


def emptied(path: Path) -> None:
    wal_of(path).write_bytes(b"")


def damaged(path: Path) -> None:
    raw = bytearray(wal_of(path).read_bytes())
    middle = len(raw) // 2
    raw[middle : middle + 4096] = b"\xa5" * 4096
    wal_of(path).write_bytes(raw)


def damaged_at_its_head(path: Path) -> None:
    wal_of(path).write_bytes(b"\xa5" * 32 + wal_of(path).read_bytes()[32:])


def of_another_time(path: Path) -> None:
    """Somebody put a copy of the file alone back."""
    shutil.copyfile(path, path.with_name("backup"))
    removed(path)
    path.with_name("backup").replace(path)


def main_emptied(path: Path) -> None:
    path.write_bytes(b"")


def no_database(path: Path) -> None:
    path.write_bytes(b"no database" * 1000)


def all_but_copies_removed(path: Path) -> None:
    for other in path.parent.iterdir():
        if ".copy-" not in other.name:
            other.unlink()


@pytest.mark.parametrize("harm", [removed, cut, emptied, damaged, damaged_at_its_head, of_another_time])
async def test_f53_changes_that_are_gone_are_said_and_the_remains_kept(
    crashed: Path, harm: Callable[[Path], None]
) -> None:
    harm(crashed)
    main, wal = contents(crashed), contents(wal_of(crashed))
    async with opened(crashed) as store:
        assert "lacks what was written last" in store.notice
        jobs = await store.load_jobs()
        assert JOBS // 2 <= len(jobs) < JOBS
        assert [peer.id for peer in await store.load_peers()] == ["a"]
        await store.save_job(job(99))
        [aside] = [p for p in crashed.parent.glob("*.damaged-*") if not p.name.endswith(("-wal", "-shm"))]
        assert str(aside) in store.notice
    assert (contents(aside), contents(wal_of(aside))) == (main, wal)
    async with opened(crashed) as store:  # it is said once
        assert (store.notice, len(await store.load_jobs())) == ("", len(jobs) + 1)


@pytest.mark.parametrize("is_left", [True, False], ids=["empty", "gone"])
@pytest.mark.parametrize("has_copy", [True, False], ids=["with a copy", "without one"])
async def test_f53_a_file_that_is_empty_or_gone_is_said_with_where_the_rest_lies(
    crashed: Path, is_left: bool, has_copy: bool
) -> None:
    if has_copy:
        async with opened(crashed) as store:
            await store.copy_daily(date(2026, 11, 30))
    (main_emptied if is_left else Path.unlink)(crashed)
    async with opened(crashed) as store:
        assert ("was empty" if is_left else "was gone") in store.notice
        assert await store.load_jobs() == ()  # a copy's job may have been done since
        peers = [peer.id for peer in await store.load_peers()]
        assert peers == (["a"] if has_copy else [])
        wanted = "journal.sqlite3.copy-2026-11-30" if has_copy else "add your peers again"
        assert wanted in store.notice
    if not has_copy:
        assert any(map(contents, crashed.parent.glob("*.damaged-*-wal")))
    async with opened(crashed) as store:
        assert store.notice == ""


async def test_f53_a_copy_is_found_although_all_else_is_gone(crashed: Path) -> None:
    async with opened(crashed) as store:
        await store.copy_daily(date(2026, 11, 30))
    all_but_copies_removed(crashed)
    async with opened(crashed) as store:
        assert "was gone" in store.notice and "copy-2026-11-30" in store.notice


async def test_f53_a_damaged_journal_names_its_newest_copy(crashed: Path) -> None:
    async with opened(crashed) as store:
        await store.copy_daily(date(2026, 11, 29))
        await store.copy_daily(date(2026, 11, 30))
    no_database(crashed)
    async with opened(crashed) as store:
        assert "was damaged" in store.notice and "copy-2026-11-30" in store.notice
        assert [peer.id for peer in await store.load_peers()] == ["a"]


async def test_f53_a_copy_of_the_file_alone_taken_while_idle_holds_everything(tmp_path: Path) -> None:
    path, backup = tmp_path / "journal.sqlite3", tmp_path / "backup.sqlite3"
    async with opened(path, idle_s=0.01) as store:
        for number in range(JOBS):
            await store.save_job(job(number))
        await until(lambda: not contents(wal_of(path)), "it is idle")
        shutil.copyfile(path, backup)
        async with opened(backup) as again:
            assert (again.notice, await again.load_jobs()) == ("", await store.load_jobs())
        await store.save_job(job(1, JobState.DONE))
    assert not contents(wal_of(path))


async def test_f53_there_is_a_copy_for_each_of_the_last_three_days(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    async with opened(path) as store:
        for day in range(1, 6):
            await store.save_job(job(day))
            await store.copy_daily(date(2026, 11, day))
            await store.copy_daily(date(2026, 11, day))
        copies = sorted(path.parent.glob("*.copy-*"))
        assert [copy.name[-2:] for copy in copies] == ["03", "04", "05"]
    for number, copy in enumerate(copies, 3):
        database = sqlite3.connect(copy)
        assert database.execute("SELECT count(*) FROM jobs").fetchone() == (number,)
        database.close()


async def test_f53_the_first_start_says_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path / "journal.sqlite3") as store:
        assert store.notice == ""
