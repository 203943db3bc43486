"""Answers a fake peer can be told to give: handlers for ``FakeComfyUI.answers``, and bodies of refusals."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
LOGIN_PAGE = "<!doctype html><title>Log in</title><form><input name=password></form>"


def answer(
    body: str | bytes = b"",
    *,
    status: int = 200,
    content_type: str = "application/json",
    headers: Mapping[str, str] | None = None,
) -> Handler:
    """Always these bytes."""

    async def handle(_: web.Request) -> web.Response:
        data = body.encode() if isinstance(body, str) else body
        return web.Response(body=data, status=status, content_type=content_type, headers=headers)

    return handle


def login_page(status: int = 200) -> Handler:
    return answer(LOGIN_PAGE, status=status, content_type="text/html")


def redirect(url: str, status: int = 302) -> Handler:
    return answer(status=status, headers={"Location": url})


def announce(length: int, body: bytes) -> Handler:
    """Says `length` bytes come, sends `body`, and ends the connection."""

    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(length)})
        await response.prepare(request)
        await response.write(body)
        assert request.transport is not None
        request.transport.close()
        return response

    return handle


def endless(block: bytes) -> Handler:
    """Sends `block` until nobody reads any more."""

    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(block)

    return handle


def dribble(byte: bytes, pause_s: float) -> Handler:
    """One byte, a pause, one byte …"""

    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(byte)
            await asyncio.sleep(pause_s)

    return handle


def silence() -> Handler:
    """Takes the request and never answers."""

    async def handle(_: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError("nobody sets that event")

    return handle


def refusal_of(
    kind: str, message: str, details: str, nodes: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The body of a 400 of POST /prompt."""
    error = {"type": kind, "message": message, "details": details, "extra_info": {}}
    return {"error": error, "node_errors": dict(nodes or {})}


def value_not_in_list(node_id: str, graph: Mapping[str, Any]) -> dict[str, Any]:
    """What a peer says to a model it does not have."""
    reason = {
        "type": "value_not_in_list",
        "message": "Value not in list",
        "details": "ckpt_name: 'a.safetensors' not in []",
        "extra_info": {"input_name": "ckpt_name"},
    }
    node = {"errors": [reason], "dependent_outputs": [], "class_type": graph[node_id]["class_type"]}
    message = "Prompt outputs failed validation"
    return refusal_of("prompt_outputs_failed_validation", message, "", {node_id: node})
