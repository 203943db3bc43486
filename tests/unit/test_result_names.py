from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from orchestrator.dispatch.results import Counters, move_to_free_name, safe_folder, safe_name


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("ComfyUI_00001_.png", "ComfyUI_00001_.png"),
        ("../../etc/passwd", "passwd.bin"),
        ("C:\\x\\y.PNG", "y.png"),
        ("a.png/../../b.png", "b.png"),
        ("evil.py", "evil.bin"),
        ("page.html", "page.bin"),
        ("drawing.svg", "drawing.bin"),
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
        ("rd-1/cats/x", "cats/x"),
        ("rd-1", "."),
        ("../../up", "up"),
        ("/etc", "etc"),
        ("a\\b", "a/b"),
        ("..\\..\\c", "c"),
    ],
)
def test_a_peers_folder_never_leads_outside(theirs: str, ours: str) -> None:
    assert safe_folder(theirs, "rd-1") == PurePosixPath(ours)


def part(folder: Path, data: bytes) -> Path:
    path = folder / ".part"
    path.write_bytes(data)
    return path


def test_results_never_overwrite_and_take_the_next_counter_of_their_prefix(tmp_path: Path) -> None:
    (tmp_path / "cat_00001_.png").write_bytes(b"old")
    (tmp_path / "cat_00007_.png").write_bytes(b"old")
    moved = move_to_free_name(part(tmp_path, b"new"), tmp_path / "cat_00001_.png", Counters())
    assert moved.name == "cat_00008_.png"
    assert moved.read_bytes() == b"new"
    assert (tmp_path / "cat_00001_.png").read_bytes() == b"old"


def test_a_free_name_is_kept(tmp_path: Path) -> None:
    assert move_to_free_name(part(tmp_path, b"x"), tmp_path / "a.mp4", Counters()).name == "a.mp4"
    assert move_to_free_name(part(tmp_path, b"y"), tmp_path / "a.mp4", Counters()).name == "a_00001_.mp4"
