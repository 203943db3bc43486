"""A peer's outputs as this computer would show them: with the names that the files have here."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..models.job import OutputFile, RemoteFile
from .named_files import ABSOLUTE, ANNOTATED, PLACE_KEYS, companion, file_named, file_of, is_entry
from .result_files import DEPTH_MAX, cut

#: What newer cores say of a file in their own asset database, which is not this computer's.
_ASSET_KEYS = frozenset({"id", "preview_id", "asset_id", "asset_hash", "hash"})


def shown_of(
    outputs: Mapping[str, Any],
    places: Mapping[RemoteFile, OutputFile],
    restored: Callable[[str], str] = lambda text: text,
) -> dict[str, Any]:
    """The outputs as this computer would show them: with the names that the files have here, and none of the
    peer's paths. A file that is not here is left out. `restored`: a text with the user's own file names."""
    shown: dict[str, Any] = {}
    for node_id, output in outputs.items():
        if isinstance(output, dict):
            node = _ShownNode(node_id, places, restored)
            shown[node_id] = {key: node.value(items, str(key)) for key, items in output.items()}
    return shown


@dataclass(frozen=True)
class _ShownNode:
    node_id: str
    places: Mapping[RemoteFile, OutputFile]
    restored: Callable[[str], str]

    def value(self, value: Any, key: str, depth: int = 0) -> Any:
        if isinstance(value, str):
            return self._text(value, key.lower())
        if not isinstance(value, (list, dict)):
            return value
        if depth > DEPTH_MAX:
            return None
        if isinstance(value, list):
            kept = (item for item in value if not is_entry(item) or self._place(item))
            return [self.value(item, key, depth + 1) for item in kept]
        if is_entry(value):
            return self._entry(value, depth)
        return {name: self.value(item, str(name), depth + 1) for name, item in value.items()}

    def _place(self, entry: Mapping[str, Any]) -> OutputFile | None:
        return self.places.get(file_of(self.node_id, entry))

    def _entry(self, entry: Mapping[str, Any], depth: int) -> dict[str, Any]:
        file, place = file_of(self.node_id, entry), self._place(entry)
        if place is None:
            return {}
        shown: dict[str, Any] = {}
        for name, item in entry.items():
            if name in _ASSET_KEYS or name in PLACE_KEYS:
                continue
            if not isinstance(item, str):
                shown[name] = self.value(item, str(name), depth + 1)
            elif (said := self._beside(file, place, name, item)) is not None:
                shown[name] = said
        return {**shown, "filename": place.filename, "subfolder": place.subfolder, "type": place.type}

    def _beside(self, file: RemoteFile, place: OutputFile, name: str, item: str) -> str | None:
        named = companion(file, name, item)
        there = self.places.get(named) if named is not None else None
        if ABSOLUTE.match(item):
            there = place if re.split(r"[\\/]", item)[-1] == file.filename else there
            return there.path if there else None
        if named is None:
            return self.restored(item)
        has_folder = re.search(r"[\\/]", item) is not None
        return (_path_of(there) if has_folder else there.filename) if there else None

    def _text(self, text: str, key: str) -> str:
        named = file_named(self.node_id, text, key)
        if named is None:
            return cut(self.restored(text))
        place = self.places.get(named) or self._of_name(named.filename)
        if ABSOLUTE.match(text):
            return place.path if place else self.restored(named.filename)
        if place is None:
            return self.restored(text)
        path = _path_of(place)
        if ANNOTATED.match(text):
            return f"{path} [{place.type}]"
        return path if place.type == "output" else f"{place.type}/{path}"

    def _of_name(self, filename: str) -> OutputFile | None:
        found = (p for f, p in self.places.items() if f.node_id == self.node_id and f.filename == filename)
        return next(found, None)


def _path_of(place: OutputFile) -> str:
    return "/".join(filter(None, (place.subfolder, place.filename)))
