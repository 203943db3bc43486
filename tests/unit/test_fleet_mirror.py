"""What a client and the host's history are told of a fleet job."""

from __future__ import annotations

import asyncio
import json
import struct
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.backends.events import PeerEvent, PreviewFrame, RawFrame
from orchestrator.core.models.backend import LOCAL_PEER_ID, BackendConfig
from orchestrator.core.models.job import Attempt, Job, JobRequest, JobState, Source
from orchestrator.core.workflow.object_info import ObjectInfo
from orchestrator.dispatch.attempts.live_outputs import NodeOutput
from orchestrator.host.fleet.events import MESSAGES_MAX, NODES_MAX, Trail
from orchestrator.host.fleet.mirror import FleetMirror
from orchestrator.host.page.outbox import BEHIND
from orchestrator.host.page.pack_events import PackEvents
from orchestrator.host.page.sockets import Sockets

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
LATER = NOW + timedelta(minutes=1)
PROMPT = {"1": {"class_type": "Work", "inputs": {}}, "9": {"class_type": "Output", "inputs": {}}}
WAITING = Job("job", JobRequest(prompt=PROMPT, source=Source.FLEET, client_id="page"), NOW)
INFO = ObjectInfo({"Work": {"input": {}, "output": [], "python_module": "custom_nodes.A-Pack"}})
PEER = BackendConfig("a", url="http://127.0.0.1:1")
ATTEMPT = (Attempt("there", "a", NOW, begun_at=NOW),)
RUNNING = WAITING.to(JobState.RUNNING, backend_id="a", attempts=ATTEMPT)


class Socket:
    """A client that reads; `asleep` until it is woken."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.awake = asyncio.Event()
        self.awake.set()

    async def send_str(self, text: str) -> None:
        await self.awake.wait()
        self.heard.append(json.loads(text))

    async def send_bytes(self, data: bytes) -> None:
        await self.awake.wait()
        self.heard.append(data)

    def kinds(self) -> list[Any]:
        return [message if isinstance(message, bytes) else message["type"] for message in self.heard]


class Surroundings:
    """Stands in for the server, the runtime and the native queue."""

    def __init__(self) -> None:
        self.page, self.other = Socket(), Socket()
        self.sockets = {"page": self.page, "other": self.other}
        self.sockets_metadata: dict[str, Any] = {}
        self.history: list[tuple[str, Any]] = []
        self.known: list[Job] = []
        self.manager = SimpleNamespace(find=lambda peer: PEER, get_object_info=lambda peer: INFO)
        self.jobs = SimpleNamespace(
            all=lambda: self.known, on_change=self.on_change, on_message=self.on_message
        )
        packs = PackEvents(self, lambda name: "custom_nodes.a_pack")  # type: ignore[arg-type]
        is_output = "Output".__eq__
        mirror = FleetMirror(self, Sockets(self), self, self, packs, is_output)  # type: ignore[arg-type]
        mirror.start()
        self.mirror = mirror

    def on_change(self, listener: Any) -> None:
        self.tell = listener

    def on_message(self, listener: Any) -> None:
        self.say = listener

    def event(self, kind: str, job: Job = RUNNING, **data: Any) -> None:
        self.say(job, PeerEvent(kind, {**data, "prompt_id": job.attempts[-1].prompt_id}))

    def next_number(self) -> int:
        return 1

    def show_waiting(self, job_id: str, item: Any) -> None: ...

    def show_running(self, job_id: str, item: Any) -> None:
        self.item = item

    def forget(self, job_id: str) -> None: ...

    def finish(
        self, job_id: str, item: Any, outputs: Any, meta: Any, is_done: bool, messages: list[tuple[str, Any]]
    ) -> None:
        self.item, self.meta, self.history = item, meta, messages


async def delivered() -> None:
    for _ in range(20 * BEHIND):
        await asyncio.sleep(0)


def begun(job: Job = RUNNING, *, knows_event_4: bool = False) -> Surroundings:
    around = Surroundings()
    if knows_event_4:
        around.sockets_metadata = {"page": {"feature_flags": {"supports_preview_metadata": True}}}
    around.tell(replace(WAITING, request=job.request))
    around.tell(job)
    return around


def picture(data: bytes, node_id: str = "1", **meta: Any) -> PreviewFrame:
    about = {"node_id": node_id, "display_node_id": node_id, "parent_node_id": None, "real_node_id": node_id}
    return PreviewFrame("there", node_id, node_id, "image/png", data, {**about, **meta})


@pytest.mark.parametrize("back_to", [WAITING, WAITING.evolve(backend_id=LOCAL_PEER_ID)])
async def test_nothing_of_a_lost_attempt_is_told_of_the_next(back_to: Job) -> None:
    around = begun()
    around.event("execution_cached", nodes=["1", "2"])
    around.event("progress_state", nodes={})
    around.tell(back_to)
    around.known = [RUNNING]
    around.tell(RUNNING)
    await delivered()
    around.page.heard.clear()
    around.mirror.greet("page")
    await delivered()
    assert not around.page.heard
    around.event("execution_cached", nodes=["1"])
    around.tell(RUNNING.to(JobState.DONE, ended_at=NOW))
    cached = [data["nodes"] for kind, data in around.history if kind == "execution_cached"]
    assert cached == [["1"]]


@pytest.mark.parametrize(("is_connected", "is_told"), [(True, ["executed"]), (False, [])])
async def test_a_result_gets_its_name_early_only_where_somebody_hears_of_it(
    is_connected: bool, is_told: list[str]
) -> None:
    around = begun()
    await delivered()
    around.page.heard.clear()
    if not is_connected:
        del around.sockets["page"]
    asked = []

    def shown() -> asyncio.Future[Any]:
        asked.append(asyncio.get_running_loop().create_future())
        asked[-1].set_result({"images": []})
        return asked[-1]

    around.say(RUNNING, NodeOutput("executed", {"node": "9", "prompt_id": "there"}, shown=shown))
    await delivered()
    assert (around.page.kinds(), len(asked)) == (is_told, len(is_told))


async def test_a_job_that_nobody_else_takes_ends_with_the_words_of_its_last_attempt() -> None:
    around = begun()
    around.event("execution_cached", nodes=["1"])
    waits_again = RUNNING.to(JobState.WAITING, backend_id="")
    around.tell(waits_again)
    error = {"code": "execution_error", "node_id": "9", "exception_message": "no"}
    around.tell(waits_again.to(JobState.FAILED, ended_at=LATER, error=error))
    assert [kind for kind, _ in around.history] == ["execution_start", "execution_cached", "execution_error"]
    start, _, end = (data for _, data in around.history)
    assert end["timestamp"] - start["timestamp"] == 60_000


async def test_a_prompt_that_is_tried_again_starts_once_and_its_pictures_arrive_once() -> None:
    around = begun()
    around.say(RUNNING, picture(b"first", "9"))
    around.event("progress", value=1, max=2, node="9")
    around.tell(WAITING)
    around.tell(RUNNING)
    around.say(RUNNING, picture(b"preview"))
    around.say(RUNNING, picture(b"first", "9"))
    around.say(RUNNING, picture(b"second", "9"))
    around.event("executing", node=None)
    await delivered()
    told = [kind if isinstance(kind, str) else kind[8:] for kind in around.page.kinds()]
    assert told == ["execution_start", "progress", b"first", b"preview", b"second"]


async def test_a_client_that_comes_back_hears_where_its_prompt_is_and_no_second_start() -> None:
    around = begun()
    around.known = [RUNNING]
    around.event("executing", node="1")
    around.event("progress_state", nodes={})
    around.event("progress", value=1, max=2, node="1")
    await delivered()
    around.page.heard.clear()
    around.mirror.greet("page")
    await delivered()
    assert around.page.kinds() == ["executing", "progress_state"]


async def test_every_message_reaches_the_client_that_asked_in_its_order_under_its_own_prompt_id() -> None:
    around = begun()
    for step in range(3):
        around.event("progress_state", nodes={"1": {"value": step, "prompt_id": "there"}})
        around.event("progress", value=step, max=3, node="1")
    around.event("executing", node="9", display_node="9")
    around.event("executing", node=None)
    around.event("execution_success")
    await delivered()
    kinds = around.page.kinds()
    assert kinds == ["execution_start", *["progress_state", "progress"] * 3, "executing"]
    assert "there" not in json.dumps(around.page.heard)
    assert not around.other.heard


async def test_a_client_that_lags_behind_misses_only_what_newer_messages_supersede() -> None:
    around = begun()
    around.page.awake.clear()
    for number in range(10 * BEHIND):
        around.event("progress", value=number, max=1, node="1")
        around.say(RUNNING, picture(b"preview"))
        around.say(RUNNING, picture(b"result %d" % number, "9"))
    around.event("executing", node="9")
    await delivered()
    around.page.awake.set()
    await delivered()
    kinds = around.page.kinds()
    results = [frame[8:] for frame in kinds if isinstance(frame, bytes) and b"result" in frame]
    assert results == [b"result %d" % number for number in range(10 * BEHIND)]
    assert kinds[-1] == "executing"
    told = [message["data"].get("value") for message in around.page.heard if isinstance(message, dict)][1:-1]
    assert told[-1] == 10 * BEHIND - 1 and len(told) < BEHIND


async def test_a_client_that_does_not_know_event_4_gets_event_1_after_its_progress() -> None:
    around = begun()
    around.say(RUNNING, picture(b"PIC"))
    around.event("progress", value=1, max=1, node="1")
    around.say(RUNNING, picture(b"LAST"))
    around.event("executing", node="9")
    await delivered()
    old = struct.pack(">II", 1, 2)
    assert around.page.kinds()[1:] == ["progress", old + b"PIC", old + b"LAST", "executing"]


async def test_a_client_that_knows_event_4_gets_it_with_the_peers_own_ids() -> None:
    around = begun()
    around.sockets_metadata = {"page": {"feature_flags": {"supports_preview_metadata": True}}}
    around.say(RUNNING, picture(b"PIC", "9.0.0.1", parent_node_id="9", prompt_id="there", more="x"))
    around.event("progress", value=1, max=1, node="1")
    await delivered()
    frame = around.page.heard[1]
    kind, length = struct.unpack_from(">II", frame)
    meta = json.loads(frame[8 : 8 + length])
    assert (kind, frame[8 + length :]) == (4, b"PIC")
    assert meta == {
        **{"node_id": "9.0.0.1", "prompt_id": "job", "display_node_id": "9.0.0.1"},
        **{"parent_node_id": "9", "real_node_id": "9.0.0.1", "image_type": "image/png"},
    }


def both(around: Surroundings) -> None:
    """Two prompts of one client, on two peers at once; the second one's peer is the quicker one."""
    second = replace(RUNNING, id="second", attempts=(Attempt("elsewhere", "b", NOW, begun_at=NOW),))
    around.tell(replace(WAITING, id="second"))
    around.tell(second)
    for job, said in ((RUNNING, b"one"), (second, b"two"), (second, b"TWO"), (RUNNING, b"ONE")):
        around.event("executing", job, node="9")
        around.say(job, replace(picture(said, "9"), prompt_id=job.attempts[-1].prompt_id, meta=None))
    around.tell(second.to(JobState.DONE, ended_at=NOW))
    around.tell(RUNNING.to(JobState.DONE, ended_at=NOW))


def stories(heard: list[Any]) -> list[Any]:
    """Pictures as they are; of other messages the prompt."""
    return [said[8:] if isinstance(said, bytes) else said["data"]["prompt_id"] for said in heard]


async def test_a_client_that_cannot_tell_two_prompts_apart_hears_of_one_after_the_other() -> None:
    around = begun()
    both(around)
    await delivered()
    one = ["job", "job", b"one", "job", b"ONE", "job", "job"]
    two = ["second", "second", b"two", "second", b"TWO", "second", "second"]
    assert stories(around.page.heard) == [*one, *two]


async def test_a_client_that_knows_the_prompt_of_each_frame_hears_of_all_at_once() -> None:
    around = begun(knows_event_4=True)
    both(around)
    await delivered()
    told = stories(around.page.heard)
    assert told.index("second") < told.index(b"ONE")


async def test_a_prompt_that_is_gone_holds_nobody_up() -> None:
    for gone in (
        RUNNING.to(JobState.CANCELLED, ended_at=NOW),
        RUNNING.evolve(backend_id=LOCAL_PEER_ID),
        WAITING,
    ):
        around = begun()
        second = replace(RUNNING, id="second", attempts=(Attempt("elsewhere", "b", NOW, begun_at=NOW),))
        around.tell(second)
        around.tell(gone)
        await delivered()
        assert stories(around.page.heard)[-1] == "second"


async def test_nothing_is_kept_for_a_client_that_is_not_there() -> None:
    around = Surroundings()
    del around.sockets["page"]
    second = replace(RUNNING, id="second", attempts=(Attempt("elsewhere", "b", NOW, begun_at=NOW),))
    for job in (RUNNING, second, second.to(JobState.DONE, ended_at=NOW)):
        around.tell(job)
    around.sockets["page"] = around.page
    around.tell(RUNNING.to(JobState.DONE, ended_at=NOW))
    await delivered()
    assert set(stories(around.page.heard)) == {"job"}


async def test_a_prompt_that_began_and_is_stopped_while_it_waits_again_is_told_to_have_ended() -> None:
    around = begun()
    around.tell(WAITING)
    around.tell(WAITING.to(JobState.CANCELLED, ended_at=NOW))
    await delivered()
    assert around.page.kinds() == ["execution_start", "execution_interrupted", "executing"]
    assert around.history[-1][0] == "execution_interrupted"


async def test_other_binary_frames_pass_as_they_are() -> None:
    around = begun()
    around.say(RUNNING, RawFrame("there", 3, b"\0\0\0\x011hello"))
    around.say(RUNNING, PreviewFrame("there", "1", "1", "image/jpeg", b"own", None, format=7))
    await delivered()
    assert around.page.kinds()[1:] == [b"\0\0\0\3\0\0\0\x011hello", struct.pack(">II", 1, 7) + b"own"]


async def test_a_prompt_without_a_client_id_is_told_to_all_as_far_as_the_host_does() -> None:
    unnamed = replace(RUNNING, request=replace(RUNNING.request, client_id=""))
    around = begun(unnamed)
    around.sockets_metadata = {"page": {"feature_flags": {"supports_preview_metadata": True}}}
    around.event("executing", unnamed, node="1")
    around.say(unnamed, picture(b"PIC"))
    around.event("progress", unnamed, value=1, max=1, node="1")
    around.tell(unnamed.to(JobState.DONE, ended_at=NOW, shown={"9": {"text": ["x"]}}))
    await delivered()
    assert around.page.kinds() == around.other.kinds() == ["progress", struct.pack(">II", 1, 2) + b"PIC"]
    assert "client_id" not in around.item[3]


async def test_an_interrupt_names_the_node_at_work_and_those_that_were_done() -> None:
    around = begun()
    around.event("execution_cached", nodes=["3"])
    around.event("executing", node="9", display_node="9")
    states = {"3": "finished", "1": "finished", "9": "running"}
    nodes = {node_id: {"state": state, "real_node_id": node_id} for node_id, state in states.items()}
    around.event("progress_state", nodes=nodes)
    around.tell(RUNNING.to(JobState.CANCELLED, ended_at=NOW))
    kind, data = around.history[-1]
    assert kind == "execution_interrupted"
    assert (data["node_id"], data["node_type"], data["executed"]) == ("9", "Output", ["1"])


async def test_an_error_is_told_in_the_nodes_own_words_with_what_helps_below_them() -> None:
    own = {"node_id": "1", "node_type": "Work", "exception_message": "it broke\n", "exception_type": "E"}
    quoted = "Work (node 1) failed on gpu: it broke"
    for code, ours, said in (
        ("execution_error", quoted, "it broke\n"),
        ("graph_error", quoted, "it broke\n"),
        ("out_of_memory", "Add memory.", "it broke\nAdd memory."),
        ("peer_broken", f"{quoted}. See its log.", "it broke\nSee its log."),
    ):
        around = begun()
        error = {**own, "code": code, "message": ours}
        around.tell(RUNNING.to(JobState.FAILED, ended_at=NOW, error=error))
        assert around.history[-1][1]["exception_message"] == said


async def test_what_the_host_s_list_of_jobs_cannot_read_is_left_out_of_the_queue() -> None:
    sent = {"extra_pnginfo": {"workflow": None, "own": 1}, "mine": None}
    around = begun(replace(RUNNING, request=replace(RUNNING.request, extra_data=sent)))
    assert around.item[3] == {
        **{"extra_pnginfo": {"own": 1}, "mine": None, "client_id": "page"},
        "create_time": int(NOW.timestamp() * 1000),
    }
    around = begun(replace(RUNNING, request=replace(RUNNING.request, extra_data={"extra_pnginfo": None})))
    assert "extra_pnginfo" not in around.item[3]


async def test_an_event_of_a_pack_reaches_the_client_while_a_node_of_that_pack_is_at_work() -> None:
    around = begun()
    own = PeerEvent("a-pack.show", {"id": "there", "value": float("nan")}, of_prompt="there")
    around.say(RUNNING, own)
    around.event("executing", node="1", display_node="1")
    around.say(RUNNING, own)
    around.event("executing", node="9", display_node="9")
    around.say(RUNNING, own)
    await delivered()
    assert around.page.kinds() == ["execution_start", "executing", "a-pack.show", "executing"]
    assert around.page.heard[2]["data"] == {"id": "job", "value": None}


def test_a_peer_that_tells_of_ever_new_nodes_is_not_listened_to_for_ever() -> None:
    trail, last = Trail(), f"1.{3 * NODES_MAX}"
    for number in range(3 * NODES_MAX + 1):
        trail.observe("executed", {"node": f"1.{number}", "display_node": "1"}, "job")
    for _ in range(2 * MESSAGES_MAX):
        trail.observe("execution_cached", {"nodes": []}, "job")
    assert (trail.display("1.0"), trail.display(last), len(trail.messages)) == ("1", last, MESSAGES_MAX)
