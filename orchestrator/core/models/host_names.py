"""Hosts as browsers name them, and which of them are this ComfyUI's own."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443}
ANY = "*"  #: among the allowed: every host
_BELOW = "*."  #: how a name begins that stands for all below it


@dataclass(frozen=True)
class HostName:
    """A host as a browser names it, in lower case; ``port`` is None where it was left out."""

    name: str
    port: int | None = None

    def __str__(self) -> str:
        name = f"[{self.name}]" if ":" in self.name else self.name
        return name if self.port is None else f"{name}:{self.port}"

    def covers(self, other: HostName) -> bool:
        """Whether `other` is meant by this entry of a list: without a port it means all of them, and
        ``*.example.com`` every name below that one."""
        if self.port not in (None, other.port):
            return False
        is_below = self.name.startswith(_BELOW) and other.name.endswith(self.name[1:])
        return is_below or self.name in (other.name, ANY)


@dataclass(frozen=True)
class Ours:
    """What counts as this ComfyUI. ``names`` are host names and addresses in lower case, loopback goes
    without saying; ``allowed`` are those that the user adds."""

    names: frozenset[str] = frozenset()
    allowed: frozenset[HostName] = frozenset()

    def has_host(self, place: HostName) -> bool:
        is_listed = any(entry.covers(place) for entry in self.allowed)
        return is_listed or place.name in self.names or _is_loopback(place.name)

    def has_origin(self, scheme: str, origin: HostName, host: HostName) -> bool:
        """An origin is ours on the port the request came to, or on one that an entry names with it. Where
        every host is allowed, it has to be the one that was asked for."""
        default = DEFAULT_PORTS[scheme]
        named = HostName(origin.name, origin.port or default)
        if named.port == (host.port or default) and self._is_same_machine(named, host):
            return True
        listed = (entry for entry in self.allowed if entry.name != ANY and entry.covers(named))
        return any(entry.port is not None or origin.port is None for entry in listed)

    def _is_same_machine(self, origin: HostName, host: HostName) -> bool:
        named = (entry for entry in self.allowed if entry.name != ANY)
        return origin.name == host.name or Ours(self.names, frozenset(named)).has_host(origin)


def parse_place(text: str) -> HostName | None:
    """Host and port of a Host header, or of an origin behind its scheme; None if it is none."""
    if not text or any(c.isspace() or c in "/\\@?#%*" for c in text):
        return None
    try:
        parts = urlsplit(f"//{text}")
        name, port = parts.hostname, parts.port
    except ValueError:
        return None
    return HostName(name.removesuffix("."), port) if name else None


def parse_origin(text: str) -> tuple[str, HostName] | None:
    """Scheme and place of an Origin header; None for one that names no web page's server."""
    scheme, _, rest = text.partition("://")
    place = parse_place(rest) if scheme in DEFAULT_PORTS else None
    return None if place is None else (scheme, place)


def parse_entry(text: str) -> HostName | None:
    """An allowed host: like ``nas``, ``nas:8443``, ``*.example.com`` or ``*``; None if it is none."""
    text = text.strip()
    if text == ANY or text.startswith(f"{ANY}:"):
        stand_in = parse_place(f"any{text[1:]}")
        return stand_in and HostName(ANY, stand_in.port)
    below = text.startswith(_BELOW)
    place = parse_place(text.removeprefix(_BELOW))
    return HostName(_BELOW + place.name, place.port) if place and below else place


def parse_allowed(entries: Iterable[str]) -> frozenset[HostName]:
    """The places of a list; what cannot be read is left out."""
    places = map(parse_entry, entries)
    return frozenset(place for place in places if place is not None)


def _is_loopback(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
