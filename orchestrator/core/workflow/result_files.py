"""Reads the outputs of a peer's history entry: which files and texts its nodes made, and what they show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..models.job import OutputFile, RemoteFile


def outputs_told(kind: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """What one node made, shaped like a history entry's outputs, if the event says so; else nothing."""
    node_id, output = data.get("node"), data.get("output")
    told = kind == "executed" and isinstance(node_id, str) and isinstance(output, Mapping)
    return {str(node_id): output} if told else {}


def files_of(outputs: Mapping[str, Any], order: Mapping[str, Any], only: str = "") -> tuple[RemoteFile, ...]:
    """Every dict with filename and type, node by node in the order of the prompt `order`."""
    return tuple(
        file for node_id in _ordered(outputs, order, only) for file in _files(node_id, outputs[node_id])
    )


def texts_of(outputs: Mapping[str, Any], order: Mapping[str, Any], only: str = "") -> tuple[str, ...]:
    """Every text under ``text``, node by node in the order of the prompt."""
    found: list[str] = []
    for node_id in _ordered(outputs, order, only):
        output = outputs[node_id]
        texts = output.get("text") if isinstance(output, Mapping) else None
        found.extend(text for text in (texts if isinstance(texts, list) else ()) if isinstance(text, str))
    return tuple(found)


def _ordered(outputs: Mapping[str, Any], order: Mapping[str, Any], only: str) -> list[str]:
    if only:
        return [only] if only in outputs else []
    return [node_id for node_id in order if node_id in outputs]


def _files(node_id: str, output: object) -> Iterator[RemoteFile]:
    for items in output.values() if isinstance(output, Mapping) else ():
        for item in items if isinstance(items, list) else ():
            file = _file(node_id, item)
            if file is not None:
                yield file


def _file(node_id: str, item: object) -> RemoteFile | None:
    if not isinstance(item, Mapping) or not all(isinstance(item.get(k), str) for k in ("filename", "type")):
        return None
    subfolder = item.get("subfolder")
    return RemoteFile(
        node_id, item["filename"], subfolder if isinstance(subfolder, str) else "", item["type"]
    )


def shown_of(outputs: Mapping[str, Any], places: Mapping[RemoteFile, OutputFile]) -> dict[str, Any]:
    """The outputs with the names that the files have on this machine; a file that is not here is left out."""
    return {
        node_id: {key: _shown(node_id, items, places) for key, items in output.items()}
        for node_id, output in outputs.items()
        if isinstance(output, Mapping)
    }


def _shown(node_id: str, items: Any, places: Mapping[RemoteFile, OutputFile]) -> Any:
    if not isinstance(items, list):
        return items
    shown = []
    for item in items:
        file = _file(node_id, item)
        place = places.get(file) if file else None
        if place is not None:
            shown.append(
                {**item, "filename": place.filename, "subfolder": place.subfolder, "type": place.type}
            )
        elif file is None:
            shown.append(item)
    return shown
