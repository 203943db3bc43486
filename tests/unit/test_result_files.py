"""Every file, text and sequence that the outputs of a history entry tell of."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.core.models.job import OutputFile, RemoteFile
from orchestrator.core.workflow.result_files import (
    TEXT_MAX,
    companions_of,
    cut,
    files_of,
    merged,
    sequence_of,
    texts_of,
)
from orchestrator.core.workflow.shown_outputs import shown_of

OUTPUTS = {
    "9": {
        "images": [
            {"filename": "b.png", "subfolder": "x", "type": "output"},
            {"filename": 5, "type": "output"},
        ]
    },
    "2": {"gifs": [{"filename": "a.mp4", "type": "output"}], "text": ["hello", 3], "animated": [False]},
}


def test_files_come_in_the_order_of_the_prompt_whatever_they_are_listed_under() -> None:
    assert files_of(OUTPUTS, {"2": {}, "9": {}}) == (
        RemoteFile("2", "a.mp4", "", "output"),
        RemoteFile("9", "b.png", "x", "output"),
    )
    assert files_of(OUTPUTS, {"2": {}, "9": {}}, only="9") == (RemoteFile("9", "b.png", "x", "output"),)


def test_only_texts_are_texts() -> None:
    assert texts_of(OUTPUTS, {"2": {}}) == ("hello",)


def made(**outputs: Any) -> dict[str, Any]:
    return {"2": outputs}


def entry(filename: str, subfolder: str = "", kind: str = "output", **more: Any) -> dict[str, Any]:
    return {"filename": filename, "subfolder": subfolder, "type": kind, **more}


def here(*files: RemoteFile, named: str = "") -> dict[RemoteFile, OutputFile]:
    return {
        f: OutputFile(f.node_id, f"/here/{named or f.filename}", named or f.filename, "mine", f.type)
        for f in files
    }


def test_nodes_that_an_expansion_made_come_where_the_node_is_that_became_them() -> None:
    outputs = {
        "12": {"images": [entry("p.png", kind="temp")]},
        "9.0.10.7": {"images": [entry("c.png")]},
        "9.0.2.7": {"images": [entry("b.png")]},
        "unheard of": {"images": [entry("z.png")]},
        "3:4.0": {"images": [entry("a.png")]},
    }
    order = {"3:4": {}, "9": {}, "12": {}}
    assert [f.filename for f in files_of(outputs, order)] == ["a.png", "b.png", "c.png", "p.png", "z.png"]


@pytest.mark.parametrize(
    ("output", "file"),
    [
        ({"3d": {"mesh": entry("m.glb", "3d")}}, RemoteFile("2", "m.glb", "3d")),
        ({"a": [{"b": [{"c": entry("deep.png")}]}]}, RemoteFile("2", "deep.png")),
        ({"images": [{"filename": "x.png", "subfolder": "cats"}]}, RemoteFile("2", "x.png", "cats")),
        ({"files": ["/srv/comfy/output/cats/x.png"]}, RemoteFile("2", "x.png", "cats")),
        ({"files": ["C:\\ComfyUI\\temp\\x.png"]}, RemoteFile("2", "x.png", "", "temp")),
        ({"anything": "/mnt/elsewhere/x.png"}, RemoteFile("2", "x.png")),
        ({"result": ["3d/mesh.glb", {"fov": 5}, None]}, RemoteFile("2", "mesh.glb", "3d")),
        ({"result": ["temp/bg.png"]}, RemoteFile("2", "bg.png", "", "temp")),
        ({"model": ["3d/mesh.glb [temp]"]}, RemoteFile("2", "mesh.glb", "3d", "temp")),
        ({"saved": {"files": ["x.txt"]}}, RemoteFile("2", "x.txt")),
        ({"images": [{"filename": "x.png"}]}, RemoteFile("2", "x.png")),
        ({"video_path": ["cats/x.mp4"]}, RemoteFile("2", "x.mp4", "cats")),
        ({"Output_Path": "x.mp4"}, RemoteFile("2", "x.mp4")),
        ({"files": ["/srv/comfy/output/temp/x.png"]}, RemoteFile("2", "x.png", "temp")),
        ({"files": ["/srv/temp/comfy/output/x.png"]}, RemoteFile("2", "x.png")),
    ],
)
def test_a_file_is_found_whatever_shape_it_is_told_in(output: dict[str, Any], file: RemoteFile) -> None:
    assert files_of(made(**output), {"2": {}}) == (file,)


@pytest.mark.parametrize(
    "output",
    [
        {"text": ["/srv/comfy/output/x.png"]},
        {"anything": ["loras/ink.png"]},
        {"files": ["https://example.org/x.png"]},
        {"files": ["no ending", "0.5", "a\nb.png", ""]},
        {"loras": [{"name": "/models/loras/ink.safetensors"}]},
        {"images": [{"filename": "x"}, {"filename": 7, "type": "output"}, None, 3]},
        {"model_name": ["loras/ink.png"], "style": "a/b.png"},
    ],
)
def test_what_is_no_file_is_not_taken_for_one(output: dict[str, Any]) -> None:
    assert files_of(made(**output), {"2": {}}) == ()


def test_a_path_beside_the_entry_of_the_same_file_is_no_second_file() -> None:
    output = made(images=[entry("x.png", "mnt/today")], files=["/mnt/today/x.png"])
    assert files_of(output, {"2": {}}) == (RemoteFile("2", "x.png", "mnt/today"),)


def test_hostile_nesting_and_countless_files_end_somewhere() -> None:
    nested: Any = [entry("x.png")]
    for _ in range(500):
        nested = [nested]
    assert files_of(made(images=nested), {"2": {}}) == ()
    assert shown_of(made(images=nested), {})["2"]["images"]
    many = made(images=[entry(f"{n}.png") for n in range(30_000)])
    assert len(files_of(many, {"2": {}})) == 20_001


FILM = entry(
    "clip_00001.mp4",
    "rd-1",
    workflow="clip_00001.png",
    fullpath="/srv/comfy/output/rd-1/clip_00001.mp4",
    format="video/h264-mp4",
    frame_rate=8.0,
    id="9f2c",
    preview_id="77aa",
)


@pytest.mark.parametrize(
    ("beside", "file", "shown"),
    [
        ({"poster": "rd-1/p.png"}, RemoteFile("2", "p.png", "rd-1"), "here/p_00007.png"),
        ({"preview_file": "other/p.png"}, None, None),
        ({"image_path": "other/p.png"}, RemoteFile("2", "p.png", "other"), "here/p_00007.png"),
        ({"fullpath": "/srv/output/all/p.png"}, RemoteFile("2", "p.png", "all"), "/out/here/p_00007.png"),
        ({"fullpath": "C:\\out\\output\\p.png"}, RemoteFile("2", "p.png"), "/out/here/p_00007.png"),
        ({"style": "looks/p.png"}, None, None),
        ({"source": "/models/p.png"}, None, None),
    ],
)
def test_a_companion_may_be_named_by_a_path(
    beside: dict[str, str], file: RemoteFile | None, shown: str | None
) -> None:
    (key, value), film = *beside.items(), RemoteFile("2", "x.mp4", "rd-1")
    outputs = made(gifs=[entry("x.mp4", "rd-1", **beside)])
    assert files_of(outputs, {"2": {}}) == ((film, file) if file else (film,))
    place = OutputFile("2", "/out/here/p_00007.png", "p_00007.png", "here", "output")
    film_here = OutputFile("2", "/out/here/x.mp4", "x.mp4", "here", "output")
    (told,) = shown_of(outputs, {film: film_here, **({file: place} if file else {})})["2"]["gifs"]
    assert told.get(key) == (shown if file or value.startswith("/") else value)


def test_a_companion_is_a_file_and_shown_under_its_name_here() -> None:
    outputs = made(gifs=[FILM])
    film, picture = files_of(outputs, {"2": {}})
    assert (film.filename, picture) == ("clip_00001.mp4", RemoteFile("2", "clip_00001.png", "rd-1"))
    assert companions_of(outputs) == {picture}
    assert shown_of(
        outputs, {**here(film, named="clip_00007.mp4"), **here(picture, named="clip_00007.png")}
    ) == {
        "2": {
            "gifs": [
                {
                    "filename": "clip_00007.mp4",
                    "subfolder": "mine",
                    "type": "output",
                    "workflow": "clip_00007.png",
                    "fullpath": "/here/clip_00007.mp4",
                    "format": "video/h264-mp4",
                    "frame_rate": 8.0,
                }
            ]
        }
    }


def test_what_did_not_come_is_not_shown_and_no_path_of_the_peer_is() -> None:
    outputs = made(gifs=[FILM], files=["/mnt/other/x.png"], note=["/secret/place/y.png"], n=[1, None])
    film = files_of(outputs, {"2": {}})[0]
    shown = shown_of(outputs, here(film))
    assert "workflow" not in shown["2"]["gifs"][0]
    assert shown_of(outputs, {}) == {"2": {"gifs": [], "files": ["x.png"], "note": ["y.png"], "n": [1, None]}}


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("/srv/comfy/output/x.png", "/here/y.png"),
        ("x.png [output]", "mine/y.png [output]"),
        ("x.png", "mine/y.png"),
    ],
)
def test_a_plain_path_is_shown_in_the_way_it_was_told(told: str, shown: str) -> None:
    outputs = made(files=[told])
    assert shown_of(outputs, here(*files_of(outputs, {}), named="y.png")) == made(files=[shown])


def test_frames_are_known_by_their_pattern() -> None:
    sequence = sequence_of(RemoteFile("2", "clip_00001_%03d.png"))
    assert sequence is not None
    assert sequence.frame(7) == RemoteFile("2", "clip_00001_007.png")
    assert [sequence.number_of(f"clip_00001_{n}.png") for n in ("007", "1000", "7", "x", "")] == [
        7,
        1000,
        None,
        None,
        None,
    ]
    assert sequence.pattern_here(7, "clip_00004_007.png") == "clip_00004_%03d.png"
    assert sequence.pattern_here(7, "clip.png") == ""


@pytest.mark.parametrize("name", ["a.png", "100%.png", "%s.png", "%d_%d.png", "%09999999d.png"])
def test_other_names_are_no_pattern(name: str) -> None:
    assert sequence_of(RemoteFile("2", name)) is None


def test_a_long_text_is_cut_and_says_so() -> None:
    assert cut("x" * TEXT_MAX) == "x" * TEXT_MAX
    assert cut("x" * 3_000_000).endswith("… (3,000,000 characters in all; the rest was left on the peer)")
    assert len(shown_of(made(text=["x" * 3_000_000]), {})["2"]["text"][0]) < 1_100_000


def test_of_several_rounds_no_file_is_lost_whatever_shape_it_is_told_in() -> None:
    def told(name: str) -> dict[str, Any]:
        entry = {"filename": f"{name}.png", "subfolder": "", "type": "output"}
        return {
            "1": {"images": [[entry]], "media": {"gifs": [{**entry, "filename": f"{name}.gif"}]}},
            "2": {"images": {**entry, "filename": f"{name}.webp"}, "result": [f"mesh/{name}.glb", "a view"]},
        }

    rounds = merged([told("a"), told("b"), told("c")])
    names = sorted(file.filename for file in files_of(rounds, rounds))
    assert names == sorted(f"{name}.{end}" for name in "abc" for end in ("png", "gif", "webp", "glb"))
    assert rounds["2"]["result"][:2] == ["mesh/c.glb", "a view"]  # read by position


@pytest.mark.parametrize(
    ("path", "subfolder", "count"),
    [
        ("/srv/comfy/output/day/a.png", "", 2),
        ("C:\\comfy\\output\\a.png", "", 2),
        ("/srv/comfy/temp/a.png", "", 1),
        ("/srv/renders/a.png", "", 1),
        ("/srv/comfy/temp/two/a.png", "one", 2),
    ],
)
def test_a_preview_is_not_the_file_of_the_same_name(path: str, subfolder: str, count: int) -> None:
    preview = {"filename": "a.png", "subfolder": subfolder, "type": "temp"}
    assert len(files_of({"1": {"images": [preview], "files": [path]}}, {"1": {}})) == count


def test_of_several_rounds_the_last_ones_word_counts_and_every_file() -> None:
    first = made(images=[entry("1.png")], unfinished_batch=[True])
    last = {**made(images=[entry("2.png")], gifs=[entry("a.mp4")]), "3": {"text": ["x"]}}
    assert merged([first, last]) == {
        "2": {"images": [entry("1.png"), entry("2.png")], "gifs": [entry("a.mp4")]},
        "3": {"text": ["x"]},
    }
