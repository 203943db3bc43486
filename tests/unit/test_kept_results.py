"""Results are given again for what would bring the same, while their files are there and there is room."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.core.models.job import AttemptResult, JobRequest, OutputFile, ResultLink
from orchestrator.host.node.kept_results import KeptResults, key_of

REQUEST = JobRequest(prompt={"1": {"class_type": "A", "inputs": {"seed": 1}}}, result=ResultLink("1", 0))


def result(folder: Path, name: str, size: int = 10) -> AttemptResult:
    path = folder / name
    path.write_bytes(bytes(size))
    return AttemptResult((OutputFile("1", str(path), name, "", "temp"),))


def test_what_was_kept_is_given_again_until_its_file_is_gone(tmp_path: Path) -> None:
    kept, made = KeptResults(), result(tmp_path, "a.png")
    kept.put("a", made)
    assert kept.get("a") is made and kept.get("b") is None
    (tmp_path / "a.png").unlink()
    assert kept.get("a") is None
    (tmp_path / "a.png").touch()
    assert kept.get("a") is None


def test_what_was_not_used_for_longest_makes_room(tmp_path: Path) -> None:
    kept = KeptResults(most_bytes=25)
    for name in "ab":
        kept.put(name, result(tmp_path, name))
    assert kept.get("a")
    kept.put("c", result(tmp_path, "c"))
    assert [bool(kept.get(name)) for name in "abc"] == [True, False, True]
    kept.put("large", result(tmp_path, "large", 30))
    assert [bool(kept.get(name)) for name in ("a", "c", "large")] == [True, True, False]


def test_no_more_are_kept_than_may_be(tmp_path: Path) -> None:
    kept = KeptResults(most=2)
    for name in "abc":
        kept.put(name, AttemptResult(texts=(name,)))
    assert [bool(kept.get(name)) for name in "abc"] == [False, True, True]


def test_a_result_that_came_again_counts_once(tmp_path: Path) -> None:
    kept = KeptResults(most_bytes=25)
    for _ in range(5):
        kept.put("a", result(tmp_path, "a"))
    kept.put("b", result(tmp_path, "b"))
    assert kept.get("a") and kept.get("b")


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": {"1": {"class_type": "A", "inputs": {"seed": 2}}}},
        {"changes": {"1.seed": 3}},
        {"result": ResultLink("1", 1)},
        {"exact": True},
        {"drop_classes": frozenset({"B"})},
        {"peer": "gpu-2"},
        {"tags": ("fast",)},
    ],
)
def test_what_may_bring_something_else_is_another(change: dict[str, Any]) -> None:
    assert key_of(replace(REQUEST, **change), "f") != key_of(REQUEST, "f")


def test_files_and_classes_that_changed_make_it_another_and_its_place_in_a_batch_does_not() -> None:
    assert key_of(REQUEST, "f") != key_of(REQUEST, "g")
    placed = replace(REQUEST, batch_id="b", batch_index=4, title="Remote Dispatch 7", extra_data={"a": 1})
    assert key_of(placed, "f") == key_of(REQUEST, "f")
