"""The monitor as a page of its own: GET /orchestrator/monitor. It needs nothing of ComfyUI's own page."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from aiohttp import web

WEB = Path(__file__).resolve().parents[3] / "web"
_HEADERS = {
    # Buttons on it cancel jobs: no other site may put it into a frame.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; "
        "img-src 'self' data: blob:; base-uri 'self'; form-action 'none'; frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class MonitorPage:
    """`web_name`: under which name the host serves our ``web`` folder, at /extensions/<name>/."""

    def __init__(self, web_name: Callable[[], str]) -> None:
        self._web_name = web_name

    async def __call__(self, request: web.Request) -> web.Response:
        html, name = await asyncio.to_thread(self._read)
        # Relative: a proxy may serve this host below a path of its own. Our routes are under /api too.
        up = "../" * (request.path.count("/") - 1)
        html = html.replace('<base href="./">', f'<base href="{up}extensions/{quote(name, safe="")}/">')
        return web.Response(text=html, content_type="text/html", charset="utf-8", headers=_HEADERS)

    def _read(self) -> tuple[str, str]:
        return (WEB / "monitor.html").read_text(encoding="utf-8"), self._web_name()
