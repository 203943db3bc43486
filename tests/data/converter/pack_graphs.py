"""Graphs over the classes of node packs, for `harvest_packs.py`: some by hand, many at random."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

PACKS = {
    "rgthree": "rgthree-comfy",
    "kj": "ComfyUI-KJNodes",
    "easy": "ComfyUI-Easy-Use",
    "ue": "cg-use-everywhere",
    "pysssss": "ComfyUI-Custom-Scripts",
    "vhs": "ComfyUI-VideoHelperSuite",
    "was": "was-node-suite-comfyui",
    "essentials": "ComfyUI_essentials",
    "lora_manager": "ComfyUI-Lora-Manager",
    "impact": "ComfyUI-Impact-Pack",
}
WORDS = ("a lighthouse at dawn", "blurry, lowres", "ink (wash:1.2)", "fog\nover water", "", "x")
MUTED, BYPASSED = 2, 4
PAGE_TYPES = ("LORAS", "AUTOCOMPLETE", "EASY_", "CYCLER", "RANDOMIZER", "COMFY_", "LORA_POOL")  # widgets of packs


@dataclass
class Recipe:
    """Nodes are (name, class, widget values, mode); links (from, output, to, input), by name or number."""

    name: str
    nodes: list[tuple[str, str, Mapping[str, Any], int]] = field(default_factory=list)
    links: list[tuple[str, int | str, str, int | str]] = field(default_factory=list)
    script: str = ""

    def node(self, name: str, kind: str, mode: int = 0, /, **values: Any) -> str:
        self.nodes.append((name, kind, values, mode))
        return name

    def link(self, *links: tuple[str, int | str, str, int | str]) -> Recipe:
        self.links += links
        return self


BASE_LINKS = (
    ("ckpt", 0, "sampler", "model"),
    ("ckpt", 1, "positive", "clip"),
    ("ckpt", 1, "negative", "clip"),
    ("ckpt", 2, "decode", "vae"),
    ("positive", 0, "sampler", "positive"),
    ("negative", 0, "sampler", "negative"),
    ("latent", 0, "sampler", "latent_image"),
    ("sampler", 0, "decode", "samples"),
    ("decode", 0, "save", "images"),
)

# Run in the page with the nodes by name, the app and a pause.
SCRIPTS: dict[str, str] = {
    "names": """async (made, app, pause) => {
      for (const [name, node] of Object.entries(made)) {
        if (!/^[sg]et_/.test(name)) continue;
        const widget = node.widgets[0];
        widget.value = name.slice(4);
        widget.callback?.call(widget, widget.value);
      }
      await pause(200);
    }""",
    "name_first": """async (made, app, pause) => {
      for (const [name, node] of Object.entries(made)) {
        if (!name.startsWith("get_")) continue;
        const target = made.decode ?? made.sampler;
        void target;
        node.widgets[0].value = name.slice(4);
      }
      await pause(100);
    }""",
    "loras": """async (made, app, pause) => {
      const add = (file, on, strength, two) => {
        const widget = made.power.addNewLoraWidget(file);
        widget.value = { on, lora: file, strength, strengthTwo: two ?? null };
      };
      add("ink.safetensors", true, 0.8);
      add("styles/wash.safetensors", false, 1.25, 0.5);
      add("people/old.safetensors", true, -0.3);
      await pause(100);
    }""",
    "two_strengths": """async (made, app, pause) => {
      made.power.properties["Show Strengths"] = "Separate Model & Clip";
      for (const [file, one, two] of [["ink.safetensors", 0.8, 0.4], ["styles/wash.safetensors", 1, null]]) {
        const widget = made.power.addNewLoraWidget(file);
        widget.value = { on: true, lora: file, strength: one, strengthTwo: two };
      }
      await pause(100);
    }""",
    "lora_manager": """async (made, app, pause) => {
      for (const node of Object.values(made)) {
        const list = node.widgets?.find((widget) => widget.name === "loras");
        if (list) list.value = [
          { name: "ink", strength: 0.8, clipStrength: 0.8, active: true, expanded: false, locked: false },
          { name: "wash", strength: "0.50", clipStrength: "0.25", active: false, expanded: true, locked: false },
        ];
        const text = node.widgets?.find((widget) => widget.name === "text");
        if (text) text.value = "<lora:ink:0.8> <lora:wash:0.5:0.25>";
      }
      await pause(200);
    }""",
    "show_text": """async (made, app, pause) => {
      made.show.onExecuted({ text: ["made of two", "texts"] });
      await pause(200);
    }""",
    "compared": """async (made, app, pause) => {
      made.compare.onExecuted?.({
        a_images: [{ filename: "a.png", subfolder: "", type: "temp" }],
        b_images: [{ filename: "b.png", subfolder: "", type: "temp" }],
      });
      await pause(200);
    }""",
    "subgraph": """async (made, app, pause) => {
      app.canvas.selectItems(["positive", "negative"].map((name) => made[name]));
      app.canvas.graph.convertToSubgraph(new Set(["positive", "negative"].map((name) => made[name])));
      await pause(200);
    }""",
    "subgraph_with_getter": """async (made, app, pause) => {
      for (const [name, node] of Object.entries(made)) {
        if (!/^[sg]et_/.test(name)) continue;
        node.widgets[0].value = name.slice(4).replace(/[0-9]$/, "");
        node.widgets[0].callback?.call(node.widgets[0], node.widgets[0].value);
      }
      await pause(200);
      app.canvas.graph.convertToSubgraph(new Set(["decode", "get_vae"].map((name) => made[name])));
      await pause(200);
    }""",
    "group": """async (made, app, pause) => {
      made.everywhere.properties.ue_properties = { ...made.everywhere.properties.ue_properties, input_regex: "^pos" };
      await pause(200);
    }""",
    "title_regex": """async (made, app, pause) => {
      made.positive.title = "first text";
      made.everywhere.properties.ue_properties.title_regex = "first";
      await pause(300);
    }""",
    "color": """async (made, app, pause) => {
      made.everywhere.bgcolor = made.positive.bgcolor = "#335";
      made.everywhere.properties.ue_properties.color_restricted = 1;
      await pause(300);
    }""",
    "dropped": """async (made, app, pause) => { app.graph.remove(made.gone); await pause(200); }""",
}


def base(name: str, *without: tuple[str, str], script: str = "") -> Recipe:
    """Text to picture in ComfyUI's own nodes, all links but those into the inputs `without`."""
    recipe = Recipe(name, script=script)
    recipe.node("ckpt", "CheckpointLoaderSimple", ckpt_name="base.safetensors")
    recipe.node("positive", "CLIPTextEncode", text="a lighthouse at dawn")
    recipe.node("negative", "CLIPTextEncode", text="blurry, lowres")
    recipe.node("latent", "EmptyLatentImage", width=64, height=96, batch_size=2)
    recipe.node("sampler", "KSampler", seed=42, steps=4, cfg=1.5, sampler_name="euler", scheduler="simple")
    recipe.node("decode", "VAEDecode")
    recipe.node("save", "SaveImage", filename_prefix="packs/%KSampler.seed%")
    recipe.links = [link for link in BASE_LINKS if (link[2], link[3]) not in without]
    return recipe


def recipes() -> list[Recipe]:
    return [
        *_set_get(), *_rgthree(), *_everywhere(), *_video(), *_lora_manager(), *_custom_scripts(),
        *_easy(), *_kj(), *_others(), *_impact(),
    ]  # fmt: skip


def _set_get() -> list[Recipe]:
    made = []
    for pack, setter, getter in (("kj", "SetNode", "GetNode"), ("easy", "easy setNode", "easy getNode")):
        for mode, word in ((0, ""), (MUTED, ", setter muted"), (BYPASSED, ", setter bypassed")):
            one = base(f"{pack} set and get{word}", ("decode", "vae"), script="names")
            one.node("set_vae", setter, mode)
            one.node("get_vae", getter)
            made.append(one.link(("ckpt", 2, "set_vae", 0), ("get_vae", 0, "decode", "vae")))
        for mode in (MUTED, BYPASSED):
            one = base(f"{pack} getter of mode {mode}", ("decode", "vae"), script="names")
            one.node("set_vae", setter)
            one.node("get_vae", getter, mode)
            made.append(one.link(("ckpt", 2, "set_vae", 0), ("get_vae", 0, "decode", "vae")))
        chain = base(f"{pack} set of a got value", ("sampler", "model"), script="names")
        for name in ("one", "two"):
            chain.node(f"set_{name}", setter)
            chain.node(f"get_{name}", getter)
        chain.link(("ckpt", 0, "set_one", 0), ("get_one", 0, "set_two", 0), ("get_two", 0, "sampler", "model"))
        made.append(chain)
        many = base(f"{pack} many getters", *((link[2], link[3]) for link in BASE_LINKS[:4]), script="names")
        many.node("set_clip", setter)
        many.node("set_model", setter)
        many.node("set_vae", setter)
        for name in ("clip", "model", "vae"):
            many.node(f"get_{name}", getter)
        many.link(("ckpt", 0, "set_model", 0), ("ckpt", 1, "set_clip", 0), ("ckpt", 2, "set_vae", 0))
        many.link(("get_model", 0, "sampler", "model"), ("get_vae", 0, "decode", "vae"))
        made.append(many.link(("get_clip", 0, "positive", "clip"), ("get_clip", 0, "negative", "clip")))
        missing = base(f"{pack} getter without a setter", ("decode", "vae"), script="names")
        missing.node("set_other", setter)
        missing.node("get_vae", getter)
        made.append(missing.link(("ckpt", 2, "set_other", 0), ("get_vae", 0, "decode", "vae")))
        text = base(f"{pack} set of a text", script="names")
        text.node("words", "PrimitiveString", value="fog over water")
        text.node("set_words", setter)
        text.node("get_words", getter)
        made.append(text.link(("words", 0, "set_words", 0), ("get_words", 0, "positive", "text")))
    through = base("kj a setter's own output", ("decode", "vae"), script="names")
    through.node("set_vae", "SetNode")
    made.append(through.link(("ckpt", 2, "set_vae", 0), ("set_vae", 0, "decode", "vae")))
    inside = base("kj getter inside a subgraph", ("decode", "vae"), script="subgraph_with_getter")
    inside.node("set_vae", "SetNode")
    inside.node("get_vae", "GetNode")
    made.append(inside.link(("ckpt", 2, "set_vae", 0), ("get_vae", 0, "decode", "vae")))
    return made


def _rgthree() -> list[Recipe]:
    made = []
    for count in (1, 3):
        one = base(f"rgthree {count} reroutes", ("sampler", "model"))
        names = [one.node(f"r{n}", "Reroute (rgthree)") for n in range(count)]
        ends = ["ckpt", *names, "sampler"]
        places: list[int | str] = [*([0] * count), "model"]
        one.links += [(a, 0, b, p) for a, b, p in zip(ends, ends[1:], places, strict=False)]
        made.append(one)
    tools = base("rgthree tools of the page")
    for name in ("Label", "Bookmark", "Fast Groups Muter", "Fast Groups Bypasser", "Fast Muter"):
        tools.node(name, f"{name} (rgthree)")
    tools.node("repeater", "Mute / Bypass Repeater (rgthree)")
    tools.node("collector", "Node Collector (rgthree)")
    made.append(tools.link(("positive", 0, "Fast Muter", 0), ("repeater", 0, "Fast Muter", 1)))
    for script in ("loras", "two_strengths", ""):
        power = base(f"rgthree power lora loader {script}", *((x[2], x[3]) for x in BASE_LINKS[:3]), script=script)
        power.node("power", "Power Lora Loader (rgthree)")
        power.link(("ckpt", 0, "power", "model"), ("ckpt", 1, "power", "clip"), ("power", 0, "sampler", "model"))
        made.append(power.link(("power", 1, "positive", "clip"), ("power", 1, "negative", "clip")))
    two = base("rgthree power lora loader, bypassed", ("sampler", "model"), script="loras")
    two.node("power", "Power Lora Loader (rgthree)", BYPASSED)
    made.append(two.link(("ckpt", 0, "power", "model"), ("power", 0, "sampler", "model")))
    seed = base("rgthree seed and context")
    seed.node("seed", "Seed (rgthree)", seed=1234)
    seed.node("context", "Context (rgthree)")
    seed.node("again", "Context Big (rgthree)")
    seed.link(("seed", 0, "sampler", "seed"), ("ckpt", 0, "context", "model"), ("context", 0, "again", "base_ctx"))
    made.append(seed)
    switch = base("rgthree any switch", ("sampler", "model"))
    switch.node("switch", "Any Switch (rgthree)")
    switch.node("show", "Display Any (rgthree)")
    switch.link(("ckpt", 0, "switch", 0), ("switch", 0, "sampler", "model"), ("decode", 0, "show", 0))
    made.append(switch)
    prompt = base("rgthree power prompt")
    prompt.node("words", "Power Prompt - Simple (rgthree)", prompt="ink on paper\n<lora:ink:0.5>")
    prompt.node("more", "SDXL Empty Latent Image (rgthree)", batch_size=2)
    prompt.node("size", "Image or Latent Size (rgthree)")
    made.append(prompt.link(("decode", 0, "size", 0), ("size", 0, "latent", "width")))
    compare = base("rgthree image comparer", script="compared")
    compare.node("compare", "Image Comparer (rgthree)")
    made.append(compare.link(("decode", 0, "compare", 0), ("decode", 0, "compare", 1)))
    return made


def _everywhere() -> list[Recipe]:
    made = []
    open_ends = (("sampler", "model"), ("positive", "clip"), ("negative", "clip"), ("decode", "vae"))
    one = base("ue everything", *open_ends)
    one.node("everywhere", "Anything Everywhere")
    made.append(one.link(("ckpt", 0, "everywhere", 0), ("ckpt", 1, "everywhere", 1), ("ckpt", 2, "everywhere", 2)))
    some = base("ue only what is open", ("decode", "vae"), ("positive", "clip"))
    some.node("everywhere", "Anything Everywhere")
    made.append(some.link(("ckpt", 2, "everywhere", 0), ("ckpt", 1, "everywhere", 1)))
    triple = base("ue three", *open_ends)
    triple.node("everywhere", "Anything Everywhere3")
    made.append(triple.link(("ckpt", 0, "everywhere", 0), ("ckpt", 1, "everywhere", 1), ("ckpt", 2, "everywhere", 2)))
    prompts = base("ue prompts", ("sampler", "positive"), ("sampler", "negative"))
    prompts.node("everywhere", "Prompts Everywhere")
    made.append(prompts.link(("positive", 0, "everywhere", 0), ("negative", 0, "everywhere", 1)))
    seeds = base("ue seed")
    seeds.node("everywhere", "Seed Everywhere", seed=77)
    made.append(seeds)
    for mode in (MUTED, BYPASSED):
        off = base(f"ue of mode {mode}", ("decode", "vae"))
        off.node("everywhere", "Anything Everywhere", mode)
        made.append(off.link(("ckpt", 2, "everywhere", 0)))
        target = base(f"ue to a node of mode {mode}", ("positive", "clip"))
        target.nodes[1] = ("positive", "CLIPTextEncode", {"text": "x"}, mode)
        target.node("everywhere", "Anything Everywhere")
        made.append(target.link(("ckpt", 1, "everywhere", 0)))
    for script in ("title_regex", "color"):
        limited = base(f"ue limited by {script}", ("positive", "clip"), ("negative", "clip"), script=script)
        limited.node("everywhere", "Anything Everywhere")
        made.append(limited.link(("ckpt", 1, "everywhere", 0)))
    reroute = base("ue from a reroute", ("decode", "vae"))
    reroute.node("r", "Reroute")
    reroute.node("everywhere", "Anything Everywhere")
    made.append(reroute.link(("ckpt", 2, "r", 0), ("r", 0, "everywhere", 0)))
    got = base("ue from a get node", ("decode", "vae"), script="names")
    got.node("set_vae", "SetNode")
    got.node("get_vae", "GetNode")
    got.node("everywhere", "Anything Everywhere")
    made.append(got.link(("ckpt", 2, "set_vae", 0), ("get_vae", 0, "everywhere", 0)))
    return made


def _video() -> list[Recipe]:
    made = []
    for kind, more in (
        ("video/h264-mp4", {"crf": 19, "pix_fmt": "yuv420p10le", "save_metadata": False}),
        ("video/webm", {"crf": 31, "trim_to_audio": True}),
        ("video/ProRes", {"profile": "4444"}),
        ("video/ffv1-mkv", {"gop_size": 7}),
        ("image/gif", {}),
        ("video/16bit-png", {}),
        ("video/ffmpeg-gif", {"dither": "bayer"}),
        ("video/nvenc_h264-mp4", {"bitrate": 44}),
    ):
        one = base(f"vhs {kind.replace('/', ' ')}")
        values = {"format": kind, **more, "frame_rate": 12, "loop_count": 1, "filename_prefix": "clip/%date:yyyy%"}
        values["filename_prefix"] = "clip/%KSampler.steps%"
        one.node("combine", "VHS_VideoCombine", **values, pingpong=True, save_output=False)
        made.append(one.link(("decode", 0, "combine", "images")))
    load = Recipe("vhs load and combine")
    load.node("load", "VHS_LoadVideo", video="clip.mp4", frame_load_cap=16, custom_width=128, format="Wan")
    load.node("sound", "VHS_LoadAudio", audio_file="input/song.wav", seek_seconds=1.5, duration=3)
    load.node("batch", "VHS_BatchManager", frames_per_batch=8)
    load.node("combine", "VHS_VideoCombine", format="video/h265-mp4", crf=28)
    load.link(("batch", 0, "load", "meta_batch"), ("batch", 0, "combine", "meta_batch"))
    made.append(load.link(("load", 0, "combine", "images"), ("sound", 0, "combine", "audio")))
    linked = base("vhs a linked crf")
    linked.node("crf", "PrimitiveInt", value=23)
    linked.node("combine", "VHS_VideoCombine", format="video/h264-mp4")
    made.append(linked.link(("decode", 0, "combine", "images"), ("crf", 0, "combine", "crf")))
    paths = Recipe("vhs paths and folders")
    paths.node("path", "VHS_LoadVideoPath", video="/data/clip.mp4", force_rate=8)
    paths.node("folder", "VHS_LoadImagesPath", directory="/data/frames", image_load_cap=3)
    paths.node("upload", "VHS_LoadImages", directory="frames")
    paths.node("ffmpeg", "VHS_LoadVideoFFmpegPath", video="/data/b.mp4", start_time=2.5)
    paths.node("merge", "VHS_MergeImages", merge_strategy="match B", scale_method="lanczos")
    paths.node("count", "VHS_GetImageCount")
    paths.node("show", "PreviewAny")
    paths.node("save", "PreviewImage")
    paths.link(("path", 0, "merge", "images_A"), ("folder", 0, "merge", "images_B"), ("merge", 0, "save", "images"))
    made.append(paths.link(("upload", 0, "count", "images"), ("count", 0, "show", "source")))
    newest = base("vhs select latest")
    newest.node("latest", "VHS_SelectLatest", filename_prefix="clip/a")
    newest.node("path", "VHS_LoadVideoPath")
    newest.node("show", "PreviewImage")
    made.append(newest.link(("latest", 0, "path", "video"), ("path", 0, "show", "images")))
    return made


def _lora_manager() -> list[Recipe]:
    loader = base("lora_manager loader", ("sampler", "model"), script="lora_manager")
    loader.node("loras", "Lora Loader (LoraManager)")
    loader.node("stack", "Lora Stacker (LoraManager)")
    loader.node("words", "TriggerWord Toggle (LoraManager)", group_mode=False)
    loader.link(("ckpt", 0, "loras", "model"), ("ckpt", 1, "loras", "clip"), ("loras", 0, "sampler", "model"))
    loader.link(("stack", 0, "loras", "lora_stack"), ("loras", 2, "words", "trigger_words"))
    plain = base("lora_manager loader without loras", ("sampler", "model"))
    plain.node("loras", "Lora Loader (LoraManager)")
    plain.link(("ckpt", 0, "loras", "model"), ("loras", 0, "sampler", "model"))
    random_one = base("lora_manager randomizer", ("sampler", "model"))
    random_one.node("pool", "Lora Pool (LoraManager)")
    random_one.node("dice", "Lora Randomizer (LoraManager)")
    random_one.node("loras", "Lora Loader (LoraManager)")
    random_one.link(("pool", 0, "dice", "pool_config"), ("dice", 0, "loras", "lora_stack"))
    random_one.link(("ckpt", 0, "loras", "model"), ("loras", 0, "sampler", "model"))
    text = base("lora_manager prompt", ("sampler", "positive"))
    text.node("words", "Prompt (LoraManager)", text="ink, __animal__")
    text.link(("ckpt", 1, "words", "clip"), ("words", 0, "sampler", "positive"))
    save = base("lora_manager save image")
    save.node("out", "Save Image (LoraManager)", filename_prefix="lm/%KSampler.seed%", file_format="webp")
    save.link(("decode", 0, "out", "images"))
    return [loader, plain, random_one, text, save]


def _custom_scripts() -> list[Recipe]:
    made = []
    for script in ("show_text", ""):
        show = base(f"pysssss show text {script}", script=script)
        show.node("words", "StringFunction|pysssss", action="append", tidy_tags="yes", text_a="a", text_b="b")
        show.node("show", "ShowText|pysssss")
        made.append(show.link(("words", 0, "show", "text"), ("show", 0, "positive", "text")))
    maths = base("pysssss maths")
    maths.node("maths", "MathExpression|pysssss", expression="2 * 32 + a")
    maths.node("number", "PrimitiveInt", value=3)
    made.append(maths.link(("number", 0, "maths", "a"), ("maths", 0, "latent", "width")))
    lora = base("pysssss lora loader", ("sampler", "model"))
    lora.node("lora", "LoraLoader|pysssss", strength_model=0.5)
    lora.link(("ckpt", 0, "lora", "model"), ("ckpt", 1, "lora", "clip"), ("lora", 0, "sampler", "model"))
    made.append(lora)
    fit = base("pysssss constrained image")
    fit.node("fit", "ConstrainImage|pysssss", max_width=64, max_height=64, crop_if_required="yes")
    fit.node("out", "PreviewImage")
    made.append(fit.link(("decode", 0, "fit", "images"), ("fit", 0, "out", "images")))
    preset = base("pysssss preset text")
    preset.node("preset", "PresetText|pysssss")
    made.append(preset.link(("preset", 0, "negative", "text")))
    return made


def _easy() -> list[Recipe]:
    made = []
    loader = Recipe("easy full loader and sampler")
    loader.node("load", "easy fullLoader", ckpt_name="base.safetensors", positive="ink", negative="blur")
    loader.node("run", "easy fullkSampler", steps=3, cfg=2.5, image_output="Save")
    loader.link(("load", 0, "run", "pipe"))
    made.append(loader)
    simple = Recipe("easy a1111 loader and seed")
    simple.node("seed", "easy seed", seed=99)
    simple.node("load", "easy a1111Loader", ckpt_name="base.safetensors", clip_skip=-2)
    simple.node("set", "easy preSampling", steps=5, denoise=0.7)
    simple.node("run", "easy kSampler", image_output="Preview")
    simple.link(("seed", 0, "set", "seed"), ("load", 0, "set", "pipe"), ("set", 0, "run", "pipe"))
    made.append(simple)
    styles = base("easy styles and texts")
    styles.node("positive_text", "easy positive", positive="a boat")
    styles.node("styles", "easy stylesSelector", select_styles="fooocus_v2,sai-anime")
    styles.link(("positive_text", 0, "styles", "positive"), ("styles", 0, "positive", "text"))
    made.append(styles)
    switch = base("easy switches")
    switch.node("index", "easy int", value=1)
    switch.node("choose", "easy anythingIndexSwitch")
    switch.node("show", "easy showAnything")
    switch.link(("index", 0, "choose", "index"), ("decode", 0, "choose", "value0"), ("choose", 0, "show", "anything"))
    made.append(switch)
    loras = base("easy lora stack", ("sampler", "model"))
    loras.node("stack", "easy loraStack", num_loras=3, toggle=True, mode="simple", lora_1_name="ink.safetensors")
    loras.node("apply", "easy loraStackApply")
    loras.link(("stack", 0, "apply", "lora_stack"), ("ckpt", 0, "apply", "model"), ("ckpt", 1, "apply", "optional_clip"))
    made.append(loras.link(("apply", 0, "sampler", "model")))
    slider = base("easy slider")
    slider.node("slider", "easy sliderControl", mode="ipadapter layer weights", model_type="sdxl")
    slider.node("show", "PreviewAny")
    made.append(slider.link(("slider", 0, "show", "source")))
    chooser = base("easy image chooser")
    chooser.node("choose", "easy imageChooser", mode="Keep Last Selection")
    chooser.node("out", "PreviewImage")
    made.append(chooser.link(("decode", 0, "choose", "images"), ("choose", 0, "out", "images")))
    line = base("easy prompt line")
    line.node("line", "easy promptLine", prompt="one\ntwo\nthree", start_index=1, max_rows=2)
    made.append(line.link(("line", 0, "positive", "text")))
    return made


def _kj() -> list[Recipe]:
    made = []
    multi = base("kj image batch multi")
    multi.node("batch", "ImageBatchMulti", inputcount=2)
    multi.node("resize", "ImageResizeKJv2", width=96, height=64, keep_proportion="crop")
    multi.node("out", "SaveImageKJ", filename_prefix="kj/%KSampler.steps%", output_folder="output")
    multi.link(("decode", 0, "batch", "image_1"), ("decode", 0, "batch", "image_2"), ("batch", 0, "resize", "image"))
    made.append(multi.link(("resize", 0, "out", "images")))
    joined = base("kj join strings and constants")
    joined.node("a", "StringConstant", string="ink")
    joined.node("b", "StringConstantMultiline", string="wash\nfog", strip_newlines=False)
    joined.node("join", "JoinStringMulti", inputcount=2, delimiter=" + ")
    joined.node("size", "INTConstant", value=128)
    joined.link(("a", 0, "join", "string_1"), ("b", 0, "join", "string_2"), ("join", 0, "positive", "text"))
    made.append(joined.link(("size", 0, "latent", "width")))
    spline = base("kj spline and points")
    spline.node("spline", "SplineEditor", mask_width=64, points_to_sample=4)
    spline.node("points", "PointsEditor", width=64)
    spline.node("show", "PreviewAny")
    spline.node("show2", "PreviewAny")
    made.append(spline.link(("spline", 1, "show", "source"), ("points", 0, "show2", "source")))
    masks = base("kj masks")
    masks.node("mask", "CreateShapeMask", shape="circle", frames=2, frame_width=64, frame_height=64)
    masks.node("grow", "GrowMaskWithBlur", expand=3, blur_radius=1.5)
    masks.node("text", "CreateTextMask", text="KJ")
    masks.node("out", "MaskPreview")
    made.append(masks.link(("mask", 0, "grow", "mask"), ("grow", 0, "out", "mask")))
    return made


def _others() -> list[Recipe]:
    made = []
    was = base("was text and image")
    was.node("text", "Text Multiline", text="a boat\na bridge")
    was.node("other", "Text String", text="ink", text_b="wash")
    was.node("join", "Text Concatenate", delimiter=", ", clean_whitespace="true")
    was.node("blend", "Image Blending Mode", mode="multiply", blend_percentage=0.4)
    was.node("out", "Image Save", output_path="was", filename_prefix="boat", extension="jpg", quality=90)
    was.link(("text", 0, "join", "text_a"), ("other", 0, "join", "text_b"), ("join", 0, "positive", "text"))
    was.link(("decode", 0, "blend", "image_a"), ("decode", 0, "blend", "image_b"), ("blend", 0, "out", "images"))
    made.append(was)
    number = base("was numbers")
    number.node("number", "Constant Number", number_type="integer", number=64)
    number.node("int", "Number to Int")
    number.node("seed", "Seed", seed=5)
    number.link(("number", 0, "int", "number"), ("int", 0, "latent", "width"), ("seed", 0, "sampler", "seed"))
    made.append(number)
    for name, kind, values in (
        ("resize", "ImageResize+", {"width": 96, "method": "pad", "interpolation": "lanczos"}),
        ("flip", "ImageFlip+", {"axis": "y"}),
        ("crop", "ImageCrop+", {"width": 32, "position": "center"}),
    ):
        one = base(f"essentials {name}")
        one.node("change", kind, **values)
        one.node("out", "PreviewImage")
        made.append(one.link(("decode", 0, "change", "image"), ("change", 0, "out", "images")))
    maths = base("essentials maths")
    maths.node("maths", "SimpleMath+", value="a * 2")
    maths.node("a", "PrimitiveInt", value=32)
    made.append(maths.link(("a", 0, "maths", "a"), ("maths", 0, "latent", "width")))
    seeker = base("essentials flux attention", ("positive", "clip"))
    seeker.node("seek", "FluxAttentionSeeker+", clip_l_0=1.5, t5xxl_3=0.5)
    made.append(seeker.link(("ckpt", 1, "seek", "clip"), ("seek", 0, "positive", "clip")))
    return made


def _impact() -> list[Recipe]:
    made: list[Recipe] = []
    wild = base("impact switch and wildcard")
    wild.node("switch", "ImpactSwitch", select=1)
    wild.node("words", "ImpactWildcardProcessor", wildcard_text="{ink|wash} boat", seed=3)
    wild.node("out", "PreviewImage")
    wild.link(
        ("decode", 0, "switch", "input1"), ("switch", 0, "out", "images"), ("words", 0, "positive", "text")
    )
    made.append(wild)
    detail = base("impact list and maths")
    detail.node("int", "ImpactInt", value=64)
    detail.node("compare", "ImpactCompare", cmp="a > b")
    detail.node("list", "ImpactMakeImageList")
    detail.node("out", "PreviewImage")
    detail.link(("int", 0, "latent", "width"), ("decode", 0, "list", "image1"), ("list", 0, "out", "images"))
    made.append(detail)
    for mode in (0, BYPASSED):
        pipe = base(
            f"impact basic pipe{f' of mode {mode}' if mode else ''}", ("sampler", "model"), ("decode", "vae")
        )
        pipe.node("pipe", "ToBasicPipe")
        pipe.node("edited", "EditBasicPipe", mode)
        pipe.node("parts", "FromBasicPipe")
        for slot, name in enumerate(("model", "clip", "vae")):
            pipe.link(("ckpt", slot, "pipe", name))
        pipe.link(("positive", 0, "pipe", "positive"), ("negative", 0, "pipe", "negative"))
        pipe.link(("negative", 0, "edited", "positive"), ("pipe", 0, "edited", "basic_pipe"))
        made.append(
            pipe.link(
                ("edited", 0, "parts", 0), ("parts", 0, "sampler", "model"), ("parts", 2, "decode", "vae")
            )
        )
    sampled = base("impact sampler of a pipe", ("decode", "samples"))
    sampled.node("pipe", "ToBasicPipe")
    sampled.node(
        "again",
        "ImpactKSamplerBasicPipe",
        seed=7,
        steps=3,
        cfg=2.5,
        sampler_name="euler",
        scheduler="AYS SDXL",
    )
    for slot, name in enumerate(("model", "clip", "vae")):
        sampled.link(("ckpt", slot, "pipe", name))
    sampled.link(
        ("positive", 0, "pipe", "positive"),
        ("negative", 0, "pipe", "negative"),
        ("pipe", 0, "again", "basic_pipe"),
    )
    made.append(sampled.link(("sampler", 0, "again", "latent_image"), ("again", 1, "decode", "samples")))
    segs = base("impact SEGS of a mask")
    segs.node("mask", "SolidMask", value=0.5, width=64, height=96)
    segs.node("dilated", "ImpactDilateMask", dilation=4)
    segs.node(
        "segs", "MaskToSEGS", combined=True, crop_factor=1.5, bbox_fill=False, drop_size=3, contour_fill=True
    )
    segs.node("preview", "SEGSPreview", alpha_mode=False, min_alpha=0.4)
    segs.node("filtered", "ImpactSEGSRangeFilter", target="width", mode=False, min_value=2, max_value=90)
    segs.node("picked", "ImpactSEGSPicker", picks="1")
    segs.node("all", "SegsToCombinedMask")
    segs.node("shown", "MaskPreview")
    segs.link(("mask", 0, "dilated", "mask"), ("dilated", 0, "segs", "mask"), ("segs", 0, "preview", "segs"))
    segs.link(("decode", 0, "preview", "fallback_image_opt"), ("segs", 0, "filtered", "segs"))
    made.append(segs.link(("filtered", 1, "picked", "segs"), ("picked", 0, "all", "segs"), ("all", 0, "shown", "mask")))
    detailer = base("impact detailer for SEGS", ("save", "images"))
    detailer.node("mask", "SolidMask", value=1.0, width=64, height=96)
    detailer.node("segs", "MaskToSEGS")
    detailer.node(
        "detail", "DetailerForEach", guide_size=256, seed=11, steps=6, denoise=0.4, wildcard="", cycle=2
    )
    detailer.link(
        ("mask", 0, "segs", "mask"), ("decode", 0, "detail", "image"), ("segs", 0, "detail", "segs")
    )
    for slot, name in enumerate(("model", "clip", "vae")):
        detailer.link(("ckpt", slot, "detail", name))
    detailer.link(("positive", 0, "detail", "positive"), ("negative", 0, "detail", "negative"))
    made.append(detailer.link(("detail", 0, "save", "images")))
    growing = base("impact lists that grow", ("save", "images"), ("sampler", "positive"))
    growing.node("batch", "ImpactMakeImageBatch")
    growing.node("texts", "ImpactCombineConditionings")
    growing.link(
        ("decode", 0, "batch", "image1"), ("decode", 0, "batch", "image2"), ("decode", 0, "batch", "image3")
    )
    growing.link(("positive", 0, "texts", "conditioning1"), ("negative", 0, "texts", "conditioning2"))
    made.append(growing.link(("batch", 0, "save", "images"), ("texts", 0, "sampler", "positive")))
    chosen = base("impact switches", ("save", "images"))
    chosen.node("switch", "ImpactSwitch", select=2, sel_mode=True)
    chosen.node("other", "EmptyImage", width=32, height=32, batch_size=1, color=255)
    chosen.link(
        ("decode", 0, "switch", "input1"), ("other", 0, "switch", "input2"), ("switch", 0, "save", "images")
    )
    made.append(chosen)
    back = base("impact inversed switch", ("save", "images"))
    back.node("back", "ImpactInversedSwitch", select=1)
    back.node("out", "PreviewImage")
    back.link(("decode", 0, "back", "input"), ("back", 0, "save", "images"), ("back", 1, "out", "images"))
    made.append(back)
    logic = base("impact logic and a branch", ("save", "images"))
    logic.node("five", "ImpactInt", value=5)
    logic.node("three", "ImpactInt", value=3)
    logic.node("no", "ImpactBoolean", value=False)
    logic.node("compare", "ImpactCompare", cmp="a >= b")
    logic.node("not", "ImpactNeg", value=False)
    logic.node("both", "ImpactLogicalOperators", operator="or", bool_a=True, bool_b=False)
    logic.node("other", "EmptyImage", width=32, height=32, batch_size=1, color=255)
    logic.node("branch", "ImpactConditionalBranch")
    logic.link(("five", 0, "compare", "a"), ("three", 0, "compare", "b"), ("compare", 0, "not", "value"))
    logic.link(
        ("not", 0, "both", "bool_a"), ("no", 0, "both", "bool_b"),
        ("both", 0, "branch", "cond"), ("decode", 0, "branch", "tt_value"),
    )
    made.append(logic.link(("other", 0, "branch", "ff_value"), ("branch", 0, "save", "images")))
    texts = base("impact strings", ("positive", "text"))
    texts.node("chosen", "ImpactStringSelector", strings="one\ntwo\n#three", multiline=True, select=1)
    texts.node("shown", "PreviewAny")
    texts.link(("chosen", 0, "positive", "text"), ("chosen", 0, "shown", "source"))
    made.append(texts)
    encoded = base("impact wildcard encode", ("sampler", "positive"))
    encoded.node(
        "words", "ImpactWildcardEncode", wildcard_text="{ink|wash} <lora:ink:0.5>", mode=False, seed=9
    )
    encoded.link(
        ("ckpt", 0, "words", "model"), ("ckpt", 1, "words", "clip"), ("words", 2, "sampler", "positive")
    )
    made.append(encoded)
    senders = base("impact senders and a bridge", ("save", "images"))
    senders.node("bridge", "PreviewBridge", block=False)
    senders.node("sender", "ImageSender", filename_prefix="sent", link_id=2)
    senders.node("latents", "LatentSender", filename_prefix="latents/sent", link_id=3)
    senders.link(
        ("decode", 0, "bridge", "images"), ("bridge", 0, "save", "images"), ("decode", 0, "sender", "images")
    )
    made.append(senders.link(("sampler", 0, "latents", "samples")))
    queue = base("impact queue and widgets", ("save", "images"))
    queue.node("trigger", "ImpactQueueTrigger", mode=False)
    queue.node("count", "ImpactQueueTriggerCountdown", count=1, total=4, mode=True)
    queue.node(
        "widget", "ImpactSetWidgetValue", node_id=3, widget_name="text", string_value="next", int_value=4
    )
    queue.node("sleep", "ImpactSleep", seconds=0.3)
    queue.node("gate", "ImpactControlBridge", mode=True, behavior="Mute")
    queue.link(
        ("decode", 0, "trigger", "signal"),
        ("trigger", 0, "count", "signal"),
        ("count", 0, "widget", "signal"),
    )
    queue.link(("decode", 0, "sleep", "signal"), ("sleep", 0, "gate", "value"), ("gate", 0, "save", "images"))
    made.append(queue)
    upscaled = base("impact iterative upscale", ("decode", "samples"))
    upscaled.node(
        "provider", "PixelKSampleUpscalerProvider", scale_method="bilinear", seed=5, steps=2, denoise=0.3
    )
    upscaled.node("hook", "DenoiseScheduleHookProvider", target_denoise=0.2)
    upscaled.node(
        "larger", "IterativeLatentUpscale", upscale_factor=1.5, steps=2, temp_prefix="", step_mode="geometric"
    )
    upscaled.link(
        ("ckpt", 0, "provider", "model"),
        ("ckpt", 2, "provider", "vae"),
        ("hook", 0, "provider", "pk_hook_opt"),
    )
    upscaled.link(("positive", 0, "provider", "positive"), ("negative", 0, "provider", "negative"))
    upscaled.link(("sampler", 0, "larger", "samples"), ("provider", 0, "larger", "upscaler"))
    made.append(upscaled.link(("larger", 0, "decode", "samples")))
    return made


def random_recipes(
    definitions: Mapping[str, Any], packs: Mapping[str, str], count: int, dice: random.Random
) -> list[Recipe]:
    """`count` graphs for each pack; together they use every class of it that has outputs or inputs."""
    made: list[Recipe] = []
    core = ["CheckpointLoaderSimple", "EmptyImage", "EmptyLatentImage", "CLIPTextEncode", "LoadImage"]
    core += ["KSampler", "VAEDecode", "SolidMask", "PrimitiveInt", "PrimitiveFloat", "PrimitiveString"]
    core += ["PrimitiveBoolean", "SaveImage"]
    for short, folder in packs.items():
        own = sorted(k for k, v in definitions.items() if v.get("python_module") == f"custom_nodes.{folder}")
        dice.shuffle(own)
        for number in range(count if own else 0):
            chosen = own[number::count]
            made.append(_random(f"{short} random {number}", [*core, *chosen], definitions, dice))
    return made


def _random(name: str, classes: Sequence[str], definitions: Mapping[str, Any], dice: random.Random) -> Recipe:
    """Classes whose required inputs nothing fits are left out, and no more than one node is switched off."""
    recipe = Recipe(name)
    outputs: list[tuple[str, int, str]] = []
    off = dice.randrange(10, 40)
    for number, kind in enumerate(classes):
        definition = definitions[kind]
        label = f"n{number}"
        values: dict[str, Any] = {}
        links: list[tuple[str, int | str, str, int | str]] = []
        usable = True
        for spec_name, spec, required in _inputs(definition):
            kind_of, options = spec[0], spec[1] if len(spec) > 1 and isinstance(spec[1], dict) else {}
            fitting = [o for o in outputs if isinstance(kind_of, str) and (kind_of == "*" or o[2] in (kind_of, "*"))]
            is_value = isinstance(kind_of, list) or kind_of in ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")
            must = required and (not is_value or options.get("forceInput"))
            if fitting and (must or dice.random() < (0.1 if is_value else 0.5)):
                source, slot, _ = dice.choice(fitting)
                links.append((source, slot, label, spec_name))
            elif must and kind_of.isupper() and not kind_of.startswith(PAGE_TYPES):
                usable = False
            elif is_value and dice.random() < 0.8:
                value = _value(kind_of, options, dice)
                if value is not None:
                    values[spec_name] = value
        if not usable:
            continue
        recipe.links += links
        recipe.nodes.append((label, kind, values, dice.choice((MUTED, BYPASSED)) if number == off else 0))
        for slot, output in enumerate(definition.get("output") or ()):
            outputs.append((label, slot, output if isinstance(output, str) else "COMBO"))
    return recipe


def _inputs(definition: Mapping[str, Any]) -> Iterable[tuple[str, list[Any], bool]]:
    sections = definition.get("input") or {}
    for section in ("required", "optional"):
        for name, spec in (sections.get(section) or {}).items():
            if isinstance(spec, list) and spec:
                yield name, spec, section == "required"


def _value(kind: Any, options: Mapping[str, Any], dice: random.Random) -> Any:
    if isinstance(kind, list) or kind == "COMBO":
        choices = kind if isinstance(kind, list) else options.get("options")
        plain = [c for c in choices or () if isinstance(c, (str, int, float)) and not isinstance(c, bool)]
        return dice.choice(plain) if plain else None
    low, high = options.get("min", 0), options.get("max", 100)
    if kind == "INT":
        step = int(options.get("step") or 1) or 1
        low, high = int(max(low, -1000)), int(min(high, 1000))
        return low + step * dice.randint(0, max(0, (high - low) // step))
    if kind == "FLOAT":
        return round(dice.uniform(max(low, -10), min(high, 10)), 2)
    if kind == "BOOLEAN":
        return dice.random() < 0.5
    return dice.choice(WORDS)
