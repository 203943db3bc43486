"""The one file that holds peers' credentials."""

from __future__ import annotations

import json
import logging
import stat
import sys
from pathlib import Path

import pytest

from orchestrator.backends.credentials import Secrets
from orchestrator.errors import ConfigError, StoreError

KEY = "Bearer s3cr3t-k3y"
posix_only = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "credentials.json"


@pytest.fixture
def secrets(path: Path) -> Secrets:
    return Secrets(path)


def test_a_key_is_there_after_a_restart(path: Path) -> None:
    Secrets(path).set("peer-1", {"Authorization": KEY})
    again = Secrets(path)
    assert again.has("peer-1")
    assert again.headers("peer-1") == {"Authorization": KEY}


def test_a_peer_without_a_key_has_no_headers(secrets: Secrets) -> None:
    assert not secrets.has("peer-1")
    assert secrets.headers("peer-1") == {}


def test_a_new_key_replaces_the_old_one_whatever_header_it_was_in(secrets: Secrets) -> None:
    secrets.set("peer-1", {"Authorization": KEY})
    secrets.set("peer-1", {"X-Api-Key": "other"})
    assert secrets.headers("peer-1") == {"X-Api-Key": "other"}


def test_deleting_forgets_one_peer_only(path: Path) -> None:
    secrets = Secrets(path)
    secrets.set("peer-1", {"Authorization": KEY})
    secrets.set("peer-2", {"Authorization": "Bearer two"})
    secrets.delete("peer-1")
    secrets.delete("never-there")
    again = Secrets(path)
    assert not again.has("peer-1")
    assert again.headers("peer-2") == {"Authorization": "Bearer two"}


@posix_only
def test_only_the_owner_can_read_the_file_and_its_folder(secrets: Secrets, path: Path) -> None:
    path.parent.mkdir(mode=0o755)
    secrets.set("peer-1", {"Authorization": KEY})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@posix_only
def test_a_file_that_others_could_read_is_closed_to_them(path: Path) -> None:
    Secrets(path).set("peer-1", {"Authorization": KEY})
    path.chmod(0o644)
    Secrets(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_nothing_but_the_file_is_left_in_the_folder(secrets: Secrets, path: Path) -> None:
    for number in range(3):
        secrets.set(f"peer-{number}", {"Authorization": KEY})
    assert list(path.parent.iterdir()) == [path]


def test_a_key_that_cannot_be_written_changes_nothing(secrets: Secrets, path: Path) -> None:
    secrets.set("peer-1", {"Authorization": KEY})
    path.unlink()
    path.mkdir()  # a folder in its place cannot be replaced by a file
    with pytest.raises(StoreError, match="Nothing was changed"):
        secrets.set("peer-1", {"Authorization": "Bearer other"})
    assert secrets.headers("peer-1") == {"Authorization": KEY}
    assert list(path.parent.iterdir()) == [path]


def test_a_value_from_the_environment_is_looked_up_at_each_use(
    secrets: Secrets, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets.set("peer-1", {"Authorization": "env:PEER_1_KEY"})
    assert secrets.headers("peer-1") == {}
    monkeypatch.setenv("PEER_1_KEY", f" {KEY}\n")
    assert secrets.headers("peer-1") == {"Authorization": KEY}
    assert KEY not in path.read_text()
    monkeypatch.setenv("PEER_1_KEY", "two\r\nlines")
    assert secrets.headers("peer-1") == {}
    assert secrets.has("peer-1")


@pytest.mark.parametrize(
    "header",
    [
        "Host", "origin", "Content-Length", "content-type", "Transfer-Encoding", "Connection",
        "Sec-Fetch-Site", "Proxy-Authorization", "X-Forwarded-For", "User-Agent", "X-Orchestrator-Token",
        "", "Two Words", "Colon:", "Line\r\nBreak", "Gr\u00fc\u00dfe", "x" * 65,
    ],
)  # fmt: skip
def test_a_header_that_means_something_else_carries_no_key(secrets: Secrets, header: str) -> None:
    with pytest.raises(ConfigError, match=r"header"):
        secrets.set("peer-1", {header: KEY})
    assert not secrets.has("peer-1")


@pytest.mark.parametrize(
    "value",
    [
        "",
        "  ",
        "a\r\nX-Evil: 1",
        "a\nb",
        "a\0b",
        "Gr\u00fc\u00dfe",
        "x" * 8193,
        "env:",
        "env:NO-NAME",
        "env:A B",
    ],
)
def test_a_value_that_no_header_can_carry_is_refused_without_being_repeated(
    secrets: Secrets, value: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        secrets.set("peer-1", {"Authorization": value})
    assert len(value) < 5 or value not in str(caught.value)
    assert not secrets.has("peer-1")


def test_a_line_end_from_the_clipboard_is_not_part_of_the_key(secrets: Secrets) -> None:
    secrets.set("peer-1", {"Authorization": f" {KEY}\r\n"})
    assert secrets.headers("peer-1") == {"Authorization": KEY}


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"\xff\xfe",
        b"[]",
        b'{"peer-1": "Bearer s3cr3t-k3y"}',
        b'{"peer-1": {"Host": "s3cr3t-k3y"}}',
        b'{"peer-1": {"Authorization": "s3cr3t-k3y\\r\\nX: y"}}',
        b"[" * 200_000,
    ],
)
def test_a_damaged_file_is_kept_aside_and_said(
    path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with caplog.at_level(logging.DEBUG):
        secrets = Secrets(path)
    assert "damaged" in secrets.notice
    assert "s3cr3t" not in caplog.text + secrets.notice
    secrets.set("peer-2", {"Authorization": KEY})
    assert sorted(other.read_bytes() for other in path.parent.iterdir()) == sorted(
        [content, path.read_bytes()]
    )


def test_no_repr_or_log_line_holds_a_key(secrets: Secrets, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        secrets.set("peer-1", {"Authorization": KEY})
        shown = f"{secrets!r} {secrets} {json.dumps(secrets.notice)}"
    assert "s3cr3t" not in shown + caplog.text


def test_keys_that_are_kept_in_memory_leave_the_file_as_it_is(secrets: Secrets, path: Path) -> None:
    secrets.set("a", {"Authorization": "Bearer one"})
    before = path.read_bytes()
    secrets.keep_in_memory()
    secrets.set("b", {"Authorization": "Bearer two"})
    secrets.delete("a")
    assert (secrets.has("a"), secrets.has("b"), path.read_bytes()) == (False, True, before)
