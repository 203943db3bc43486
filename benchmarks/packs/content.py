"""What is in a file, as far as a person would call two files the same."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass, replace
from pathlib import PurePath

PICTURES = frozenset({"png", "jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff", "apng"})
FILMS = frozenset({"mp4", "webm", "mkv", "mov", "avi", "mp3", "flac", "opus", "wav", "ogg", "m4a"})


@dataclass(frozen=True)
class Content:
    """``kind`` and ``frames`` tell in words what ``digest`` stands for; ``carries``: what is written into
    the file beside it, of prompt and workflow (the prompt's own words differ: its file names do)."""

    kind: str
    frames: int
    digest: str
    carries: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.kind} x{self.frames} {self.digest[:8]} {'+'.join(self.carries) or 'bare'}"

    def of_any_workflow(self) -> Content:
        """That a workflow is in it, not which."""
        return replace(self, carries=tuple(word.split(" ")[0] for word in self.carries))

    def without_digest(self) -> Content:
        return replace(self, digest="")


def content_of(name: str, data: bytes) -> Content:
    ending = PurePath(name).suffix[1:].lower()
    try:
        if ending in PICTURES:
            return _picture(ending, data)
        if ending in FILMS:
            return _film(ending, data)
        if ending in ("latent", "safetensors"):
            length = int.from_bytes(data[:8], "little")
            held = json.loads(data[8 : 8 + length]).get("__metadata__") or {}
            return Content(ending, 1, _digest(data[8 + length :]), _carried(held))
    except Exception as exc:  # a file that cannot be read is compared by its bytes
        return Content(f"damaged {ending} ({type(exc).__name__})", 0, _digest(data))
    return Content(ending or "file", 1, _digest(data))


def _picture(ending: str, data: bytes) -> Content:
    from PIL import Image, ImageSequence

    digest, frames = hashlib.sha256(), 0
    with Image.open(io.BytesIO(data)) as picture:
        for frame in ImageSequence.Iterator(picture):
            frames += 1
            digest.update(f"{frame.mode} {frame.size}".encode() + frame.tobytes())
        held = {str(key): value for key, value in picture.info.items() if isinstance(value, str)}
        for value in picture.getexif().values():
            name, colon, text = value.partition(":") if isinstance(value, str) else ("", "", "")
            if colon:
                held[name.lower()] = text
    return Content(ending, frames, digest.hexdigest(), _carried(held))


def _film(ending: str, data: bytes) -> Content:
    import av

    digest, frames = hashlib.sha256(), 0
    with av.open(io.BytesIO(data)) as container:
        held = {key.lower(): value for key, value in container.metadata.items()}
        for stream in container.streams:
            digest.update(f"{stream.type} {stream.codec_context.name}".encode())
        for frame in container.decode():
            frames += 1
            digest.update(frame.to_ndarray().tobytes())
    if "comment" in held:
        comment = json.loads(held["comment"])
        held.update({key: json.dumps(value) for key, value in comment.items()})
    return Content(ending, frames, digest.hexdigest(), _carried(held))


def _carried(held: dict[str, str]) -> tuple[str, ...]:
    """That a prompt is in it, and which workflow."""
    found = ["prompt"] if "prompt" in held else []
    if "workflow" in held:
        found.append(f"workflow {_digest(_canonical(held['workflow']))[:6]}")
    return tuple(found)


def _canonical(text: str) -> bytes:
    try:
        return json.dumps(json.loads(text), sort_keys=True).encode()
    except ValueError:
        return text.encode()


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
