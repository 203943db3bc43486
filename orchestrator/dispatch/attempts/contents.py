"""Whether a file holds what its ending says, and holds all of it. Nothing is decoded, so nothing can blow up.

Another picture, film or sound under that ending passes too: browsers show it all the same.
A peer whose disk ran full serves a truncated file with the right length: only its inside tells.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO

from ...errors import ResultError

_HEAD = 16
_TAIL = 64 << 10
_HEADER_MAX = 1 << 20

_MAGIC: Mapping[str, tuple[bytes, ...]] = {
    "png": (b"\x89PNG\r\n\x1a\n",),
    "jpg": (b"\xff\xd8\xff",),
    "gif": (b"GIF87a", b"GIF89a"),
    "bmp": (b"BM",),
    "tif": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    "exr": (b"\x76\x2f\x31\x01",),
    "webp": (b"RIFF",),
    "wav": (b"RIFF", b"RF64"),
    "avi": (b"RIFF",),
    "webm": (b"\x1a\x45\xdf\xa3",),
    "flac": (b"fLaC", b"ID3"),
    "ogg": (b"OggS",),
    "glb": (b"glTF",),
    "npz": (b"PK",),
    "npy": (b"\x93NUMPY",),
}
_SAME_AS = {
    "jpeg": "jpg",
    "apng": "png",
    "tiff": "tif",
    "mkv": "webm",
    "opus": "ogg",
    "latent": "safetensors",
}
#: Kinds of which a file passes under another one's ending, by the sign that nothing else begins with.
_KNOWN_BY_HEAD = ("png", "jpg", "gif", "tif", "exr", "webm", "flac", "ogg", "glb")
_RIFF = {b"WEBP": "webp", b"WAVE": "wav", b"AVI ": "avi"}
_BOXED = frozenset({"mp4", "mov", "m4a", "avif"})
_FIRST_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"styp", b"pnot", b"sidx", b"uuid")


def check_contents(path: Path, ending: str, name: str) -> None:
    """Pass a whole file of the kind that `ending` says, and any kind that is not known.

    Raises:
        ResultError: it is something else, or a part is missing; `name` is the peer's name for it.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
        check_head(head, ending, name)
        kind = _SAME_AS.get(ending, ending)
        kind = kind if _is_of(kind, head) else _shown_by(head)
        whole = _WHOLE.get("mp4" if kind in _BOXED else kind)
        size = os.fstat(file.fileno()).st_size
        if whole is not None and not whole(file, size):
            raise ResultError(f"The peer's result {name} is not whole. Is the disk full there?")


def check_head(head: bytes, ending: str, name: str) -> None:
    """The same by the first bytes of a file alone.

    Raises:
        ResultError
    """
    kind = _SAME_AS.get(ending, ending)
    # Packs save what they were given as a .png, a JPEG too; what nobody opens as a picture stays strict.
    if not _is_of(kind, head) and (kind == "safetensors" or not _shown_by(head)):
        raise ResultError(f"The peer's result {name} is no {ending} file, whatever its name says.")


def _is_of(kind: str, head: bytes) -> bool:
    """Whether a file of this kind may begin so; of a kind that is not known any does."""
    if kind in _MAGIC:
        return head.startswith(_MAGIC[kind])
    if kind == "safetensors":
        return head[8:9] in (b"{", b"")
    return kind not in _BOXED or not head or head[4:8] in _FIRST_BOXES


def _shown_by(head: bytes) -> str:
    """What kind of picture, film or sound begins so; "" for none."""
    if head[4:8] == b"ftyp":
        return "mp4"
    if head[:4] == b"RIFF":
        return _RIFF.get(head[8:12], "")
    return next((kind for kind in _KNOWN_BY_HEAD if head.startswith(_MAGIC[kind])), "")


def _png(file: BinaryIO, size: int) -> bool:
    at = 8
    while at + 12 <= size:
        file.seek(at)
        length, kind = struct.unpack(">I4s", file.read(8))
        at += 12 + length
        if kind == b"IEND":
            return bool(at <= size)
    return False


def _jpg(file: BinaryIO, size: int) -> bool:
    file.seek(max(0, size - _TAIL))
    return b"\xff\xd9" in file.read()


def _webp(file: BinaryIO, size: int) -> bool:
    file.seek(4)
    length, kind = struct.unpack("<I4s", file.read(8).ljust(8))
    return bool(kind == b"WEBP" and 8 + int(length) <= size)


def _glb(file: BinaryIO, size: int) -> bool:
    file.seek(8)
    length = int(struct.unpack("<I", file.read(4).ljust(4, b"\xff"))[0])
    return length <= size


def _boxes(file: BinaryIO, size: int) -> bool:
    at, seen = 0, set()
    while at + 8 <= size:
        file.seek(at)
        length, kind = struct.unpack(">I4s", file.read(8))
        if length == 1:
            length = struct.unpack(">Q", file.read(8).ljust(8))[0]
        if length == 0:
            length = size - at
        if length < 8 or at + length > size:
            return False
        seen.add(kind)
        at += length
    return b"ftyp" in seen and at == size


def _safetensors(file: BinaryIO, size: int) -> bool:
    file.seek(0)
    length = int(struct.unpack("<Q", file.read(8).ljust(8, b"\xff"))[0])
    if length > size - 8:
        return False
    if length > _HEADER_MAX:
        return file.read(1) == b"{"
    try:
        header = json.loads(file.read(length))
        ends = [tensor["data_offsets"][1] for key, tensor in header.items() if key != "__metadata__"]
        return bool(max(ends, default=0) <= size - 8 - length)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        return False


_WHOLE: Mapping[str, Callable[[BinaryIO, int], bool]] = {
    "png": _png,
    "jpg": _jpg,
    "webp": _webp,
    "glb": _glb,
    "mp4": _boxes,
    "safetensors": _safetensors,
}
