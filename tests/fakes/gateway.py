"""A reverse proxy before several peers, at one host and port, told apart by path; and what proxies forbid."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Mapping

import aiohttp
from aiohttp import WSMsgType, web

_HOP = {"connection", "content-length", "host", "keep-alive", "transfer-encoding", "upgrade"}
_PAGE = (
    "<html>\r\n<head><title>{0}</title></head>\r\n<body>\r\n<center><h1>{0}</h1></center>\r\n"
    "<hr><center>nginx/1.22.1</center>\r\n</body>\r\n</html>\r\n"
)


def refusal_page(status: int, reason: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """As nginx words it."""
    text = _PAGE.format(f"{status} {reason}")
    return web.Response(status=status, text=text, content_type="text/html", headers=headers)


class Gateway:
    """``async with Gateway({"gpu-1": url, …}) as gateway:`` serves each at ``gateway.url("gpu-1")``.

    ``body_max``: larger ones are answered 413. ``upgrades``: whether websockets get through. ``rate``: of
    requests a second to one peer that is let through, 0 for any; the others are answered ``limit_status``,
    with a Retry-After of ``retry_after`` where that is given. ``wanted``: headers by peer, without which it
    answers 401. ``refused``: the statuses given, by path.
    A peer that is down is answered 502.
    """

    def __init__(self, peers: Mapping[str, str]) -> None:
        self._peers = dict(peers)
        self.port = 0
        self.body_max = 0
        self.upgrades = True
        self.rate = 0.0
        self.limit_status = 429
        self.retry_after = ""
        self.wanted: dict[str, Mapping[str, str]] = {}
        self.refused: list[tuple[str, int]] = []
        self._next_at_s: dict[str, float] = {}

    async def __aenter__(self) -> Gateway:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None),
        )
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{peer}/{tail:.*}", self._pass)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
        await self._session.close()

    def url(self, peer: str) -> str:
        return f"http://127.0.0.1:{self.port}/{peer}"

    async def _pass(self, request: web.Request) -> web.StreamResponse:
        peer, path = request.match_info["peer"], "/" + request.match_info["tail"]
        refusal = self._refusal(request, peer)
        if refusal is not None:
            self.refused.append((path, refusal.status))
            return refusal
        target = self._peers[peer] + request.raw_path.removeprefix(f"/{peer}")
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP}
        try:
            if request.headers.get("Upgrade", "").lower() == "websocket" and self.upgrades:
                return await self._pass_stream(request, target)
            return await self._pass_on(request, target, headers)
        except aiohttp.ClientConnectionError:
            return refusal_page(502, "Bad Gateway")

    async def _pass_on(
        self, request: web.Request, target: str, headers: Mapping[str, str]
    ) -> web.StreamResponse:
        body = io.BytesIO(await request.read()) if request.can_read_body else None
        async with self._session.request(
            request.method, target, headers=headers, data=body, allow_redirects=False
        ) as answer:
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP}
            response = web.StreamResponse(status=answer.status, headers=kept)
            await response.prepare(request)
            async for block in answer.content.iter_chunked(1 << 16):
                await response.write(block)
            return response

    def _refusal(self, request: web.Request, peer: str) -> web.Response | None:
        if any(request.headers.get(name) != value for name, value in self.wanted.get(peer, {}).items()):
            return refusal_page(401, "Authorization Required")
        if self.body_max and (request.content_length or 0) > self.body_max:
            return refusal_page(413, "Request Entity Too Large")
        now_s = asyncio.get_running_loop().time()
        if self.rate and now_s < self._next_at_s.get(peer, 0.0):
            wait = {"Retry-After": self.retry_after} if self.retry_after else None
            return refusal_page(self.limit_status, "Too Many Requests", wait)
        if self.rate:
            self._next_at_s[peer] = now_s + 1 / self.rate
        return None

    async def _pass_stream(self, request: web.Request, target: str) -> web.StreamResponse:
        async with self._session.ws_connect(target, max_msg_size=0) as theirs:
            ours = web.WebSocketResponse(max_msg_size=0)
            await ours.prepare(request)
            ways = [asyncio.create_task(_pump(theirs, ours)), asyncio.create_task(_pump(ours, theirs))]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
                await ours.close()
            return ours


Socket = aiohttp.ClientWebSocketResponse | web.WebSocketResponse


async def _pump(source: Socket, target: Socket) -> None:
    async for message in source:
        if message.type is WSMsgType.TEXT:
            await target.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await target.send_bytes(message.data)
