"""A peer's preview picture as the master's page takes it: as it is, never encoded again."""

from __future__ import annotations

import json
import struct

from ..backends.events import PreviewFrame

PREVIEW_WITH_METADATA = 4  #: ComfyUI's binary event: >I type (added by the host), >I length, json, picture
PICTURE_TYPES = ("image/jpeg", "image/png")


def preview_message(frame: PreviewFrame, prompt_id: str) -> bytes:
    """The event's body, for the box that shows it, under the prompt id that the page knows."""
    shown_at = frame.display_node_id or frame.node_id
    meta = {
        "node_id": shown_at,
        "display_node_id": shown_at,
        "parent_node_id": shown_at,
        "real_node_id": shown_at,
        "prompt_id": prompt_id,
        "image_type": frame.image_type if frame.image_type in PICTURE_TYPES else "image/jpeg",
    }
    head = json.dumps(meta).encode()
    return struct.pack(">I", len(head)) + head + frame.data
