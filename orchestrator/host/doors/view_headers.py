"""Drawings that a peer made may hold scripts; shown by GET /view, they run none.

ComfyUI 0.3.75 serves SVG and XML inline, on its own origin (0.33 offers them as a download). A document with
``Content-Security-Policy: sandbox`` gets an origin of its own, and browsers run nothing in it; a picture in a
page shows all the same.
"""

from __future__ import annotations

import re
from typing import Any

from aiohttp import web

_VIEW = re.compile(r"^(/api)*/view/?$")
_XML = re.compile(r"(^|[/+.-])(svg|xml|xsl|xslt|xhtml)($|[+;])")


def install(app: Any) -> None:
    """Before the host's `app` runs: its list of signals is open until then."""
    app.on_response_prepare.append(_forbid_scripts)


async def _forbid_scripts(request: web.Request, response: web.StreamResponse) -> None:
    if request.method not in ("GET", "HEAD") or not _VIEW.match(request.path):
        return
    name = request.query.get("filename", "").rpartition(".")[2].lower()
    if _XML.search(response.content_type) or name in ("svg", "svgz", "xml", "xsl", "xslt", "xht", "xhtml"):
        response.headers["Content-Security-Policy"] = "sandbox"
        response.headers["X-Content-Type-Options"] = "nosniff"
