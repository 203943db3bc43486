"""The HTTP API described for machines: OpenAPI 3.1, served at GET /orchestrator/openapi.json."""

from __future__ import annotations

from typing import Any

from .openapi_schemas import SCHEMAS
from .openapi_types import ANYTHING, TEXT, WHOLE, Schema, fields, listed, ref


def operation(
    summary: str, answer: Schema, *, status: int = 200, body: str = "", kind: str = "application/json"
) -> Schema:
    described: Schema = {
        "summary": summary,
        "responses": {
            str(status): {"description": "OK", "content": {kind: {"schema": answer}}},
            "default": {
                "description": "A refusal",
                "content": {"application/json": {"schema": ref("Error")}},
            },
        },
    }
    if body:
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": ref(body)}}}
        described["security"] = [{"token": []}]
    return described


_PATHS: dict[str, dict[str, Schema]] = {
    "/peers": {
        "get": operation("All peers", fields({"peers": listed(ref("Peer")), "notices": listed(TEXT)})),
        "post": operation("Register a peer and ask it", ref("Peer"), status=201, body="NewPeer"),
    },
    "/peers/{id}": {
        "patch": operation("Change a peer", ref("Peer"), body="PeerChanges"),
        "delete": operation("Forget a peer and its key", fields({"id": TEXT}), body="Nothing"),
    },
    "/peers/{id}/check": {"post": operation("Ask a peer now", ref("Peer"), body="Nothing")},
    "/peers/{id}/test": {
        "post": operation(
            "Run a tiny graph on a peer and say what was found", ref("PeerTest"), body="Nothing"
        )
    },
    "/peers/{id}/interrupt": {
        "post": operation("End what runs on a peer", ref("Interrupted"), body="Interruption")
    },
    "/peers/{id}/free": {"post": operation("Let a peer unload its models", ref("Peer"), body="Nothing")},
    "/jobs": {
        "get": operation("Jobs, newest first, and the queue", ref("Jobs")),
        "post": operation(
            "Run a graph, once or several times", ref("Accepted"), status=202, body="JobRequests"
        ),
    },
    "/jobs/{id}": {"get": operation("One job", ref("Job"))},
    "/jobs/{id}/cancel": {"post": operation("End a job, on its peer too", ref("Job"), body="Nothing")},
    "/jobs/{id}/second_copy": {"post": operation("Run it on another peer too", ref("Job"), body="Nothing")},
    "/jobs/{id}/move": {
        "post": operation(
            'Put a waiting job before another ("": to the end), or on a peer', ref("Job"), body="Move"
        )
    },
    "/jobs/{id}/retry": {
        "post": operation(
            "Do an ended job once more, as a new one", ref("Accepted"), status=202, body="Retry"
        )
    },
    "/jobs/{id}/preview": {
        "get": operation(
            "The newest preview of a running job",
            {"type": "string", "format": "binary"},
            kind="image/jpeg",
        )
    },
    "/jobs/{id}/outputs/{n}": {
        "get": operation(
            "The n-th result file, from 0",
            {"type": "string", "format": "binary"},
            kind="application/octet-stream",
        )
    },
    "/jobs/{id}/graph": {"get": operation("What a job was to run", ref("Graph"))},
    "/inspect": {
        "post": operation(
            "What can be changed in a graph, the most wanted first",
            fields({"parameters": listed(ref("Parameter"))}),
            body="Graph",
        )
    },
    "/variations": {
        "post": operation(
            "The changes of each job that values for some parameters make, for POST /jobs",
            fields({"count": WHOLE, "variations": listed(ANYTHING)}),
            body="Axes",
        )
    },
    "/explain": {
        "post": operation(
            "For each peer: when it would be done with this, or why not; the soonest first",
            ref("Outlook"),
            body="Explained",
        )
    },
    "/settings": {
        "get": operation("What is switched on", ref("Settings")),
        "patch": operation("Switch something", ref("Settings"), body="SettingsChanges"),
    },
    "/addresses": {
        "get": operation(
            "Hosts that are accepted, and those that were refused lately, the last first", ref("Addresses")
        ),
    },
    "/runs_here": {
        "get": operation(
            "Node classes that are known to run on the master alone", fields({"known": listed(TEXT)})
        ),
    },
    "/report": {"get": operation("A support bundle: no keys, addresses, prompts or file names", ANYTHING)},
    "/where": {"get": operation("Which nodes and models are not on every machine", ref("Where"))},
    "/events": {"get": operation("Server-sent events: peers, job, settings", TEXT, kind="text/event-stream")},
    "/openapi.json": {"get": operation("This description", ANYTHING)},
    "/session": {"get": operation("The token, for the master's own page only", fields({"token": TEXT}))},
}


def _document() -> Schema:
    paths: dict[str, Any] = {}
    for path, operations in _PATHS.items():
        names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
        parameters = [{"name": name, "in": "path", "required": True, "schema": TEXT} for name in names]
        paths[f"/orchestrator{path}"] = {**operations, **({"parameters": parameters} if names else {})}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Remote Dispatch",
            "version": "1",
            "description": "What changes something needs Content-Type application/json and the token.",
        },
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {"token": {"type": "apiKey", "in": "header", "name": "X-Orchestrator-Token"}},
        },
    }


OPENAPI = _document()
