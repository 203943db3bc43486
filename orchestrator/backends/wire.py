"""ComfyUI's JSON to our data. Nothing a peer says is trusted to have its usual shape."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..core.models.backend import Device, QueueState, Vitals
from ..errors import PeerProtocolError

MAX_DEVICES = 64
MAX_QUEUE = 100_000
MAX_FOLDERS = 128
MAX_FILES = 10_000  #: of one folder
FILE_NAME_MAX = 500
MAX_LISTED = 200_000
_FOLDER_BEHIND = re.compile(r" \[(output|input|temp)\]$")
TEXT_MAX = 200
#: Kinds of binary frames.
PREVIEW, TEXT, PREVIEW_WITH_METADATA = 1, 3, 4
_IMAGE_TYPES = {1: "image/jpeg", 2: "image/png"}


#: ComfyUI's own kinds of JSON messages; every other one is a node pack's.
COMFYUI_TYPES = frozenset(
    {"status", "feature_flags", "executing", "executed", "progress", "progress_state", "logs", "notification"}
    | {f"execution_{word}" for word in ("start", "cached", "success", "error", "interrupted")}
)


@dataclass(frozen=True)
class PeerEvent:
    """One JSON message of a peer's websocket. ``of_prompt``: the prompt that ran when it came, where the
    message itself names none. ``other``: its data where that is no object, as packs send it."""

    type: str
    data: Mapping[str, Any]
    of_prompt: str = ""
    other: Any = None

    @property
    def prompt_id(self) -> str:
        value = self.data.get("prompt_id")
        return value if isinstance(value, str) and value else self.of_prompt


@dataclass(frozen=True)
class PreviewFrame:
    """One picture that came as a binary frame: a preview, or what an output node sends instead of a file.

    ``meta`` is what came along in a frame of kind 4. One of kind 1 has none: its ids are those of the node
    that runs, and ``format`` is its own word for what `data` is (1 JPEG, 2 PNG; packs use others).
    """

    prompt_id: str
    node_id: str
    display_node_id: str
    image_type: str
    data: bytes
    meta: Mapping[str, Any] | None = None
    format: int = 1


@dataclass(frozen=True)
class RawFrame:
    """A binary frame that is no picture, of the prompt that runs. ``body`` is what follows the kind."""

    prompt_id: str
    kind: int
    body: bytes


def told_under(message: PeerEvent | PreviewFrame | RawFrame, prompt_id: str) -> Any:
    """The same message as if it were about the prompt of this id."""
    if isinstance(message, PeerEvent):
        of_prompt = prompt_id if message.of_prompt else ""
        data = renamed(message.data, message.prompt_id, prompt_id)
        return replace(message, data=data, of_prompt=of_prompt)
    if isinstance(message, PreviewFrame):
        return replace(message, prompt_id=prompt_id, meta=renamed(message.meta, message.prompt_id, prompt_id))
    return replace(message, prompt_id=prompt_id)


def renamed(value: Any, old: str, new: str) -> Any:
    """JSON data with a text replaced wherever it is all of a value, as ids are: ``progress_state`` repeats
    its prompt's for each node. Nothing is where `old` is ""."""
    if not old:
        return value
    if isinstance(value, str):
        return new if value == old else value
    if isinstance(value, Mapping):
        return {key: renamed(item, old, new) for key, item in value.items()}
    return [renamed(item, old, new) for item in value] if isinstance(value, list) else value


@dataclass(frozen=True)
class QueuedPrompt:
    """A prompt as it stands in a peer's queue or history. ``client_id``: who asked for it, "" for nobody."""

    prompt_id: str
    client_id: str
    graph: Mapping[str, Any]
    is_running: bool = False

    @classmethod
    def read(cls, entry: object, is_running: bool = False) -> QueuedPrompt | None:
        """Of ``[number, prompt id, prompt, extra data, …]``; None where it is none."""
        if not isinstance(entry, list) or len(entry) < 2 or not isinstance(entry[1], str):
            return None
        graph, extra = entry[2:4] if len(entry) > 3 else (None, None)
        client_id = extra.get("client_id") if isinstance(extra, Mapping) else None
        graph = graph if isinstance(graph, Mapping) else {}
        return cls(entry[1][:TEXT_MAX], text(client_id), graph, is_running)


def queued_prompts(body: object) -> tuple[QueuedPrompt, ...]:
    """GET /queue, what runs first.

    Raises:
        PeerProtocolError
    """
    if not isinstance(body, Mapping):
        raise PeerProtocolError("The peer's queue is not ComfyUI's.")
    running, pending = body.get("queue_running"), body.get("queue_pending")
    if not isinstance(running, list) or not isinstance(pending, list):
        raise PeerProtocolError("The peer's queue is not ComfyUI's.")
    read = [QueuedPrompt.read(entry, is_running=True) for entry in running[:MAX_QUEUE]]
    read += [QueuedPrompt.read(entry) for entry in pending[:MAX_QUEUE]]
    return tuple(prompt for prompt in read if prompt is not None)


def parse_json(body: str | bytes) -> Any:
    """JSON as ComfyUI writes it: NaN and Infinity may be in it.

    Raises:
        PeerProtocolError
    """
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as exc:
        raise PeerProtocolError("The answer is not JSON, or nested without end.") from exc


def remaining(body: object) -> int:
    """GET /prompt: how many prompts are there, running and waiting.

    Raises:
        PeerProtocolError
    """
    told = body.get("exec_info") if isinstance(body, Mapping) else None
    number = told.get("queue_remaining") if isinstance(told, Mapping) else None
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        raise PeerProtocolError("The answer is not ComfyUI's: it does not say how many prompts are there.")
    return min(number, MAX_QUEUE)


def vitals(stats: object, queue: QueueState, note: str = "") -> Vitals:
    """GET /system_stats. `queue` and `note`: see Vitals.

    Raises:
        PeerProtocolError: the answer is not ComfyUI's.
    """
    system = stats.get("system") if isinstance(stats, Mapping) else None
    if not isinstance(stats, Mapping) or not isinstance(system, Mapping):
        raise PeerProtocolError("The answer is not ComfyUI's. Is the address the one of its page?")
    devices = stats.get("devices")
    return Vitals(
        comfyui_version=text(system.get("comfyui_version")),
        os=text(system.get("os")),
        ram_total_bytes=_size(system.get("ram_total")),
        ram_free_bytes=_size(system.get("ram_free")),
        devices=tuple(
            Device(
                name=text(device.get("name")),
                type=text(device.get("type")),
                vram_total_bytes=_size(device.get("vram_total")),
                vram_free_bytes=_size(device.get("vram_free")),
            )
            for device in (devices if isinstance(devices, list) else [])[:MAX_DEVICES]
            if isinstance(device, Mapping)
        ),
        queue=queue,
        note=note,
    )


def queue_state(body: object) -> QueueState:
    """GET /queue.

    Raises:
        PeerProtocolError
    """
    if not isinstance(body, Mapping):
        raise PeerProtocolError("The peer's queue is not ComfyUI's.")
    return QueueState(_prompt_ids(body.get("queue_running")), _prompt_ids(body.get("queue_pending")))


def _prompt_ids(entries: object) -> tuple[str, ...]:
    if not isinstance(entries, list):
        raise PeerProtocolError("The peer's queue is not ComfyUI's.")
    # An entry is [number, prompt id, prompt, …].
    return tuple(
        entry[1][:TEXT_MAX]
        for entry in entries[:MAX_QUEUE]
        if isinstance(entry, list) and len(entry) > 1 and isinstance(entry[1], str)
    )


def text_message(frame: str) -> PeerEvent | None:
    """A text frame of the websocket; None for one that says nothing."""
    message = parse_json(frame)
    if not isinstance(message, Mapping) or not isinstance(message.get("type"), str):
        return None
    data = message.get("data")
    if isinstance(data, Mapping):
        return PeerEvent(message["type"], data)
    return PeerEvent(message["type"], {}, other=data)


def binary_message(frame: bytes) -> PreviewFrame | RawFrame | None:
    """A binary frame of the websocket; None for a broken one.

    Layout (ComfyUI 0.3.75): >I kind; kind 4: >I length, JSON of that length, picture; kind 1: >I format,
    picture; kind 3: >I length, node id of that length, text.
    """
    if len(frame) < 8:
        return None
    kind, second = struct.unpack_from(">II", frame)
    if kind == PREVIEW:
        image_type = _IMAGE_TYPES.get(second, "image/jpeg")
        return PreviewFrame("", "", "", image_type, frame[8:], format=second)
    if kind != PREVIEW_WITH_METADATA:
        return RawFrame("", kind, frame[4:])
    if len(frame) < 8 + second:
        return None
    meta = parse_json(frame[8 : 8 + second])
    if not isinstance(meta, Mapping):
        return None
    names = (meta.get(key) for key in ("prompt_id", "node_id", "display_node_id", "image_type"))
    prompt_id, node_id, display_node_id, image_type = (text(name) for name in names)
    data = frame[8 + second :]
    return PreviewFrame(prompt_id, node_id, display_node_id, image_type or "image/jpeg", data, meta)


def upload_limit(body: object) -> int | None:
    """GET /features: the most bytes a request may have; None where it does not say."""
    return (_size(body.get("max_upload_size")) if isinstance(body, Mapping) else 0) or None


def embeddings(body: object) -> tuple[str, ...]:
    """GET /embeddings: the names of the files, without endings."""
    entries = body if isinstance(body, list) else []
    names = (name for name in entries[:MAX_FILES] if isinstance(name, str) and 0 < len(name) <= FILE_NAME_MAX)
    return tuple(filter(_is_unicode, names))


def model_folders(body: object) -> tuple[str, ...]:
    """GET /experiment/models: the kinds of model files, by their folders' names."""
    entries = body if isinstance(body, list) else []
    names = (text(entry.get("name")) for entry in entries[:MAX_FOLDERS] if isinstance(entry, Mapping))
    return tuple(dict.fromkeys(name for name in names if name and _is_unicode(name)))


def model_sizes(body: object) -> dict[str, int]:
    """GET /experiment/models/{folder}: bytes by name, with "/" between folders. Where several of its places
    have a file of the same name, the peer loads that of the first."""
    sizes: dict[str, int] = {}
    for entry in (body if isinstance(body, list) else [])[:MAX_FILES]:
        name = entry.get("name") if isinstance(entry, Mapping) else None
        size = _size(entry.get("size")) if isinstance(entry, Mapping) else 0
        if size and isinstance(name, str) and 0 < len(name) <= FILE_NAME_MAX and _is_unicode(name):
            sizes.setdefault(name.replace("\\", "/"), size)
    return sizes


def listed_files(body: object) -> tuple[str, ...]:
    """GET /internal/files/{folder}: names; newer versions write the folder behind each (" [output]")."""
    names = [name for name in (body if isinstance(body, list) else []) if isinstance(name, str)]
    return tuple(_FOLDER_BEHIND.sub("", name) for name in names[:MAX_LISTED] if len(name) <= FILE_NAME_MAX)


def text(value: object, most: int = TEXT_MAX) -> str:
    return value[:most] if isinstance(value, str) else ""


def _is_unicode(name: str) -> bool:
    """Whether it can be asked for and kept: JSON can hold half a surrogate pair, an address cannot."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _size(value: object) -> int:
    usable = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1 << 60
    return int(value) if usable else 0  # type: ignore[call-overload]
