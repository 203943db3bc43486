"""A running master over HTTP, for commands: submit jobs, look at them, fetch their files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import requests

from ..core.models.backend import parse_peer_url
from ..errors import (
    ConfigError,
    NoEligiblePeerError,
    OrchestratorError,
    PeerAuthError,
    PeerProtocolError,
    PeerUnreachableError,
)

TIMEOUTS_S = (5.0, 60.0)
TOKEN_VARIABLE = "ORCHESTRATOR_TOKEN"  # noqa: S105  only a name # nosec B105
_BLOCK_BYTES = 1 << 18


class Master:
    """`address` as a person types it. Proxies and .netrc of the environment are not used."""

    def __init__(self, address: str, token: str) -> None:
        scheme, host, port, path = parse_peer_url(address)
        self.url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}{path}"
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["X-Orchestrator-Token"] = token

    def submit(self, body: Mapping[str, Any]) -> list[str]:
        """The ids of the jobs that were accepted."""
        ids = self._ask("POST", "/jobs", body).get("job_ids")
        if not isinstance(ids, list) or not ids:
            raise PeerProtocolError(f"{self.url} did not say which jobs it took. Is it a current master?")
        return [str(job_id) for job_id in ids]

    def job(self, job_id: str) -> dict[str, Any]:
        return self._ask("GET", f"/jobs/{job_id}")

    def cancel(self, job_id: str) -> None:
        self._ask("POST", f"/jobs/{job_id}/cancel", {})

    def save_output(self, job: Mapping[str, Any], number: int, folder: Path) -> Path:
        """Fetch the job's n-th file into `folder`, under a name that nobody has yet.

        Raises:
            ConfigError: it cannot be written. OrchestratorError: it cannot be had.
        """
        name = PurePosixPath(str(job["outputs"][number]["filename"]).replace("\\", "/")).name or "result"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with self._get(f"/jobs/{job['job_id']}/outputs/{number}", stream=True) as answer:
                _raise_for(answer, self.url)
                path, file = _new_file(folder, name)
                try:
                    with file:
                        for block in answer.iter_content(_BLOCK_BYTES):
                            file.write(block)
                except BaseException:  # half a file would look like a result
                    path.unlink(missing_ok=True)
                    raise
                return path
        except OSError as exc:
            if isinstance(exc, requests.RequestException):
                raise _unreachable(self.url) from exc
            raise ConfigError(f"{folder / name} cannot be written: {exc.strerror or exc}.") from exc

    def _get(self, path: str, **options: Any) -> requests.Response:
        url = f"{self.url}/orchestrator{path}"
        return self._session.get(url, timeout=TIMEOUTS_S, allow_redirects=False, **options)

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        try:
            if method == "GET":
                answer = self._get(path)
            else:
                url = f"{self.url}/orchestrator{path}"
                answer = self._session.post(url, json=body, timeout=TIMEOUTS_S, allow_redirects=False)
        except requests.RequestException as exc:
            raise _unreachable(self.url) from exc
        found = _raise_for(answer, self.url)
        if not isinstance(found, dict):
            raise PeerProtocolError(f"{self.url} does not answer as Remote Dispatch does.")
        return found


def _raise_for(answer: requests.Response, url: str) -> Any:
    """The parsed answer; a refusal in the master's own words."""
    if answer.status_code in (200, 202) and answer.headers.get("Content-Type", "").startswith(
        "application/json"
    ):
        return answer.json()
    if answer.status_code in (200, 202):
        return None
    try:
        said = json.loads(answer.text)
    except ValueError:
        said = {}
    message = (
        str(said.get("message") or f"it answered {answer.status_code}") if isinstance(said, dict) else ""
    )
    word = said.get("error") if isinstance(said, dict) else ""
    if answer.status_code in (401, 403, 407) or 300 <= answer.status_code < 400:
        raise PeerAuthError(f"{url} refuses: {message}")
    if answer.status_code in (404, 405) and not word:
        raise PeerProtocolError(f"{url} has no Remote Dispatch. Is it the master, and the plugin installed?")
    if word == NoEligiblePeerError.code:
        raise NoEligiblePeerError(message)
    if answer.status_code == 400:
        raise ConfigError(message)
    raise OrchestratorError(f"{url}: {message}")


def _new_file(folder: Path, name: str) -> tuple[Path, Any]:
    stem, ending = Path(name).stem, Path(name).suffix
    path, number = folder / name, 0
    while True:
        try:
            return path, path.open("xb")
        except FileExistsError:
            number += 1
            path = folder / f"{stem}-{number}{ending}"


def _unreachable(url: str) -> PeerUnreachableError:
    return PeerUnreachableError(
        f"{url} cannot be reached. Is the master running there, and --server its address?"
    )
