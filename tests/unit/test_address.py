"""Which addresses a peer may have, however they are written."""

from __future__ import annotations

import pytest

from orchestrator.core.models.address import (
    Reach,
    is_number_in_disguise,
    parse_ip,
    reach_of,
    short_name,
    why_not,
)
from orchestrator.core.models.backend import parse_peer_url
from orchestrator.errors import ConfigError


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "gopher://gpu-2:70",
        "ftp://gpu-2",
        "user:pw@gpu-2:8188",
        "http://169.254.169.254/latest",
        "http://[fe80::1]:8188",
        "http://[::ffff:169.254.169.254]",
        "http://[64:ff9b::a9fe:a9fe]",
        "http://169.254.169.1:8188",
        "http://169.254.170.2:8188",
        "http://[::ffff:169.254.170.23]:8188",
        "http://[2002:a9fe:a9fe::1]:8188",
        "http://[fd00:ec2::254]",
        "http://[fd20:ce::254]",
        "http://100.100.100.200",
        "http://0.0.0.0:8188",
        "http://224.0.0.1",
        "http://255.255.255.255",
        "http://2130706433:8188",
        "http://0x7f000001:8188",
        "http://0x7f.1:8188",
        "http://127.1:8188",
        "http://017700000001:8188",
        "http://192.168.1.0x14",
    ],
)
def test_f33_an_address_where_no_peer_can_be_is_refused(url: str) -> None:
    with pytest.raises(ConfigError):
        parse_peer_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8189",
        "http://[::1]:8189",
        "http://192.168.1.20:8188",
        "http://100.64.3.7:8188",
        "http://169.254.20.5:8188",
        "169.254.1.1",
        "http://[fd12:3456::7]:8188",
        "https://gpu.example.com",
        "gpu-2",
        "gpu2.lan:8188",
        "http://8.8.8.8",
        "h100:8188",
        "node.0xcafe.example",
    ],
)
def test_where_peers_are_is_allowed(url: str) -> None:
    assert parse_peer_url(url)[1]


@pytest.mark.parametrize(
    ("address", "reach"),
    [
        ("127.0.0.2", Reach.LOOPBACK),
        ("::1", Reach.LOOPBACK),
        ("::ffff:127.0.0.1", Reach.LOOPBACK),
        ("10.1.2.3", Reach.PRIVATE),
        ("100.64.0.1", Reach.PRIVATE),
        ("fd00::1", Reach.PRIVATE),
        ("8.8.8.8", Reach.PUBLIC),
        ("2600::1", Reach.PUBLIC),
    ],
)
def test_an_address_is_here_in_a_private_network_or_outside(address: str, reach: Reach) -> None:
    ip = parse_ip(address)
    assert ip is not None and reach_of(ip) is reach and not why_not(ip)


@pytest.mark.parametrize("address", ["169.254.20.5", "::ffff:169.254.20.5"])
def test_an_address_of_a_direct_cable_is_taken_when_it_is_typed_and_from_no_name(address: str) -> None:
    ip = parse_ip(address)
    assert ip is not None and reach_of(ip) is Reach.PRIVATE
    assert not why_not(ip, is_typed=True)
    assert "direct cable" in why_not(ip)


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("render-1", "render-1"),
        ("Render-1.local", "Render-1"),
        ("abc123-8188.proxy.example.net", "abc123-8188"),
        ("localhost", ""),
        ("192.168.1.20", ""),
        ("fd00::1", ""),
        ("<b>", ""),
        ("", ""),
    ],
)
def test_a_machine_is_called_by_the_first_part_of_its_name(host: str, name: str) -> None:
    assert short_name(host) == name


def test_a_name_is_no_number() -> None:
    assert parse_ip("gpu-2") is None
    assert not is_number_in_disguise("gpu-2.lan")
