"""A TCP proxy before a peer, and what networks do to connections: cut, delay, stall, corrupt."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable

_BLOCK = 1 << 16


class Proxy:
    """``async with Proxy(port) as proxy:`` serves at ``proxy.url``. All knobs may be turned at any time.

    ``delay_s``: before each block; ``delays`` gives another one for each. ``cuts``: so many connections are
    reset, each when it has brought ``cut_after`` bytes from the peer, or right after a request when
    ``cut_requests`` says so. ``passing``: cleared, nothing moves and no connection ends;
    ``answering``: the same for what comes from the peer only; ``telling``: the same for its websockets only.
    ``edit``: what becomes of each block of the peer.
    """

    def __init__(self, port: int) -> None:
        self._peer_port = port
        self.port = 0
        self.delay_s = 0.0
        self.delays: Callable[[], float] = lambda: self.delay_s
        self.cuts = 0
        self.cut_after = 0
        self.cut_requests: Callable[[bytes], bool] = lambda data: False
        self.edit: Callable[[bytes], bytes] = lambda data: data
        self.passing = asyncio.Event()
        self.passing.set()
        self.answering = asyncio.Event()
        self.answering.set()
        self.telling = asyncio.Event()
        self.telling.set()
        self.is_open = True
        self.connections = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._ends: set[asyncio.StreamWriter] = set()
        self._sockets: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Proxy:
        await self.come_back()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.go_down()

    async def come_back(self) -> None:
        """At the same port as before."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def go_down(self) -> None:
        """As a tunnel does that ends: what is open is cut, and its port refuses."""
        assert self._server is not None
        self._server.close()
        self.passing.set()
        self.answering.set()
        self.telling.set()
        for end in tuple(self._ends):
            end.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def reset_sockets(self) -> None:
        for near in self._sockets:
            _reset(near)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._server is None or not self._server.is_serving():
            writer.transport.abort()  # it was let in a moment before the way was closed
            return
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        self._ends.add(writer)
        far: asyncio.StreamWriter | None = None
        try:
            if not self.is_open:
                _reset(writer)
                return
            peer, far = await asyncio.open_connection("127.0.0.1", self._peer_port)
            self._ends.add(far)
            ways = [
                asyncio.create_task(self._up(reader, far, writer), name="proxy up"),
                asyncio.create_task(self._down(peer, writer), name="proxy down"),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        except OSError:
            _reset(writer)
        finally:
            for end in (writer, far):
                if end is not None:
                    self._ends.discard(end)
                    self._sockets.discard(end)
                    end.close()
                    with contextlib.suppress(OSError):
                        await end.wait_closed()
            self._tasks.discard(task)

    async def _up(
        self, reader: asyncio.StreamReader, far: asyncio.StreamWriter, near: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(_BLOCK):
            if b"upgrade: websocket" in data.lower():
                self._sockets.add(near)
            await self._pass()
            far.write(data)
            await far.drain()
            if self.cuts and self.cut_requests(data):
                self.cuts -= 1
                _reset(near)
                return

    async def _down(self, peer: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        brought = 0
        while data := await peer.read(_BLOCK):
            await self._pass()
            await self.answering.wait()
            if near in self._sockets:
                await self.telling.wait()
            brought += len(data)
            near.write(self.edit(data))
            await near.drain()
            if self.cuts and self.cut_after and brought >= self.cut_after:
                self.cuts -= 1
                _reset(near)
                return

    async def _pass(self) -> None:
        if delay_s := self.delays():
            await asyncio.sleep(delay_s)
        await self.passing.wait()


def _reset(writer: asyncio.StreamWriter) -> None:
    """End it as a pulled cable's other side does: with RST."""
    connection = writer.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.close()
