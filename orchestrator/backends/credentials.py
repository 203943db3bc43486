"""Credentials of peers: the only file that holds them, its only reader and writer."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path

from ..core.models.credentials import ENV, parts_of
from ..errors import ConfigError, StoreError
from ..journal.quarantine import move_aside

log = logging.getLogger(__name__)

VALUE_MAX = 8192
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
#: Headers that frame a request, say who asks, or that a browser owns: a key never travels in one of these.
_RESERVED = frozenset(
    {"accept", "accept-encoding", "connection", "content-encoding", "content-length", "content-type"}
    | {"expect", "host", "keep-alive", "origin", "range", "referer", "te", "trailer"}
    | {"transfer-encoding", "upgrade", "user-agent", "x-orchestrator-token"}
)
_RESERVED_PREFIXES = ("sec-", "proxy-", "x-forwarded-")


class Secrets:
    """The credential headers of each peer, kept in a JSON file of mode 0600 in a folder of mode 0700.

    A value like ``env:NAME`` or ``Bearer env:NAME`` is kept as it is and looked up in the environment at each
    use. Methods may be called from any thread; those that write touch the disk. No message, log line or repr
    holds a value.

    Raises:
        StoreError: the file cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._writes = True
        self.notice = ""
        self._entries = self._read()

    def __repr__(self) -> str:
        return f"<Secrets of {len(self._entries)} peers>"

    def keep_in_memory(self) -> None:
        """The file belongs to another process: what changes from now on ends with this one."""
        self._writes = False

    def set(self, backend_id: str, headers: Mapping[str, str]) -> None:
        """Keep these headers for the peer, in place of any it had.

        Raises:
            ConfigError: no header of such a name or value may be sent.
        """
        for header, value in headers.items():
            check_header(header, value)
        kept = {header: value.strip() for header, value in headers.items()}
        with self._lock:
            self._write({**self._entries, backend_id: kept})

    def delete(self, backend_id: str) -> None:
        """Forget the peer's headers, if it had any."""
        with self._lock:
            if backend_id in self._entries:
                self._write({key: value for key, value in self._entries.items() if key != backend_id})

    def has(self, backend_id: str) -> bool:
        return backend_id in self._entries

    def values(self) -> tuple[str, ...]:
        """All that must never be shown: what is kept, and what the environment has for it."""
        kept = [value for entry in self._entries.values() for value in entry.values()]
        whole = [value for value in map(_resolve, kept) if value]
        return tuple(part for value in whole for part in parts_of(value))

    def headers(self, backend_id: str) -> dict[str, str]:
        """What to send to the peer: empty without credentials, or while their variable is not set."""
        resolved = {header: _resolve(value) for header, value in self._entries.get(backend_id, {}).items()}
        return {header: value for header, value in resolved.items() if value}

    def _read(self) -> dict[str, dict[str, str]]:
        try:
            raw = json.loads(self._path.read_bytes())
            self._path.chmod(0o600)  # a backup may have been put back with another mode
            return {str(key): _checked(entry) for key, entry in raw.items()}
        except FileNotFoundError:
            return {}
        except OSError as exc:
            raise StoreError(f"The credentials in {self._path} cannot be read: {exc.strerror}.") from exc
        except (ValueError, AttributeError, RecursionError):
            aside = move_aside(self._path)
            self.notice = f"The peers' keys were in a damaged file, now {aside}. Enter them again."
            log.warning("%s", self.notice)
            return {}

    def _write(self, entries: dict[str, dict[str, str]]) -> None:
        """Replace the whole file at once, so that a crash leaves the old one or the new one."""
        if not self._writes:
            self._entries = entries
            return
        temporary = ""
        try:
            folder = self._path.parent
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder.chmod(0o700)
            handle, temporary = tempfile.mkstemp(prefix=".credentials-", dir=folder)  # made with mode 0600
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(entries, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(self._path)
        except OSError as exc:
            if temporary:
                with contextlib.suppress(OSError):
                    Path(temporary).unlink(missing_ok=True)
            raise StoreError(
                f"The peer's key could not be written to {self._path}: {exc.strerror}. Nothing was changed."
            ) from exc
        self._entries = entries


def check_header(header: str, value: str) -> None:
    """May this header carry a key?

    Raises:
        ConfigError: says why not, without the value.
    """
    fault = _fault(header, value.strip())
    if fault:
        raise ConfigError(fault, field="credentials")


def _fault(header: str, text: str) -> str:
    """What is wrong with them; "" for nothing."""
    if not _NAME.fullmatch(header):
        return "A header's name has 1-64 letters, digits or '-', like Authorization or X-Api-Key."
    lower = header.lower()
    if lower in _RESERVED or lower.startswith(_RESERVED_PREFIXES):
        return f"The header {header} cannot carry a key. Use Authorization, or X-Api-Key."
    if not text:
        return "The key is empty. To keep the old one leave credentials out; null removes it."
    if len(text) > VALUE_MAX or not _VALUE.fullmatch(text):
        return f"A key has at most {VALUE_MAX} printable ASCII characters on one line."
    if _names_variable(text) and not _VARIABLE.fullmatch(text.rpartition(ENV)[2]):
        return "After 'env:' comes the name of an environment variable, like env:PEER_TOKEN."
    return ""


def _resolve(value: str) -> str:
    """What is sent: nothing while its variable is not set."""
    if not _names_variable(value):
        return value
    scheme, _, name = value.rpartition(ENV)
    found = os.environ.get(name, "").strip()
    if found and not _VALUE.fullmatch(found):
        log.warning("The environment variable %s holds line breaks or characters no header can carry.", name)
        return ""
    return found and scheme + found


def _names_variable(value: str) -> bool:
    return value.startswith((ENV, f"Bearer {ENV}"))


def _checked(entry: object) -> dict[str, str]:
    if not isinstance(entry, dict) or not all(isinstance(value, str) for value in entry.values()):
        raise ValueError("not a header")
    for header, value in entry.items():
        check_header(header, value)
    return entry
