"""Input files get names of their own on a peer, and texts get the user's names back."""

from __future__ import annotations

import hashlib

import pytest

from orchestrator.core.models.job import InputFile
from orchestrator.core.prompts.input_names import is_of_another_machine, name_on_peer, with_own_names

SHA256 = hashlib.sha256(b"cat").hexdigest()
FOLDER = f"remote-dispatch/{SHA256[:40]}"


@pytest.mark.parametrize("name", ["cat.png", "face (1).png", "Katze 猫.mp4", "Bob's v1.0_a+b.PNG"])
def test_a_file_keeps_its_name_in_a_folder_of_its_content(name: str) -> None:
    assert name_on_peer(name, SHA256) == (FOLDER, name)


@pytest.mark.parametrize(
    ("name", "ending"),
    [
        ("a:b.png", ".png"),
        ("what?.PNG", ".png"),
        (".hidden.png", ".png"),
        ("x [output]", ""),
        ("%date%.png", ".png"),
        ("con.png", ".png"),
        ("a" * 200 + ".png", ".png"),
        ("no ending", ""),
        ("\ud800.png", ".png"),
    ],
)
def test_a_name_that_some_system_reads_otherwise_is_left_here(name: str, ending: str) -> None:
    assert name_on_peer(name, SHA256) == ("remote-dispatch", SHA256[:40] + ending)


@pytest.mark.parametrize(
    ("name", "place", "own"),
    [
        ("cat.png", f"/in/{FOLDER}/cat.png", "/in/cat.png"),
        ("pets\\cat.png", f"/in/{FOLDER}/cat.png", "/in/pets/cat.png"),
        ("pets/cat.png [temp]", "C:\\in\\" + FOLDER.replace("/", "\\") + "\\cat.png", "C:\\in\\pets/cat.png"),
        ("cat.png", "remote-dispatch/other/cat.png", "remote-dispatch/other/cat.png"),
    ],
)
def test_a_text_that_quotes_a_sent_file_quotes_its_place_here(name: str, place: str, own: str) -> None:
    assert with_own_names(f"loaded {place}!", [InputFile(name, SHA256)]) == f"loaded {own}!"


@pytest.mark.parametrize(
    "name", ["//far/share/a.png", r"\\far\share", " \\\\far\\share", r"/\far\share", r"\/far"]
)
def test_a_name_that_leads_to_another_computer_is_known_however_it_is_spelled(name: str) -> None:
    assert is_of_another_machine(name)


@pytest.mark.parametrize("name", ["a.png", "sub/a.png", "/home/me/a.png", r"C:\\a.png", "sub//a.png"])
def test_a_name_of_this_computer_is_none(name: str) -> None:
    assert not is_of_another_machine(name)
