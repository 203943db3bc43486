"""Which file of a peer an object or a text in a node's output names. Nothing in there is trusted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..models.job import RemoteFile

TEXT_KEYS = ("text", "string")
#: Keys of plain texts that may well look like a path and are none.
WORDS = frozenset({*TEXT_KEYS, "texts", "strings", "value", "values", "prompt", "message", "caption"})
#: A relative name under a key of these words (``video_path``) is a file's.
_FILES = frozenset(
    {"file", "files", "filename", "filenames", "path", "paths", "saved", "save", "full", "result", "results"}
    | {"image", "images", "gif", "gifs", "video", "videos", "audio", "audios", "3d", "mesh", "meshes", "glb"}
    | {"model", "output", "outputs", "svg", "latents"}
)
_MEDIA = (
    "png|jpe?g|webp|gif|avif|apng|exr|tiff?|bmp|svg|psd|hdr|dds|pdf|mp4|webm|mkv|mov|avi|m4v|mp3|wav|flac"
    "|ogg|opus|m4a|aac|glb|gltf|obj|ply|stl|fbx|usdz?|spz|k?splat|bvh|latent|npz|npy|json|txt|csv|srt|vtt|xml|yaml|md|zip"
)
_MEDIA_NAME = re.compile(rf"[^\n\r\0]{{1,1000}}\.({_MEDIA})", re.IGNORECASE)
ANNOTATED = re.compile(r"^(?P<name>.*) \[(?P<type>output|input|temp)\]$", re.DOTALL)
ABSOLUTE = re.compile(r"^([\\/]|[A-Za-z]:[\\/])")
FOLDERS = ("output", "temp", "input")
PLACE_KEYS = frozenset({"filename", "subfolder", "type"})  #: of an entry: where it says that its file is


def is_entry(value: Any) -> bool:
    """Whether it names a file. Some packs leave out type and folder, as GET /view needs neither."""
    if not isinstance(value, dict) or not isinstance(value.get("filename"), str):
        return False
    if "type" in value:
        return isinstance(value["type"], str)
    return isinstance(value.get("subfolder"), str) or _MEDIA_NAME.fullmatch(value["filename"]) is not None


def file_of(node_id: str, entry: Mapping[str, Any]) -> RemoteFile:
    subfolder = entry.get("subfolder")
    return RemoteFile(
        node_id,
        entry["filename"],
        subfolder if isinstance(subfolder, str) else "",
        entry.get("type", "output"),
    )


def companion(file: RemoteFile, key: str, value: str) -> RemoteFile | None:
    """The file that a text in the entry of `file` names: another of its folder, or one by a path."""
    if key in WORDS or not _MEDIA_NAME.fullmatch(value):
        return None
    *folders, name = re.split(r"[\\/]+", value)
    if not folders:
        return replace(file, filename=name)
    if name == file.filename:
        return None  # its own place, in full
    if ABSOLUTE.match(value):
        return file_named(file.node_id, value, key) if _root_of(folders) is not None else None
    subfolder = "/".join(folders)
    is_file = subfolder == file.subfolder or _is_file_key(key)
    return replace(file, filename=name, subfolder=subfolder) if is_file else None


def file_named(node_id: str, path: str, key: str) -> RemoteFile | None:
    """The file that a plain text names; None where it is no path."""
    if key in WORDS or len(path) > 1_000 or "://" in path:
        return None
    annotated = ANNOTATED.match(path)
    name = annotated["name"] if annotated else path
    is_absolute = bool(ABSOLUTE.match(name))
    if not _MEDIA_NAME.fullmatch(name) or not (is_absolute or annotated or _is_file_key(key)):
        return None
    parts = [part for part in re.split(r"[\\/]+", name) if part not in ("", ".")]
    kind = annotated["type"] if annotated else "output"
    if is_absolute:
        root = _root_of(parts[:-1])
        kind, parts = (parts[root], parts[root + 1 :]) if root is not None else (kind, parts[-1:])
    elif len(parts) > 1 and parts[0] in FOLDERS and not annotated:
        kind, parts = parts[0], parts[1:]
    return RemoteFile(node_id, parts[-1], "/".join(parts[:-1]), kind) if parts else None


def _is_file_key(key: str) -> bool:
    return all(word in _FILES for word in key.lower().split("_"))


def _root_of(folders: list[str]) -> int | None:
    """Which of these is the peer's output, input or temp folder: the last, unless it lies in another one, as
    ``output/temp`` does."""
    roots = [number for number, part in enumerate(folders) if part in FOLDERS]
    while len(roots) > 1 and roots[-1] == roots[-2] + 1:
        roots.pop()
    return roots[-1] if roots else None
