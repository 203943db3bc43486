"""Binary frames of a peer as a client of the master takes them: pictures as they are, never encoded again."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any

from ...backends.events import PreviewFrame, RawFrame
from ...backends.wire import PREVIEW, PREVIEW_WITH_METADATA

PICTURE_TYPES = ("image/jpeg", "image/png")
_ID_MAX = 200
_IDS = ("node_id", "display_node_id", "parent_node_id", "real_node_id")


def takes_metadata(server: Any, client_id: str) -> bool:
    """Whether this client said at its connection that it knows event 4, as the host itself asks."""
    told = getattr(server, "sockets_metadata", {}).get(client_id)
    flags = told.get("feature_flags") if isinstance(told, Mapping) else None
    return isinstance(flags, Mapping) and flags.get("supports_preview_metadata") is True


def picture_message(frame: PreviewFrame, prompt_id: str, *, with_metadata: bool, at: str = "") -> bytes:
    """The whole binary message, under the prompt id that the client knows.

    Event 4 (>I 4, >I length, json, picture) for a client that takes metadata, else event 1 (>I 1, >I 1 for
    JPEG or 2 for PNG, picture). What came as event 1 stays so. `at`: the box of the client's graph that shows
    it, where that is not the peer's own node.
    """
    if frame.meta is None and not at:
        return struct.pack(">II", PREVIEW, frame.format) + frame.data
    image_type = frame.image_type if frame.image_type in PICTURE_TYPES else "image/jpeg"
    if not with_metadata:
        return struct.pack(">II", PREVIEW, 1 + PICTURE_TYPES.index(image_type)) + frame.data
    ids = dict.fromkeys(_IDS, at) if at else {key: _id((frame.meta or {}).get(key)) for key in _IDS}
    meta = {"node_id": ids.pop("node_id"), "prompt_id": prompt_id, **ids, "image_type": image_type}
    head = json.dumps(meta).encode()
    return struct.pack(">II", PREVIEW_WITH_METADATA, len(head)) + head + frame.data


def raw_message(frame: RawFrame) -> bytes:
    """The whole binary message of what is no picture: it names no prompt."""
    return struct.pack(">I", frame.kind) + frame.body


def _id(value: object) -> str | None:
    return value[:_ID_MAX] if isinstance(value, str) else None
