"""rgthree: LoRAs in objects, contexts, switches and shown values."""

from __future__ import annotations

from typing import Any

from ..cases import Case, Node, Prompt, node, pictures, sampled, saved, shown


def with_loras(loader: Node) -> Prompt:
    """Something sampled with what `loader` (node 20) makes of the model."""
    graph = sampled(1)
    sampler = graph["4"]
    graph["4"] = {**sampler, "inputs": {**sampler["inputs"], "model": ["20", 0]}}
    return {**graph, "20": loader, "7": saved("6", prefix="with_lora")}


def power_lora(*names: str, **more: Any) -> Node:
    loras = {
        f"lora_{number}": {"on": True, "lora": name, "strength": 0.8}
        for number, name in enumerate(names, start=1)
    }
    return node(
        "Power Lora Loader (rgthree)",
        **{"PowerLoraLoaderHeaderWidget": {"type": "PowerLoraLoaderHeaderWidget"}},
        **loras,
        **{"➕ Add Lora": "", "model": ["1", 0]},
        **more,
    )


CASES = (
    Case("Power Lora Loader", with_loras(power_lora("styles/ink.safetensors", "detail.safetensors")),
         value=("7", "images")),
    Case("Power Lora Loader, separators of Windows", with_loras(power_lora("styles\\ink.safetensors")),
         alike=with_loras(power_lora("styles/ink.safetensors"))),
    Case("Power Lora Loader, a LoRA that nobody has", with_loras(power_lora("people/nobody.safetensors")),
         may_say="nobody.safetensors"),
    Case("Power Lora Loader, one switched off", with_loras(
        power_lora("detail.safetensors",
                   lora_2={"on": False, "lora": "people/nobody.safetensors", "strength": 1})
    )),
    Case("Seed and Display Any", {
        "1": node("Seed (rgthree)", seed=77),
        "2": node("Display Any (rgthree)", source=["1", 0]),
    }),
    Case("Image Comparer", {
        "1": pictures(2),
        "2": pictures(3),
        "3": node("Image Comparer (rgthree)", image_a=["1", 0], image_b=["2", 0]),
    }),
    Case("Any Switch", {
        "1": pictures(4),
        "2": node("Any Switch (rgthree)", any_01=["1", 0], any_02=["1", 0]),
        "3": saved("2"),
    }, value=("3", "images")),
    Case("Power Puter", {
        "1": node("Power Puter (rgthree)", a=["2", 0], outputs={"outputs": ["STRING"]},
                  code="f'the seed is {a + 1}'"),
        "2": node("Seed (rgthree)", seed=41),
        "3": shown("1"),
    }, value=("3", "source")),
    Case("Power Primitive", {
        "1": node("Power Primitive (rgthree)", type="STRING", value="a lighthouse"),
        "2": shown("1"),
    }),
    Case("a context through a switch", {
        "1": pictures(5),
        "2": node("Context (rgthree)", images=["1", 0], seed=5),
        "3": node("Context Switch (rgthree)", ctx_01=["2", 0]),
        "4": saved("3", 7),
        "5": node("Display Int (rgthree)", input=["3", 8]),
    }, value=("4", "images")),
    Case("resized, cropped and measured", {
        "1": pictures(6),
        "2": node("Image Resize (rgthree)", image=["1", 0], measurement="pixels", width=96, height=48,
                  fit="crop", method="nearest-exact"),
        "3": node("Image Inset Crop (rgthree)", image=["2", 0], measurement="Pixels", left=8, right=8, top=0,
                  bottom=0),
        "4": node("Image or Latent Size (rgthree)", input=["3", 0]),
        "5": shown("4"),
        "6": saved("3"),
    }, value=("6", "images")),
)  # fmt: skip
