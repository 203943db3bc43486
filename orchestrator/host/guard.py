"""Who may use our routes: this ComfyUI's own page, and scripts that know the token. Never another site."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import os
import secrets
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from ..core.models.backend import BackendConfig

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
ALLOWED_HOSTS_VARIABLE = "ORCHESTRATOR_ALLOWED_HOSTS"
TOKEN_VARIABLE = "ORCHESTRATOR_TOKEN"  # noqa: S105  only a name # nosec B105
TOKEN_HEADER = "X-Orchestrator-Token"  # noqa: S105  only a name # nosec B105
PAGE_HEADER = "X-Orchestrator-Page"
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Place:
    """A host as a browser names it, in lower case; ``port`` is None where it was left out."""

    name: str
    port: int | None = None


@dataclass(frozen=True)
class Ours:
    """What counts as this ComfyUI. ``names`` are host names and addresses in lower case, loopback goes
    without saying; ``allowed`` are those that a setting adds."""

    names: frozenset[str] = frozenset()
    allowed: frozenset[Place] = frozenset()

    def has_host(self, place: Place) -> bool:
        listed = Place(place.name) in self.allowed or place in self.allowed
        return listed or place.name in self.names or _is_loopback(place.name)

    def has_origin(self, scheme: str, origin: Place, host: Place) -> bool:
        """An origin is ours on the port the request came to, or on one that a setting names with it."""
        default = _DEFAULT_PORTS[scheme]
        port = origin.port or default
        if port == (host.port or default) and self.has_host(Place(origin.name, port)):
            return True
        listed = Place(origin.name) in self.allowed and origin.port is None
        return listed or Place(origin.name, port) in self.allowed


@dataclass(frozen=True)
class Seen:
    """What a request says of itself; None where a header is missing."""

    method: str
    host: str
    origin: str | None = None
    fetch_site: str | None = None
    content_type: str = ""
    token: str | None = None
    page: str | None = None


@dataclass(frozen=True)
class Refusal:
    """Why not, as a word and as a sentence that says what to change."""

    error: str
    message: str
    about_names: bool = field(default=False, compare=False)


def check_request(seen: Seen, ours: Ours, token: str, *, needs_page: bool = False) -> Refusal | None:
    """None when the request may pass.

    Reading takes a Host that is ours, and no sign of another site. What changes something takes the token and
    JSON besides: a foreign form can send neither. ``needs_page``: the answer holds the token itself, so a
    header is asked for that a foreign page cannot add without asking first.
    """
    refusal = _check_place(seen, ours)
    if refusal is not None:
        return refusal
    if needs_page and seen.page != "1":
        return Refusal(
            "not_our_page",
            f"Only ComfyUI's own page gets the token. A script takes the one you set as {TOKEN_VARIABLE}.",
        )
    if seen.method in ("GET", "HEAD"):
        return None
    if not hmac.compare_digest(_bytes(seen.token or ""), _bytes(token)):
        return Refusal(
            "bad_token",
            f"The header {TOKEN_HEADER} is missing or of an earlier start of ComfyUI: reload the page. "
            f"For a script, set {TOKEN_VARIABLE} in ComfyUI's environment and send the same value.",
        )
    if seen.content_type != "application/json":
        return Refusal("not_json", "Send this request with the header Content-Type: application/json.")
    return None


def _check_place(seen: Seen, ours: Ours) -> Refusal | None:
    host = parse_place(seen.host)
    if host is None or not ours.has_host(host):
        return Refusal(
            "bad_host",
            f"Remote Dispatch does not know {seen.host[:200]!r} as an address of this ComfyUI. If it is one, "
            f"add it to {ALLOWED_HOSTS_VARIABLE} in ComfyUI's environment (names with commas between them).",
            about_names=True,
        )
    if seen.origin is not None:
        scheme, _, rest = seen.origin.partition("://")
        origin = parse_place(rest) if scheme in _DEFAULT_PORTS else None
        if origin is None or not ours.has_origin(scheme, origin, host):
            return Refusal(
                "bad_origin",
                f"A page of {seen.origin[:200]!r} asked, and only ComfyUI's own may. If you open ComfyUI at "
                f"that address, add its host to {ALLOWED_HOSTS_VARIABLE} in ComfyUI's environment.",
                about_names=True,
            )
    if seen.fetch_site not in (None, "same-origin", "none"):
        return Refusal(
            "bad_origin",
            "A page of another site or port asked, and only ComfyUI's own page may. "
            f"If both are yours, see {ALLOWED_HOSTS_VARIABLE}, and open ComfyUI at one address only.",
        )
    return None


def parse_place(text: str) -> Place | None:
    """Host and port of a Host header, of an origin behind its scheme, or of a setting; None if it is none."""
    if not text or any(c.isspace() or c in "/\\@?#%" for c in text):
        return None
    try:
        parts = urlsplit(f"//{text}")
        name, port = parts.hostname, parts.port
    except ValueError:
        return None
    return Place(name.removesuffix("."), port) if name else None


def parse_allowed(setting: str) -> frozenset[Place]:
    """The places of a comma list like ``comfy.example.com, nas:8443``; what cannot be read is left out."""
    places = (parse_place(part.strip()) for part in setting.split(","))
    return frozenset(place for place in places if place is not None)


class Guard:
    """Puts ``check_request`` before handlers. `server` is a PromptServer; it has a port once it listens."""

    def __init__(
        self,
        server: Any,
        *,
        token: str = "",
        allowed: frozenset[Place] = frozenset(),
        find_full_name: Callable[[], str] = socket.getfqdn,
    ) -> None:
        self._server = server
        self.token = token or secrets.token_urlsafe(32)
        self._ours = Ours(frozenset(_host_names(socket.gethostname())), allowed=allowed)
        self._find_full_name = find_full_name
        self._knows_full_name = False

    @classmethod
    def from_environment(cls, server: Any) -> Guard:
        allowed = parse_allowed(os.environ.get(ALLOWED_HOSTS_VARIABLE, ""))
        return cls(server, token=os.environ.get(TOKEN_VARIABLE, "").strip(), allowed=allowed)

    def protect(self, handler: Handler, *, needs_page: bool = False) -> Handler:
        """The handler, behind the check; a refusal is answered 403 with its word and sentence."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            refusal = await self._check(request, needs_page)
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

    def is_foreign_page(self, request: web.Request) -> bool:
        """Whether a page of another site or port asks, as its browser says; for the host's own routes, which
        take no token."""
        seen = _seen(request)
        refusal = _check_place(seen, self._ours_for(request, seen))
        return refusal is not None and refusal.error == "bad_origin"

    async def _check(self, request: web.Request, needs_page: bool) -> Refusal | None:
        seen = _seen(request)
        refusal = check_request(seen, self._ours_for(request, seen), self.token, needs_page=needs_page)
        if refusal is not None and refusal.about_names and not self._knows_full_name:
            # The full name may take the resolver seconds, and is seldom what somebody uses.
            full_name = await asyncio.to_thread(self._find_full_name)
            self._ours = replace(self._ours, names=self._ours.names | _host_names(full_name))
            self._knows_full_name = True
            refusal = check_request(seen, self._ours_for(request, seen), self.token, needs_page=needs_page)
        return refusal

    def _ours_for(self, request: web.Request, seen: Seen) -> Ours:
        """Ours, with the address the request came in at, and the one it names if that is of this machine."""
        names = set(self._ours.names)
        here = request.transport.get_extra_info("sockname") if request.transport else None
        if isinstance(here, tuple) and len(here) >= 2:
            names.add(str(here[0]).partition("%")[0])
        host = parse_place(seen.host)
        if host is not None and is_local_address(host.name):
            names.add(host.name)
        return replace(self._ours, names=frozenset(names))

    def _port(self) -> int | None:
        port = getattr(self._server, "port", None)
        return port if isinstance(port, int) else None


def is_local_address(address: str) -> bool:
    """Whether this IP address is one of this machine's: only those can be bound to. No name is looked up."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if ip.is_loopback or ip.is_unspecified:
        return True
    family = socket.AF_INET if ip.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


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
    )


def _is_loopback(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _host_names(name: str) -> frozenset[str]:
    """A machine's name, its short form, and the one its neighbours find it by without a name server."""
    full = name.lower().removesuffix(".")
    short = full.partition(".")[0]
    return frozenset({full, short, f"{short}.local"}) if short else frozenset()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
