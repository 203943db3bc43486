"""Which network addresses a peer may have: on this computer, in a private network, or on the internet.

Never one where a cloud tells its machines' keys. Addresses that every link has (169.254.0.0/16) are those of
machines on a direct cable: typed by hand they are taken, and no name may lead there.
"""

from __future__ import annotations

import ipaddress
import re
from enum import IntEnum

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_KEYS_OF_CLOUDS = tuple(
    map(
        ipaddress.ip_network,
        ("169.254.169.0/24", "169.254.170.0/24", "100.100.100.200", "fd00:ec2::254", "fd20:ce::254"),
    )
)
#: Ends of names that no public name server knows.
_OWN_NAMES = (".local", ".localhost", ".lan", ".home", ".internal", ".home.arpa")
_PLAIN_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class Reach(IntEnum):
    """How far inside an address lies: the smaller, the closer to this computer."""

    LOOPBACK = 0
    PRIVATE = 1
    PUBLIC = 2


def parse_ip(text: str) -> IpAddress | None:
    """The address really meant: one inside of another (``::ffff:10.0.0.1``) counts; None for a name."""
    try:
        ip = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(ip, ipaddress.IPv6Address):
        if ip in _NAT64:
            return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        return ip.ipv4_mapped or ip.sixtofour or ip
    return ip


def why_not(ip: IpAddress, *, is_typed: bool = False) -> str:
    """Why no peer may be there, as the end of a sentence; "" when it may. `is_typed`: a person gave the
    address itself, not a name that leads to it."""
    if any(ip in network for network in _KEYS_OF_CLOUDS):
        return "is where a cloud tells its machines' keys, and no ComfyUI is there"
    if ip.is_link_local and ip.version == 4 and not is_typed:
        return (
            "is one of a direct cable. If the peer is at its other end, write the address instead of the name"
        )
    if ip.is_link_local and ip.version == 6:
        return "is link-local. Give another address of that machine, or its IPv4 address"
    if ip.is_multicast or ip.is_unspecified or str(ip) == "255.255.255.255":
        return "is no single machine's"
    return ""


def reach_of(ip: IpAddress) -> Reach:
    if ip.is_loopback:
        return Reach.LOOPBACK
    return Reach.PUBLIC if ip.is_global else Reach.PRIVATE


def is_own_host(host: str) -> bool:
    """Whether an address or name is of this computer or a private network, as far as it alone tells."""
    ip = parse_ip(host)
    if ip is not None:
        return reach_of(ip) < Reach.PUBLIC
    name = host.rstrip(".").lower()
    return "." not in name or name.endswith(_OWN_NAMES)


def short_name(host: str) -> str:
    """What people call the machine of this name: its first part; "" for an address, for "localhost", and for
    what is no plain name, as the network may say anything."""
    first = host.partition(".")[0]
    is_name = parse_ip(host) is None and first.lower() != "localhost" and _PLAIN_NAME.fullmatch(first)
    return first if is_name else ""


def is_number_in_disguise(host: str) -> bool:
    """Names like ``2130706433``, ``0x7f.1`` or ``127.1``, which resolvers read as addresses."""
    last = host.rstrip(".").rpartition(".")[2]
    if not last or parse_ip(host) is not None:
        return False
    return last.isdigit() or (
        last[:2].lower() == "0x" and all(c in "0123456789abcdef" for c in last[2:].lower())
    )
