"""GET /orchestrator/: what there is here, as a small page for a person and as JSON for a program."""

from __future__ import annotations

import asyncio
from html import escape

from aiohttp import web

from ...version import version
from ..sanitise import sanitise
from .answers import IndexView, LinkView
from .openapi import OPENAPI

_TITLE = "Remote Dispatch"
_WORDS = (
    "This is the HTTP API of Remote Dispatch. To watch and manage your fleet, open ComfyUI's Fleet tab. "
    "Everything below answers in JSON; openapi.json describes every call."
)
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "Vary": "Accept",
    "X-Content-Type-Options": "nosniff",
}
_STYLE = "body{font:16px/1.5 sans-serif;max-width:46em;margin:2em auto;padding:0 1em;color-scheme:light dark}"
_NOT_LINKED = ("/orchestrator", "/orchestrator/", "/orchestrator/session")


async def index(request: web.Request) -> web.StreamResponse:
    """Links are relative: a proxy may have put us below another path."""
    before = "" if request.path.endswith("/") else "orchestrator/"
    view = IndexView(title=_TITLE, version=await asyncio.to_thread(version), links=_links(before))
    if "text/html" not in request.headers.get("Accept", ""):
        return web.json_response(sanitise(view), headers=_HEADERS)
    return web.Response(text=_page(view), content_type="text/html", charset="utf-8", headers=_HEADERS)


def _links(before: str) -> list[LinkView]:
    found = (
        (path, calls["get"]) for path, calls in OPENAPI["paths"].items() if "get" in calls and "{" not in path
    )
    return [
        LinkView(href=before + path.removeprefix("/orchestrator/"), summary=call["summary"])
        for path, call in found
        if path not in _NOT_LINKED
    ]


def _page(view: IndexView) -> str:
    items = "".join(
        f'<li><a href="{escape(link["href"])}">{escape(link["href"])}</a>: {escape(link["summary"])}</li>'
        for link in view["links"]
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{_TITLE}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style>'
        f"<h1>{_TITLE} {escape(view['version'])}</h1><p>{_WORDS}</p><ul>{items}</ul></html>"
    )
