"""docs/faults.md names every case, and tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
IDS = [*(f"F{number:02d}" for number in range(1, 44)), "F59", "F60", "F63"]
NAMED = re.compile(r"(★ )?`([\w/]+\.py)::(\w+)`")


def rows() -> dict[str, list[tuple[bool, str, str]]]:
    """Per case its tests: whether it takes minutes, its file below tests, its name."""
    found: dict[str, list[tuple[bool, str, str]]] = {}
    for line in (ROOT / "docs" / "faults.md").read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("| ").split(" | ")]
        if re.fullmatch(r"F\d\d", cells[0]):
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


def test_every_case_has_a_row_with_tests_that_exist() -> None:
    listed = rows()
    assert list(listed) == IDS
    assert [case for case, tests in listed.items() if not tests] == []
    there = all_tests()
    assert [test for tests in listed.values() for test in tests if test not in there] == []


def test_every_test_that_is_named_after_a_case_is_in_its_row() -> None:
    listed = rows()
    named = [test for test in all_tests() if re.match(r"test_f\d\d_", test[2])]
    assert len(named) > 60
    assert [test for test in named if test not in listed["F" + test[2][6:8]]] == []
