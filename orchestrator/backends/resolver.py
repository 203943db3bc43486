"""Names to addresses for connections to peers: forbidden ones are left out, and no name moves inwards."""

from __future__ import annotations

import socket

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from ..core.models.address import Reach, parse_ip, reach_of, why_not
from ..errors import PeerUnreachableError

_REACH = {
    Reach.LOOPBACK: "this very machine",
    Reach.PRIVATE: "a private network",
    Reach.PUBLIC: "the internet",
}


class CheckedResolver(AbstractResolver):
    """What it gives is what is connected to, so a name that changes its mind later gains nothing.

    A name that led to the internet at first may be anybody's: from then on it leads into no private network,
    and one that led into a private network not to this computer.
    """

    def __init__(self, inner: AbstractResolver | None = None) -> None:
        self._inner = inner or ThreadedResolver()
        self._first: dict[str, Reach] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """See AbstractResolver.

        Raises:
            PeerUnreachableError: no address of this name may be a peer's. OSError: there is no such name.
        """
        found = [
            (answer, parse_ip(answer["host"])) for answer in await self._inner.resolve(host, port, family)
        ]
        refused = [(ip, why_not(ip)) for _, ip in found if ip is not None and why_not(ip)]
        allowed = [(answer, reach_of(ip)) for answer, ip in found if ip is not None and not why_not(ip)]
        if not allowed:
            address, reason = refused[0] if refused else ("nothing", "is no address")
            raise PeerUnreachableError(f"{host} leads to {address}, which {reason}. Check the address.")
        first = self._first.setdefault(host, min(reach for _, reach in allowed))
        steady = [answer for answer, reach in allowed if reach >= first]
        if not steady:
            raise PeerUnreachableError(
                f"{host} led to {_REACH[first]} before and now to {_REACH[allowed[0][1]]}. "
                "If that is right, restart ComfyUI; else somebody has changed whom the name belongs to."
            )
        return steady

    async def close(self) -> None:
        await self._inner.close()
