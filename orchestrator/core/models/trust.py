"""Whom a peer's certificate has to come from: authorities given as PEM, or one by its fingerprint."""

from __future__ import annotations

import re
import ssl

from ...errors import ConfigError

PIN = "sha256:"
TEXT_MAX = 128 << 10  #: characters; the authorities of a whole system would be twice that
_BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_BEFORE_DIGEST = re.compile(r"^\s*sha-?256[^:=]*[:=]", re.IGNORECASE)  # as we and as openssl write it


def checked_trust(text: str) -> str:
    """A peer's ``tls`` in its one form: "", PEM, or ``sha256:`` and 64 hex digits in lower case.

    Raises:
        ConfigError: it is neither, or holds a private key.
    """
    text = text.strip()
    if not text:
        return ""
    if len(text) > TEXT_MAX:
        raise ConfigError(
            f"The certificates have more than {TEXT_MAX} characters. Give the peer's only.", field="tls"
        )
    if "PRIVATE KEY" in text:
        raise ConfigError(
            "This holds a private key, which belongs on the peer only. Give the certificate.", field="tls"
        )
    if "-----BEGIN" in text:
        blocks = "\n".join(_BLOCK.findall(text))  # CA files have comments in any language
        try:
            context_of(blocks)
        except (ssl.SSLError, ValueError, TypeError) as exc:
            raise ConfigError(
                "The certificate cannot be read. Give a CA file as it is (PEM).", field="tls"
            ) from exc
        return blocks
    digest = re.sub(r"[\s:]", "", _BEFORE_DIGEST.sub("", text)).lower()
    if not _DIGEST.fullmatch(digest):
        raise ConfigError(
            "Whom to trust is said by a CA file's content (PEM), or by a certificate's SHA-256 fingerprint, "
            "64 digits and letters from a to f.",
            field="tls",
        )
    return PIN + digest


def pinned_digest(tls: str) -> bytes | None:
    """The 32 bytes of a fingerprint; None when `tls` is none."""
    return bytes.fromhex(tls.removeprefix(PIN)) if tls.startswith(PIN) else None


def context_of(pem: str) -> ssl.SSLContext:
    """Trusts what these certificates have signed, and nobody else; the name must fit too.

    Raises:
        ssl.SSLError, ValueError: it is no PEM.
    """
    if not pem:
        raise ValueError("no certificate")
    context = ssl.create_default_context(cadata=pem)
    # Also a server's own certificate may be given, not only that of an authority.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context
