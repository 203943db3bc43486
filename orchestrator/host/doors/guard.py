"""Who may use our routes: this ComfyUI's own page, and scripts that know the token. Never another site."""

from __future__ import annotations

import asyncio
import hmac
import os
import secrets
import socket
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from aiohttp import web

from ...core.models.backend import BackendConfig
from ...core.models.host_names import (
    HostName,
    Ours,
    parse_allowed,
    parse_entry,
    parse_origin,
    parse_place,
)
from .own_addresses import host_names, is_local_address
from .refused_names import RefusedNames

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
ALLOWED_HOSTS_VARIABLE = "ORCHESTRATOR_ALLOWED_HOSTS"
TOKEN_VARIABLE = "ORCHESTRATOR_TOKEN"  # noqa: S105  only a name # nosec B105
TOKEN_HEADER = "X-Orchestrator-Token"  # noqa: S105  only a name # nosec B105
PAGE_HEADER = "X-Orchestrator-Page"
#: How the User-Agent of every browser begins, and that of no library: Qt's is the first word of it alone.
BROWSER = "Mozilla/5.0 ("
SETTINGS_S = 10.0  #: how long a page waits for an engine that is just starting
_HOW_TO_ACCEPT = (
    "If you open ComfyUI at this address yourself, accept it: open ComfyUI on its own machine "
    "(http://127.0.0.1 and its port), Fleet tab, Addresses. Or add its host to "
    f"{ALLOWED_HOSTS_VARIABLE} in ComfyUI's environment (names with commas between them)."
)


@dataclass(frozen=True)
class Seen:
    """What a request says of itself; None where a header is missing. ``page``: what our own page puts into
    ``PAGE_HEADER``, where it was opened; "1" from one that does not say."""

    method: str
    host: str
    origin: str | None = None
    fetch_site: str | None = None
    content_type: str = ""
    token: str | None = None
    page: str | None = None
    is_browser: bool = False
    has_body: bool = True

    @property
    def is_our_page(self) -> bool:
        """Whether our page says so, which another one's browser does not let it without asking first."""
        return self.page == "1" or "://" in (self.page or "")

    @property
    def opened_at(self) -> str | None:
        """The origin of the page that asks; None where there is none, or it does not say."""
        return self.page if self.origin is None and self.page != "1" and self.is_our_page else self.origin

    @property
    def from_page(self) -> bool:
        """Whether a web page asks. Browsers name its origin with all that changes something, and with every
        websocket; with what only reads the page's own server they do not."""
        is_told = self.origin is not None or self.fetch_site is not None
        return is_told or (self.is_browser and self.method in ("GET", "HEAD"))


@dataclass(frozen=True)
class Refusal:
    """Why not, as a word and as a sentence that says what to change. ``place``: the name that the user may
    accept, where the request came by one."""

    error: str
    message: str
    about_names: bool = field(default=False, compare=False)
    place: HostName | None = field(default=None, compare=False)


def check_request(seen: Seen, ours: Ours, token: str, *, needs_page: bool = False) -> Refusal | None:
    """None when the request may pass.

    Reading takes a Host that is ours, and no sign of another site. What changes something takes the token and
    JSON besides: a foreign form can send neither. ``needs_page``: the answer holds the token itself, so a
    header is asked for that a foreign page cannot add without asking first.
    """
    refusal = check_place(seen, ours)
    if refusal is not None:
        return refusal
    if needs_page and not seen.is_our_page:
        return Refusal(
            "not_our_page",
            f"Only ComfyUI's own page gets the token. A script takes the one you set as {TOKEN_VARIABLE}.",
        )
    if seen.method in ("GET", "HEAD"):
        return None
    if not hmac.compare_digest(_bytes(seen.token or ""), _bytes(token)):
        return Refusal("bad_token", _without_token(seen))
    if seen.content_type != "application/json" and (seen.has_body or seen.method != "DELETE"):
        return Refusal("not_json", "Send this request with the header Content-Type: application/json.")
    return None


def _without_token(seen: Seen) -> str:
    if seen.is_our_page:
        return "This page's token is of an earlier start of ComfyUI. Reload the page."
    wrong = (
        f"The token in the header {TOKEN_HEADER} is wrong"
        if seen.token
        else f"Send the header {TOKEN_HEADER}"
    )
    return (
        f"{wrong}: its value is the {TOKEN_VARIABLE} of ComfyUI's environment, set before ComfyUI starts. "
        "Without that variable there is a new token at every start, and only ComfyUI's own page knows it."
    )


def check_place(seen: Seen, ours: Ours) -> Refusal | None:
    """None when it came by a name that is ours, and not from another site."""
    host = parse_place(seen.host)
    if host is None or not ours.has_host(host):
        return Refusal(
            "bad_host",
            f"Remote Dispatch does not know {seen.host[:200]!r} as an address of this ComfyUI. "
            f"{_HOW_TO_ACCEPT}",
            about_names=True,
            place=host,
        )
    told = seen.opened_at
    if told is not None:
        origin = parse_origin(told)
        if origin is None or not ours.has_origin(*origin, host):
            # Only a page that this server gave out sends our header: a proxy changed the Host.
            is_proxied = origin is not None and seen.is_our_page
            return Refusal(
                "bad_origin",
                f"A page of {told[:200]!r} asked, and only ComfyUI's own may. {_HOW_TO_ACCEPT}",
                about_names=True,
                place=origin[1] if origin is not None and is_proxied else None,
            )
    if seen.fetch_site not in (None, "same-origin", "none"):
        return Refusal(
            "bad_origin",
            "A page of another site or port asked, and only ComfyUI's own page may. "
            f"If both are yours, see {ALLOWED_HOSTS_VARIABLE}, and open ComfyUI at one address only.",
        )
    return None


class Guard:
    """Puts ``check_request`` before handlers. `server` is a PromptServer; it has a port once it listens."""

    def __init__(
        self,
        server: Any,
        *,
        token: str = "",
        allowed: frozenset[HostName] = frozenset(),
        find_full_name: Callable[[], str] = socket.getfqdn,
    ) -> None:
        self._server = server
        self.token = token or secrets.token_urlsafe(32)
        self.refused = RefusedNames()
        self._from_start = allowed
        self._ours = Ours(host_names(socket.gethostname()), allowed=allowed)
        self._find_full_name = find_full_name
        self._knows_full_name = False
        self._settings_read = asyncio.Event()
        self._settings_read.set()

    @classmethod
    def from_environment(cls, server: Any) -> Guard:
        allowed = parse_allowed(os.environ.get(ALLOWED_HOSTS_VARIABLE, "").split(","))
        return cls(server, token=os.environ.get(TOKEN_VARIABLE, "").strip(), allowed=allowed)

    def expect_accepted(self) -> None:
        """The user's own list comes soon: until ``accept``, nobody is refused for a name."""
        self._settings_read.clear()

    def accept(self, hosts: Iterable[str]) -> None:
        """Besides those of the environment, let these in, and no others that were accepted before."""
        self._ours = replace(self._ours, allowed=self._from_start | parse_allowed(hosts))
        self.refused.drop(self._is_accepted)
        self._settings_read.set()

    def _is_accepted(self, name: str) -> bool:
        place = parse_entry(name)
        return place is not None and self._ours.has_host(place)

    def protect(self, handler: Handler, *, needs_page: bool = False, needs_token: bool = True) -> Handler:
        """The handler, behind the check; a refusal is answered 403 with its word and sentence. `needs_token`:
        see ``check_request``; else only where the request comes from is looked at."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            check = self._check(request, needs_page) if needs_token else self._check_place(request)
            refusal = await check
            if refusal is not None:
                return web.json_response({"error": refusal.error, "message": refusal.message}, status=403)
            return await handler(request)

        return guarded

    def is_this_machine(self, config: BackendConfig) -> bool:
        """Whether a peer's address leads back to this ComfyUI. Asks the resolver, so not on an event loop."""
        if config.port != self._port():
            return False
        try:
            found = socket.getaddrinfo(config.host, config.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return False  # nobody's address: the health check will say so
        return any(is_local_address(str(address[4][0])) for address in found)

    async def refuse_page(self, request: web.Request) -> Refusal | None:
        """Why a page that asks is not ours; None for our own, and for every program, whatever host it names.
        For the host's own routes, which take no token."""
        seen = _seen(request)
        return (
            await self._with_all_names(request, lambda ours: check_place(seen, ours))
            if seen.from_page
            else None
        )

    async def _check(self, request: web.Request, needs_page: bool) -> Refusal | None:
        seen = _seen(request)
        return await self._with_all_names(
            request, lambda ours: check_request(seen, ours, self.token, needs_page=needs_page)
        )

    async def _check_place(self, request: web.Request) -> Refusal | None:
        seen = _seen(request)
        return await self._with_all_names(request, lambda ours: check_place(seen, ours))

    async def _with_all_names(
        self, request: web.Request, check: Callable[[Ours], Refusal | None]
    ) -> Refusal | None:
        refusal = check(self._ours_for(request))
        if refusal is not None and refusal.about_names and not self._settings_read.is_set():
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._settings_read.wait(), SETTINGS_S)
            self._settings_read.set()
            refusal = check(self._ours_for(request))
        if refusal is not None and refusal.about_names and not self._knows_full_name:
            # The full name may take the resolver seconds, and is seldom what somebody uses.
            full_name = await asyncio.to_thread(self._find_full_name)
            self._ours = replace(self._ours, names=self._ours.names | host_names(full_name))
            self._knows_full_name = True
            refusal = check(self._ours_for(request))
        if refusal is not None and refusal.place is not None:
            self.refused.note(refusal.place)
        return refusal

    def _ours_for(self, request: web.Request) -> Ours:
        """Ours, with the address the request came in at, and the one it names if that is of this computer."""
        names = set(self._ours.names)
        here = request.transport.get_extra_info("sockname") if request.transport else None
        if isinstance(here, tuple) and len(here) >= 2:
            names.add(str(here[0]).partition("%")[0])
        host = parse_place(request.headers.get("Host", ""))
        if host is not None and is_local_address(host.name):
            names.add(host.name)
        return replace(self._ours, names=frozenset(names))

    def _port(self) -> int | None:
        port = getattr(self._server, "port", None)
        return port if isinstance(port, int) else None


def _seen(request: web.Request) -> Seen:
    headers = request.headers
    return Seen(
        method=request.method,
        host=headers.get("Host", ""),
        origin=headers.get("Origin"),
        fetch_site=headers.get("Sec-Fetch-Site"),
        content_type=request.content_type,
        token=headers.get(TOKEN_HEADER),
        page=headers.get(PAGE_HEADER),
        is_browser=headers.get("User-Agent", "").startswith(BROWSER),
        has_body=request.can_read_body,
    )


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
