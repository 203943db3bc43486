"""The names and addresses of the machine that this runs on."""

from __future__ import annotations

import ipaddress
import socket


def is_local_address(address: str) -> bool:
    """Whether this IP address is one of this computer's: only those can be bound to. No name is looked up."""
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


def host_names(name: str) -> frozenset[str]:
    """A machine's name, its short form, and the one its neighbours find it by without a name server."""
    full = name.lower().removesuffix(".")
    short = full.partition(".")[0]
    return frozenset({full, short, f"{short}.local"}) if short else frozenset()
