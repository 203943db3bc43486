"""The HTTP API described for machines: OpenAPI 3.1, served at GET /orchestrator/openapi.json.

The shapes are those of ``answers`` and of the bodies, so that the description cannot say anything else.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from ...core.models.settings import Settings
from . import answers
from .bodies import Body, Nothing
from .job_bodies import Edit, Explained, GraphBody, JobAction, JobRequests, Move, Retry
from .job_query import JobsQuery
from .peer_bodies import Interruption, NewPeer, PeerChanges
from .variation_bodies import Axes
from .work import WorkQuery

Schema = dict[str, Any]
_PLACE = "#/components/schemas/"
_TEXT: Schema = {"type": "string"}
_BINARY: Schema = {"type": "string", "format": "binary"}
_ANYTHING: Schema = {"type": "object"}
_BODIES: tuple[type[Body], ...] = (
    *(
        NewPeer,
        PeerChanges,
        Interruption,
        JobRequests,
        Explained,
        Move,
        Retry,
        JobAction,
        Edit,
        GraphBody,
        Axes,
        Nothing,
    ),
)
_ANSWERS = tuple(shape for name, shape in vars(answers).items() if name.endswith("View"))
_ERROR: Schema = {
    "type": "object",
    "properties": {"error": _TEXT, "message": _TEXT},
    "required": ["error", "message"],
    "additionalProperties": True,
    "description": "error is a word for machines, message a sentence for people, field what is wrong.",
}


class _Named(GenerateJsonSchema):
    """Shapes under the names that readers of the description know, without a title for every field."""

    def normalize_name(self, name: str) -> str:
        return _public(super().normalize_name(name))

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def _public(name: str) -> str:
    return name.removesuffix("View").removesuffix("Body")


def ref(shape: type | str) -> Schema:
    return {"$ref": _PLACE + (shape if isinstance(shape, str) else _public(shape.__name__))}


def operation(
    summary: str,
    answer: type | Schema,
    *,
    status: int = 200,
    body: type[Body] | str = "",
    kind: str = "application/json",
    query: type[Body] | None = None,
) -> Schema:
    """`answer`: its class in ``answers``, or a schema."""
    schema = answer if isinstance(answer, dict) else ref(answer)
    described: Schema = {
        "summary": summary,
        "responses": {
            str(status): {"description": "OK", "content": {kind: {"schema": schema}}},
            "default": {
                "description": "A refusal",
                "content": {"application/json": {"schema": ref("Error")}},
            },
        },
    }
    if query:
        shape = TypeAdapter(query).json_schema(schema_generator=_Named)
        described["parameters"] = [
            {"name": name, "in": "query", "description": field.pop("description"), "schema": field}
            for name, field in shape["properties"].items()
        ]
    if body:
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": ref(body)}}}
        described["security"] = [{"token": []}]
    return described


_PATHS: dict[str, dict[str, Schema]] = {
    "/peers": {
        "get": operation("All peers", answers.PeersView),
        "post": operation("Register a peer and ask it", answers.PeerView, status=201, body=NewPeer),
    },
    "/peers/{id}": {
        "patch": operation("Change a peer", answers.PeerView, body=PeerChanges),
        "delete": operation("Forget a peer and its key", answers.RemovedView, body=Nothing),
    },
    "/peers/{id}/check": {"post": operation("Ask a peer now", answers.PeerView, body=Nothing)},
    "/peers/{id}/test": {
        "post": operation(
            "Run a tiny graph on a peer and say what was found", answers.PeerTestView, body=Nothing
        )
    },
    "/peers/{id}/interrupt": {
        "post": operation("End what runs on a peer", answers.InterruptedView, body=Interruption)
    },
    "/peers/{id}/free": {"post": operation("Let a peer unload its models", answers.PeerView, body=Nothing)},
    "/jobs": {
        "get": operation("Jobs, newest first, and the queue", answers.JobsView, query=JobsQuery),
        "post": operation(
            "Run a graph, once or several times", answers.AcceptedView, status=202, body=JobRequests
        ),
    },
    "/jobs/{id}": {"get": operation("One job", answers.JobView)},
    "/jobs/actions": {
        "post": operation("Do one thing to several jobs, or to a batch", answers.ActedView, body=JobAction)
    },
    "/jobs/{id}/edit": {
        "post": operation("Let a waiting job run another graph, in its place", answers.JobView, body=Edit)
    },
    "/jobs/{id}/cancel": {"post": operation("End a job, on its peer too", answers.JobView, body=Nothing)},
    "/jobs/{id}/second_copy": {
        "post": operation("Run it on another peer too", answers.JobView, body=Nothing)
    },
    "/jobs/{id}/move": {
        "post": operation(
            'Put a waiting job before another ("": to the end), or on a peer', answers.JobView, body=Move
        )
    },
    "/jobs/{id}/retry": {
        "post": operation(
            "Do an ended job once more, as a new one", answers.AcceptedView, status=202, body=Retry
        )
    },
    "/jobs/{id}/preview": {
        "get": operation("The newest preview of a running job", _BINARY, kind="image/jpeg")
    },
    "/jobs/{id}/outputs/{n}": {
        "get": operation("The n-th result file, from 0", _BINARY, kind="application/octet-stream")
    },
    "/jobs/{id}/report": {"get": operation("A support bundle about it: nothing private in it", _ANYTHING)},
    "/jobs/{id}/graph": {"get": operation("What a job was to run", answers.JobGraphView)},
    "/inspect": {
        "post": operation(
            "What can be changed in a graph, the most wanted first", answers.ParametersView, body=GraphBody
        )
    },
    "/variations": {
        "post": operation(
            "The changes of each job that values for some parameters make, for POST /jobs",
            answers.VariationsView,
            body=Axes,
        )
    },
    "/explain": {
        "post": operation(
            "For each peer: when it would be done with this, or why not; the soonest first",
            answers.OutlookView,
            body=Explained,
        )
    },
    "/work": {
        "get": operation("What each peer did over the last hours or days", answers.WorkView, query=WorkQuery)
    },
    "/monitor": {"get": operation("The monitor, a page for people", _TEXT, kind="text/html")},
    "/settings": {
        "get": operation("What is switched on", ref(Settings)),
        "patch": operation("Switch something", ref(Settings), body="SettingsChanges"),
    },
    "/addresses": {
        "get": operation(
            "Hosts that are accepted, and those that were refused lately, the last first",
            answers.AddressesView,
        ),
    },
    "/runs_here": {
        "get": operation("Node classes that are known to run on the master alone", answers.KnownClassesView),
    },
    "/report": {"get": operation("A support bundle: no keys, addresses, prompts or file names", _ANYTHING)},
    "/where": {"get": operation("Which nodes and models are not on every machine", answers.WhereView)},
    "/events": {
        "get": operation("Server-sent events: peers, job, settings", _TEXT, kind="text/event-stream")
    },
    "/openapi.json": {"get": operation("This description", _ANYTHING)},
    "/session": {"get": operation("The token, for the master's own page only", answers.SessionView)},
}


def _shapes(mode: Literal["validation", "serialization"], *classes: type) -> dict[str, Schema]:
    inputs: list[tuple[str, Any, TypeAdapter[Any]]] = [
        (shape.__name__, mode, TypeAdapter(shape)) for shape in classes
    ]
    _, found = TypeAdapter.json_schemas(inputs, ref_template=_PLACE + "{model}", schema_generator=_Named)
    shapes: dict[str, Schema] = found["$defs"]
    return shapes


def _settings(mode: Literal["validation", "serialization"]) -> Schema:
    return {
        **TypeAdapter(Settings).json_schema(mode=mode, schema_generator=_Named),
        "additionalProperties": False,
    }


def _document() -> Schema:
    paths: dict[str, Any] = {}
    for path, operations in _PATHS.items():
        names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
        parameters = [{"name": name, "in": "path", "required": True, "schema": _TEXT} for name in names]
        paths[f"/orchestrator{path}"] = {**operations, **({"parameters": parameters} if names else {})}
    given = {
        name: {**shape, "additionalProperties": False}
        for name, shape in _shapes("serialization", *_ANSWERS).items()
    }
    taken = _shapes("validation", *_BODIES)
    assert not given.keys() & taken.keys()  # noqa: S101 - one of a name would hide the other
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Remote Dispatch",
            "version": "1",
            "description": "What changes something needs Content-Type application/json and the token.",
        },
        "paths": paths,
        "components": {
            "schemas": {
                "Error": _ERROR,
                **given,
                **taken,
                "Settings": _settings("serialization"),
                "SettingsChanges": _settings("validation"),
            },
            "securitySchemes": {"token": {"type": "apiKey", "in": "header", "name": "X-Orchestrator-Token"}},
        },
    }


OPENAPI = _document()
