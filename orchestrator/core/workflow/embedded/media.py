"""The texts in FLAC, Opus, MP3, MP4/MOV, WebM and safetensors files; sound and frames are passed over.

Layouts: RFC 9639 (FLAC), RFC 3533 and 7845 (Ogg, Opus), ID3v2.3/2.4, ISO 14496-12 with QuickTime's
``keys``/``ilst``, RFC 8794 and 9559 (Matroska), safetensors' own page.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping

from ....errors import WorkflowError
from .source import ByteSource, Tags, decoded

FLAC, OGG, ID3, EBML = b"fLaC", b"OggS", b"ID3", b"\x1a\x45\xdf\xa3"
_COMMENTS = 4  # FLAC block
_PAGES_MAX = 1_100  # of 64 KiB each: more than the longest text
_QUICKTIME_NAMES = {"©cmt": "comment"}
_BOXES = frozenset({b"moov", b"udta", b"meta"})
_SEGMENT, _TAGS, _TAG, _SIMPLE_TAG = 0x18538067, 0x1254C367, 0x7373, 0x67C8
_TAG_NAME, _TAG_STRING = 0x45A3, 0x4487
_ENCODINGS = {0: "latin-1", 1: "utf-16", 2: "utf-16-be", 3: "utf-8"}


def is_mp4(head: bytes) -> bool:
    return head[4:8] == b"ftyp"


def is_safetensors(head: bytes, size: int) -> bool:
    return len(head) > 8 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") + 8 <= size


def flac_tags(source: ByteSource) -> Tags:
    at, last = len(FLAC), False
    while not last and at < source.size:
        (word,) = source.unpack(">I", at)
        last, kind, length = bool(word >> 31), word >> 24 & 0x7F, word & 0xFFFFFF
        if kind == _COMMENTS:
            yield from _comments(source.read(at + 4, length))
        at += 4 + length


def ogg_tags(source: ByteSource) -> Tags:
    """The second packet holds the comments; a packet goes on where a page's last segment is full."""
    at, packets = 0, [bytearray()]
    for _ in range(_PAGES_MAX):
        if at >= source.size or len(packets) > 2:
            break
        magic, count = source.unpack(">4s22xB", at)
        if magic != OGG:
            raise WorkflowError("A page of the Ogg file is damaged. Get the file again.")
        sizes = source.read(at + 27, count)
        body = source.read(at + 27 + count, sum(sizes))
        start = 0
        for size in sizes:
            packets[-1] += body[start : start + size]
            start += size
            if size < 255:
                packets.append(bytearray())
        at += 27 + count + len(body)
    if len(packets) > 2:
        data = bytes(packets[1])
        for head in (b"OpusTags", b"\x03vorbis"):
            if data.startswith(head):
                yield from _comments(data[len(head) :])


def _comments(data: bytes) -> Tags:
    try:
        (vendor,) = struct.unpack_from("<I", data)
        (count,) = struct.unpack_from("<I", data, 4 + vendor)
        at = 8 + vendor
        for _ in range(count):
            (length,) = struct.unpack_from("<I", data, at)
            name, _, text = decoded(data[at + 4 : at + 4 + length]).partition("=")
            yield name.lower(), text
            at += 4 + length
    except struct.error as exc:
        raise WorkflowError("The comments in the sound file end early. Get the file again.") from exc


def mp3_tags(source: ByteSource) -> Tags:
    version, total = source.unpack(">3xBxx4s", 0)
    at, end = 10, min(10 + _seven_bits(total), source.size)
    while at + 10 <= end:
        kind, raw = source.unpack(">4s4s2x", at)
        if not kind.strip(b"\0"):
            return
        length = _seven_bits(raw) if version >= 4 else int.from_bytes(raw, "big")
        if kind == b"TXXX":
            data = source.read(at + 10, length)
            text = data[1:].decode(_ENCODINGS.get(data[:1][0] if data else 3, "utf-8"), "replace")
            name, _, value = text.partition("\0")
            yield name.lower(), value.removeprefix("\ufeff").rstrip("\0")
        at += 10 + length


def _seven_bits(data: bytes) -> int:
    return sum((byte & 0x7F) << 7 * place for place, byte in enumerate(reversed(data)))


def mp4_tags(source: ByteSource) -> Tags:
    keys: list[str] = []
    pending = [(0, source.size)]
    while pending:
        start, end = pending.pop()
        for kind, at, stop in _boxes(source, start, end):
            if kind == b"keys":
                keys = _keys(source.read(at, stop - at))
            elif kind == b"ilst":
                for item, data_at, data_end in _boxes(source, at, stop):
                    index = int.from_bytes(item, "big")
                    name = keys[index - 1] if 0 < index <= len(keys) else item.decode("latin-1")
                    # A "data" box: length, name, type and language before the text.
                    text = source.read(data_at, data_end - data_at)[16:]
                    yield _QUICKTIME_NAMES.get(name, name.lower()), decoded(text)
            elif kind in _BOXES:
                # ISO's "meta" has four bytes before its boxes, QuickTime's has not.
                versioned = kind == b"meta" and source.read(at, min(8, stop - at))[4:] != b"hdlr"
                pending.append((at + 4 * versioned, stop))


def _boxes(source: ByteSource, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and end of the content of each box between two positions."""
    while at + 8 <= end:
        length, kind = source.unpack(">I4s", at)
        head = 8
        if length == 1:
            (length,) = source.unpack(">Q", at + 8)
            head = 16
        stop = end if length == 0 else at + length
        if stop < at + head or stop > end:
            raise WorkflowError("The video is damaged, or was not copied to its end. Get the file again.")
        yield kind, at + head, stop
        at = stop


def _keys(data: bytes) -> list[str]:
    names, at = [], 8
    while at + 8 <= len(data):
        length = max(8, int.from_bytes(data[at : at + 4], "big"))
        names.append(decoded(data[at + 8 : at + length]))
        at += length
    return names


def webm_tags(source: ByteSource) -> Tags:
    pending = [(0, source.size)]
    while pending:
        start, end = pending.pop()
        name, text = "", ""
        for kind, at, stop in _elements(source, start, end):
            if kind in (_SEGMENT, _TAGS, _TAG, _SIMPLE_TAG):
                pending.append((at, stop))
            elif kind == _TAG_NAME:
                name = decoded(source.read(at, stop - at)).rstrip("\0").lower()
            elif kind == _TAG_STRING:
                text = decoded(source.read(at, stop - at)).rstrip("\0")
        if name:
            yield name, text


def _elements(source: ByteSource, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Id, start and end of the content of each EBML element between two positions."""
    while at + 2 <= end:
        kind, at = _variable(source, at, keep_marker=True)
        length, at = _variable(source, at, keep_marker=False)
        stop = end if length is None else at + length
        if kind is None or stop > end:
            raise WorkflowError("The video is damaged, or was not copied to its end. Get the file again.")
        yield kind, at, stop
        at = stop


def _variable(source: ByteSource, at: int, *, keep_marker: bool) -> tuple[int | None, int]:
    """A number whose first set bit tells its length, and the place after it; None for "unknown"."""
    (first,) = source.unpack(">B", at)
    length = 9 - first.bit_length()
    value = int.from_bytes(source.read(at, length), "big")
    if not keep_marker:
        value &= (1 << 7 * length) - 1
        if value == (1 << 7 * length) - 1:
            return None, at + length
    return value, at + length


def safetensors_tags(source: ByteSource) -> Tags:
    (length,) = source.unpack("<Q", 0)
    try:
        header = json.loads(source.read(8, length))
    except (ValueError, RecursionError) as exc:
        raise WorkflowError("The head of the safetensors file is damaged. Get the file again.") from exc
    metadata = header.get("__metadata__") if isinstance(header, Mapping) else None
    for name, text in metadata.items() if isinstance(metadata, Mapping) else ():
        if isinstance(text, str):
            yield name.lower(), text
