"""What a peer lacks for a prompt: classes, model files, embeddings, inputs."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.core.prompts.requirements import (
    Doubt,
    InputReference,
    PathReference,
    input_references,
    lacks_of,
    localise_paths,
    oversized,
    path_references,
    unmet,
)
from orchestrator.core.workflow.object_info import ObjectInfo


def info(
    *, module: str = "nodes", embeddings: tuple[str, ...] | None = None, **classes: dict[str, Any]
) -> ObjectInfo:
    return ObjectInfo(
        {
            name: {"input": {"required": inputs}, "output": [], "python_module": module}
            for name, inputs in classes.items()
        },
        embeddings,
    )


PACK = "custom_nodes.some-pack"


PEER = info(
    Loader={"file": [["sd\\model.safetensors", "other.safetensors"], {}]},
    LoadImage={"image": [["theirs.png"], {"image_upload": True}]},
    LoadLatent={"latent": [[], {}]},
    SaveImage={"images": ["IMAGE", {}], "filename_prefix": ["STRING", {"default": "ComfyUI"}]},
    KSampler={"sampler_name": [["euler"], {}]},
)


def prompt(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"1": {"class_type": class_type, "inputs": inputs}}


def test_a_missing_class_is_named() -> None:
    assert unmet(prompt("Unheard"), PEER) == ("it lacks the node Unheard",)


def test_each_of_many_missing_models_is_named_but_only_some_with_what_they_resemble() -> None:
    many = {str(n): {"class_type": "Loader", "inputs": {"file": f"{n}other.safetensors"}} for n in range(99)}
    words = unmet(many, PEER)
    assert len(words) == 99
    assert 0 < sum("it has other.safetensors" in told for told in words) < 10


def test_a_missing_model_is_named_with_the_nearest_one_the_peer_has() -> None:
    assert unmet(prompt("Loader", file="otter.safetensors"), PEER) == (
        "it lacks the file otter.safetensors, wanted by node 1 (file) (it has other.safetensors)",
    )


def test_a_model_in_a_subfolder_is_found_and_spelled_with_either_separator() -> None:
    wanted = prompt("Loader", file="sd/model.safetensors")
    assert unmet(wanted, PEER) == ()
    assert localise_paths(wanted, PEER)["1"]["inputs"]["file"] == "sd\\model.safetensors"


def test_a_choice_that_is_no_file_is_left_to_the_peers_own_validation() -> None:
    assert unmet(prompt("KSampler", sampler_name="unheard"), PEER) == ()


def test_inputs_with_an_upload_button_and_other_files_are_references() -> None:
    assert input_references(prompt("LoadImage", image="mine.png"), PEER) == (
        InputReference("1", "image", "mine.png", sure=True),
    )
    assert input_references(prompt("LoadLatent", latent="x.latent [temp]"), PEER) == (
        InputReference("1", "latent", "x.latent [temp]", sure=False),
    )
    assert input_references(prompt("Loader", file="other.safetensors"), PEER) == ()


def test_input_files_above_a_peers_upload_limit_are_named_with_both_sizes() -> None:
    files = {"b.png": 120 << 20, "a.wav": (100 << 20) + (1 << 19), "small.png": 100 << 20}
    assert oversized(files, 100 << 20) == (
        "its upload limit of 100 MiB is below a.wav (100.5 MiB)",
        "its upload limit of 100 MiB is below b.png (120 MiB)",
    )
    assert oversized(files, 200 << 20) == ()


# What only the peer knows


def test_a_packs_list_without_the_model_is_a_doubt_and_not_a_refusal() -> None:
    peer = info(module=PACK, GgufLoader={"unet_name": [["flux-q4.gguf"], {}]})
    found = lacks_of(prompt("GgufLoader", unet_name="flux-q8.gguf"), peer)
    assert found.sure == ()
    assert found.unsure == (
        "its list for node 1 (unet_name) does not have the file flux-q8.gguf (it has flux-q4.gguf)",
    )
    assert found.rests_on == Doubt(frozenset({"GgufLoader"}))


LORAS = {"LoraLoader": {"lora_name": [["styles/ink.safetensors", "deep/down/glow.safetensors"], {}]}}


def with_loras(embeddings: tuple[str, ...] | None = ("easyneg", "sub/hands"), **packs: Any) -> ObjectInfo:
    stock = info(
        **LORAS,
        CLIPTextEncode={"text": ["STRING", {"multiline": True}]},
        Words={"value": ["STRING", {}]},
    )
    made = {
        name: {"input": {"required": inputs}, "output": [], "python_module": PACK}
        for name, inputs in packs.items()
    }
    words = {
        "Words": {
            "input": {"required": {"value": ["STRING", {}]}},
            "output": ["STRING"],
            "python_module": "nodes",
        }
    }
    return ObjectInfo({**{name: stock.raw(name) for name in stock}, **words, **made}, embeddings)


STACK = with_loras(Stack={}, Tags={"text": ["STRING", {}]})


def row(lora: str, **more: Any) -> dict[str, Any]:
    return {"on": True, "lora": lora, "strength": 0.8, **more}


def test_a_model_named_inside_an_object_is_spelled_with_the_peers_separator() -> None:
    rows = prompt("Stack", lora_1=row("styles\\ink.safetensors"), model=["2", 0])
    assert localise_paths(rows, STACK)["1"]["inputs"]["lora_1"] == row("styles/ink.safetensors")
    assert rows["1"]["inputs"]["lora_1"] == row("styles\\ink.safetensors")
    assert lacks_of(rows, STACK).unsure == ()


def test_a_model_inside_an_object_that_the_peer_lacks_is_told_with_its_node() -> None:
    found = lacks_of(prompt("Stack", lora_2=row("people\\me.safetensors")), STACK)
    assert found.sure == ()
    assert found.unsure == ("it lacks the LoRA people\\me.safetensors, which node 1 (lora_2) may leave out",)
    assert found.rests_on == Doubt(frozenset({"LoraLoader"}))


def test_what_is_switched_off_is_not_asked_for() -> None:
    off = [row("gone.safetensors", on=False), {"name": "gone", "active": False, "strength": 1}]
    for value in (*off, {"__value__": off}, [{"rows": off}]):
        assert lacks_of(prompt("Stack", loras=value), STACK).unsure == ()
    tagged = prompt("Tags", text="<lora:gone:1> a hat", loras={"__value__": [off[1]]})
    assert lacks_of(tagged, STACK).unsure == ()


def test_names_without_their_ending_are_found_in_lists_of_loras() -> None:
    listed = {
        "__value__": [{"name": "ink", "strength": 1.0, "active": True}, {"name": "gone", "strength": 1}]
    }
    found = lacks_of(prompt("Stack", loras=listed), STACK)
    assert found.unsure == ("it lacks the LoRA gone, which node 1 (loras) may leave out",)


def test_tags_in_a_packs_text_are_found_and_their_separator_is_mended() -> None:
    text = "<lora:styles\\ink:0.8:1>, a hat, <LORA:glow:0.4> <lora:gone:1>"
    tags = prompt("Tags", text=text)
    assert localise_paths(tags, STACK)["1"]["inputs"]["text"] == text.replace("styles\\ink", "styles/ink")
    assert lacks_of(tags, STACK).unsure == ("it lacks the LoRA gone, which node 1 (text) may leave out",)


def test_tags_count_where_a_pack_reads_them_and_nowhere_else() -> None:
    words = prompt("Words", value="<lora:gone:1>")
    assert (
        lacks_of({**words, "2": {"class_type": "CLIPTextEncode", "inputs": {"text": ["1", 0]}}}, STACK).unsure
        == ()
    )
    assert lacks_of({**words, "2": {"class_type": "Tags", "inputs": {"text": ["1", 0]}}}, STACK).unsure != ()
    assert lacks_of(prompt("CLIPTextEncode", text="<lora:gone:1>"), STACK).unsure == ()


@pytest.mark.parametrize(
    "text",
    [
        "embedding:easyneg, blurry",
        "blurry (embedding:easyneg.safetensors:1.2)",
        "blurry\nembedding:sub\\hands",
        "(embedding:sub/hands:1.1) [x]",
        "my embedding:, see embedding for more",
        "myembedding:gone and http://embedding:gone",
    ],
)
def test_embeddings_that_the_peer_has_and_ordinary_words_raise_no_doubt(text: str) -> None:
    assert lacks_of(prompt("CLIPTextEncode", text=text), STACK).unsure == ()


def test_each_embedding_that_the_peer_lacks_is_told() -> None:
    text = "embedding:badhands_v9, (embedding:easyneg:1.2), embedding:worst.pt"
    found = lacks_of(prompt("CLIPTextEncode", text=text), STACK)
    assert [words.split(",")[0] for words in found.unsure] == [
        "it lacks the embedding badhands_v9",
        "it lacks the embedding worst.pt",
    ]
    assert found.rests_on == Doubt(frozenset(), embeddings=True)
    assert lacks_of(prompt("CLIPTextEncode", text=text), with_loras(embeddings=None)).unsure == ()


def test_an_embeddings_separator_is_mended_where_it_stands() -> None:
    text = "a embedding:sub\\hands.pt b (embedding:sub\\hands:1.2)"
    mended = localise_paths(prompt("CLIPTextEncode", text=text), STACK)["1"]["inputs"]["text"]
    assert mended == "a embedding:sub/hands.pt b (embedding:sub/hands:1.2)"


@pytest.mark.parametrize(
    "value",
    [
        {"note": "I like ink.safetensors\nvery much"},
        {"url": "https://example.org/ink.safetensors"},
        {"lora": "None", "strength": 1},
        {"name": "a lighthouse at dawn"},
        ["2", 0],
        {"x": [1, 2, None, True]},
    ],
    ids=str,
)
def test_ordinary_text_in_objects_is_no_file(value: Any) -> None:
    assert lacks_of(prompt("Stack", value=value), STACK).unsure == ()


def test_files_inside_objects_are_references_with_the_way_to_them() -> None:
    peer = with_loras(Stage={"image": ["LOAD_3D", {}]})
    picture = {"image": "threed/a.png [temp]", "camera_info": {"zoom": 1}, "extra": ["b.exr", "no file"]}
    assert input_references(prompt("Stage", image=picture), peer) == (
        InputReference("1", "image", "threed/a.png [temp]", False, ("image",), True),
        InputReference("1", "image", "b.exr", False, ("extra", 0), True),
    )


def test_choices_outside_the_list_and_a_packs_paths_may_be_of_one_machine() -> None:
    peer = with_loras(Folder={"directory": [["frames_a"], {}]}, Path={"video": ["STRING", {}]})
    assert path_references(prompt("Folder", directory="frames_b"), peer) == (
        PathReference("1", "directory", "frames_b", "Folder", is_choice=True),
    )
    assert path_references(prompt("Path", video="input/holiday.mp4"), peer) == (
        PathReference("1", "video", "input/holiday.mp4", "Path"),
    )
    for value in ("frames_a", "a.mp4"):
        assert path_references(prompt("Folder", directory=value), peer) == ()
    assert path_references(prompt("CLIPTextEncode", text="cats/dogs"), peer) == ()
