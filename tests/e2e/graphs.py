"""Graphs of the end-to-end tests, in API format. `Test…` classes exist on the peers only."""

from __future__ import annotations

from typing import Any

Graph = dict[str, Any]


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def dispatched(upstream: Graph, link: list[Any], **options: Any) -> Graph:
    """`upstream` behind a Remote Dispatch node (id 90) whose picture the master saves (id 91)."""
    return {
        **upstream,
        "90": node("RemoteDispatch", value=link, **options),
        "91": node("SaveImage", images=["90", 0], filename_prefix="e2e"),
    }


def stamp(seed: int, size: int = 32, batch: int = 1) -> Graph:
    """A picture made by a class that only the peers have; it depends on the seed."""
    return {"1": node("TestStamp", width=size, height=size, batch=batch, seed=seed)}


def sleep(seed: int, seconds: float, *, first: str = "1") -> Graph:
    """The same, after some seconds with progress; ids `first` and `first`0."""
    return {
        first: node("TestStamp", width=32, height=32, batch=1, seed=seed),
        f"{first}0": node("TestSleep", value=[first, 0], seconds=seconds),
    }


def sampled(seed: int, steps: int = 4) -> Graph:
    """Real sampling with the random model that only the peers have; the picture is node 5."""
    return {
        "1": node("UNETLoader", unet_name="tiny-random-unet.safetensors", weight_dtype="default"),
        "2": node("LotusConditioning"),
        "3": node("EmptyLatentImage", width=64, height=64, batch_size=1),
        "4": node(
            "KSampler",
            model=["1", 0],
            positive=["2", 0],
            negative=["2", 0],
            latent_image=["3", 0],
            seed=seed,
            steps=steps,
            cfg=1.0,
            sampler_name="euler",
            scheduler="simple",
            denoise=1.0,
        ),
        "6": node("VAELoader", vae_name="taesd"),
        "5": node("VAEDecode", samples=["4", 0], vae=["6", 0]),
    }
