"""How far a prompt is, and whether it succeeded, by what its peer tells."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.core.workflow.outputs import ProgressMeter, check_success
from orchestrator.errors import (
    JobLostError,
    PeerDiskFullError,
    PeerExecutionError,
    PeerInterruptedError,
    PeerProtocolError,
)


def entry(*messages: tuple[str, dict[str, Any]], **fields: Any) -> dict[str, Any]:
    return {"status": {"messages": [list(m) for m in messages]}, "outputs": {}, **fields}


def test_success_needs_the_message_not_only_the_status() -> None:
    assert check_success(entry(("execution_success", {})), "gpu") == {}
    with pytest.raises(JobLostError):
        check_success({"status": {"status_str": "success", "messages": []}, "outputs": {}}, "gpu")


def test_a_peers_error_keeps_its_own_words_and_names_the_node() -> None:
    details = {"node_id": "7", "node_type": "KSampler", "exception_message": "bad shape"}
    with pytest.raises(PeerExecutionError, match=r"KSampler \(node 7\) failed on gpu: bad shape") as caught:
        check_success(entry(("execution_error", details)), "gpu")
    assert caught.value.details == details


@pytest.mark.parametrize(
    "said",
    [
        "[Errno 28] No space left on device: '/out/a.png'",
        'IoError(Os { code: 28, kind: StorageFull, message: "No space left on device" })',
        "[WinError 112] There is not enough space on the disk",
        "[Errno 122] Disk quota exceeded",
    ],
)
def test_a_peer_whose_disk_is_full_is_told_apart_from_a_node_that_failed(said: str) -> None:
    details = {"node_id": "9", "node_type": "SaveImage", "exception_message": said}
    with pytest.raises(PeerDiskFullError, match=r"disk of gpu is full: SaveImage \(node 9\)"):
        check_success(entry(("execution_error", details)), "gpu")


def test_an_interrupted_job_is_no_success() -> None:
    with pytest.raises(PeerInterruptedError, match="interrupted on gpu"):
        check_success(entry(("execution_interrupted", {})), "gpu")


@pytest.mark.parametrize(
    "rubbish", [{}, {"status": 5}, {"status": {"messages": 3}}, {"status": {"messages": [7]}}]
)
def test_rubbish_is_never_taken_for_success(rubbish: dict[str, Any]) -> None:
    with pytest.raises(JobLostError):
        check_success(rubbish, "gpu")
    with pytest.raises(PeerProtocolError):
        check_success({"status": {"messages": [["execution_success", {}]]}, "outputs": 5}, "gpu")


def test_progress_counts_finished_nodes_and_the_running_ones_steps() -> None:
    meter = ProgressMeter({"1": "Load", "2": "KSampler", "3": "Save", "4": "Preview"})
    assert not meter.observe("status", {})
    state = {
        "1": {"state": "finished", "value": 1, "max": 1},
        "2": {"state": "running", "value": 5, "max": 20},
    }
    assert meter.observe("progress_state", {"nodes": state})
    assert meter.fraction == pytest.approx((1 + 0.25) / 4)
    assert meter.text == "KSampler, step 5/20"


def test_the_first_step_is_that_of_a_node_with_several() -> None:
    meter = ProgressMeter({"1": "Load", "2": "KSampler"})
    for value, top, stepped in ((0, 1, False), (1, 1, False), (0, 20, False), (1, 20, True), (1, 1, True)):
        meter.observe("progress_state", {"nodes": {"2": {"state": "running", "value": value, "max": top}}})
        assert meter.has_stepped is stepped


def test_cached_nodes_count_as_done() -> None:
    meter = ProgressMeter({"1": "Load", "2": "KSampler"})
    meter.observe("execution_cached", {"nodes": ["1"]})
    meter.observe("progress_state", {"nodes": {"2": {"state": "running", "value": 1, "max": 2}}})
    assert meter.fraction == pytest.approx(0.75)


def test_progress_weighs_nodes_by_what_they_took_before() -> None:
    meter = ProgressMeter({"1": "Load", "2": "KSampler", "3": "Save"}, {"1": 1.0, "2": 8.0, "3": 1.0})
    meter.observe("progress_state", {"nodes": {"1": {"state": "finished"}}})
    assert meter.fraction == pytest.approx(0.1)
    running = {"state": "running", "value": 10, "max": 20}
    meter.observe("progress_state", {"nodes": {"1": {"state": "finished"}, "2": running}})
    assert meter.fraction == pytest.approx(0.5)


def test_a_node_that_was_never_heard_of_moves_the_bar_a_little() -> None:
    meter = ProgressMeter({"1": "Load", "2": "KSampler"}, {"2": 10.0})
    meter.observe("progress_state", {"nodes": {"1": {"state": "finished"}}})
    assert 0.0 < meter.fraction < 0.05


def test_a_cached_node_that_is_told_as_finished_too_counts_once() -> None:
    meter = ProgressMeter({"1": "Load", "2": "KSampler", "3": "Save"})
    meter.observe("execution_cached", {"nodes": ["1"]})
    meter.observe("progress_state", {"nodes": {"1": {"state": "finished"}, "2": {"state": "finished"}}})
    assert meter.fraction == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    "nodes", [None, [], {"2": None}, {"2": {"state": "running", "value": "x", "max": -1}}]
)
def test_rubbish_progress_changes_nothing_that_matters(nodes: Any) -> None:
    meter = ProgressMeter({"2": "KSampler"})
    meter.observe("progress_state", {"nodes": nodes})
    assert meter.fraction == 0.0
