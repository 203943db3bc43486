"""docs/CODEMAP.md: prose about each room, written by hand, and a line for each file, taken from the file."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "CODEMAP.md"
_PATTERNS = ("*.py", "*.js", "*.mjs", "*.css")
_TOP = "root"  #: the room of the files outside of every folder
_COMPLETE = "✅ complete"  #: said of a test that states a contract with users of our modules
_SENTENCE = re.compile(r"(?<=[a-z0-9)`'\"]{2})[.;](?=\s|$)")
_COMMENT = re.compile(
    r"\A(?:#!.*\n)?(?://\s*@ts-check\s*\n)?\s*"
    r"(?:/\*+(?P<block>(?:.|\n)*?)\*/|(?P<lines>(?://.*\n)+))"
)


def sources() -> list[str]:
    """The paths of all source files that git knows and that hold anything, from the root, with slashes.

    Raises:
        CalledProcessError: this is no work tree of git.
    """
    command = ["git", "ls-files", *_PATTERNS]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [path for path in listed.splitlines() if (ROOT / path).is_file() and (ROOT / path).stat().st_size]


def owns(path: str, text: str) -> str:
    """The first sentence of what a file says of itself, without its full stop; "" where it says nothing."""
    if path.endswith(".py"):
        told = ast.get_docstring(ast.parse(text)) or ""
    else:
        found = _COMMENT.match(text)
        told = (found["block"] or found["lines"]) if found else ""
        told = re.sub(r"^\s*(?://|\*)+ ?", "", told, flags=re.MULTILINE)
    first = " ".join(told.strip().split("\n\n")[0].split())
    return _SENTENCE.split(first)[0].replace("|", "\\|").strip()


def rendered(page: str, files: Mapping[str, str]) -> str:
    """The page with today's lines: `files` holds the text of each source file by its path. What stands under
    a heading before its table stays; a room that is new gets a heading, one that is empty goes."""
    head, *parts = re.split(r"^## ", page, flags=re.MULTILINE)
    prose = {name: _prose(rest) for name, _, rest in (part.partition("\n") for part in parts)}
    rooms: dict[str, list[str]] = {}
    for path in files:
        rooms.setdefault(path.rpartition("/")[0] or _TOP, []).append(path)
    sections = (_section(room, prose.get(room, ""), files, rooms[room]) for room in _ordered(rooms))
    return head + "\n".join(sections)


def _prose(section: str) -> str:
    return section.partition("\n| file ")[0].strip()


def _ordered(rooms: Iterable[str]) -> list[str]:
    return sorted(rooms, key=lambda room: (room != _TOP, room))


def _section(room: str, prose: str, files: Mapping[str, str], paths: Iterable[str]) -> str:
    lines = [f"## {room}", ""]
    if prose:
        lines += [prose, ""]
    lines += ["| file | owns |", "|---|---|"]
    for path in sorted(paths):
        text = owns(path, files[path])
        done = f" {_COMPLETE}" if text.startswith("Contract:") else ""
        lines.append(f"| `{path}` | {text}{done} |")
    return "\n".join(lines) + "\n"


def up_to_date() -> str:
    """The page as it should be."""
    return rendered(PAGE.read_text("utf-8"), {path: (ROOT / path).read_text("utf-8") for path in sources()})


def write() -> None:
    PAGE.write_text(up_to_date(), "utf-8", newline="\n")
