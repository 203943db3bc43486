"""The texts in PNG, WebP and JPEG files. No pixel is decoded, so a picture's size does not matter.

Layouts: PNG specification (tEXt, zTXt, iTXt; ``comf`` is ComfyUI's own chunk in animated PNGs), RIFF/WebP,
JPEG/Exif, TIFF 6.0. In Exif ComfyUI writes ``name:json`` into fields of the first directory.
"""

from __future__ import annotations

import struct

from ...errors import WorkflowError
from .source import ByteSource, Tags, decoded, ends_early, inflated, named_text

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff"
_EXIF = b"Exif\0\0"
_ASCII = 2
_FIELDS_MAX = 1_000


def is_webp(head: bytes) -> bool:
    return head[:4] == b"RIFF" and head[8:12] == b"WEBP"


def png_tags(source: ByteSource) -> Tags:
    at, kind = len(PNG), b""
    while at < source.size and kind != b"IEND":
        length, kind = source.unpack(">I4s", at)
        if kind in (b"tEXt", b"comf"):
            yield named_text(source.read(at + 8, length))
        elif kind == b"zTXt":
            name, _, packed = source.read(at + 8, length).partition(b"\0")
            yield decoded(name).lower(), decoded(inflated(packed[1:]))
        elif kind == b"iTXt":
            yield _international(source.read(at + 8, length))
        at += 12 + length
    if at > source.size:
        raise ends_early()


def _international(data: bytes) -> tuple[str, str]:
    """name NUL packed? method language NUL translated name NUL text"""
    name, _, rest = data.partition(b"\0")
    text = rest[2:].split(b"\0", 2)[-1]
    return decoded(name).lower(), decoded(inflated(text) if rest[:1] == b"\1" else text)


def webp_tags(source: ByteSource) -> Tags:
    at = 12
    while at + 8 <= source.size:
        kind, length = source.unpack("<4sI", at)
        if kind == b"EXIF":
            yield from _exif_tags(source.read(at + 8, length))
        at += 8 + length + length % 2


def jpeg_tags(source: ByteSource) -> Tags:
    at = 2
    while at + 4 <= source.size:
        mark, kind, length = source.unpack(">BBH", at)
        if mark != 0xFF or kind == 0xDA:  # the picture itself begins
            return
        if kind == 0xE1:
            data = source.read(at + 4, max(0, length - 2))
            if data.startswith(_EXIF):
                yield from _exif_tags(data)
        at += 2 + max(2, length)


def _exif_tags(data: bytes) -> Tags:
    data = data.removeprefix(_EXIF)
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None:
        raise WorkflowError("The picture's Exif data is damaged. Save the picture again.")
    try:
        (directory,) = struct.unpack_from(f"{order}I", data, 4)
        (count,) = struct.unpack_from(f"{order}H", data, directory)
        for index in range(min(count, _FIELDS_MAX)):
            _, kind, length, start = struct.unpack_from(f"{order}HHII", data, directory + 2 + 12 * index)
            if kind == _ASCII and length > 4:
                name, colon, text = decoded(data[start : start + length].rstrip(b"\0")).partition(":")
                if colon:
                    yield name.strip().lower(), text
    except struct.error as exc:
        raise WorkflowError("The picture's Exif data ends early. Save the picture again.") from exc
