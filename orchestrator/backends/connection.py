"""The connections to one peer: how many, whom they trust, and that they follow nobody elsewhere."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import aiohttp

from ..core.models.trust import context_of, pinned_digest
from ..errors import PeerUnreachableError
from .answers import check_answer, leads_elsewhere, translated
from .gate import Gate
from .masking import Mask
from .resolver import CheckedResolver

REQUESTS_MAX = 16  #: at a time to one peer; others at the same host and port have as many of their own
WEBSOCKET_MAX_BYTES = 64 << 20
HANDSHAKE_TIMEOUT_S = 10.0
#: Just above the time between two looks at a peer: they take the kept connections in turn, and with a longer
#: time they would keep those of a busy hour for good.
IDLE_CONNECTION_S = 3.0


class Connection:
    """All requests and the event stream of one peer at `base_url`. They are opened when first used.

    `timeout_s`: for a connection, and for an answer unless its request says otherwise. A `session` that is
    handed in is used for everything, and left open by ``close``.
    """

    def __init__(
        self,
        base_url: str,
        *,
        headers: Mapping[str, str],
        timeout_s: float,
        tls: str = "",
        resolver: CheckedResolver | None = None,
        session: aiohttp.ClientSession | None = None,
    ) -> None:
        self._base_url = base_url
        self._headers = dict(headers)
        self.mask = Mask(headers)
        self._timeout_s = timeout_s
        self._ssl = ssl_of(tls)
        self._resolver = resolver or CheckedResolver()
        self._gate = Gate()
        self._given = session
        self._session: aiohttp.ClientSession | None = None
        self._is_closed = False

    @contextlib.asynccontextmanager
    async def request(
        self,
        method: str,
        path: str,
        *,
        timeout_s: float | None = 0.0,
        pause_s: float | None = None,
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer, whose body is still to be read. `timeout_s`: 0 is the connection's own, None has no
        end. `pause_s`: how long nothing may come of it; 0 likewise, None as long as all of it may take.

        Raises:
            PeerError
        """
        total = self._timeout_s if timeout_s == 0.0 else timeout_s
        pause = self._timeout_s if pause_s == 0.0 else pause_s
        sent_at_s = await self._gate.enter()
        with translated(self._base_url, self.mask):
            async with self._requests().request(
                method,
                self._base_url + path,
                headers={**(headers or {}), **self._headers},
                allow_redirects=False,
                ssl=self._ssl,
                timeout=aiohttp.ClientTimeout(total=total, sock_connect=self._timeout_s, sock_read=pause),
                **options,
            ) as answer:
                self._gate.note(sent_at_s, answer.status, answer.headers)
                await check_answer(answer, self._base_url, self.mask)
                yield answer

    @contextlib.asynccontextmanager
    async def websocket(self, path: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """A stream of events. It takes no request's place, however many peers share one host and port.

        Raises:
            PeerError
        """
        sent_at_s = await self._gate.enter()
        with translated(self._base_url, self.mask), self._noting_refusals(sent_at_s):
            async with (
                self._streams() as session,
                session.ws_connect(
                    self._base_url + path,
                    headers=self._headers,
                    ssl=self._ssl,
                    max_msg_size=WEBSOCKET_MAX_BYTES,
                    timeout=aiohttp.ClientWSTimeout(ws_close=1.0),
                ) as stream,
            ):
                notice_a_dead_machine(stream.get_extra_info("socket"))
                yield stream

    @contextlib.contextmanager
    def _noting_refusals(self, sent_at_s: float) -> Iterator[None]:
        try:
            yield
        except aiohttp.WSServerHandshakeError as exc:
            self._gate.note(sent_at_s, exc.status, exc.headers or {})
            raise

    async def close(self) -> None:
        """For good."""
        self._is_closed = True
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _requests(self) -> aiohttp.ClientSession:
        self._refuse_when_closed()
        if self._given is not None:
            return self._given
        if self._session is None:
            self._session = open_session(self._resolver)
        return self._session

    def _streams(self) -> aiohttp.ClientSession:
        self._refuse_when_closed()
        if self._given is not None:
            return without_redirects(self._given.connector, is_own=False)
        return without_redirects(aiohttp.TCPConnector(limit=0, resolver=self._resolver), is_own=True)

    def _refuse_when_closed(self) -> None:
        if self._is_closed or (self._given is not None and self._given.closed):
            raise PeerUnreachableError("Remote Dispatch is being closed; nothing is sent any more.")


def open_session(resolver: CheckedResolver | None = None) -> aiohttp.ClientSession:
    """A session for the requests to one peer, or to several at addresses of their own: no cookies, no
    forbidden addresses."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=0,
            limit_per_host=REQUESTS_MAX,
            keepalive_timeout=IDLE_CONNECTION_S,
            resolver=resolver or CheckedResolver(),
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=HANDSHAKE_TIMEOUT_S),
    )


def ssl_of(tls: str) -> ssl.SSLContext | aiohttp.Fingerprint | bool:
    digest = pinned_digest(tls)
    if digest is not None:
        return aiohttp.Fingerprint(digest)
    return context_of(tls) if tls else True


def without_redirects(connector: aiohttp.BaseConnector | None, *, is_own: bool) -> aiohttp.ClientSession:
    """For websockets: a handshake cannot be told not to follow a redirect, and would take the key along."""
    trace = aiohttp.TraceConfig()
    trace.on_request_redirect.append(_refuse_redirect)
    return aiohttp.ClientSession(
        connector=connector,
        connector_owner=is_own,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=HANDSHAKE_TIMEOUT_S),
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
