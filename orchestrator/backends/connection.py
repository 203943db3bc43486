"""How a connection to a peer is made: whom it trusts, and that it follows nobody elsewhere."""

from __future__ import annotations

import socket
import ssl

import aiohttp

from ..core.models.trust import context_of, pinned_digest
from .answers import leads_elsewhere


def ssl_of(tls: str) -> ssl.SSLContext | aiohttp.Fingerprint | bool:
    digest = pinned_digest(tls)
    if digest is not None:
        return aiohttp.Fingerprint(digest)
    return context_of(tls) if tls else True


def without_redirects(session: aiohttp.ClientSession) -> aiohttp.ClientSession:
    """For websockets over the same connector: their handshake cannot be told not to follow a redirect, and
    would take the key along."""
    trace = aiohttp.TraceConfig()
    trace.on_request_redirect.append(_refuse_redirect)
    return aiohttp.ClientSession(
        connector=session.connector,
        connector_owner=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=session.timeout,
        trace_configs=[trace],
    )


async def _refuse_redirect(
    session: aiohttp.ClientSession, context: object, params: aiohttp.TraceRequestRedirectParams
) -> None:
    raise leads_elsewhere(str(params.url.origin()), params.response.status)


def notice_a_dead_machine(connection: socket.socket | None) -> None:
    """Let the system ask the other end of a silent websocket: a busy machine answers, a dead one does not."""
    if connection is None:
        return
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
