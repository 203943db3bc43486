"""A workflow from whatever a person has: its JSON, or a file ComfyUI saved with the workflow inside."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, BinaryIO

from ...core.workflow.documents import Document, document_of
from ...core.workflow.uncut import restored
from ...errors import WorkflowError
from . import media, pictures
from .source import TEXT_MAX_BYTES, ByteSource, Tags, decoded

KINDS = "JSON, PNG, WebP, JPEG, FLAC, Opus, MP3, MP4, WebM and safetensors"


OWN_PROMPT = "Uses the file's own prompt, as it was sent when the file was made."
DAMAGED_PROMPT = "The prompt in the file is damaged; the workflow beside it is used."


def read_document(file: BinaryIO) -> Document:
    """Return the prompt and the workflow that a seekable file is or carries. Content decides, not names.

    Raises WorkflowError for a file of another kind, a damaged one, and one without either.
    """
    source = ByteSource(file)
    head = source.starts()
    tags = _reader(head, source.size)
    if tags is not None:
        return _embedded(tags(source))
    if _text(head).lstrip()[:1] not in ("{", "["):
        raise WorkflowError(f"This file holds no workflow that can be read. Known are {KINDS}.")
    if source.size > TEXT_MAX_BYTES:
        raise WorkflowError(f"A workflow of more than {TEXT_MAX_BYTES >> 20} MiB is not read.")
    return document_of(_object(_text(source.read(0, source.size)), "The file"))


def _text(data: bytes) -> str:
    """Of JSON in any Unicode encoding, with and without a byte order mark; editors on Windows write all."""
    encoding = json.detect_encoding(data)
    if encoding.startswith("utf-8"):
        return decoded(data.removeprefix(b"\xef\xbb\xbf"))
    return data[: len(data) // 4 * 4 if "32" in encoding else len(data) // 2 * 2].decode(encoding, "replace")


def _reader(head: bytes, size: int) -> Callable[[ByteSource], Tags] | None:
    if head.startswith(pictures.PNG):
        return pictures.png_tags
    if pictures.is_webp(head):
        return pictures.webp_tags
    if head.startswith(pictures.JPEG):
        return pictures.jpeg_tags
    if media.is_clip(head):
        return media.clip_tags
    return media.safetensors_tags if media.is_safetensors(head, size) else None


def _embedded(tags: Tags) -> Document:
    texts: dict[str, str] = {}
    for name, text in tags:
        if name in ("prompt", "workflow") and _says_something(text):
            texts.setdefault(name, text)
        elif name == "comment":
            texts.update({key: value for key, value in _from_comment(text).items() if key not in texts})
    if not texts:
        raise WorkflowError(
            "This file carries no workflow. It was saved without one, or a program that handled it since "
            "took it out; ask for the original, or for the workflow as JSON."
        )
    if "prompt" not in texts:
        return document_of(_object(texts["workflow"], "The workflow in the file"))
    workflow: dict[str, Any] | None = None
    try:
        made = document_of(_object(texts["prompt"], "The prompt in the file"), "The prompt in the file")
    except WorkflowError:
        if "workflow" not in texts:
            raise
        workflow = _object(texts["workflow"], "The workflow in the file")
        return replace(document_of(workflow, "The workflow in the file"), notes=(DAMAGED_PROMPT,))
    if "workflow" in texts:
        with suppress(WorkflowError):  # the prompt is what counts
            workflow = _object(texts["workflow"], "The workflow in the file")
    prompt = restored(made.prompt, workflow) if made.prompt else None
    return Document(prompt, workflow, (OWN_PROMPT, *made.notes))


def _from_comment(text: str) -> dict[str, str]:
    """Video packs put both into one comment; a comment that is anything else is somebody's words."""
    try:
        both = _object(text, "The comment in the file")
    except WorkflowError:
        return {}
    found = {name: both.get(name) for name in ("prompt", "workflow")}
    texts = {key: each if isinstance(each, str) else json.dumps(each) for key, each in found.items() if each}
    return {key: each for key, each in texts.items() if _says_something(each)}


def _says_something(text: str) -> bool:
    return text.strip() not in ("", "null", "{}")


def _object(text: str, what: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except RecursionError as exc:
        raise WorkflowError(f"{what} is nested without end.") from exc
    except ValueError as exc:
        raise WorkflowError(f"{what} is not JSON: {exc}.") from exc
    if not isinstance(found, Mapping):
        raise WorkflowError(f"{what} is no workflow: a workflow is a JSON object, in braces.")
    return dict(found)
