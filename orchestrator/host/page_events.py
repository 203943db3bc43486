"""What open pages are told of, through the host's own event stream. One name, one meaning."""

from __future__ import annotations

from enum import Enum, unique


@unique
class PageEvent(str, Enum):
    PEERS = "orchestrator.peers"  #: all of them and the notices, as in ``GET /orchestrator/peers``
    JOBS = "orchestrator.jobs"  #: ``{"jobs": [...]}``, those that changed, as in ``GET /orchestrator/jobs``
    SETTINGS = "orchestrator.settings"  #: the settings, all of them
    NODE_LISTS = "orchestrator.node_lists"  #: ``{"peers": int}``: what these peers can run is another now
    RUNS_HERE = "orchestrator.runs_here"  #: to the page that asked: why its prompt runs here (``RunsHere``)
    NODE_PEERS = "orchestrator.node_peers"  #: which peer works on the nodes of a graph, see ``NodePeers``
