"""Nothing that reaches the host's event loop may break its JSON."""

from __future__ import annotations

import json
from enum import Enum
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.host.sanitise import DEPTH_MAX, ITEMS_MAX, TEXT_MAX, header_text, sanitise, whole_json


class Colour(str, Enum):
    RED = "red"


class Rude:
    def __str__(self) -> str:
        raise RuntimeError("no")


class Plain:
    def __str__(self) -> str:
        return "plain"


class Text(str):
    def __str__(self) -> str:
        return "something else"


@pytest.mark.parametrize(
    "value", [None, True, False, 0, -1, 2**64 - 1, 0.5, "", "ü🧀", [], {}, [1, [2]], {"a": {"b": [None]}}]
)
def test_what_json_holds_stays_as_it_is(value: Any) -> None:
    assert sanitise(value) == value
    assert type(sanitise(value)) is type(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (float("nan"), None),
        (float("inf"), None),
        ([1.0, float("-inf")], [1.0, None]),
        ((1, 2), [1, 2]),
        ({3}, [3]),
        ({1: "a", None: "b", ("x", 2): "c"}, {"1": "a", "None": "b", "('x', 2)": "c"}),
        (MappingProxyType({"a": 1}), {"a": 1}),
        (Colour.RED, "red"),
        (b"raw", "b'raw'"),
        (Plain(), "plain"),
        (Rude(), "<Rude>"),
        ({Rude(): Rude()}, {"<Rude>": "<Rude>"}),
        (Text("itself"), "itself"),
        (2**70, hex(2**70)),
    ],
)
def test_everything_else_becomes_something_json_holds(value: Any, expected: Any) -> None:
    assert sanitise(value) == expected


def test_an_integer_with_more_digits_than_python_prints_is_still_sent() -> None:
    json.dumps(sanitise(10**10_000))


def test_long_text_and_deep_structures_are_cut() -> None:
    assert len(sanitise("x" * (TEXT_MAX + 5))) == TEXT_MAX + 1
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert json.dumps(sanitise(deep)).count("[") == DEPTH_MAX


def test_a_structure_that_holds_itself_ends() -> None:
    twice: dict[str, Any] = {}
    twice.update(a=twice, b=twice)
    assert len(json.dumps(sanitise(twice))) < ITEMS_MAX * 20


def test_a_very_long_list_is_cut_and_says_so() -> None:
    cut = sanitise(list(range(ITEMS_MAX * 2)))
    assert len(cut) <= ITEMS_MAX + 1
    assert cut[-1] == "…"


@given(
    st.recursive(
        st.none() | st.integers() | st.floats() | st.text() | st.binary() | st.complex_numbers() | st.dates(),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.integers() | st.text() | st.none(), inner) | st.tuples(inner)
        ),
        max_leaves=20,
    )
)
def test_strict_json_takes_whatever_comes_out(value: Any) -> None:
    json.dumps(sanitise(value), allow_nan=False).encode("utf-8")


def test_a_header_gets_one_line_whatever_names_are_in_it() -> None:
    assert header_text("A\r\nSet-Cookie: x\0\tü\ud800", 100) == "A  Set-Cookie: x  ??"
    assert header_text("long" * 9, 5) == "longl"


def test_what_somebody_goes_on_with_is_whole() -> None:
    value = {"text": "A" * (TEXT_MAX + 1), "many": [0] * (ITEMS_MAX + 1), "large": 2**70}
    assert json.loads(whole_json(value)) == value
    assert json.loads(whole_json({"a": [float("nan"), 1.5, {"b": float("inf")}]})) == {
        "a": [None, 1.5, {"b": None}]
    }
