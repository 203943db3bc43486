"""A client of fleet mode hears and reads what a plain ComfyUI would tell it, message by message.

Each case is recorded twice with the same prompt: on a peer itself, and on the master in fleet mode, which
sends it to another peer. What still differs stands in ``KNOWN``, with its reason.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.rig.recorder import Recorder, Recording, differences

from .graphs import Graph, node, sampled, sleep, stamp
from .session import Session, until

pytestmark = pytest.mark.e2e

#: Differences that stay, in every case: what the line looks like, and why.
KNOWN: Mapping[str, str] = {
    r"^[+-] execution_start ": "by `remote` the page tells a run of the fleet from one here",
}
NAMES_THE_PEERS = {
    r"^[+-] answer \[400": "a refusal marks the same nodes, and says for each peer what it lacks",
}
RUNS_ITS_SAVER_AGAIN = {
    r"^[+-] (history message )?execution_cached ": "each attempt has names of its own for its files, so that"
    " no two runs mix them up on a peer: a node that saves runs again although all else is in the cache",
    r'^[+-] progress_state .*"9"': "the saving node runs",
    r'^[+] executing .*"9"': "the saving node runs",
    r"^[+] history (output|meta) 9": "without a client id a plain ComfyUI forgets what is in the cache",
}
IN_A_FOLDER_OF_THE_JOB = {
    r'^[+-] (executed|history output 9) .*"type": "temp"': "temporary files of several peers would mix: they"
    " lie in a folder of their job",
}
UNTIL_IT_HEARS = {
    r'^[+-] progress(_state)? .*"10"': "how many steps it makes until it hears of the interrupt is chance",
}
NOT_OF_A_SHARED_PACK = {
    r"^- test-tells ": "a pack's event is told on only where this computer has that pack",
}


@dataclass(frozen=True)
class Case:
    """``before``: the same prompt runs once before it is recorded. ``known``: differences of this case."""

    graph: Callable[[int], Graph]
    body: Mapping[str, Any] = field(default_factory=dict)
    act: Callable[[Recorder], Awaitable[None]] | None = None
    before: bool = False
    known: Mapping[str, str] = field(default_factory=dict)


def saved(graph: Graph, source: str = "1") -> Graph:
    return {**graph, "9": node("SaveImage", images=[source, 0], filename_prefix="recorded/a")}


def busy(seed: int) -> Graph:
    """Its steps are further apart than ComfyUI 0.33 tells any (0.1 s): so both tell the same ones."""
    graph = saved(sleep(seed, 2.0), "10")
    graph["10"]["inputs"]["steps"] = 8
    return graph


def invalid_value(seed: int) -> Graph:
    # Of ComfyUI's own class: what a pack's class takes, only the peer can tell.
    return saved({"1": node("EmptyImage", width=-5, height=16, batch_size=1, color=seed)})


def partly_invalid(seed: int) -> Graph:
    return {**saved(stamp(seed)), "8": node("SaveImage", filename_prefix="recorded/b")}


async def runs(recorder: Recorder) -> None:
    """Until it is at the node that takes its time."""

    def is_at_work() -> bool:
        return any(message.get("type") == "progress" for message in recorder.recording.told)

    await recorder.until(is_at_work)


async def interrupt(recorder: Recorder) -> None:
    await runs(recorder)
    await recorder.post("/interrupt", {})


async def interrupt_by_id(recorder: Recorder) -> None:
    await runs(recorder)
    await recorder.post("/interrupt", {"prompt_id": recorder.recording.prompt_id})


async def clear(recorder: Recorder) -> None:
    await runs(recorder)
    await recorder.post("/queue", {"clear": True})


EXTRA = {
    "extra_pnginfo": {"workflow": {"id": "w", "nodes": []}, "mine": [1]},
    "a_pack": {"key": 1},
    "x": None,
}
CASES: Mapping[str, Case] = {
    "plain": Case(lambda seed: saved(stamp(seed))),
    "cached": Case(lambda seed: saved(stamp(seed)), before=True, known=RUNS_ITS_SAVER_AGAIN),
    "sampled": Case(lambda seed: saved(sampled(seed), "5")),
    "websocket": Case(
        lambda seed: {**stamp(seed, batch=8), "9": node("SaveImageWebsocket", images=["1", 0])}
    ),
    "preview": Case(
        lambda seed: {**stamp(seed), "9": node("PreviewImage", images=["1", 0])}, known=IN_A_FOLDER_OF_THE_JOB
    ),
    "text": Case(
        lambda seed: {"1": node("PrimitiveInt", value=seed), "9": node("PreviewAny", source=["1", 0])}
    ),
    "tells": Case(
        lambda seed: saved({**stamp(seed), "2": node("TestTells", value=["1", 0], text="ü")}, "2"),
        known=NOT_OF_A_SHARED_PACK,
    ),
    "error": Case(
        lambda seed: saved({**stamp(seed), "2": node("TestError", value=["1", 0], text="no")}, "2")
    ),
    "invalid class": Case(lambda seed: saved({"1": node("NobodyHasThis")}), known=NAMES_THE_PEERS),
    "invalid value": Case(invalid_value, known=NAMES_THE_PEERS),
    "partly invalid": Case(partly_invalid),
    "own extra data": Case(lambda seed: saved(stamp(seed)), {"extra_data": EXTRA}),
    "own prompt id": Case(lambda seed: saved(stamp(seed)), {"prompt_id": ""}),
    "own id, no UUID": Case(lambda seed: saved(stamp(seed)), {"prompt_id": "../my job #"}),
    "front": Case(lambda seed: saved(stamp(seed)), {"front": True}),
    "number": Case(lambda seed: saved(stamp(seed)), {"number": 7}),
    "interrupt": Case(busy, act=interrupt, known=UNTIL_IT_HEARS),
    "interrupt by id": Case(busy, act=interrupt_by_id, known=UNTIL_IT_HEARS),
    "clear": Case(busy, act=clear),
    "expanded": Case(lambda seed: saved({"1": node("TestExpand", seed=seed)})),
}
CLIENTS = {"flags": (True, True), "legacy": (False, True), "no client id": (False, False)}


async def version(server: Session) -> str:
    return str((await server.get("/system_stats"))["system"]["comfyui_version"])


@pytest.fixture
async def one_peer(master: Session) -> AsyncIterator[Session]:
    """The master in fleet mode, with its second peer alone: the first one is the plain ComfyUI."""
    first = (await master.peers())["peer-1"]["id"]
    await master.patch(f"/orchestrator/peers/{first}", {"enabled": False})
    await master.patch("/orchestrator/settings", {"fleet_mode": True})
    yield master
    await master.patch("/orchestrator/settings", {"fleet_mode": False})
    await master.patch(f"/orchestrator/peers/{first}", {"enabled": True})
    await until(master.peers_are_up, "the peers are up")


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("name", CASES)
async def test_fleet_mode_tells_a_client_what_a_plain_comfyui_tells_it(
    one_peer: Session, peers: list[Session], name: str, client: str
) -> None:
    case, (flags, with_client_id) = CASES[name], CLIENTS[client]
    if case.act is not None and client == "no client id" and name != "interrupt":
        pytest.skip("one without a client id is enough")
    if name == "own id, no UUID" and await version(peers[0]) != await version(one_peer):
        pytest.skip("which ids are taken is up to the version of each ComfyUI")
    seed = 10_000 + 100 * list(CASES).index(name) + list(CLIENTS).index(client)

    async def recorded(server: Session) -> Recording:
        recorder = Recorder(server.http, server.url, flags=flags, with_client_id=with_client_id)
        body: dict[str, Any] = {"prompt": case.graph(seed), **case.body}
        if "prompt_id" in body:
            body["prompt_id"] = f"{body['prompt_id']}{seed}" if body["prompt_id"] else str(uuid.uuid4())
        if case.before:
            await server.run(case.graph(seed), client_id="somebody else")
        recording = await recorder.record(body, case.act)
        if case.act is not None:
            await until(server.is_idle, "the queue is empty")
        return recording

    plain, fleet = await recorded(peers[0]), await recorded(one_peer)
    known = {**KNOWN, **case.known}
    found = differences(plain, fleet)
    unknown = [line for line in found if not any(re.search(pattern, line) for pattern in known)]
    assert not unknown, "\n".join(unknown)
