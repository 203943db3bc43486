"""A file read in checked pieces: no declared length is believed before it is known to be there."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

from ...errors import WorkflowError

TEXT_MAX_BYTES = 32 << 20  #: of one text, unpacked
PARTS_MAX = 1_000_000  #: chunks of one picture

Tags = Iterator[tuple[str, str]]  #: names, lowercase, with their texts, in the order of the file


class ByteSource:
    """A seekable file. ``size`` is in bytes; positions count from its start."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._parts = 0
        self.size = file.seek(0, 2)

    def read(self, at: int, length: int) -> bytes:
        """Exactly `length` bytes; raises WorkflowError when the file ends before."""
        if length > TEXT_MAX_BYTES:
            raise too_long()
        if at + length > self.size:
            raise ends_early()
        self._file.seek(at)
        data = self._file.read(length)
        if len(data) < length:
            raise WorkflowError("The file became shorter while it was read. Try again.")
        return data

    def starts(self, length: int = 64) -> bytes:
        """Its first bytes, fewer where it has fewer."""
        return self.read(0, min(length, self.size))

    def rewound(self) -> BinaryIO:
        """The file itself, at its start."""
        self._file.seek(0)
        return self._file

    def unpack(self, layout: str, at: int) -> tuple[Any, ...]:
        """The fields of `layout` (see ``struct``) at a position."""
        self._parts += 1
        if self._parts > PARTS_MAX:
            raise WorkflowError(f"The file has more than {PARTS_MAX} parts; no picture has.")
        return struct.unpack(layout, self.read(at, struct.calcsize(layout)))


def ends_early() -> WorkflowError:
    return WorkflowError("The file ends early: it was not saved or copied to its end. Get it again.")


def too_long() -> WorkflowError:
    return WorkflowError(f"A text of more than {TEXT_MAX_BYTES >> 20} MiB in the file was not read.")


def inflated(data: bytes) -> bytes:
    """Undo zlib; raises WorkflowError for broken data and for what would unpack to more than a text has."""
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(data, TEXT_MAX_BYTES)
    except zlib.error as exc:
        raise WorkflowError(f"A packed text in the file is damaged: {exc}.") from exc
    if unpacker.unconsumed_tail:
        raise too_long()
    return text


def decoded(data: bytes) -> str:
    """UTF-8, else Latin-1: what tools write into places meant for either."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def named_text(data: bytes) -> tuple[str, str]:
    """``name NUL text`` split."""
    name, _, text = data.partition(b"\0")
    return decoded(name).lower(), decoded(text)
