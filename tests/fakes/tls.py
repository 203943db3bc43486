"""A TLS front before a peer, as a proxy would be: it keeps every byte that reached it decrypted."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

CERTIFICATES = Path(__file__).parents[1] / "data" / "tls"  #: made for these tests; the key opens nothing
AUTHORITY = (CERTIFICATES / "authority.pem").read_text()


def fingerprint(name: str) -> str:
    der = ssl.PEM_cert_to_DER_cert((CERTIFICATES / f"{name}.pem").read_text())
    return f"sha256:{hashlib.sha256(der).hexdigest()}"


class Front:
    """``certificate`` names one of the files; a new one holds for connections from then on."""

    def __init__(self, certificate: str) -> None:
        self.url = ""
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.sni_callback = self._choose
        self._writers: set[asyncio.StreamWriter] = set()
        self.show(certificate)

    def show(self, certificate: str) -> None:
        # One for each certificate: what comes over a connection is told by what that one was shown, however
        # late its first byte is read.
        self._shown = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._shown.load_cert_chain(CERTIFICATES / f"{certificate}.pem", CERTIFICATES / "server_key.pem")
        self.received = bytearray()

    def cut(self) -> None:
        """End all connections; ``received`` is then what comes over new ones with the present certificate."""
        self.received = bytearray()
        for writer in tuple(self._writers):
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
        is_old = writer.get_extra_info("ssl_object").context is not self._shown
        kept = bytearray() if is_old else self.received
        behind, there = await asyncio.open_connection("127.0.0.1", port)
        self._writers |= {writer, there}
        with suppress(OSError):
            await asyncio.gather(self._pass(reader, there, kept), self._pass(behind, writer))
        for end in (writer, there):
            self._writers.discard(end)
            end.transport.abort()

    def _choose(self, connection: ssl.SSLSocket | ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        connection.context = self._shown

    async def _pass(
        self, source: asyncio.StreamReader, to: asyncio.StreamWriter, kept: bytearray | None = None
    ) -> None:
        while block := await source.read(1 << 16):
            if kept is not None:
                kept += block
            to.write(block)
            await to.drain()
        to.transport.abort()


@asynccontextmanager
async def tls_front(port: int, certificate: str) -> AsyncIterator[Front]:
    front = Front(certificate)
    server = await asyncio.start_server(
        lambda reader, writer: front.serve(reader, writer, port), "127.0.0.1", 0, ssl=front.context
    )
    front.url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield front
    finally:
        server.close()
        front.cut()
        await server.wait_closed()
