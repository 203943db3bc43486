"""Who may use our routes."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from orchestrator.core.models.backend import BackendConfig
from orchestrator.core.models.host_names import HostName, Ours, parse_allowed, parse_place
from orchestrator.host.doors.guard import Guard, Refusal, Seen, check_request
from orchestrator.host.doors.own_addresses import is_local_address

TOKEN = "t0ken-of-this-process"
OURS = Ours(
    names=frozenset({"render-box", "render-box.local", "192.168.1.20", "fd00::20"}),
    allowed=parse_allowed(["comfy.example.com", "nas:8443", "*.pods.example", "*.lab.example:8443"]),
)
PAGE = Seen(
    "POST",
    "127.0.0.1:8188",
    origin="http://127.0.0.1:8188",
    fetch_site="same-origin",
    content_type="application/json",
    token=TOKEN,
)
SCRIPT = Seen("POST", "localhost:8188", content_type="application/json", token=TOKEN)


def refused(seen: Seen, ours: Ours = OURS, **options: Any) -> str:
    """The word of the refusal; empty when the request may pass."""
    refusal = check_request(seen, ours, TOKEN, **options)
    return refusal.error if refusal else ""


def seen_at(host: str, origin: str | None = None) -> Seen:
    return dataclasses.replace(PAGE, host=host, origin=origin, fetch_site=None)


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE", "PUT"])
def test_our_page_and_a_script_with_the_token_may_change_things(method: str) -> None:
    assert not refused(dataclasses.replace(PAGE, method=method))
    assert not refused(dataclasses.replace(SCRIPT, method=method))


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE", "PUT"])
@pytest.mark.parametrize(
    "token", [None, "", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "schl\u00fcssel", "\udcff"]
)
def test_nothing_changes_without_the_token_of_this_process(method: str, token: str | None) -> None:
    assert refused(dataclasses.replace(PAGE, method=method, token=token)) == "bad_token"
    assert refused(dataclasses.replace(SCRIPT, method=method, token=token)) == "bad_token"


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]
)
@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
def test_what_a_form_can_send_changes_nothing(method: str, kind: str) -> None:
    assert refused(dataclasses.replace(PAGE, method=method, content_type=kind)) == "not_json"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_reading_takes_neither_token_nor_json(method: str) -> None:
    assert not refused(Seen(method, "127.0.0.1:8188"))


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:8188", "127.0.0.2:8188", "localhost:8188", "LOCALHOST:8188", "localhost",
        "localhost.:8188",
        "app.localhost:8188",
        "x7.pods.example", "a.b.pods.example:80", "gpu.lab.example:8443",
        "[::1]:8188", "192.168.1.20:8188", "[fd00::20]:8188", "render-box:8188",
        "Render-Box.local:8188", "localhost:9000", "comfy.example.com", "comfy.example.com:8443", "nas:8443",
    ],
)  # fmt: skip
def test_a_host_that_is_ours_is_let_in(host: str) -> None:
    assert not refused(seen_at(host))


@pytest.mark.parametrize(
    "host",
    [
        "", "evil.example", "evil.example:8188", "localhost.evil.example:8188", "127.0.0.1.evil.example:8188",
        "127.0.0.1:8188@evil.example", "192.168.1.21:8188", "nas", "nas:8188", "evil.example#localhost",
        "pods.example", "evilpods.example", "x.pods.example.evil.example", "gpu.lab.example",
        "evil.example/localhost", "localhost:port", "localhost:99999", "[::1", "2130706433:8188",
        "local host", "xn--lcalhost-0za", "evilcomfy.example.com", "comfy.example.com.evil.example",
    ],
)  # fmt: skip
def test_a_host_that_is_not_ours_may_not_even_read(host: str) -> None:
    assert refused(seen_at(host)) == "bad_host"
    assert refused(dataclasses.replace(seen_at(host), method="GET")) == "bad_host"


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("127.0.0.1:8188", "http://127.0.0.1:8188"),
        ("127.0.0.1:8188", "http://localhost:8188"),
        ("[::1]:8188", "http://[::1]:8188"),
        ("render-box:8188", "https://render-box:8188"),
        ("localhost:9000", "http://localhost:9000"),  # a port forwarded to ours
        ("localhost", "http://localhost"),
        ("comfy.example.com", "https://comfy.example.com"),
        ("comfy.example.com:8443", "https://comfy.example.com:8443"),
        ("127.0.0.1:8188", "https://comfy.example.com"),  # a proxy that hides the host it was asked for
        ("127.0.0.1:8188", "https://nas:8443"),
        ("127.0.0.1:8188", "https://x7.pods.example"),
        ("x7.pods.example", "https://x7.pods.example"),
    ],
)
def test_an_origin_that_is_ours_is_let_in(host: str, origin: str) -> None:
    assert not refused(seen_at(host, origin))


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("127.0.0.1:8188", "null"),
        ("127.0.0.1:8188", ""),
        ("127.0.0.1:8188", "http://127.0.0.1:3000"),  # a page on another port of this computer
        ("127.0.0.1:8188", "http://127.0.0.1"),
        ("localhost:8188", "http://localhost:8189"),
        ("localhost:8188", "http://evil.example"),
        ("localhost:8188", "http://evil.example:8188"),
        ("localhost:8188", "http://localhost.evil.example:8188"),
        ("localhost:8188", "http://evil.example#http://localhost:8188"),
        ("localhost:8188", "http://localhost:8188@evil.example"),
        ("localhost:8188", "http://localhost:8188/"),
        ("localhost:8188", "file://"),
        ("localhost:8188", "chrome-extension://localhost:8188"),
        ("localhost:8188", "localhost:8188"),
        ("localhost:8188", "https://nas"),
        ("localhost:8188", "https://nas:9999"),
        ("localhost:8188", "https://comfy.example.com:9999"),
        ("x7.pods.example", "https://x7.pods.example:9999"),
        ("comfy.example.com", "https://www.example.com"),
        ("comfy.example.com", "http://comfy.example.com:3000"),
    ],
)
def test_another_origin_is_refused_whatever_it_does(host: str, origin: str) -> None:
    seen = seen_at(host, origin)
    assert refused(seen) == "bad_origin"
    assert refused(dataclasses.replace(seen, method="GET", token=None)) == "bad_origin"


@pytest.mark.parametrize("site", ["cross-site", "same-site", "", "something-new"])
def test_what_the_browser_calls_another_site_is_refused_without_an_origin_too(site: str) -> None:
    picture = Seen("GET", "127.0.0.1:8188", fetch_site=site)
    assert refused(picture) == "bad_origin"
    assert refused(dataclasses.replace(PAGE, fetch_site=site)) == "bad_origin"


@pytest.mark.parametrize("site", [None, "same-origin", "none"])
def test_our_page_a_typed_address_and_a_script_are_no_other_site(site: str | None) -> None:
    assert not refused(Seen("GET", "127.0.0.1:8188", fetch_site=site))


@pytest.mark.parametrize("page", [None, "", "0", "true"])
def test_the_token_is_handed_out_only_with_the_header_a_foreign_page_cannot_add(page: str | None) -> None:
    seen = Seen("GET", "127.0.0.1:8188", page=page)
    assert refused(seen, needs_page=True) == "not_our_page"
    assert not refused(dataclasses.replace(seen, page="1"), needs_page=True)


def test_the_header_of_our_page_does_not_help_another_origin() -> None:
    seen = Seen("GET", "127.0.0.1:8188", origin="http://evil.example", page="1")
    assert refused(seen, needs_page=True) == "bad_origin"


@pytest.mark.parametrize(
    ("seen", "setting"),
    [
        (seen_at("evil.example"), "ORCHESTRATOR_ALLOWED_HOSTS"),
        (seen_at("localhost", "http://evil.example"), "ORCHESTRATOR_ALLOWED_HOSTS"),
        (dataclasses.replace(PAGE, fetch_site="cross-site"), "ORCHESTRATOR_ALLOWED_HOSTS"),
        (dataclasses.replace(SCRIPT, token=None), "ORCHESTRATOR_TOKEN"),
        (dataclasses.replace(SCRIPT, content_type=""), "Content-Type: application/json"),
    ],
)
def test_a_refusal_names_what_to_change_and_never_the_token(seen: Seen, setting: str) -> None:
    refusal = check_request(seen, OURS, TOKEN)
    assert isinstance(refusal, Refusal)
    assert setting in refusal.message
    assert TOKEN not in refusal.message


def test_an_allowed_host_has_a_port_or_none_and_may_stand_for_many() -> None:
    entries = " A.example, b:9000 ,,[::1]:1, not a host,x/y, *.C.example, *.d:80, *, *:81, a*.e, *.*.f"
    assert parse_allowed(entries.split(",")) == {
        HostName("a.example"),
        HostName("b", 9000),
        HostName("::1", 1),
        HostName("*.c.example"),
        HostName("*.d", 80),
        HostName("*"),
        HostName("*", 81),
    }
    assert parse_allowed([""]) == frozenset()


def test_where_every_host_is_allowed_a_page_may_still_only_ask_its_own() -> None:
    anywhere = Ours(allowed=parse_allowed(["*"]))
    assert not refused(seen_at("evil.example:8188", "http://evil.example:8188"), anywhere)
    assert refused(seen_at("127.0.0.1:8188", "http://evil.example:8188"), anywhere) == "bad_origin"
    assert refused(seen_at("evil.example:8188", "http://other.example:8188"), anywhere) == "bad_origin"


@pytest.mark.parametrize(
    "seen", [seen_at("new.example:8188"), Seen("GET", "127.0.0.1:8188", page="http://new.example:8188")]
)
def test_a_refused_name_is_told_as_it_would_be_accepted(seen: Seen) -> None:
    refusal = check_request(seen, OURS, TOKEN)
    assert refusal is not None
    assert refusal.place == HostName("new.example", 8188)
    accepted = Ours(OURS.names, parse_allowed([str(refusal.place)]))
    assert not refused(seen, accepted)


def test_a_name_that_only_a_foreign_page_gives_is_none_to_accept() -> None:
    refusal = check_request(seen_at("localhost:8188", "http://evil.example"), OURS, TOKEN)
    assert refusal is not None
    assert refusal.place is None


@pytest.mark.parametrize("token", [TOKEN, None])
def test_what_has_no_body_needs_no_kind_of_it(token: str | None) -> None:
    bare = dataclasses.replace(SCRIPT, method="DELETE", content_type="", has_body=False, token=token)
    assert refused(bare) == ("" if token else "bad_token")
    assert refused(dataclasses.replace(bare, has_body=True, token=TOKEN)) == "not_json"
    assert refused(dataclasses.replace(bare, method="POST", token=TOKEN)) == "not_json"


@pytest.mark.parametrize(
    "text", ["", " ", "a b", "a/b", "a@b", "a?b", "a#b", "a:b", "a:70000", "[::1", "%41", "*", "*.a"]
)
def test_what_is_no_host_is_none(text: str) -> None:
    assert parse_place(text) is None


class Server:
    """The part of ComfyUI's server that the guard looks at."""

    port = 8188


def test_each_process_has_a_token_of_its_own() -> None:
    tokens = {Guard(Server()).token for _ in range(20)}
    assert len(tokens) == 20
    assert min(map(len, tokens)) >= 40


def test_the_environment_sets_the_token_and_adds_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHESTRATOR_TOKEN", " from-outside ")
    assert Guard.from_environment(Server()).token == "from-outside"
    monkeypatch.setenv("ORCHESTRATOR_TOKEN", "")
    assert len(Guard.from_environment(Server()).token) >= 40


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2", "::1", "0.0.0.0"])
def test_loopback_addresses_are_of_this_machine(address: str) -> None:
    assert is_local_address(address)


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1", "localhost", "render-box", ""])
def test_foreign_addresses_and_names_are_not(address: str) -> None:
    assert not is_local_address(address)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.2", "[::1]", "LOCALHOST"])
def test_a_peer_at_our_own_port_of_this_machine_is_ourselves(host: str) -> None:
    assert Guard(Server()).is_this_machine(BackendConfig(id="a", url=f"http://{host}:8188"))


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8189", "http://192.0.2.1:8188", "http://no-such-host.invalid:8188"]
)
def test_another_port_or_machine_is_a_peer(url: str) -> None:
    assert not Guard(Server()).is_this_machine(BackendConfig(id="a", url=url))
