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


def test_what_is_changed_stands_in_the_name_and_its_old_value_does_not() -> None:
    prompt = {"m": MODEL, "k": SAMPLER}
    changes = {"k.seed": 2584, "k.steps": 30, "k.denoise": 0.5, "k.cfg": 6.5}
    assert described(prompt, changes) == "dream.v2 · seed 2584 · steps 30 · denoise 0.5"
    assert described(prompt, changes, "portrait") == "portrait · seed 2584 · steps 30 · denoise 0.5"
    assert described(prompt, {"k.steps": 30}) == "dream.v2 · steps 30"
    assert described(prompt, {"KSampler.cfg": 6.50}) == "dream.v2 · KSampler, 20 steps · cfg 6.5"
    assert described(prompt, {"m.unet_name": "other.safetensors"}) == (
        "KSampler, 20 steps · unet_name other.safetensors"
    )


def test_a_graph_with_a_name_is_told_apart_by_its_seed() -> None:
    seeded = {"k": node("KSampler", seed=7, steps=20), "n": node("RandomNoise", noise_seed=8)}
    assert described(seeded, name="portrait") == "portrait · seed 7"
    assert described({"m": MODEL}, name="portrait") == "portrait"
    assert described({"m": MODEL}, {"p.text": "a red cat"}, "portrait") == "portrait · text a red cat"


def test_variations_of_a_text_are_called_by_their_texts() -> None:
    prompt = {"p": node("CLIPTextEncode", text="a cat"), "m": MODEL, "k": SAMPLER}
    assert described(prompt, {"p.text": "a dog", "k.seed": 7}) == "a dog · seed 7"


def test_a_long_name_leaves_room_for_what_is_changed() -> None:
    prompt = {"p": node("CLIPTextEncode", text="cat " * 99)}
    title = described(prompt, {"3.seed": 2584})
    assert len(title) <= TITLE_MAX and title.endswith("cat… · seed 2584")
    assert len(described(prompt, dict.fromkeys(("a.seed", "b.steps", "c.cfg"), "x" * 99))) <= TITLE_MAX
    assert described({}, {"3.seed": 7}) == "seed 7"
    assert described({}, {"3.points": [[0, 1]] * 9, "4.on": True}) == "points … · on True"


@pytest.mark.parametrize(
    "odd", [{}, {"1": None}, {"1": {"inputs": 3}}, {"1": node("A", x=["1", 0])}, {"1": node("A", x=["9", 0])}]
)
def test_an_odd_prompt_hurts_nobody(odd: dict[str, Any]) -> None:
    assert described(odd) in ("", "A")
