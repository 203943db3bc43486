"""Reads the outputs of a peer's history entry: which files and texts its nodes made.

Seen: lists of ``{"filename", "subfolder", "type"}`` under any key (images, gifs, audio, 3d, latents, files),
with the names of companions in them (``workflow``, ``fullpath``); plain paths (``result`` of core 3D nodes,
``files`` of WAS); printf patterns in place of a sequence's names (VHS); ids of nodes that an expansion made
(``9.0.0.7``). Nothing in there is trusted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..models.job import RemoteFile
from .named_files import ABSOLUTE, FOLDERS, PLACE_KEYS, TEXT_KEYS, companion, file_named, file_of, is_entry

TEXT_MAX = 1 << 20  #: characters of a text that are shown
KEPT_TEXT_MAX, KEPT_TEXTS_MAX = 100_000, 1 << 20  #: of a text, and of all texts, in a job's record
DEPTH_MAX = 12
_FILES_MAX = 20_001  #: one more than are taken, so that too many are noticed
_PATTERN = re.compile(r"%0?(\d*)d")


@dataclass(frozen=True)
class FrameSequence:
    """Frames told as one printf pattern: ``clip_00001_%03d.png`` is "clip_00001_", "%03d" and ".png"."""

    file: RemoteFile
    head: str
    number: str
    tail: str

    def frame(self, number: int) -> RemoteFile:
        return replace(self.file, filename=f"{self.head}{self.number % number}{self.tail}")

    def number_of(self, name: str) -> int | None:
        """Which frame a file of this name is, if it is one."""
        digits = name[len(self.head) : len(name) - len(self.tail)]
        is_one = name.startswith(self.head) and name.endswith(self.tail) and digits.isascii()
        is_one = is_one and digits.isdigit() and len(digits) < 10
        return int(digits) if is_one and self.number % int(digits) == digits else None

    def pattern_here(self, number: int, name_here: str) -> str:
        """The pattern on this computer, by the name that one frame has here; "" where that ends otherwise."""
        end = f"{self.number % number}{self.tail.lower()}"
        is_like = name_here.endswith(end)
        return f"{name_here[: -len(end)]}{self.number}{self.tail.lower()}" if is_like else ""


def sequence_of(file: RemoteFile) -> FrameSequence | None:
    """The sequence that a file stands for whose name is a pattern; None for an ordinary file."""
    found = list(_PATTERN.finditer(file.filename))
    if len(found) != 1 or len(found[0][1]) > 2:
        return None
    start, end = found[0].span()
    return FrameSequence(file, file.filename[:start], found[0][0], file.filename[end:])


def outputs_told(kind: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """What one node made, shaped like a history entry's outputs, if the event says so; else nothing."""
    if kind != "executed":
        return {}
    node_id, output = data.get("node"), data.get("output")
    return {node_id: output} if isinstance(node_id, str) and isinstance(output, dict) else {}


def merged(rounds: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The outputs of a prompt that queued itself again: what the last round told, and all rounds' files."""
    made: dict[str, Any] = {}
    for outputs in rounds:
        for node_id, output in outputs.items():
            before = made.get(node_id)
            made[node_id] = _with_files_of(before, output) if before is not None else output
    return made


def _with_files_of(before: Any, output: Any) -> Any:
    if not isinstance(before, dict) or not isinstance(output, dict):
        return output
    both = {key: _with_files_at(str(key), items, output.get(key)) for key, items in before.items()}
    return {**output, **{key: value for key, value in both.items() if value is not None}}


def _with_files_at(key: str, before: Any, now: Any) -> Any:
    """`now`, with what of `before` names a file: objects come first, as they were made; plain paths last, as
    some lists are read by position."""
    if isinstance(before, dict) and isinstance(now, dict) and not is_entry(before) and not is_entry(now):
        return _with_files_of(before, now)
    olds = before if isinstance(before, list) else [before]
    kept = [item for item in olds if _names_file(item, key.lower())]
    if not kept or before == now:
        return now
    news = now if isinstance(now, list) else [] if now is None else [now]
    objects = [item for item in kept if not isinstance(item, str)]
    return [*objects, *news, *(item for item in kept if isinstance(item, str) and item not in news)]


def _names_file(item: Any, key: str) -> bool:
    """Whether it, or anything in it, names a file."""
    is_told = next(_entries(item), None) is not None
    return is_told or any(file_named("", path, name) is not None for path, name in _strings(item, key))


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def files_of(outputs: Mapping[str, Any], order: Mapping[str, Any], only: str = "") -> tuple[RemoteFile, ...]:
    """Every file that is told, node by node in the order of the prompt `order`; nodes that an expansion made
    come where the node is that they stand for."""
    found: dict[RemoteFile, None] = {}
    for node_id in _ordered(outputs, order, only):
        for file in _files(node_id, outputs[node_id]):
            if len(found) < _FILES_MAX:
                found[file] = None
    return tuple(found)


def companions_of(outputs: Mapping[str, Any]) -> frozenset[RemoteFile]:
    """Files that are only named beside another one."""
    return frozenset(
        file
        for node_id, output in outputs.items()
        for entry in _entries(output)
        for file in _beside(file_of(node_id, entry), entry)
    )


def texts_of(outputs: Mapping[str, Any], order: Mapping[str, Any], only: str = "") -> tuple[str, ...]:
    """Every text, node by node in the order of the prompt."""
    found: list[str] = []
    for node_id in _ordered(outputs, order, only):
        output = outputs[node_id]
        for key in TEXT_KEYS if isinstance(output, dict) else ():
            found += [text for text in _items(output.get(key)) if isinstance(text, str)]
    return tuple(found)


def cut(text: str, most: int = TEXT_MAX) -> str:
    """As much of a text as is shown."""
    if len(text) <= most:
        return text
    return f"{text[:most]}… ({len(text):,} characters in all; the rest was left on the peer)"


def kept(texts: Iterable[str]) -> tuple[str, ...]:
    """The texts as a job's record has them, as many as fit."""
    found, left = list[str](), KEPT_TEXTS_MAX
    for text in texts:
        if left <= 0:
            break
        found.append(cut(text, min(KEPT_TEXT_MAX, left)))
        left -= len(found[-1]) + 1
    return tuple(found)


def _ordered(outputs: Mapping[str, Any], order: Mapping[str, Any], only: str) -> list[str]:
    if only:
        return [only] if only in outputs else []
    at = {node_id: number for number, node_id in enumerate(order)}

    def place(node_id: str) -> tuple[int, list[tuple[int, str]]]:
        root = node_id
        while root not in at and "." in root:
            root = root.rpartition(".")[0]
        parts = node_id.split(".")
        return at.get(root, len(at)), [(int(p) if p.isdecimal() and len(p) < 10 else -1, p) for p in parts]

    return sorted(outputs, key=place)


def _entries(value: Any, depth: int = 0) -> Iterator[Mapping[str, Any]]:
    """Every object that names a file."""
    if isinstance(value, dict):
        if is_entry(value):
            yield value
        value = value.values()
    elif not isinstance(value, list):
        return
    for item in value if depth < DEPTH_MAX else ():
        if isinstance(item, (dict, list)):
            yield from _entries(item, depth + 1)


def _files(node_id: str, output: Any) -> Iterator[RemoteFile]:
    told: dict[str, list[RemoteFile]] = {}
    for entry in _entries(output):
        file = file_of(node_id, entry)
        told.setdefault(file.filename, []).append(file)
        yield file
        yield from _beside(file, entry)
    for path, key in _strings(output):
        named = file_named(node_id, path, key)
        if named is not None and not any(_may_be(named, file, path) for file in told.get(named.filename, ())):
            yield named


def _may_be(named: RemoteFile, told: RemoteFile, path: str) -> bool:
    """Whether the plain `path` may be the file of the same name that an object tells. A preview in the temp
    folder is not the file in the output folder."""
    if not ABSOLUTE.match(path) or not any(part in FOLDERS for part in re.split(r"[\\/]+", path)):
        return True  # it does not say in which of the peer's folders it lies
    folders, own = named.subfolder.split("/"), re.split(r"[\\/]+", told.subfolder)
    own = [part for part in own if part]
    return named.type == told.type and (not own or folders[-len(own) :] == own)


def _beside(file: RemoteFile, entry: Mapping[str, Any]) -> Iterator[RemoteFile]:
    """The files that its entry names as companions."""
    for key, value in entry.items():
        if key not in PLACE_KEYS and isinstance(value, str):
            named = companion(file, key, value)
            if named is not None and named != file:
                yield named


def _strings(value: Any, key: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    """Every text outside of the objects that name files, with the nearest key above it."""
    if isinstance(value, str):
        yield value, key
    elif depth <= DEPTH_MAX and isinstance(value, dict):
        for name, item in value.items():
            if not (isinstance(item, str) and is_entry(value)):
                yield from _strings(item, str(name).lower(), depth + 1)
    elif depth <= DEPTH_MAX and isinstance(value, list):
        for item in value:
            yield from _strings(item, key, depth + 1)
