"""GET /view of a result that is still on its way: a client that heard of it may ask at once."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from ...dispatch.attempts.transport import Folders

_VIEW = re.compile(r"^(/api)*/view/?$")
#: What the host itself offers as a download only.
_RUNS = re.compile(r"html|javascript|css|xml|svg")


def install(app: Any, folders: Folders) -> None:
    """Before the host's `app` runs: it takes middlewares until then."""

    @web.middleware
    async def early_view(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if request.method == "GET" and _VIEW.match(request.path):
            query = request.rel_url.query
            root = {"output": folders.output, "temp": folders.temp}.get(query.get("type", "output"))
            name = query.get("filename", "")
            data = None
            if root is not None and name:
                data = await folders.early.read(root / query.get("subfolder", "") / name)
            if data is not None:
                return _answer(name, data)
        return await handler(request)

    app.middlewares.append(early_view)


def _answer(name: str, data: bytes) -> web.Response:
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    kind = "application/octet-stream" if _RUNS.search(kind) else kind
    return web.Response(
        body=data, content_type=kind, headers={"Content-Disposition": f'filename="{_quoted(name)}"'}
    )


def _quoted(name: str) -> str:
    return "".join(c if c.isascii() and c.isprintable() and c not in '"\\' else "_" for c in name)
