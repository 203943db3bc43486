"""A workflow from whatever a person has: its JSON, or a file ComfyUI saved with the workflow inside."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

from ....errors import WorkflowError
from ..parser import is_api_format
from . import media, pictures
from .source import TEXT_MAX_BYTES, Source, Tags, decoded

KINDS = "JSON, PNG, WebP, JPEG, FLAC, Opus, MP3, MP4, WebM and safetensors"


def read_document(file: BinaryIO) -> dict[str, Any]:
    """Return the workflow, else the prompt, that a seekable file is or carries. Content decides, not names.

    Raises WorkflowError for a file of another kind, a damaged one, and one without either.
    """
    source = Source(file)
    head = source.starts()
    tags = _reader(head, source.size)
    if tags is not None:
        return _embedded(tags(source))
    if head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] not in (b"{", b"["):
        raise WorkflowError(f"This file holds no workflow that can be read. Known are {KINDS}.")
    if source.size > TEXT_MAX_BYTES:
        raise WorkflowError(f"A workflow of more than {TEXT_MAX_BYTES >> 20} MiB is not read.")
    return _document(decoded(source.read(0, source.size).removeprefix(b"\xef\xbb\xbf")), "The file")


def _reader(head: bytes, size: int) -> Callable[[Source], Tags] | None:
    if head.startswith(pictures.PNG):
        return pictures.png_tags
    if pictures.is_webp(head):
        return pictures.webp_tags
    if head.startswith(pictures.JPEG):
        return pictures.jpeg_tags
    if head.startswith(media.FLAC):
        return media.flac_tags
    if head.startswith(media.OGG):
        return media.ogg_tags
    if head.startswith(media.ID3):
        return media.mp3_tags
    if media.is_mp4(head):
        return media.mp4_tags
    if head.startswith(media.EBML):
        return media.webm_tags
    return media.safetensors_tags if media.is_safetensors(head, size) else None


def _embedded(tags: Tags) -> dict[str, Any]:
    prompt = ""
    for name, text in tags:
        if name == "workflow" and _says_something(text):
            return _document(text, "The workflow in the file")
        if name == "prompt" and _says_something(text):
            prompt = prompt or text
        if name == "comment":
            found = _from_comment(text)
            if found is not None:
                return _without_traces(found)
    if not prompt:
        raise WorkflowError(
            "This file carries no workflow. It was saved without one, or a program that handled it since "
            "took it out; ask for the original, or for the workflow as JSON."
        )
    return _without_traces(_document(prompt, "The prompt in the file"))


def _from_comment(text: str) -> dict[str, Any] | None:
    """Video packs put both into one comment; a comment that is anything else is somebody's words."""
    try:
        both = _document(text, "The comment in the file")
    except WorkflowError:
        return None
    found = both.get("workflow") or both.get("prompt")
    if isinstance(found, str):
        return _document(found, "The workflow in the file's comment")
    return found if isinstance(found, dict) else None


def _says_something(text: str) -> bool:
    return text.strip() not in ("", "null", "{}")


def _without_traces(document: dict[str, Any]) -> dict[str, Any]:
    """ComfyUI leaves ``is_changed`` in the nodes of a prompt it ran; NaN among it is no JSON."""
    if not is_api_format(document):
        return document
    return {
        node_id: {key: value for key, value in node.items() if key != "is_changed"}
        for node_id, node in document.items()
    }


def _document(text: str, what: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except RecursionError as exc:
        raise WorkflowError(f"{what} is nested without end.") from exc
    except ValueError as exc:
        raise WorkflowError(f"{what} is not JSON: {exc}.") from exc
    if not isinstance(found, Mapping):
        raise WorkflowError(f"{what} is no workflow: a workflow is a JSON object, in braces.")
    return dict(found)
