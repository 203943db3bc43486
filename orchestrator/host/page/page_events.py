"""What open pages are told of, through the host's own event stream. One name, one meaning."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, unique
from typing import Any


@unique
class PageEvent(str, Enum):
    PEERS = "orchestrator.peers"  #: all of them and the notices, as in ``GET /orchestrator/peers``
    JOBS = "orchestrator.jobs"  #: ``{"jobs": [...]}``, those that changed, as in ``GET /orchestrator/jobs``
    SETTINGS = "orchestrator.settings"  #: the settings, all of them
    NODE_LISTS = "orchestrator.node_lists"  #: ``{"peers": int}``: what these peers can run has changed
    RUNS_HERE = "orchestrator.runs_here"  #: to the page that asked: why its prompt runs here (``RunsHere``)
    ADDRESSES = "orchestrator.addresses"  #: as in ``GET /orchestrator/addresses``
    NODE_PEERS = "orchestrator.node_peers"  #: which peer works on the nodes of a graph, see ``NodePeers``


JOBS_BEHIND = 2_000  #: changed jobs that wait for one page; further behind, it reads all of them again
KINDS_BEHIND = 1_000  #: messages that wait, for instance of as many jobs' nodes


def merged_as(event: str, data: Mapping[str, Any]) -> str:
    """What two of them have in common when the newer one can take the older one's place."""
    return f"{event} {data.get('job_id')}" if event == PageEvent.NODE_PEERS else event


def merged(event: str, older: Mapping[str, Any], newer: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a page that has heard of neither has to be told."""
    if event == PageEvent.JOBS:
        jobs = {job["job_id"]: job for job in (*older["jobs"], *newer["jobs"])}
        return {"jobs": list(jobs.values())}
    if event == PageEvent.NODE_PEERS and older["peer"] == newer["peer"]:
        return {**newer, "nodes": {**older["nodes"], **newer["nodes"]}}
    return newer


def is_too_much(event: str, data: Mapping[str, Any], kinds: int) -> bool:
    """Whether a page is so far behind that it should read the whole state again."""
    return kinds > KINDS_BEHIND or (event == PageEvent.JOBS and len(data["jobs"]) > JOBS_BEHIND)
