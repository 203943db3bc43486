"""Fixtures: a running fleet, and sessions with the master and its peers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.rig.environment import Setup
from tests.rig.fleet import Fleet

from .session import Session, until


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """One master and two peers, registered, for all tests of the run."""
    with Fleet(Setup(), tmp_path_factory.mktemp("fleet")) as running:
        running.register_peers()
        yield running


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def master(fleet: Fleet, http: aiohttp.ClientSession) -> Session:
    """The master, with both peers up and idle."""
    session = Session(http, fleet.master.url, fleet.token)
    await until(session.peers_are_up, "the peers are up")
    return session


@pytest.fixture
async def peers(fleet: Fleet, http: aiohttp.ClientSession) -> list[Session]:
    return [Session(http, peer.url) for peer in fleet.peers]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """Where a test's own extra processes live."""
    return tmp_path


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Function, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    fleet = item.funcargs.get("fleet")
    if report.failed and call.when == "call" and isinstance(fleet, Fleet):
        report.sections.append(("what the fleet did", fleet.account()))
    return report
