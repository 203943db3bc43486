"""docs/faults.md and docs/packs.md name every case, and tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOUND_SINCE = (
    "F44",
    "F45",
    "F46",
    "F47",
    "F48",
    "F49",
    "F50",
    "F51",
    "F52",
    "F53",
    "F54",
    "F55",
    "F56",
    "F57",
    "F58",
    "F59",
    "F60",
    "F61",
    "F62",
    "F63",
)
FAULTS = [*(f"F{number:02d}" for number in range(1, 44)), *FOUND_SINCE]
NAMED = re.compile(r"(★ )?`([\w/]+\.py)::(\w+)`")


def rows(page: str) -> dict[str, list[tuple[bool, str, str]]]:
    """Per case of this page its tests: whether it takes minutes, its file below tests, its name."""
    found: dict[str, list[tuple[bool, str, str]]] = {}
    for line in (ROOT / "docs" / page).read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("| ").split(" | ")]
        if re.fullmatch(r"[A-Z]\d\d", cells[0]):
            assert cells[0] not in found, f"{cells[0]} has two rows"
            assert len(cells) == 4 and all(cells), cells[0]
            found[cells[0]] = [(bool(star), file, name) for star, file, name in NAMED.findall(cells[3])]
    return found


def all_tests() -> set[tuple[bool, str, str]]:
    """A test of which only some parameters take minutes is there both ways."""
    found = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                marks = [ast.unparse(mark) for mark in node.decorator_list]
                place = path.relative_to(ROOT / "tests").as_posix(), node.name
                if "pytest.mark.long" not in marks:
                    found.add((False, *place))
                if any("pytest.mark.long" in mark for mark in marks):
                    found.add((True, *place))
    return found


def test_every_fault_has_a_row() -> None:
    assert list(rows("faults.md")) == FAULTS


@pytest.mark.parametrize("page", ["faults.md", "packs.md"])
def test_every_case_has_tests_that_exist(page: str) -> None:
    listed = rows(page)
    assert len(listed) > 30
    assert [case for case, tests in listed.items() if not tests] == []
    there = all_tests()
    assert [test for tests in listed.values() for test in tests if test not in there] == []


def test_every_test_that_is_named_after_a_fault_is_in_its_row() -> None:
    listed = rows("faults.md")
    named = [test for test in all_tests() if re.match(r"test_f\d\d_", test[2])]
    assert len(named) > 60
    assert [test for test in named if test not in listed["F" + test[2][6:8]]] == []
