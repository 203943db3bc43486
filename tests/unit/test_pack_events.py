"""Which events of a peer's node packs are told on."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.backends.wire import PeerEvent
from orchestrator.core.models.backend import BackendConfig
from orchestrator.core.models.job import Job, JobRequest, JobState
from orchestrator.core.workflow.object_info import ObjectInfo
from orchestrator.host.page.pack_events import EVENT_MAX_BYTES, PER_S, PackEvents, pack_of

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
PROMPT = {"1": {"class_type": "Chooser", "inputs": {}}}
JOB = Job("job", JobRequest(prompt=PROMPT), NOW).to(JobState.RUNNING, backend_id="a")
OWN = BackendConfig("a", url="http://192.168.1.20:8188")
EVENT = PeerEvent("chooser-open", {"urls": ["a.png"]})


class Packs:
    """This computer has the class from `module`; the peer has it from `theirs`."""

    def __init__(
        self, peer: BackendConfig = OWN, module: str = "custom_nodes.cg-chooser", theirs: str = ""
    ) -> None:
        self.now = 0.0
        info = ObjectInfo(
            {"Chooser": {"input": {}, "output": [], "python_module": theirs or "custom_nodes.cg-chooser"}}
        )
        manager = SimpleNamespace(find=lambda _: peer, get_object_info=lambda _: info)
        runtime: Any = SimpleNamespace(manager=manager)
        self.events = PackEvents(runtime, lambda class_type: module, lambda: self.now)

    def told(self, event: PeerEvent = EVENT, node_id: str = "1") -> Any:
        return self.events.data_of(JOB, event, node_id)


def test_an_event_of_a_class_that_this_machine_has_from_the_same_pack_is_told_on() -> None:
    assert Packs().told() == {"urls": ["a.png"]}
    assert Packs().told(PeerEvent("chooser-open", {}, other="just a text")) == "just a text"


@pytest.mark.parametrize(
    "packs",
    [
        Packs(module=""),
        Packs(module="custom_nodes.another-pack"),
        Packs(module="nodes", theirs="nodes"),
        Packs(theirs="comfy_extras.nodes_images"),
        Packs(BackendConfig("a", url="https://gpu.example.com")),
        Packs(BackendConfig("a", url="http://8.8.8.8")),
        Packs(replace(OWN, relay_events=False)),
    ],
)
def test_others_are_not(packs: Packs) -> None:
    assert packs.told() is None


def test_a_peer_elsewhere_is_heard_once_its_owner_says_so() -> None:
    assert Packs(BackendConfig("a", url="https://gpu.example.com", relay_events=True)).told()


@pytest.mark.parametrize("host", ["127.0.0.1", "10.1.2.3", "[fd00::1]", "gpu-2", "gpu.local", "gpu.lan"])
def test_a_private_network_counts_as_ones_own(host: str) -> None:
    assert Packs(BackendConfig("a", url=f"http://{host}:8188")).told()


@pytest.mark.parametrize(
    "kind",
    [
        *("executed", "status", "execution_error", "orchestrator.jobs", "logs", "assets.seed"),
        *("graphChanged", "promptQueued", "reconnected", "b_preview", "progress_text"),
        *("x" * 101, "a\nb", ""),
    ],
)
def test_what_comfyui_the_page_or_this_product_say_is_no_packs_event(kind: str) -> None:
    assert Packs().told(PeerEvent(kind, {"a": 1})) is None


def test_while_no_node_or_an_unknown_one_is_at_work_nothing_is_told() -> None:
    assert Packs().told(node_id="") is None and Packs().told(node_id="7") is None


def test_an_event_that_is_too_large_is_not_told() -> None:
    assert Packs().told(PeerEvent("chooser-open", {"text": "x" * EVENT_MAX_BYTES})) is None


def test_a_job_tells_no_more_than_so_many_a_second() -> None:
    packs = Packs()
    assert sum(packs.told() is not None for _ in range(5 * PER_S)) == PER_S
    packs.now = 1.0
    assert packs.told() is not None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("custom_nodes.ComfyUI-Impact-Pack", "custom_nodes.comfyui-impact-pack"),
        ("custom_nodes.was_node_suite", "custom_nodes.WAS-node-suite"),
        ("custom_nodes.a-pack-main", "custom_nodes.a-pack"),
        ("custom_nodes.a-pack@1.2.0", "custom_nodes.a-pack"),
    ],
)
def test_a_pack_is_the_same_however_its_folder_is_spelled(one: str, other: str) -> None:
    assert pack_of(one) == pack_of(other) != ""
