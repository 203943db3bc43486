"""Values of type AUDIO, from and to files."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import av
import numpy as np

from ..orchestrator.errors import ResultError

#: By ending. Named, or a file might be a list of others that ffmpeg goes and reads.
_FORMATS = {".flac": "flac", ".wav": "wav"}
MAX_SAMPLES = 1 << 29  #: over all channels: 2 GiB, an hour and a half in stereo

Sound = np.ndarray[Any, np.dtype[np.float32]]  #: [channels, samples], -1..1


def wav(sound: Sound, rate: int) -> bytes:
    """RIFF with samples of float32; Python's own ``wave`` writes whole numbers only."""
    count, length = sound.shape
    samples = np.ascontiguousarray(sound.T).astype("<f4").tobytes()
    is_float, bits = 3, 32
    form = struct.pack("<HHIIHH", is_float, count, rate, rate * count * 4, count * 4, bits)
    chunks = [(b"fmt ", form), (b"fact", struct.pack("<I", length)), (b"data", samples)]
    body = b"".join(name + struct.pack("<I", len(data)) + data for name, data in chunks)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WAVE" + body


def sound_of(path: Path) -> tuple[Sound, int]:
    """The sound of a file and its rate in Hz.

    Raises:
        ResultError
    """
    parts: list[Sound] = []
    left = MAX_SAMPLES
    try:
        with av.open(str(path), format=_FORMATS[path.suffix]) as container:
            stream = container.streams.audio[0]
            for frame in container.decode(stream):
                part = _samples(frame.to_ndarray(), frame.layout.nb_channels)
                left -= part.size
                if left < 0:
                    raise ResultError(f"The peer's sound {path.name} is too long to take in.")
                parts.append(part)
            return np.concatenate(parts, axis=1), stream.rate
    except (OSError, ValueError, LookupError, av.error.FFmpegError) as exc:
        raise ResultError(f"The peer's sound {path.name} cannot be read: {exc}.") from exc


def _samples(data: np.ndarray[Any, Any], channels: int) -> Sound:
    """Of a frame, whose channels may lie behind one another or in turn."""
    lying = data if data.shape[0] == channels else data.reshape(-1, channels).T
    if lying.dtype.kind == "f":
        return lying.astype(np.float32)
    return lying.astype(np.float32) / np.float32(2 ** (8 * lying.dtype.itemsize - 1))
