"""Writes a batch of pictures as one animated PNG, each frame whole.

Pillow writes them too, but only where a frame differs from the one before, and joins equal ones.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

Frames = np.ndarray[Any, np.dtype[np.uint8]]  #: [count, height, width, 3]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_RGB = 2
_NOTHING, _LEFT_NEIGHBOUR = 0, 1  #: PNG's filters of a row


def apng(frames: Frames, *, is_noise: bool = False) -> bytes:
    """The file: https://www.w3.org/TR/png-3/. Noise is stored as it is, for it does not get smaller."""
    count, height, width, _ = frames.shape
    header = struct.pack(">IIBBBBB", width, height, 8, _RGB, 0, 0, 0)
    chunks = [_SIGNATURE, _chunk(b"IHDR", header)]
    if count > 1:
        chunks.append(_chunk(b"acTL", struct.pack(">II", count, 0)))
    chunks += _frames(frames, is_noise)
    return b"".join([*chunks, _chunk(b"IEND", b"")])


def _frames(frames: Frames, is_noise: bool) -> Iterator[bytes]:
    count, height, width, _ = frames.shape
    number = 0  # of the chunk, among those of the animation
    for index, frame in enumerate(frames):
        data = zlib.compress(_rows(frame, is_noise), 0 if is_noise else 1)
        if count > 1:
            control = struct.pack(">IIIIIHHBB", number, width, height, 0, 0, 1, 10, 0, 0)
            yield _chunk(b"fcTL", control)
            number += 1
        if not index:
            yield _chunk(b"IDAT", data)
            continue
        yield _chunk(b"fdAT", struct.pack(">I", number) + data)
        number += 1


def _rows(frame: np.ndarray[Any, np.dtype[np.uint8]], is_noise: bool) -> bytes:
    height, width, channels = frame.shape
    flat = np.ascontiguousarray(frame).reshape(height, width * channels)
    rows = np.empty((height, flat.shape[1] + 1), np.uint8)
    rows[:, 0] = _NOTHING if is_noise else _LEFT_NEIGHBOUR
    rows[:, 1:] = flat
    if not is_noise:
        rows[:, 1 + channels :] -= flat[:, :-channels]
    return rows.tobytes()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
