"""The soak itself: its plan, and that its checker finds what it is there to find."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.faults.chaos_faults import KINDS, MASTER_KILLED, planned
from tests.faults.soak import (
    WARM_UP_S,
    Findings,
    Sample,
    Standing,
    check_falls,
    check_fleet,
    check_jobs,
    check_standing,
    slope_mb_per_min,
)


def test_the_same_seed_plans_the_same_faults_and_another_seed_others() -> None:
    plan = planned(7, 3600, 30)
    assert plan == planned(7, 3600, 30) != planned(8, 3600, 30)
    assert {fault.kind for fault in plan} == {*KINDS, MASTER_KILLED}
    assert all(fault.kind != MASTER_KILLED for fault in plan if fault.at_s >= 1200)
    assert [fault.at_s for fault in plan] == [30.0 * n for n in range(1, 120)]


def test_memory_is_judged_after_the_warm_up_only() -> None:
    def grown(mb_per_min: float, minutes: int) -> list[Sample]:
        steep = [Sample(s, int(s * 1e6), 9) for s in range(0, int(WARM_UP_S), 10)]
        after = range(int(WARM_UP_S), int(WARM_UP_S) + minutes * 60, 10)
        return [*steep, *(Sample(s, int(6e8 + s / 60 * mb_per_min * 1e6), 9) for s in after)]

    assert slope_mb_per_min(grown(0.5, 30)) == pytest.approx(0.5, abs=0.01)
    assert slope_mb_per_min(grown(5.0, 1)) is None


def a_job(path: Path, colour: int, **details: Any) -> dict[str, Any]:
    path.parent.mkdir(exist_ok=True)
    Image.new("RGB", (4, 4), (0, 0, colour)).save(path)
    output = {"filename": path.name, "subfolder": path.parent.name}
    return {
        **{"state": "done", "peer": "peer-1", "error": None, "attempts": [{}], "outputs": [output]},
        **details,
    }


def found(tmp_path: Path, accepted: dict[str, int], ended: dict[str, Any]) -> list[str]:
    findings = Findings()
    check_jobs(findings, tmp_path, accepted, ended)
    return findings.problems


def test_the_checker_finds_nothing_where_all_is_well(tmp_path: Path) -> None:
    jobs = {name: a_job(tmp_path / "chaos" / f"{name}.png", n) for n, name in enumerate("ab")}
    assert found(tmp_path, {"a": 0, "b": 1}, jobs) == []


def test_the_checker_finds_what_is_lost_wrong_twice_or_left_over(tmp_path: Path) -> None:
    one = a_job(tmp_path / "chaos" / "1.png", 1)
    assert "never ended" in found(tmp_path, {"a": 1, "b": 2}, {"a": one})[0]
    assert "wrong files" in found(tmp_path, {"a": 2}, {"a": one})[0]
    twice = found(tmp_path, {"a": 1, "b": 1}, {"a": one, "b": one})
    assert ["told twice" in text for text in twice] == [True]
    silent = {**one, "state": "failed"}
    cancelled = {**one, "state": "cancelled", "error": {"code": "cancelled", "message": "Cancelled."}}
    assert any("cancelled by nobody" in t for t in found(tmp_path, {"a": 1}, {"a": cancelled}))
    assert any("no reason" in text for text in found(tmp_path, {"a": 1}, {"a": silent}))
    assert any("numbers of files" in t for t in found(tmp_path, {"a": 1}, {"a": {**one, "outputs": []}}))
    half = tmp_path / "chaos" / "half.png"
    half.write_bytes((tmp_path / "chaos" / "1.png").read_bytes()[:20])
    assert "nobody's files" in found(tmp_path, {"a": 1}, {"a": one})[0]


def test_the_checker_finds_tasks_files_and_peers_that_did_not_come_back() -> None:
    def problems(*end: int) -> int:
        findings = Findings()
        check_standing(findings, Standing(6, 40, 60), Standing(*end))
        return len(findings.problems)

    assert [problems(6, 40, 60), problems(6, 45, 55)] == [0, 0]
    assert [problems(6, 46, 60), problems(6, 40, 66), problems(5, 40, 60)] == [1, 1, 1]


def test_the_checker_finds_prompts_left_on_a_peer_and_pages_that_got_in() -> None:
    def problems(queues: dict[str, int], *let_in: str) -> int:
        findings = Findings()
        check_fleet(findings, queues, let_in)
        return len(findings.problems)

    assert [problems({"a": 0}), problems({"a": 1}), problems({}, "GET /orchestrator/jobs: 200")] == [0, 1, 1]


def test_the_checker_finds_peers_that_flap_or_fall_without_a_fault() -> None:
    def problems(falls: dict[str, int], faults: int, minutes: float) -> int:
        findings = Findings()
        check_falls(findings, falls, faults, minutes)
        return len(findings.problems)

    assert [problems({}, 0, 0.5), problems({"a": 5, "b": 3}, 10, 5.0)] == [0, 0]
    assert [problems({"a": 6}, 10, 5.0), problems({"a": 3, "b": 3}, 5, 5.0)] == [1, 1]


def test_what_is_printed_says_what_was_checked_and_what_was_found() -> None:
    findings = Findings()
    findings.expect(True, "no job is lost", "one is lost")
    findings.noted.append("3 ended with the error lost")
    assert findings.text().splitlines() == [
        "Checked:",
        "  holds    no job is lost",
        "  noted    3 ended with the error lost",
        "Verdict: nothing is lost, nothing was delivered twice, nothing is left over.",
    ]
    findings.expect(False, "each file is whole", "wrong files: a.png")
    assert findings.text().splitlines()[2] == "  PROBLEM  wrong files: a.png"
    assert findings.text().splitlines()[-1] == "Verdict: 1 problem found."
