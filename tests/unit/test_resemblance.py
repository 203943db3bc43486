"""Names offered where one is not known."""

from __future__ import annotations

from orchestrator.core.prompts.resemblance import resembling

MANY = [f"style-{number:04}.safetensors" for number in range(1_990)]


def test_the_nearest_name_of_a_long_list_is_found() -> None:
    assert resembling("otter.safetensors", [*MANY, "other.safetensors"], 1, 0.8) == ["other.safetensors"]


def test_letter_case_does_not_hide_a_name() -> None:
    assert resembling("dreamshaper_8.ckpt", [*MANY, "DreamShaper_8.ckpt"], 1, 0.8) == ["DreamShaper_8.ckpt"]


def test_what_is_not_alike_is_not_offered() -> None:
    assert resembling("night.safetensors", MANY, 1, 0.9) == []


def test_two_letters_are_a_name_too() -> None:
    assert resembling("xl", ["xs", "XL", "xl2"], 2, 0.8) == ["xl2"]
    assert resembling("", ["a"], 1, 0.5) == []


def test_a_long_text_is_no_name() -> None:
    assert resembling("a" * 10_000_000, ["a" * 10_000_000], 1, 0.1) == []
    assert resembling("short", ["short" * 1_000_000, "shore"], 1, 0.8) == ["shore"]
