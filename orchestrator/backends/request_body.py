"""What is sent to a peer as JSON: a small graph made in place, a large one off the event loop."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import WorkflowError

IN_PLACE = 1 << 15  #: roughly in characters: up to this, writing in place is quicker than a thread
_LEAF = 8  #: what a number, a name's quotes and a comma come to


async def json_body(body: Mapping[str, Any]) -> io.BytesIO:
    """A request's body that may have megabytes; aiohttp sends it in pieces.

    Raises:
        WorkflowError: JSON has no word for something in it.
    """
    try:
        data = _dumped(body) if is_small(body) else await asyncio.to_thread(_dumped, body)
    except (TypeError, ValueError, RecursionError) as exc:
        raise WorkflowError(f"The prompt holds something that JSON does not know: {exc}.") from exc
    return io.BytesIO(data)


def is_small(value: object) -> bool:
    """Whether its JSON has at most about ``IN_PLACE`` characters; looks at no more than that."""
    todo: list[Iterable[object]] = [(value,)]
    left = IN_PLACE
    while todo and left >= 0:
        for part in todo.pop():
            left -= _LEAF
            if isinstance(part, str):
                left -= len(part)
            elif isinstance(part, (dict, Mapping)):
                left -= _LEAF * len(part)
                todo += part, part.values()
            elif isinstance(part, (list, tuple)):
                todo.append(part)
            if left < 0:
                break
    return left >= 0


def _dumped(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body).encode()
