"""The API-format prompt as a graph."""

from __future__ import annotations

from typing import Any

from orchestrator.core.workflow.prompt import seeded_nodes


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def test_what_makes_something_new_with_each_seed_is_the_sampler_not_what_hands_out_the_seed() -> None:
    prompt = {
        "seed": node("Seed", seed=7),
        "noise": node("RandomNoise", noise_seed=7),
        "text": node("CLIPTextEncode", text="a cat", clip=["model", 1]),
        "sampler": node("KSampler", seed=["seed", 0], model=["model", 0], positive=["text", 0]),
        "other": node("KSampler", seed=7, latent_image=["sampler", 0]),
        "custom": node("SamplerCustomAdvanced", noise=["noise", 0], guider=["text", 0]),
        "broken": {"class_type": "KSampler", "inputs": None},
    }
    assert seeded_nodes(prompt) == {"sampler", "other", "custom"}
