"""The texts in sound, video and safetensors files; sound and frames are passed over.

Containers are read by PyAV, which ComfyUI saves its own with; a safetensors file begins with its length and
its JSON header (safetensors' own page).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from ...errors import WorkflowError
from .source import TEXT_MAX_BYTES, ByteSource, Tags, too_long

_STARTS = (b"fLaC", b"OggS", b"ID3", b"\x1a\x45\xdf\xa3")  #: FLAC; Ogg; MP3; Matroska and WebM


def is_clip(head: bytes) -> bool:
    return head.startswith(_STARTS) or head[4:8] == b"ftyp"


def is_safetensors(head: bytes, size: int) -> bool:
    return len(head) > 8 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") + 8 <= size


def clip_tags(source: ByteSource) -> Tags:
    try:
        import av
    except ImportError as exc:
        raise WorkflowError(
            "Sound and video are read with the package av, which ComfyUI has. Run this with ComfyUI's Python."
        ) from exc
    try:
        with av.open(source.rewound(), metadata_errors="replace") as clip:
            tags = [clip.metadata, *(stream.metadata for stream in clip.streams)]
    except (av.FFmpegError, OSError, ValueError) as exc:
        why = getattr(exc, "strerror", None) or exc
        raise WorkflowError(
            f"The clip is damaged, or was not copied to its end: {why}. Get the file again."
        ) from exc
    yield from _texts(item for each in tags for item in each.items())


def safetensors_tags(source: ByteSource) -> Tags:
    (length,) = source.unpack("<Q", 0)
    try:
        header = json.loads(source.read(8, length))
    except (ValueError, RecursionError) as exc:
        raise WorkflowError("The head of the safetensors file is damaged. Get the file again.") from exc
    metadata = header.get("__metadata__") if isinstance(header, Mapping) else None
    yield from _texts(metadata.items() if isinstance(metadata, Mapping) else ())


def _texts(items: Iterable[tuple[str, object]]) -> Tags:
    for name, text in items:
        if isinstance(text, str):
            if len(text) > TEXT_MAX_BYTES:
                raise too_long()
            yield name.lower(), text
