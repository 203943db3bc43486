"""What a job that nobody named is called."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.core.prompts.titles import TITLE_MAX, described


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


SAMPLER = node("KSampler", positive=["p", 0], negative=["n", 0], model=["m", 0], steps=20)
MODEL = node("UNETLoader", unet_name="sub\\dream.v2.safetensors")


def test_it_is_called_by_the_text_that_it_paints() -> None:
    texts = {"n": node("CLIPTextEncode", text="ugly"), "p": node("CLIPTextEncode", text="a cat\n on a mat")}
    assert described({**texts, "m": MODEL, "k": SAMPLER}) == "a cat on a mat"


def test_without_a_text_by_model_and_steps() -> None:
    assert described({"m": MODEL, "k": SAMPLER}) == "dream.v2 · KSampler, 20 steps"


def test_without_both_by_its_first_node_and_its_last() -> None:
    titled = {**node("SaveImage", images=["1", 0]), "_meta": {"title": "Keep"}}
    assert described({"1": node("EmptyImage", width=8), "2": titled}) == "EmptyImage → Keep"
    assert described({"1": node("PreviewAny", source="x")}) == "PreviewAny"


def test_a_node_that_stands_about_unused_names_nothing() -> None:
    unused = {"0": node("EmptyImage", width=8)}
    used = {"1": node("Made", width=8), "2": node("SaveImage", images=["1", 0])}
    assert described({**unused, **used}) == "Made → SaveImage"


def test_a_long_text_is_cut() -> None:
    title = described({"p": node("CLIPTextEncode", text="cat " * 99)})
    assert len(title) <= TITLE_MAX and title.endswith("cat…")


@pytest.mark.parametrize(
    "odd", [{}, {"1": None}, {"1": {"inputs": 3}}, {"1": node("A", x=["1", 0])}, {"1": node("A", x=["9", 0])}]
)
def test_an_odd_prompt_hurts_nobody(odd: dict[str, Any]) -> None:
    assert described(odd) in ("", "A")
