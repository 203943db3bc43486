"""What a person may type as a peer's address, and what becomes of it."""

from __future__ import annotations

import pytest

from orchestrator.core.models.backend import BackendConfig, parse_peer_url
from orchestrator.errors import ConfigError


@pytest.mark.parametrize(
    ("typed", "url"),
    [
        ("gpu-2", "http://gpu-2:8188"),
        ("gpu-2:9000", "http://gpu-2:9000"),
        ("  http://GPU-2:8188/ ", "http://gpu-2:8188"),
        ("192.168.1.20", "http://192.168.1.20:8188"),
        ("https://gpu.example.org", "https://gpu.example.org:443"),
        ("http://gpu.example.org/comfy/", "http://gpu.example.org:80/comfy"),
        ("https://gpu.example.org/a/b", "https://gpu.example.org:443/a/b"),
        ("[::1]:8188", "http://[::1]:8188"),
        ("http://[fd00::2]", "http://[fd00::2]:8188"),
    ],
)
def test_an_address_is_understood_as_people_type_it(typed: str, url: str) -> None:
    assert BackendConfig(id="b1", url=typed).url == url


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("file:///etc/passwd", "by http or https"),
        ("gopher://gpu-2", "by http or https"),
        ("http://user:secret@gpu-2", "Leave user and password out"),
        ("http://user@gpu-2", "Leave user and password out"),
        ("http://gpu-2/?token=secret", "'\\?' or '#'"),
        ("http://gpu-2/#page", "'\\?' or '#'"),
        ("http://gpu-2:70000", "is not an address"),
        ("http://gpu-2:port", "is not an address"),
        ("http://", "names no machine"),
        ("http://[fe80::1%25eth0]", "names no machine|not an address"),
        ("gpu 2", "names no machine"),
        ("http://gpu-2/a/../b", "no '..'"),
        ("http://gpu-2/a b", "no '..' or spaces"),
    ],
)
def test_an_address_that_cannot_be_one_is_refused_with_the_reason(typed: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parse_peer_url(typed)


@pytest.mark.parametrize(
    "typed", ["http://user:secret@gpu-2", "http://gpu-2/?token=secret", "http://user:secret@gpu-2:port"]
)
def test_what_may_be_a_secret_in_an_address_is_not_repeated_in_the_refusal(typed: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_peer_url(typed)
    assert "secret" not in str(caught.value)


def test_the_parts_and_the_whole_address_say_the_same() -> None:
    parts = BackendConfig(id="b1", host="GPU-2", port=443, scheme="https", path="/comfy/")
    whole = BackendConfig(id="b1", url="https://gpu-2/comfy")
    assert parts == whole
    assert (whole.host, whole.port, whole.scheme, whole.path) == ("gpu-2", 443, "https", "/comfy")


@pytest.mark.parametrize("port", [0, -1, 65_536])
def test_a_port_is_one_of_tcps(port: int) -> None:
    with pytest.raises(ConfigError, match="between 1 and 65535"):
        BackendConfig(id="b1", host="gpu-2", port=port)


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "x" * 65, "a b", "ä"])
def test_an_id_is_safe_in_paths_and_addresses(name: str) -> None:
    with pytest.raises(ConfigError, match="1-64 letters"):
        BackendConfig(id=name, host="gpu-2")


def test_a_peer_without_a_name_is_called_by_its_address() -> None:
    assert BackendConfig(id="b1", host="gpu-2").name == "gpu-2:8188"
    assert BackendConfig(id="b1", host="gpu-2", name="  big one ").name == "big one"


@pytest.mark.parametrize("name", ["x" * 65, "line\nbreak", "bell\x07"])
def test_a_name_fits_on_one_line(name: str) -> None:
    with pytest.raises(ConfigError, match="at most 64 characters"):
        BackendConfig(id="b1", host="gpu-2", name=name)


def test_tags_are_trimmed_and_each_is_there_once() -> None:
    assert BackendConfig(id="b1", host="gpu-2", tags=(" fast ", "fast", "", "big")).tags == ("fast", "big")
    with pytest.raises(ConfigError, match="at most 32"):
        BackendConfig(id="b1", host="gpu-2", tags=("x" * 33,))
