"""Use Everywhere: links that the page makes. The prompt has them, the file does not."""

from __future__ import annotations

from ..cases import Case, Drawn, node, pictures, sampled, saved, shown

CASES = (
    Case("model, conditioning and VAE everywhere", {**sampled(1), "7": saved("6")},
         drawn=Drawn(everywhere=(("4", "model"), ("4", "positive"), ("4", "negative"), ("6", "vae")))),
    Case("a picture everywhere", {
        "1": pictures(1),
        "2": saved("1", prefix="one"),
        "3": saved("1", prefix="two"),
    }, value=("2", "images"), drawn=Drawn(everywhere=(("2", "images"), ("3", "images")))),
    Case("a latent everywhere, the rest by wire", {**sampled(1, seed=3), "7": saved("6")},
         value=("7", "images"), drawn=Drawn(everywhere=(("6", "samples"),))),
    Case("Simple String", {
        "1": node("Simple String", string="a lighthouse"),
        "2": shown("1"),
    }, value=("2", "source"), drawn=Drawn(everywhere=(("2", "source"),))),
    Case("Seed Everywhere", {
        "1": node("Seed Everywhere", seed=12),
        "2": node("TestStamp", width=64, height=64, batch=1, seed=["1", 0]),
        "3": saved("2"),
    }, value=("3", "images"), drawn=Drawn(everywhere=(("2", "seed"),))),
)  # fmt: skip
