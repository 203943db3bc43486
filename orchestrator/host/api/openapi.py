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
from .error_answers import words_of
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
#: For each refusal the name of its shape, and what it means
_REFUSALS = {
    400: ("BadRequest", "The request is wrong. Nothing was done."),
    403: ("Forbidden", "The token, the Host or Origin, or the Content-Type is wrong."),
    404: ("NotFound", "There is no such peer, job or file."),
    405: ("WrongMethod", "The path does not take this method; Allow says which it takes."),
    409: (
        "Conflict",
        "It cannot be done as things are: no peer can run it, or the job is not in that state.",
    ),
    500: ("Failed", "Remote Dispatch failed. ComfyUI's log has the details."),
    502: ("PeerFailed", "The peer could not be asked, or refused."),
    503: ("NotReady", "Remote Dispatch has not started, or its journal cannot be written now."),
}
_GOOD = {200: "OK", 201: "Added", 202: "Accepted"}
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
    name: str,
    summary: str,
    answer: type | Schema,
    *,
    status: int = 200,
    also: dict[int, type] | None = None,
    errors: tuple[int, ...] = (),
    body: type[Body] | str = "",
    kind: str = "application/json",
    query: type[Body] | None = None,
) -> Schema:
    """`name`: what generated clients call it. `answer`: its class in ``answers``, or a schema; `also`: other
    good answers, by status. `errors`: besides those that follow from the rest."""
    answers_of = {status: answer, **(also or {})}
    refused = {403, 405, 500, 503, *errors, *([400] if body or query else [])}
    described: Schema = {
        "operationId": name,
        "summary": summary,
        "responses": {
            **{
                str(number): {"description": _GOOD[number], "content": {kind: {"schema": _schema(shape)}}}
                for number, shape in answers_of.items()
            },
            **{str(number): _refusal(number) for number in sorted(refused)},
        },
    }
    if query:
        shape = TypeAdapter(query).json_schema(schema_generator=_Named)
        described["parameters"] = [
            {"name": name, "in": "query", "description": field.pop("description"), "schema": field}
            for name, field in shape["properties"].items()
        ]
    if body:
        content = {"application/json": {"schema": ref(body)}}
        described["requestBody"] = {"required": body is not Nothing, "content": content}
        described["security"] = [{"token": []}]
    return described


def _schema(answer: type | Schema) -> Schema:
    return answer if isinstance(answer, dict) else ref(answer)


def _refusal(status: int) -> Schema:
    name, description = _REFUSALS[status]
    return {"description": description, "content": {"application/json": {"schema": ref(name)}}}


def _refusals() -> dict[str, Schema]:
    """The shapes of errors, each with the words that its status may have."""
    return {
        name: {**ref("Error"), "properties": {"error": {"enum": list(words_of(status))}}}
        for status, (name, _) in _REFUSALS.items()
    }


_INDEX = "What can be read here"
_PATHS: dict[str, dict[str, Schema]] = {
    "": {"get": operation("indexWithoutSlash", _INDEX, answers.IndexView)},
    "/": {"get": operation("index", _INDEX, answers.IndexView)},
    "/peers": {
        "get": operation("listPeers", "All peers", answers.PeersView),
        "post": operation(
            "addPeer", "Register a peer and ask it", answers.PeerView, status=201, body=NewPeer
        ),
    },
    "/peers/{id}": {
        "patch": operation("changePeer", "Change a peer", answers.PeerView, body=PeerChanges),
        "delete": operation("removePeer", "Forget a peer and its key", answers.RemovedView, body=Nothing),
    },
    "/peers/{id}/check": {
        "post": operation("checkPeer", "Ask a peer now", answers.PeerView, body=Nothing, errors=(502,))
    },
    "/peers/{id}/test": {
        "post": operation(
            *("testPeer", "Run a tiny graph on a peer and say what was found", answers.PeerTestView),
            body=Nothing,
            errors=(502,),
        )
    },
    "/peers/{id}/interrupt": {
        "post": operation(
            *("interruptPeer", "End what runs on a peer", answers.InterruptedView),
            body=Interruption,
            errors=(409, 502),
        )
    },
    "/peers/{id}/free": {
        "post": operation(
            *("freePeer", "Let a peer unload its models", answers.PeerView), body=Nothing, errors=(502,)
        )
    },
    "/jobs": {
        "get": operation("listJobs", "Jobs, newest first, and the queue", answers.JobsView, query=JobsQuery),
        "post": operation(
            *("submitJobs", "Run a graph, once or several times; or with dry_run, only check it"),
            answers.AcceptedView,
            status=202,
            also={200: answers.DryRunView},
            body=JobRequests,
            errors=(409,),
        ),
    },
    "/jobs/actions": {
        "post": operation(
            *("actOnJobs", "Do one thing to several jobs, or to a batch", answers.ActedView),
            body=JobAction,
            errors=(404,),
        )
    },
    "/jobs/{id}": {"get": operation("getJob", "One job", answers.JobView)},
    "/jobs/{id}/edit": {
        "post": operation(
            *("editJob", "Let waiting jobs run another graph, in their places", answers.EditedView),
            body=Edit,
            errors=(409, 502),
        )
    },
    "/jobs/{id}/cancel": {
        "post": operation("cancelJob", "End a job, on its peer too", answers.JobView, body=Nothing)
    },
    "/jobs/{id}/second_copy": {
        "post": operation(
            *("copyJob", "Run it on another peer too", answers.JobView), body=Nothing, errors=(409,)
        )
    },
    "/jobs/{id}/move": {
        "post": operation(
            *("moveJob", 'Put a waiting job before another ("": to the end), or on a peer', answers.JobView),
            body=Move,
            errors=(409,),
        )
    },
    "/jobs/{id}/retry": {
        "post": operation(
            *("retryJob", "Do an ended job once more, as a new one", answers.AcceptedView),
            status=202,
            body=Retry,
            errors=(409,),
        )
    },
    "/jobs/{id}/preview": {
        "get": operation(
            *("getJobPreview", "The newest preview of a running job", _BINARY), kind="image/jpeg"
        )
    },
    "/jobs/{id}/outputs/{n}": {
        "get": operation("getJobOutput", "The n-th result file, from 0", _BINARY, kind="*/*")
    },
    "/jobs/{id}/report": {
        "get": operation("getJobReport", "A support bundle about it: nothing private in it", _ANYTHING)
    },
    "/jobs/{id}/graph": {"get": operation("getJobGraph", "What a job was to run", answers.JobGraphView)},
    "/inspect": {
        "post": operation(
            *("inspectGraph", "What can be changed in a graph, the most wanted first"),
            answers.ParametersView,
            body=GraphBody,
        )
    },
    "/variations": {
        "post": operation(
            *(
                "makeVariations",
                "The changes of each job that values for some parameters make, for POST /jobs",
            ),
            answers.VariationsView,
            body=Axes,
        )
    },
    "/explain": {
        "post": operation(
            *("explain", "For each peer: when it would be done with this, or why not; the soonest first"),
            answers.OutlookView,
            body=Explained,
        )
    },
    "/work": {
        "get": operation(
            *("getWork", "What each peer did over the last hours or days", answers.WorkView), query=WorkQuery
        )
    },
    "/monitor": {"get": operation("getMonitor", "The monitor, a page for people", _TEXT, kind="text/html")},
    "/settings": {
        "get": operation("getSettings", "What is switched on", ref(Settings)),
        "patch": operation("changeSettings", "Switch something", ref(Settings), body="SettingsChanges"),
    },
    "/addresses": {
        "get": operation(
            *("listAddresses", "Hosts that are accepted, and those that were refused lately, the last first"),
            answers.AddressesView,
        ),
    },
    "/runs_here": {
        "get": operation(
            *("listLocalNodes", "Node classes that are known to run on the master alone"),
            answers.KnownClassesView,
        ),
    },
    "/report": {
        "get": operation(
            "getReport", "A support bundle: no keys, addresses, prompts or file names", _ANYTHING
        )
    },
    "/where": {
        "get": operation("listPlaces", "Which nodes and models are not on every machine", answers.WhereView)
    },
    "/events": {
        "get": operation(
            *("streamEvents", "Server-sent events: peers, job, settings", _TEXT), kind="text/event-stream"
        )
    },
    "/openapi.json": {"get": operation("getOpenApi", "This description", _ANYTHING)},
    "/session": {
        "get": operation("getSession", "The token, for the master's own page only", answers.SessionView)
    },
}
for _path in ("", "/"):
    _PATHS[_path]["get"]["responses"]["200"]["content"]["text/html"] = {"schema": _TEXT}
for _path, _operations in _PATHS.items():
    for _operation in _operations.values() if "{" in _path else ():
        _operation["responses"]["404"] = _refusal(404)


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
            "description": "What changes something needs Content-Type application/json and the token. "
            "Every error has the shape of Error; its word is one of those that its status lists.",
        },
        "paths": paths,
        "components": {
            "schemas": {
                "Error": _ERROR,
                **_refusals(),
                **given,
                **taken,
                "Settings": _settings("serialization"),
                "SettingsChanges": _settings("validation"),
            },
            "securitySchemes": {"token": {"type": "apiKey", "in": "header", "name": "X-Orchestrator-Token"}},
        },
    }


OPENAPI = _document()
