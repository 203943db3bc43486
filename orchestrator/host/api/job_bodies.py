"""What callers may send about jobs: to run a graph, to ask where it would run, to move or repeat one."""

from __future__ import annotations

import uuid
from contextlib import suppress
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, JsonValue

from ...core.models.job import JobRequest, ResultLink, Source
from ...core.prompts.editing import Edited
from ...core.prompts.overrides import parse_overrides
from ...core.prompts.titles import described
from ...core.prompts.variations import copies, varied
from ...core.workflow.cut import DISPATCH_CLASS, graph_id_of
from ...core.workflow.documents import document_of
from ...core.workflow.prompt import is_link
from ...core.workflow.saved_values import WidgetPlace, with_values
from ...errors import ConfigError, WorkflowError
from .bodies import (
    REQUEST_ID_MAX,
    Body,
    Flag,
    ObjectOrNull,
    PriorityOrNull,
    TagsOrNull,
    Text,
    TextOrNull,
    must,
)

JOBS_MAX = 1_000  #: of one request
ACTION_MAX = 10_000  #: jobs that one thing is done to
NAME_MAX = 200  #: characters of what its sender calls a graph
_WHO_HEARS = (
    "Who hears of it over the websocket; it is in ComfyUI's queue and history then, as after POST /prompt."
)
_NO_GRAPH = 'Send "prompt" (a graph in API format) or "workflow" (as the page saves it).'


def _needs_one_of(*names: str, **shape: JsonValue) -> ConfigDict:
    """For OpenAPI: at least one of these fields has to be there, and be like this."""

    def way(name: str) -> JsonValue:
        return {"required": [name], "properties": {name: dict(shape)}}

    return ConfigDict(json_schema_extra={"anyOf": [way(name) for name in names]})


_SOME_GRAPH = _needs_one_of("prompt", "workflow", type="object", minProperties=1)


class JobBody(Body):
    """A graph, as a prompt or as a workflow, and what is asked of the peer that runs it."""

    model_config = _SOME_GRAPH

    prompt: ObjectOrNull = Field(default=None, description="The graph in API format.")
    workflow: ObjectOrNull = Field(
        default=None, description="The graph as the page saves it; prompt or workflow is needed."
    )
    parameters: ObjectOrNull = Field(
        default=None, description='Changes by address, like {"KSampler.seed": 42}.'
    )
    peer: TextOrNull = Field(default=None, description="Only this one, by name or id.")
    tags: TagsOrNull = Field(default=None, description="Only peers with all of these.")
    avoid: TagsOrNull = Field(default=None, description="Not these peers, by name or id.")
    title: TextOrNull = None
    priority: PriorityOrNull = Field(default=None, description="Higher goes first; 0 is usual.")
    targets: TagsOrNull = Field(default=None, description="Run these output nodes only.")

    def request(self) -> JobRequest:
        """The request for one job.

        Raises:
            ConfigError: there is neither prompt nor workflow, or what is called a prompt is none.
        """
        if not self.prompt and not self.workflow:
            raise ConfigError(_NO_GRAPH)
        prompt, notes = _usable(self.prompt) if self.prompt else ({}, ())
        return JobRequest(
            prompt=prompt,
            workflow=self.workflow or None,
            notes=notes,
            changes=self.parameters or {},
            drop_classes=frozenset({DISPATCH_CLASS}),
            peer=self.peer or "",
            tags=tuple(self.tags or ()),
            avoid=tuple(self.avoid or ()),
            source=Source.HTTP,
            title=self.title or "",
            priority=float(self.priority or 0),
            targets=tuple(self.targets or ()),
        )


class GraphBody(Body):
    """A graph that is looked at, as a prompt or as a workflow."""

    model_config = _SOME_GRAPH

    prompt: ObjectOrNull = None
    workflow: ObjectOrNull = None

    @property
    def graph(self) -> dict[str, Any]:
        """
        Raises:
            ConfigError: there is neither prompt nor workflow.
        """
        found = self.prompt or self.workflow
        if not found:
            raise ConfigError(_NO_GRAPH)
        return found


class Explained(JobBody):
    """As a job; or what a Remote Dispatch node would send, which wants one value back and no files."""

    result: Annotated[
        Annotated[list[str | int], Field(min_length=2, max_length=2)] | None,
        must('must be a node of "prompt" and the number of its output, like ["8", 0].'),
    ] = Field(
        default=None, description='The output whose value is wanted back, like ["8", 0], instead of files.'
    )
    overrides: Text = Field(
        default="", description="Changes as a Remote Dispatch node takes them, one a line."
    )
    run: Flag = Field(
        default=False, description="As Run sends it in fleet mode: this computer may be one of the peers."
    )

    def request(self) -> JobRequest:
        """The request that is explained.

        Raises:
            ConfigError: see ``JobBody.request``; or ``result`` names no output of a node of the prompt.
            ParameterError: ``overrides`` cannot be read.
        """
        request, link = super().request(), self.result
        request = replace(request, changes={**request.changes, **parse_overrides(self.overrides)})
        if self.run:
            request = replace(request, source=Source.FLEET)
        if link is None:
            return request
        if not is_link(link) or link[1] < 0 or str(link[0]) not in request.prompt:
            raise ConfigError(
                '"result" must be a node of "prompt" and the number of its output, like ["8", 0].'
            )
        return replace(request, result=ResultLink(str(link[0]), link[1]))


_METADATA = must('must be like {"workflow": {…}, "places": {"3.seed": ["3", 0]}}.')


class Metadata(Body):
    """The workflow that the files carry, with each job's own values in it."""

    workflow: dict[str, Any]
    places: dict[str, Annotated[list[str | int], Field(max_length=2)]] = Field(
        default_factory=dict,
        description="Address to a node of the root graph, and which of its widgets_values.",
    )

    def of(self, request: JobRequest) -> dict[str, Any]:
        """The ``extra_data`` of a request.

        Raises:
            ConfigError: a place is none.
        """
        known = {address: _place(place) for address, place in self.places.items()}
        workflow = with_values(self.workflow, known, request.changes)
        return {"preview_method": "auto", "extra_pnginfo": {"workflow": workflow}}


class JobRequests(JobBody):
    """One job, ``count`` copies of it, or one for each of ``variations``."""

    count: Annotated[
        Annotated[int, Field(ge=1, le=JOBS_MAX)] | None,
        must(f"must be a whole number from 1 to {JOBS_MAX}."),
    ] = Field(default=None, description="How many, each with its own seeds.")
    variations: Annotated[
        Annotated[list[dict[str, Any]], Field(min_length=1, max_length=JOBS_MAX)] | None,
        must(f'must be a list of 1 to {JOBS_MAX} objects like {{"seed": 7}}.'),
    ] = Field(default=None, description="One job for each, laid over parameters.")
    client_id: Text = Field(default="", description=_WHO_HEARS)
    name: Text = Field(
        default="", description="What the graph is called. Without a title, it is this and what was changed."
    )
    metadata: Annotated[Metadata | None, _METADATA] = Field(
        default=None, description="The graph that the files carry."
    )
    request_id: Annotated[
        Annotated[str, Field(max_length=REQUEST_ID_MAX)] | None,
        must(f"must be text of at most {REQUEST_ID_MAX} characters, like a UUID."),
    ] = Field(
        default=None,
        description="Sent again under the same id (or header Idempotency-Key), it is done once.",
    )

    dry_run: Flag = Field(default=False, description="Only tell what would become of it; nothing is queued.")

    def requests(self, request_id: str = "") -> tuple[JobRequest, ...]:
        """All that are asked for; several are a batch. `request_id`: see ``request_id_of``.

        Raises:
            ConfigError: see ``JobBody.request``; or both ``count`` and ``variations`` are given.
            WorkflowError: the graph cannot be read.
        """
        graph_id = graph_id_of(self.metadata.workflow if self.metadata else self.workflow)
        request = replace(self.request(), request_id=request_id, client_id=self.client_id, graph_id=graph_id)
        if self.count is not None and self.variations is not None:
            raise ConfigError('Give "count" or "variations", not both.')
        requests: tuple[JobRequest, ...] = (request,)
        if self.count is not None:
            requests = _batch(copies(request, self.count))
        elif self.variations is not None:
            requests = _batch(varied(request, self.variations))
        return tuple(map(self._finished, requests))

    def _finished(self, request: JobRequest) -> JobRequest:
        """With what is said of it: its title, and the graph that its files carry."""
        if self.name and not self.title:
            request = replace(request, title=described(request.prompt, request.changes, self.name))
        return replace(request, extra_data=self.metadata.of(request)) if self.metadata else request


class Move(Body):
    """A new place for a waiting job, in the queue or on a peer."""

    model_config = _needs_one_of("before", "peer")

    before: Text = Field(default="", description='A waiting job\'s id, or "" for the end.')
    peer: Text = Field(default="", description='Name or id; "" for any.')

    def asked(self) -> tuple[str | None, str | None]:
        """The job to go before and the peer to run on; None for what is not mentioned.

        Raises:
            ConfigError: neither is.
        """
        named = self.model_fields_set
        if not named:
            raise ConfigError(
                'Give "before" (a waiting job\'s id, or "" for the end) or "peer" ("" for any).'
            )
        return self.before if "before" in named else None, self.peer if "peer" in named else None


class Retry(Body):
    """Where and when an ended job is done once more; without anything said, as it was."""

    peer: TextOrNull = Field(default=None, description='Name or id; "" for any.')
    priority: PriorityOrNull = None
    client_id: TextOrNull = Field(default=None, description=_WHO_HEARS)


class JobAction(Body):
    """One thing done to several jobs; those that it does not concern stay as they are."""

    action: Literal["cancel", "hold", "release", "first", "last", "pin", "retry"] = Field(
        description="hold and release: start it not, or after all; first and last: in the queue; "
        "pin: to a peer; retry: those that failed, were set aside or cancelled."
    )
    job_ids: Annotated[
        Annotated[list[str], Field(max_length=ACTION_MAX)],
        must(f"must be a list of at most {ACTION_MAX} ids."),
    ] = Field(default_factory=list, description="Which jobs, in the order that first and last give them.")
    batch: Text = Field(default="", description="All jobs of this batch, instead of single ones.")
    peer: Text = Field(default="", description='Of pin and retry: name or id; "" for any.')
    client_id: TextOrNull = Field(default=None, description=_WHO_HEARS)


class Edit(Body):
    """What waiting jobs are to run instead. They keep their places, and are let go."""

    prompt: Annotated[dict[str, Any], must("must be a JSON object.")] = Field(
        description="the graph in API format."
    )
    workflow: ObjectOrNull = Field(default=None, description="The graph that the files carry.")
    name: Text = Field(default="", description="What the graph is called.")

    also: Annotated[
        Annotated[list[str], Field(max_length=ACTION_MAX)],
        must(f"must be a list of at most {ACTION_MAX} ids."),
    ] = Field(
        default_factory=list,
        description="Other waiting jobs that run it too. Each keeps the values by which it differed, like "
        "its seed, except those that were edited.",
    )

    def edited(self) -> Edited:
        """
        Raises:
            ConfigError: its prompt is none.
        """
        prompt, notes = _usable(self.prompt)
        return Edited(prompt, self.workflow or None, self.name[:NAME_MAX], notes)


def _usable(given: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """A prompt without what programs put around and into one, and notes on what was left out."""
    prompt: dict[str, Any] = given
    notes: tuple[str, ...] = ()
    with suppress(WorkflowError):  # what is wrong with it is said below
        found = document_of({"prompt": given})
        prompt, notes = found.prompt or given, found.notes
    for node_id, node in prompt.items():
        inputs = node.get("inputs", {}) if isinstance(node, dict) else None
        if not isinstance(inputs, dict) or not isinstance(node.get("class_type"), str):
            raise ConfigError(
                f'Node {node_id[:64]!r} of "prompt" is not like {{"class_type": "…", "inputs": {{…}}}}. '
                'A graph that the page saved goes into "workflow".'
            )
    return prompt, notes


def _batch(requests: tuple[JobRequest, ...]) -> tuple[JobRequest, ...]:
    """The requests, marked as those of one question: pages show them together."""
    batch_id = uuid.uuid4().hex
    return tuple(replace(request, batch_id=batch_id, batch_index=n) for n, request in enumerate(requests))


def _place(given: list[str | int]) -> WidgetPlace:
    if len(given) == 2 and isinstance(given[1], int):
        return str(given[0]), given[1]
    raise ConfigError('Each of "places" must be like ["3", 0]: a node, and which of its values.')
