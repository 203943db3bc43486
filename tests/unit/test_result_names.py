"""Names from a peer are made safe for this computer's disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from orchestrator.dispatch.attempts.free_names import Counters, WantedFile, move_all, reserve_all
from orchestrator.dispatch.attempts.result_names import safe_folder, safe_name


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("ComfyUI_00001_.png", "ComfyUI_00001_.png"),
        ("../../etc/passwd", "passwd.bin"),
        ("C:\\x\\y.PNG", "y.png"),
        ("a.png/../../b.png", "b.png"),
        ("evil.py", "evil.bin"),
        ("page.html", "page.bin"),
        ("page.XHTML", "page.bin"),
        ("run.ps1", "run.bin"),
        ("start.desktop", "start.bin"),
        ("model.ckpt", "model.bin"),
        ("model.pth", "model.bin"),
        ("page.html.", "page.html.bin"),
        ("page.ht\u200bml", "page.bin"),
        ("page.html::$DATA", "page.bin"),
        ("x." + "y" * 30, "x.bin"),
        ("drawing.svg", "drawing.svg"),
        ("subtitles.SRT", "subtitles.srt"),
        ("scene.blend", "scene.blend"),
        ("model.gguf", "model.gguf"),
        ("notes.md", "notes.md"),
        ("CON.png", "_CON.png"),
        ("nul\x00byte.png", "nul_byte.png"),
        ("gpj.\u202egnp.png", "gpj._gnp.png"),
        ("...", "result.bin"),
        ("", "result.bin"),
        ("x" * 5000 + ".png", "x" * 200 + ".png"),
        ("東" * 100 + ".png", "東" * 66 + ".png"),
        ("Müller & Söhne, [v2]_00001_.png", "Müller & Söhne, [v2]_00001_.png"),
        ("東京\u200b.png", "東京_.png"),
        ("half\ud800.png", "half_.png"),
    ],
)
def test_a_peers_name_becomes_one_harmless_component(theirs: str, ours: str) -> None:
    assert safe_name(theirs) == ours


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("cats/x", "cats/x"),
        ("", "."),
        ("../../up", "up"),
        ("/etc", "etc"),
        ("a\\b", "a/b"),
        ("..\\..\\c", "c"),
    ],
)
def test_a_peers_folder_never_leads_outside(theirs: str, ours: str) -> None:
    assert safe_folder(theirs) == PurePosixPath(ours)


def moved(folder: Path, *names: str, head: str = "", group: str = "7") -> list[str]:
    """Where files of these names end up that one node made."""
    placements = []
    for number, name in enumerate(names):
        part = folder / f".part-{number}"
        part.write_bytes(f"new {name}".encode())
        placements.append(WantedFile(part, folder / name, group, head))
    paths = move_all(placements, Counters(), ())
    for name, path in zip(names, paths, strict=True):
        assert path.read_bytes() == f"new {name}".encode()
    return [path.name for path in paths]


def test_results_never_overwrite_and_take_the_next_counter_of_their_prefix(tmp_path: Path) -> None:
    (tmp_path / "cat_00001_.png").write_bytes(b"old")
    (tmp_path / "cat_00007_.png").write_bytes(b"old")
    assert moved(tmp_path, "cat_00001_.png") == ["cat_00008_.png"]
    assert (tmp_path / "cat_00001_.png").read_bytes() == b"old"


def test_a_free_name_is_kept(tmp_path: Path) -> None:
    assert moved(tmp_path, "a.mp4") == ["a.mp4"]
    assert moved(tmp_path, "a.mp4") == ["a_00001_.mp4"]


def test_a_shorter_number_keeps_its_width(tmp_path: Path) -> None:
    assert moved(tmp_path, "cat_0001.png", "cat_0002.png") == ["cat_0001.png", "cat_0002.png"]
    assert moved(tmp_path, "cat_0001.png", "cat_0002.png") == ["cat_0003.png", "cat_0004.png"]


def test_files_that_belong_together_keep_one_number(tmp_path: Path) -> None:
    (tmp_path / "clip_00001-audio.mp4").write_bytes(b"old")
    names = ("clip_00001.png", "clip_00001.mp4", "clip_00001-audio.mp4")
    assert moved(tmp_path, *names) == ["clip_00002.png", "clip_00002.mp4", "clip_00002-audio.mp4"]


@pytest.mark.parametrize("digits", [3, 4, 5, 6])
def test_the_frames_of_a_sequence_stay_a_sequence(tmp_path: Path, digits: int) -> None:
    frames = [f"clip_00001_{number:0{digits}d}.png" for number in (1, 2, 3)]
    assert moved(tmp_path, *frames, head="clip_00001_") == frames
    again = [frame.replace("clip_00001", "clip_00002") for frame in frames]
    assert moved(tmp_path, *frames, head="clip_00001_") == again


def test_where_one_cannot_be_written_all_stay_where_they_were(tmp_path: Path) -> None:
    part, other = tmp_path / ".part", tmp_path / ".other"
    part.write_bytes(b"x")
    other.write_bytes(b"y")
    wanted = (WantedFile(part, tmp_path / "a.png"), WantedFile(other, tmp_path / "no folder" / "b.png"))
    with pytest.raises(OSError, match="No such file"):
        move_all(wanted, Counters(), ())
    assert sorted(path.name for path in tmp_path.iterdir()) == [".other", ".part"]


def test_a_name_that_is_kept_for_a_file_on_its_way_goes_to_nobody_else(tmp_path: Path) -> None:
    counters = Counters()
    wanted = tmp_path / "cat_00001_.png"
    [kept] = reserve_all([WantedFile(tmp_path / "1.part", wanted, "9", owner="one")], counters)
    [next_one] = reserve_all([WantedFile(tmp_path / "2.part", wanted, "9", owner="two")], counters)
    assert (kept.name, next_one.name) == ("cat_00001_.png", "cat_00002_.png")
    (tmp_path / "3.part").write_bytes(b"other")
    [moved] = move_all([WantedFile(tmp_path / "3.part", wanted, "9", owner="three")], counters, ())
    assert moved.name == "cat_00003_.png"
    (tmp_path / "1.part").write_bytes(b"mine")
    [mine] = move_all([WantedFile(tmp_path / "1.part", kept, "9", owner="one")], counters, ())
    assert (mine, mine.read_bytes()) == (kept, b"mine")
    counters.release([next_one])
    [again] = reserve_all([WantedFile(tmp_path / "4.part", next_one, "9", owner="four")], counters)
    assert again == next_one


def test_files_that_belong_together_are_kept_one_number(tmp_path: Path) -> None:
    (tmp_path / "clip_00001.png").touch()
    names = ("clip_00001.png", "clip_00001.mp4")
    placements = [WantedFile(tmp_path / f"{name}.part", tmp_path / name, "9") for name in names]
    kept = reserve_all(placements, Counters())
    assert [path.name for path in kept] == ["clip_00002.png", "clip_00002.mp4"]


@pytest.mark.parametrize("name", ["x.bin", "a_00001_.png"])
def test_files_of_one_node_that_want_one_name_each_get_their_own(tmp_path: Path, name: str) -> None:
    parts = [tmp_path / "1.part", tmp_path / "2.part"]
    for part in parts:
        part.write_bytes(part.name.encode())
    placements = [WantedFile(part, tmp_path / name, "9", owner=part.name) for part in parts]
    counters = Counters()
    kept = reserve_all(placements, counters)
    assert len(set(kept)) == 2
    placements = [replace(each, wanted=path) for each, path in zip(placements, kept, strict=True)]
    moved_to = move_all(placements, counters, ())
    assert (moved_to, [path.read_bytes() for path in moved_to]) == (kept, [b"1.part", b"2.part"])


def test_two_files_of_one_attempt_are_not_told_under_one_name(tmp_path: Path) -> None:
    counters, wanted = Counters(), tmp_path / "cat_00001.png"
    [first] = reserve_all([WantedFile(tmp_path / "1.part", wanted, "8", owner="rd-1 a")], counters)
    [second] = reserve_all([WantedFile(tmp_path / "2.part", wanted, "9", owner="rd-1 b")], counters)
    assert first != second
