"""The body of POST /prompt and of the host's other routes, as far as it is ours to read."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

OPTIONS_KEY = "orchestrator"  #: in a prompt's extra_data
_PARSED_AT_ONCE_BYTES = 1 << 16


async def object_of(request: web.Request) -> dict[str, Any]:
    """The JSON object of a request; {} where it is none. aiohttp keeps the body for the host.

    Raises:
        ValueError: it is no JSON.
    """
    raw = await request.read()
    small = len(raw) < _PARSED_AT_ONCE_BYTES
    body = json.loads(raw or b"{}") if small else await asyncio.to_thread(json.loads, raw)
    return body if isinstance(body, dict) else {}


def options_of(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the sender of a prompt wishes of the fleet."""
    extra = body.get("extra_data")
    options = extra.get(OPTIONS_KEY) if isinstance(extra, Mapping) else None
    return options if isinstance(options, Mapping) else {}
