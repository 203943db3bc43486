"""Which network addresses a peer may have: on this machine, in a private network, or on the internet.

Never one where a cloud tells its machines' keys, nor one that every link has.
"""

from __future__ import annotations

import ipaddress
from enum import IntEnum

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_KEYS_OF_CLOUDS = frozenset(map(ipaddress.ip_address, ("100.100.100.200", "fd00:ec2::254", "fd20:ce::254")))
#: Ends of names that no public name server knows.
_OWN_NAMES = (".local", ".localhost", ".lan", ".home", ".internal", ".home.arpa")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class Reach(IntEnum):
    """How far inside an address lies: the smaller, the closer to this machine."""

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


def why_not(ip: IpAddress) -> str:
    """Why no peer may be there, as the end of a sentence; "" when it may."""
    if ip in _KEYS_OF_CLOUDS or ip.is_link_local:
        return "is link-local or a cloud's own service, and no ComfyUI is there"
    if ip.is_multicast or ip.is_unspecified or str(ip) == "255.255.255.255":
        return "is no single machine's"
    return ""


def reach_of(ip: IpAddress) -> Reach:
    if ip.is_loopback:
        return Reach.LOOPBACK
    return Reach.PUBLIC if ip.is_global else Reach.PRIVATE


def is_own_host(host: str) -> bool:
    """Whether an address or name is of this machine or a private network, as far as it alone tells."""
    ip = parse_ip(host)
    if ip is not None:
        return reach_of(ip) < Reach.PUBLIC
    name = host.rstrip(".").lower()
    return "." not in name or name.endswith(_OWN_NAMES)


def is_number_in_disguise(host: str) -> bool:
    """Names like ``2130706433``, ``0x7f.1`` or ``127.1``, which resolvers read as addresses."""
    last = host.rstrip(".").rpartition(".")[2]
    if not last or parse_ip(host) is not None:
        return False
    return last.isdigit() or (
        last[:2].lower() == "0x" and all(c in "0123456789abcdef" for c in last[2:].lower())
    )
