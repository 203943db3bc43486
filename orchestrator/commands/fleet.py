"""A fleet for scripts: the master's peers and jobs as Python calls. The command line is made of these too.

It waits for its answers, so it belongs into a program of its own, never into ComfyUI's process.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypedDict, cast
from urllib.parse import quote, urlencode

from ..core.prompts.resemblance import resembling
from ..core.workflow.documents import Document, document_of
from ..errors import ConfigError, NotFoundError, PeerProtocolError
from .master import TOKEN_VARIABLE, Master, new_file
from .sources import read_workflow

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..host.api.answers import DryRunView, JobView, PeerTestView, PeerView

SERVER_VARIABLE, HEADERS_VARIABLE = "ORCHESTRATOR_SERVER", "ORCHESTRATOR_HEADERS"
DEFAULT_SERVER = "http://127.0.0.1:8188"
LOOK_EVERY_S = 0.5
OVER = ("done", "failed", "cancelled", "set_aside")
_ID_LENGTH = 36
_NO_NAME = re.compile(r'[<>:"|?*\x00-\x1f\ud800-\udfff]')  #: what some system has in no name of a file


class PeerDetails(TypedDict, total=False):
    """What may be said of a peer, see POST /orchestrator/peers."""

    name: str
    tags: list[str]
    enabled: bool
    draining: bool
    credentials: Mapping[str, Any] | None


class Wishes(TypedDict, total=False):
    """What may be asked for beside a workflow, see POST /orchestrator/jobs."""

    variations: Sequence[Mapping[str, Any]]
    count: int
    peer: str
    tags: Sequence[str]
    priority: float
    title: str
    name: str


class Fleet:
    """The fleet of one master. What is not given comes from ORCHESTRATOR_SERVER, ORCHESTRATOR_TOKEN and
    ORCHESTRATOR_HEADERS. Every method raises OrchestratorError, whose message says what to do."""

    def __init__(self, server: str = "", token: str = "", headers: Mapping[str, str] | None = None) -> None:
        address = server or os.environ.get(SERVER_VARIABLE) or DEFAULT_SERVER
        sent = {**headers_from(os.environ.get(HEADERS_VARIABLE, "").splitlines()), **(headers or {})}
        self._master = Master(address, token or os.environ.get(TOKEN_VARIABLE, ""), sent)

    @property
    def url(self) -> str:
        return self._master.url

    # Peers

    def peers(self) -> list[PeerView]:
        return cast("list[PeerView]", _list_in(self._master.ask("GET", "/peers"), "peers"))

    def peer(self, name: str) -> PeerView:
        """The peer of that name or id."""
        peers = self.peers()
        for peer in peers:
            if name == peer["id"] or name.casefold() == peer["name"].casefold():
                return peer
        near = resembling(name, [peer["name"] for peer in peers], 3, 0.5)
        raise NotFoundError(f"There is no peer {name}.{_did_you_mean(near)}")

    def add_peer(self, url: str, **details: Unpack[PeerDetails]) -> PeerView:
        return cast("PeerView", self._master.ask("POST", "/peers", {"url": url, **details}))

    def change_peer(self, name: str, /, **changes: Unpack[PeerDetails]) -> PeerView:
        return cast("PeerView", self._master.ask("PATCH", self._peer_path(name), changes))

    def remove_peer(self, name: str) -> None:
        self._master.ask("DELETE", self._peer_path(name))

    def test_peer(self, name: str) -> PeerTestView:
        """Run a tiny graph there."""
        return cast("PeerTestView", self._master.ask("POST", f"{self._peer_path(name)}/test"))

    # Jobs

    def submit(
        self,
        workflow: str | Path | Mapping[str, Any] | Document,
        parameters: Mapping[str, Any] | None = None,
        **wishes: Unpack[Wishes],
    ) -> list[str]:
        """Run a workflow; gives the ids of its jobs. `workflow`: a file of any kind that carries one, or what
        is in it. `parameters`: changes by address, like ``{"KSampler.seed": 7}``."""
        answer = self._master.ask("POST", "/jobs", _job_body(workflow, parameters, wishes))
        ids = _list_in(answer, "job_ids")
        if not ids:
            raise PeerProtocolError(f"{self.url} did not say which jobs it took. Is it a current master?")
        return [str(job_id) for job_id in ids]

    def check(
        self,
        workflow: str | Path | Mapping[str, Any] | Document,
        parameters: Mapping[str, Any] | None = None,
        **wishes: Unpack[Wishes],
    ) -> DryRunView:
        """What ``submit`` would make of the same, which raises what that would; nothing is queued."""
        body = {**_job_body(workflow, parameters, wishes), "dry_run": True}
        return cast("DryRunView", self._master.ask("POST", "/jobs", body))

    def jobs(
        self, *, state: str = "", peer: str = "", batch: str = "", limit: int | None = None
    ) -> list[JobView]:
        """Newest first. `state`: one or several, with commas. `limit`: of those that wait, and of those that
        ended; what runs is always there."""
        wanted = {"state": state, "peer": peer, "batch": batch, "limit": limit}
        query = urlencode({name: value for name, value in wanted.items() if value not in ("", None)})
        return cast("list[JobView]", _list_in(self._master.ask("GET", f"/jobs?{query}"), "jobs"))

    def job(self, job_id: str) -> JobView:
        """The job of that id, or the only one whose id begins so."""
        if not job_id:
            raise ConfigError("Give a job's id, or its beginning.")
        try:
            return cast("JobView", self._master.ask("GET", f"/jobs/{quote(job_id, safe='')}"))
        except NotFoundError:
            if len(job_id) >= _ID_LENGTH:
                raise
            fitting = [job for job in self.jobs() if job["job_id"].startswith(job_id)]
        if len(fitting) == 1:
            return fitting[0]
        if not fitting:
            raise NotFoundError(f"There is no job {job_id}.")
        raise NotFoundError(f"The ids of {len(fitting)} jobs begin with {job_id}. Give more of it.")

    def cancel(self, job_id: str) -> JobView:
        """End a job; one that has ended stays as it is."""
        return cast("JobView", self._master.ask("POST", f"/jobs/{quote(job_id, safe='')}/cancel"))

    def retry(self, job_id: str, *, peer: str | None = None, priority: float | None = None) -> str:
        """Do an ended job once more; gives the id of the new one."""
        body = {"peer": peer, "priority": priority}
        answer = self._master.ask("POST", f"/jobs/{quote(job_id, safe='')}/retry", body)
        return str(answer.get("job_id", ""))

    def wait(
        self, job_ids: Sequence[str], on_look: Callable[[Sequence[JobView]], None] = lambda jobs: None
    ) -> list[JobView]:
        """Until all are over. `on_look` gets all of them at each look."""
        jobs: dict[str, JobView] = {}
        while True:
            for job_id in job_ids:
                if job_id not in jobs or jobs[job_id]["state"] not in OVER:
                    jobs[job_id] = self.job(job_id)
            found = [jobs[job_id] for job_id in job_ids]
            on_look(found)
            if all(job["state"] in OVER for job in found):
                return found
            time.sleep(LOOK_EVERY_S)

    def save(self, job: JobView, folder: str | Path) -> list[Path]:
        """Fetch a job's files into a folder, each under a name that nobody has there yet."""
        return [self._save_output(job, number, Path(folder)) for number in range(len(job["outputs"]))]

    def _save_output(self, job: JobView, number: int, folder: Path) -> Path:
        told = PurePosixPath(job["outputs"][number]["filename"].replace("\\", "/")).name
        name = _NO_NAME.sub("_", told) or "result"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path, file = new_file(folder, name)
            try:
                with file:
                    self._master.download(f"/jobs/{quote(job['job_id'], safe='')}/outputs/{number}", file)
            except BaseException:  # half a file would look like a result
                path.unlink(missing_ok=True)
                raise
        except OSError as exc:
            raise ConfigError(f"{folder / name} cannot be written: {exc.strerror or exc}.") from exc
        return path

    def _peer_path(self, name: str) -> str:
        return f"/peers/{quote(self.peer(name)['id'], safe='')}"


def headers_from(given: Sequence[str]) -> dict[str, str]:
    """Of ``NAME=VALUE`` each.

    Raises:
        ConfigError: one is not like that. What stands there is not repeated: it may be a key.
    """
    found: dict[str, str] = {}
    for line in filter(None, map(str.strip, given)):
        name, equals, value = line.partition("=")
        if not equals:
            raise ConfigError("A header is written like NAME=VALUE, such as Authorization=Bearer and a key.")
        found[name.strip()] = value.strip()
    return found


def _job_body(
    workflow: str | Path | Mapping[str, Any] | Document, parameters: Mapping[str, Any] | None, wishes: Wishes
) -> dict[str, Any]:
    document = _document(workflow)
    graphs = {"prompt": document.prompt, "workflow": document.workflow}
    body: dict[str, Any] = {name: graph for name, graph in graphs.items() if graph}
    if isinstance(workflow, str | Path):
        body["name"] = Path(workflow).stem
    return {**body, **({"parameters": dict(parameters)} if parameters else {}), **wishes}


def _document(workflow: str | Path | Mapping[str, Any] | Document) -> Document:
    if isinstance(workflow, Document):
        return workflow
    return read_workflow(Path(workflow)) if isinstance(workflow, str | Path) else document_of(dict(workflow))


def _list_in(answer: Mapping[str, Any], name: str) -> list[Any]:
    found = answer.get(name)
    return found if isinstance(found, list) else []


def _did_you_mean(near: Sequence[str]) -> str:
    return f" Did you mean {', '.join(near)}?" if near else ""
