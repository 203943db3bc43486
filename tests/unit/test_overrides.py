"""The lines of a node's overrides, and what is wrong with them."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.core.prompts.overrides import parse_overrides
from orchestrator.errors import ParameterError, WorkflowError


@pytest.mark.parametrize(
    ("line", "target", "value"),
    [
        ("KSampler.seed = 42", "KSampler.seed", 42),
        ('12.text = "a cat"', "12.text", "a cat"),
        ("seed=18446744073709551615", "seed", 2**64 - 1),
        ("57:8.text = a cat, sleeping", "57:8.text", "a cat, sleeping"),
        ("My Title v1.5.text = hello", "My Title v1.5.text", "hello"),
        ('"My = Title".text = hello', "My = Title.text", "hello"),
        ('"Say \\"hi\\"".text = x', 'Say "hi".text', "x"),
        ("12.text = a=b", "12.text", "a=b"),
        ('12.text = ""', "12.text", ""),
        ('12.text = "line\\nbreak"', "12.text", "line\nbreak"),
        ("flag = true", "flag", True),
        ("sizes = [1, 2]", "sizes", [1, 2]),
        ("cfg = 3.5  # lower", "cfg", 3.5),
        ("name = 3 little pigs", "name", "3 little pigs"),
        ("prompt = #1 of many", "prompt", "#1 of many"),
    ],
)
def test_a_line_is_a_target_and_a_value(line: str, target: str, value: Any) -> None:
    assert parse_overrides(line) == {target: value}


def test_blank_lines_and_comments_are_skipped_and_the_last_line_wins() -> None:
    assert parse_overrides("\n# first\nseed = 1\r\n\n  seed = 2\n") == {"seed": 2}


@pytest.mark.parametrize("line", ["seed", "= 4", "seed =", '"open.text = 4', 'text = "open', "sizes = [1,"])
def test_a_bad_line_is_an_error_that_names_it(line: str) -> None:
    with pytest.raises(ParameterError, match=r"[Ll]ine 3"):
        parse_overrides(f"a = 1\n\n{line}")


@pytest.mark.parametrize("value", ["NaN", "[" * 100_000, "-Infinity", '{"__proto__": 1}'])
def test_values_no_prompt_can_hold_are_refused(value: str) -> None:
    with pytest.raises(WorkflowError):
        parse_overrides(f"seed = {value}")
