"""Whom to trust with a peer's name, as people write it."""

from __future__ import annotations

import pytest

from orchestrator.core.models.backend import BackendConfig
from orchestrator.core.models.trust import checked_trust, pinned_digest
from orchestrator.errors import ConfigError
from tests.fakes.tls import AUTHORITY, CERTIFICATES

DIGEST = "0123456789abcdef" * 4
IN_PAIRS = ":".join(DIGEST[n : n + 2] for n in range(0, 64, 2)).upper()


@pytest.mark.parametrize(
    "typed",
    [
        DIGEST,
        f" sha256:{DIGEST}\n",
        f"SHA256:{IN_PAIRS}",
        f"sha256 Fingerprint={IN_PAIRS}",
        f"SHA-256: {IN_PAIRS}",
        IN_PAIRS.replace(":", " "),
    ],
)
def test_a_fingerprint_is_understood_as_people_and_openssl_write_it(typed: str) -> None:
    assert checked_trust(typed) == f"sha256:{DIGEST}"
    assert pinned_digest(checked_trust(typed)) == bytes.fromhex(DIGEST)


def test_certificates_are_kept_as_they_are() -> None:
    assert checked_trust(f"\n# für GPU 2\n{AUTHORITY}\n") == AUTHORITY.strip()
    assert pinned_digest(AUTHORITY) is None


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (DIGEST[:-2], "64 digits"),
        ("md5:" + "0" * 32, "64 digits"),
        ("trust me", "64 digits"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "cannot be read"),
        ("-----BEGIN CERTIFICATE-----\nä", "cannot be read"),
        ((CERTIFICATES / "server_key.pem").read_text() + AUTHORITY, "private key"),
        ("-----BEGIN " + "x" * (128 << 10), "more than"),
    ],
)
def test_what_says_nobody_is_refused_with_the_reason(typed: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        checked_trust(typed)


def test_a_certificate_is_no_use_without_https() -> None:
    with pytest.raises(ConfigError, match="https://"):
        BackendConfig("a", url="http://gpu-2", tls=DIGEST)
    assert BackendConfig("a", url="https://gpu-2", tls=DIGEST).tls == f"sha256:{DIGEST}"
