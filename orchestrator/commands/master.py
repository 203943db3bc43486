"""A running master over HTTP, for commands: one request, its answer, or the refusal in words for a script."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import requests

from ..core.models.backend import parse_peer_url
from ..errors import (
    ConfigError,
    IllegalTransitionError,
    NoEligiblePeerError,
    NotFoundError,
    OrchestratorError,
    ParameterError,
    PeerAuthError,
    PeerProtocolError,
    PeerRefusedError,
    PeerUnreachableError,
)
from .terminal import as_json

TIMEOUTS_S = (5.0, 60.0)
TOKEN_VARIABLE = "ORCHESTRATOR_TOKEN"  # noqa: S105  only a name # nosec B105
TOKEN_HEADER = "X-Orchestrator-Token"  # noqa: S105  only a name # nosec B105
_BLOCK_BYTES = 1 << 18
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\xa0-\xff]*")


class Master:
    """`address` as a person types it; `headers` go with every request, for a login before the master.
    Proxies and .netrc of the environment are not used."""

    def __init__(self, address: str, token: str, headers: Mapping[str, str]) -> None:
        scheme, host, port, path = parse_peer_url(address)
        self.url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}{path}"
        self._has_token = bool(token)
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["Content-Type"] = "application/json"
        for name, value in {**headers, TOKEN_HEADER: token}.items():
            check_header(name, value)
            self._session.headers[name] = value

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The answer, a JSON object. `path` is below /orchestrator.

        Raises:
            OrchestratorError: there is none, or it is a refusal.
        """
        with self._send(method, path, body) as answer:
            found = self._parsed(answer)
        if not isinstance(found, dict):
            raise PeerProtocolError(f"{self.url} does not answer as Remote Dispatch does.")
        return found

    def download(self, path: str, file: BinaryIO) -> None:
        """
        Raises:
            OrchestratorError: it cannot be had. OSError: it cannot be written.
        """
        try:
            with self._send("GET", path, stream=True) as answer:
                if answer.status_code != 200:
                    raise self._refusal(answer)
                for block in answer.iter_content(_BLOCK_BYTES):
                    file.write(block)
        except requests.RequestException as exc:
            raise self._unreachable() from exc

    def _send(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, stream: bool = False
    ) -> requests.Response:
        url = f"{self.url}/orchestrator{path}"
        sent = None if method == "GET" else as_json(body or {}).encode()
        try:
            return self._session.request(
                method, url, data=sent, timeout=TIMEOUTS_S, allow_redirects=False, stream=stream
            )
        except requests.RequestException as exc:
            raise self._unreachable() from exc

    def _parsed(self, answer: requests.Response) -> Any:
        if answer.status_code not in (200, 201, 202):
            raise self._refusal(answer)
        try:
            return answer.json()
        except ValueError:
            return None

    def _refusal(self, answer: requests.Response) -> OrchestratorError:
        """In the master's own words, but for those that are for a page."""
        try:
            said = json.loads(answer.text)
        except ValueError:
            said = None
        told = said if isinstance(said, dict) else {}
        word, status = str(told.get("error") or ""), answer.status_code
        message = str(told.get("message") or f"it answered {status}")
        if word == "bad_token":
            return PeerAuthError(self._token_words(), status)
        if status in (401, 407) or 300 <= status < 400:
            return PeerAuthError(
                f"{self.url} refuses: a login before it answered {status}. Send what it wants with --header "
                "NAME=VALUE, such as a cookie or Authorization.",
                status,
            )
        if status == 403:
            return PeerAuthError(f"{self.url} refuses: {message}", status)
        if not word and status in (404, 405):
            return PeerProtocolError(
                f"{self.url} has no Remote Dispatch. Is it the master, and the plugin installed?"
            )
        return self._by_word(word, status, message, told.get("candidates"))

    def _by_word(self, word: str, status: int, message: str, candidates: object) -> OrchestratorError:
        known = {kind.code: kind for kind in (NoEligiblePeerError, NotFoundError, IllegalTransitionError)}
        if word in known:
            return known[word](message)
        if word == ParameterError.code:
            return ParameterError(message, candidates if isinstance(candidates, list) else ())
        if status == 400:
            return ConfigError(message)
        if status == 503:
            return PeerRefusedError(f"{self.url}: {message}", status)
        return OrchestratorError(f"{self.url}: {message}")

    def _token_words(self) -> str:
        if not self._has_token:
            return (
                f"{self.url} refuses: it wants its token. Set {TOKEN_VARIABLE} here to the value that it had "
                "when that ComfyUI was started, or give it with --token."
            )
        return (
            f"{self.url} refuses the token. It has to be the {TOKEN_VARIABLE} with which that ComfyUI was "
            "started; without that variable ComfyUI takes a new one at every start."
        )

    def _unreachable(self) -> PeerUnreachableError:
        return PeerUnreachableError(
            f"{self.url} cannot be reached. Is the master running there, and --server its address?"
        )


def check_header(name: str, value: str) -> None:
    """
    Raises:
        ConfigError: it cannot be a header. Its value is not in the message: it may be a key.
    """
    if not _HEADER_NAME.fullmatch(name):
        raise ConfigError(f"{name[:64]!r} cannot be the name of a header.")
    if not _HEADER_VALUE.fullmatch(value):
        raise ConfigError(f"The value of the header {name} has characters that no header can have.")


def new_file(folder: Path, name: str) -> tuple[Path, BinaryIO]:
    """A file that did not exist: `name`, else with a number in it."""
    stem, ending = Path(name).stem, Path(name).suffix
    path, number = folder / name, 0
    while True:
        try:
            return path, path.open("xb")
        except FileExistsError:
            number += 1
            path = folder / f"{stem}-{number}{ending}"
