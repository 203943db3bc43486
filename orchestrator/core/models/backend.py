"""A peer: what its owner wishes (BackendConfig) and what was measured (BackendStatus), never mixed."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from functools import cached_property
from urllib.parse import urlsplit

from ...errors import ConfigError
from .address import is_number_in_disguise, is_own_host, parse_ip, why_not
from .rules import PeerRules, parse_hours
from .trust import checked_trust

DEFAULT_PORT = 8188
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
#: The master itself, where a peer's id stands: no peer can have it. Journals have it.
LOCAL_PEER_ID = "this machine"
LOCAL_PEER_NAME = "this computer"  #: what people read
MEMORY_STEP_BYTES = 1 << 28  #: less of free memory, more or less, is no news
NAME_MAX = 64
TAG_MAX = 32


class Health(str, Enum):
    """What the last polls say of a peer. Wishes (enabled, draining) are not in here."""

    UNKNOWN = "unknown"  #: not asked yet
    UP = "up"  #: answers as ComfyUI
    SUSPECT = "suspect"  #: was up, and missed a poll or two
    DOWN = "down"  #: missed enough polls to count as gone
    EJECTED = "ejected"  #: answers, and failed job after job: it rests for a while
    ZOMBIE = "zombie"  #: answers, and what it has to do shows no sign of work: slow or dead
    NEEDS_KEY = "needs_key"  #: it, or a proxy before it, wants credentials


@dataclass(frozen=True)
class BackendConfig:
    """Where a peer is and how its owner wants it used.

    Give either ``url`` or ``host`` with ``port``, ``scheme`` and ``path``; afterwards all of them are
    filled. ``url`` never ends in a slash and never holds credentials. ``tls``: whom its certificate has to
    come from, see ``checked_trust``; "" leaves that to this computer's authorities. ``exclusive``,
    ``only_idle``, ``hours``: when its owner lets it be used, see ``PeerRules``; hours as text.
    ``relay_events``: whether events of its node packs are told on; None leaves that to where it is.

    Raises:
        ConfigError: the address is not http(s), has user:password@, a query, or no host; a bad id or name.
    """

    id: str
    name: str = ""
    host: str = ""
    port: int = DEFAULT_PORT
    scheme: str = "http"
    path: str = ""
    url: str = ""
    enabled: bool = True
    draining: bool = False
    tags: tuple[str, ...] = ()
    has_credentials: bool = False
    tls: str = ""
    exclusive: bool = False
    only_idle: bool = False
    hours: str = ""
    relay_events: bool | None = None

    @property
    def relays_events(self) -> bool:
        """Whether events of its node packs reach this computer's page: that trusts their sender."""
        return is_own_host(self.host) if self.relay_events is None else self.relay_events

    @cached_property
    def rules(self) -> PeerRules:
        return PeerRules(self.exclusive, self.only_idle, parse_hours(self.hours))

    def __post_init__(self) -> None:
        if self.id != LOCAL_PEER_ID and not _ID.fullmatch(self.id):
            raise ConfigError(f"Peer id {self.id!r} must be 1-64 letters, digits, '_', '.' or '-'.")
        fill = object.__setattr__
        scheme, host, port, path = (
            parse_peer_url(self.url) if self.url else _checked(self.scheme, self.host, self.port, self.path)
        )
        fill(self, "scheme", scheme)
        fill(self, "host", host)
        fill(self, "port", port)
        fill(self, "path", path)
        shown_host = f"[{host}]" if ":" in host else host
        fill(self, "url", f"{scheme}://{shown_host}:{port}{path}")
        fill(self, "name", self.name.strip() or f"{shown_host}:{port}")
        if len(self.name) > NAME_MAX or any(ord(c) < 32 for c in self.name):
            message = f"A peer's name has at most {NAME_MAX} characters and no control characters."
            raise ConfigError(message, field="name")
        tags = tuple(dict.fromkeys(t.strip() for t in self.tags if t.strip()))
        if any(len(tag) > TAG_MAX for tag in tags):
            raise ConfigError(f"A tag has at most {TAG_MAX} characters.", field="tags")
        fill(self, "tags", tags)
        fill(self, "tls", checked_trust(self.tls))
        if self.tls and scheme != "https":
            raise ConfigError("A certificate is checked over https only. Write the address with https://.")
        parse_hours(self.hours)


def parse_peer_url(url: str) -> tuple[str, str, int, str]:
    """Split what a person typed ("gpu-2:8188", "https://host/comfy/") into scheme, host, port, path.

    Raises:
        ConfigError: with a sentence that says which part is wrong.
    """
    text = url.strip()
    if "://" not in text:
        text = f"http://{text}"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as exc:
        # Not repeated in any refusal: a key may be in it.
        raise ConfigError("This is not an address. Write it like http://192.168.1.20:8188.") from exc
    if parts.username is not None or parts.password is not None:
        raise ConfigError("Leave user and password out of the address; put the key into the field for it.")
    if parts.query or parts.fragment:
        raise ConfigError("The address has a '?' or '#' part. Give that of the ComfyUI page only.")
    default = 443 if parts.scheme == "https" else 80 if parts.path.strip("/") else DEFAULT_PORT
    return _checked(parts.scheme, parts.hostname or "", port or default, parts.path)


def _checked(scheme: str, host: str, port: int, path: str) -> tuple[str, str, int, str]:
    if scheme not in ("http", "https"):
        raise ConfigError(f"A peer is reached by http or https, not by {scheme!r}.")
    if not host or any(c.isspace() or c in "/\\@?#%" for c in host):
        raise ConfigError("The address names no machine. Write it like http://192.168.1.20:8188.")
    if is_number_in_disguise(host):
        raise ConfigError("Write the address as four numbers like 192.168.1.20, or as the machine's name.")
    ip = parse_ip(host)
    if ip is not None and why_not(ip, is_typed=True):
        reason = why_not(ip, is_typed=True)
        raise ConfigError(f"The address {ip} {reason}. Give the address of a machine with ComfyUI.")
    if not 0 < port < 65536:
        raise ConfigError(f"Port {port} is not between 1 and 65535.")
    clean = path.rstrip("/")
    if clean and (not clean.startswith("/") or ".." in clean or any(c.isspace() for c in clean)):
        raise ConfigError(f"The path {path!r} must start with '/' and hold no '..' or spaces.")
    return scheme, host.lower(), port, clean


@dataclass(frozen=True)
class Device:
    """One compute device as /system_stats tells it; sizes in bytes (0 where it does not say)."""

    name: str
    type: str
    vram_total_bytes: int = 0
    vram_free_bytes: int = 0


@dataclass(frozen=True)
class QueueState:
    """Prompt ids in the peer's own /queue, ours and other people's. ``unnamed``: how many more there are,
    whose ids could not be read."""

    running: tuple[str, ...] = ()
    pending: tuple[str, ...] = ()
    unnamed: int = 0

    @property
    def length(self) -> int:
        return len(self.running) + len(self.pending) + self.unnamed

    @property
    def running_count(self) -> int:
        return len(self.running) or min(self.unnamed, 1)  # a ComfyUI with prompts is at one of them

    @property
    def pending_count(self) -> int:
        return self.length - self.running_count


@dataclass(frozen=True)
class Vitals:
    """One good answer of a peer to a health check. ``note``: what of it could not be read, for its owner."""

    comfyui_version: str = ""
    os: str = ""
    ram_total_bytes: int = 0
    ram_free_bytes: int = 0
    devices: tuple[Device, ...] = ()
    queue: QueueState = field(default_factory=QueueState)
    note: str = ""


@dataclass(frozen=True)
class Conduct:
    """How it did with its last jobs. ``failures``: in a row, by its own fault as far as anybody can tell.
    ``ejections``: rests since its last success. ``slow_start``: one job at a time, until one ends well.
    ``why``: what the last failure was, where its machine seems to be broken."""

    failures: int = 0
    ejections: int = 0
    ejected_until_s: float = 0.0
    slow_start: bool = False
    why: str = ""


@dataclass(frozen=True)
class BackendStatus:
    """What was measured of a peer.

    ``reason`` is a sentence for its owner whenever it is not up. ``generation`` grows each time the peer
    may have restarted or changed its version: what was cached of it before (/object_info) is then stale.
    ``still_since_s``: since when the same prompt is at the head of its queue. ``is_closed``: when it was
    asked last, nothing listened at its address.
    """

    health: Health = Health.UNKNOWN
    reason: str = ""
    vitals: Vitals | None = None
    misses: int = 0
    goods: int = 0
    generation: int = 0
    checked_at: datetime | None = None
    conduct: Conduct = field(default_factory=Conduct)
    still_since_s: float | None = None
    is_closed: bool = False

    @cached_property
    def news(self) -> BackendStatus:
        """What of it is worth telling: free memory in steps, nothing that every poll changes."""
        vitals = self.vitals
        if vitals is not None:
            devices = (
                replace(d, vram_free_bytes=d.vram_free_bytes // MEMORY_STEP_BYTES) for d in vitals.devices
            )
            ram = vitals.ram_free_bytes // MEMORY_STEP_BYTES
            vitals = replace(vitals, devices=tuple(devices), ram_free_bytes=ram)
        return replace(self, vitals=vitals, checked_at=None, goods=0, still_since_s=None)
