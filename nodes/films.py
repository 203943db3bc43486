"""Values of type VIDEO. Their classes exist inside ComfyUI alone, so they are asked for when one is met."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..orchestrator.errors import ResultError

ENDING = "mp4"  #: of what ComfyUI encodes itself
_MP4 = (b"ftyp", b"moov", b"mdat", b"wide", b"free")  #: what such a file, or QuickTime's, may begin with
_MATROSKA = b"\x1aE\xdf\xa3"  #: and WebM


def is_film(value: object) -> bool:
    from comfy_api.latest import Input  # type: ignore[import-not-found]

    return isinstance(value, Input.Video)


def film_of(path: Path) -> Any:
    """The value that a file is; its frames are read when somebody wants them.

    Raises:
        ResultError: it is no container of films. ffmpeg might take it for a list of others, and read these.
    """
    with path.open("rb") as file:
        head = file.read(12)
    if head[4:8] not in _MP4 and not head.startswith(_MATROSKA):
        raise ResultError(f"The peer's file {path.name} is no video that can be read.")
    from comfy_api.latest import InputImpl  # type: ignore[import-not-found]

    return InputImpl.VideoFromFile(str(path))


def saving(film: Any) -> tuple[Callable[[str], object], str]:
    """What writes a film to a path, and the ending that this must have: by it ComfyUI knows the container and
    copies a file's streams as they are."""
    from comfy_api.latest import InputImpl  # type: ignore[import-not-found]

    source = film.get_stream_source() if isinstance(film, InputImpl.VideoFromFile) else None
    ending = Path(source).suffix.lower().removeprefix(".") if isinstance(source, str) else ""
    return film.save_to, ending or ENDING
