"""The shapes of what the HTTP API answers, for OpenAPI and for the code that makes them."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.fields import FieldInfo
from typing_extensions import TypedDict

from ...core.engine.estimates.knowledge import Origin
from ...core.models.backend import Health
from ...core.models.job import JobState, Source


def _word_of(kind: type[Enum]) -> FieldInfo:
    info: FieldInfo = Field(json_schema_extra={"enum": [one.value for one in kind]})
    return info


Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
Whose = Literal["ours", "others"]


class DeviceView(TypedDict):
    name: str
    type: str
    vram_total_bytes: int
    vram_free_bytes: int


class RunningPromptView(TypedDict):
    job_id: str | None
    prompt_id: str
    whose: Whose
    title: str
    node: str
    progress: float | None


class PeerView(TypedDict):
    id: str
    name: str
    url: str
    enabled: bool
    draining: bool
    tags: list[str]
    has_credentials: bool
    tls: str
    exclusive: bool
    only_idle: bool
    hours: str
    relay_events: bool
    health: Annotated[str, _word_of(Health)]
    reason: str
    version: str
    devices: list[DeviceView]
    queue_running: int
    queue_pending: int
    ours: Annotated[int, Field(description="Our jobs there, running and handed over.")]
    checked_at: Moment | None
    node_types: Annotated[int | None, Field(description="null while its list of nodes is not known.")]
    running: RunningPromptView | None


class PeersView(TypedDict):
    peers: list[PeerView]
    notices: list[str]
    rest_s: Annotated[
        float | None,
        Field(description="Until all jobs should be done; null where nobody can tell."),
    ]


class PeerTestView(TypedDict):
    ok: bool
    seconds: float
    node_types: int | None
    models_only_there: Annotated[int | None, Field(description="Model files that the master does not have.")]
    message: str


class InterruptedView(TypedDict):
    job_id: str | None
    prompt_id: str
    whose: Whose


class AttemptView(TypedDict):
    peer_id: str
    peer: str
    prompt_id: str
    started_at: Moment | None
    begun_at: Moment | None
    loaded_at: Annotated[
        Moment | None, Field(description="First step of a node; until then models are loaded.")
    ]
    ended_at: Moment | None
    outcome: Annotated[str, Field(description="Empty while it runs, else done or an error's word.")]
    reason: str


class InputView(TypedDict):
    name: str
    sha256: str


class OutputView(TypedDict):
    node_id: str
    filename: str
    subfolder: str
    type: str
    url: Annotated[str, Field(description="Where the master's own page shows it.")]


class BatchPlaceView(TypedDict):
    id: Annotated[str, Field(description="The same for all jobs of one request.")]
    index: int
    changes: dict[str, Any]


class JobView(TypedDict):
    job_id: str
    state: Annotated[str, _word_of(JobState)]
    source: Annotated[str, _word_of(Source)]
    title: str
    pinned_to: str
    retry_of: Annotated[str, Field(description="The ended job that this one repeats, if any.")]
    client_id: Annotated[str, Field(description="The page or client that hears of it, if any.")]
    batch: BatchPlaceView | None
    held: Annotated[bool, Field(description="It is not started until somebody lets it go.")]
    peer_id: str
    peer: str
    attempts: list[AttemptView]
    inputs: Annotated[
        list[InputView], Field(description="The master's files that went along, as the prompt names them.")
    ]
    outputs: list[OutputView]
    texts: list[str]
    notes: Annotated[list[str], Field(description="What to know of it although it may be fine.")]
    error: Annotated[dict[str, Any] | None, Field(description="code, message, and the peer's own details.")]
    explanation: Annotated[str, Field(description="Why this peer, and why not the others.")]
    progress: Annotated[float, Field(ge=0, le=1)]
    progress_text: str
    is_silent: bool
    expected_s: float | None
    previews: Annotated[int, Field(description="Grows with each new picture of GET …/preview.")]
    created_at: Moment | None
    started_at: Moment | None
    begun_at: Moment | None
    ended_at: Moment | None


class CountsView(TypedDict):
    waiting: int
    running: int
    ended: int


class JobsView(TypedDict):
    jobs: list[JobView]
    line: Annotated[list[str], Field(description="Ids of waiting jobs, the next first.")]
    counts: CountsView


class PeerWorkView(TypedDict):
    peer_id: str
    peer: str
    done: int
    failed: Annotated[int, Field(description="Attempts there; the job may have been done elsewhere then.")]
    busy_s: float
    busy: Annotated[
        list[float], Field(description="The while in equal parts: how much of each it was at work, 0 to 1.")
    ]
    failures: Annotated[list[int], Field(description="How many in each of these parts.")]


class WorkView(TypedDict):
    since: Moment
    until: Moment
    peers: Annotated[list[PeerWorkView], Field(description="Those that did something.")]


class AcceptedView(TypedDict):
    job_id: str
    state: str
    job_ids: list[str]


class RefusedJobView(TypedDict):
    job_id: str
    message: str


class EditedView(JobView):
    refused: Annotated[list[RefusedJobView], Field(description="Those that stayed as they were, and why.")]


class ActedView(TypedDict):
    done: Annotated[list[str], Field(description="Ids of the jobs it was done to.")]
    new: Annotated[list[str], Field(description="Ids of the jobs that repeat them.")]
    refused: Annotated[list[RefusedJobView], Field(description="Those it came too late for, and why.")]


class DryRunView(TypedDict):
    count: Annotated[int, Field(description="How many jobs it would make.")]
    title: Annotated[str, Field(description="Of the first of them.")]
    prompt: Annotated[
        dict[str, Any] | None,
        Field(description="What a peer would get of the first one; null while none is known that has all."),
    ]
    waits_for: Annotated[str, Field(description='Why it would wait; "" when a peer may take it.')]
    notes: Annotated[list[str], Field(description="What to know of it although it may be fine.")]


class JobGraphView(TypedDict):
    prompt: dict[str, Any]
    workflow: dict[str, Any] | None


class ForecastView(TypedDict):
    """In seconds from now, were it sent now; null for a peer that may not take it."""

    id: str
    name: str
    eligible: bool
    awaits: Annotated[bool, Field(description="It has all that is wanted; the job would wait for it.")]
    reason: str
    is_guess: Annotated[bool, Field(description="Such a job never ran there.")]
    origin: Annotated[str, _word_of(Origin)]
    need_bytes: Annotated[
        int | None,
        Field(description="Memory that it is expected to need: learned, else what its files weigh."),
    ]
    caution: Annotated[str, Field(description="What may go wrong there; no reason against it.")]
    start_s: float | None
    load_s: float | None
    run_s: float | None
    finish_s: float | None


class OutlookView(TypedDict):
    peers: list[ForecastView]
    paused: bool
    held: Annotated[str, Field(description='Why no job is started now, besides a pause; "" when they are.')]
    waiting: Annotated[int, Field(description="Jobs in the queue now.")]
    here: Annotated[str, Field(description='What of it would run on the master, and why; "" for nothing.')]


class ParameterView(TypedDict):
    address: str
    node_id: str
    input: str
    title: str
    class_type: str
    type: str
    value: Any
    default: Any
    min: int | float | None
    max: int | float | None
    step: int | float | None
    choices: list[Any] | None
    multiline: bool
    upload: str | None


class ParametersView(TypedDict):
    parameters: list[ParameterView]


class VariationsView(TypedDict):
    count: int
    variations: list[dict[str, Any]]


class RefusedNameView(TypedDict):
    name: str
    last_at: Moment
    times: int


class AddressesView(TypedDict):
    accepted: Annotated[list[str], Field(description="As in the settings.")]
    refused: list[RefusedNameView]


class PlaceView(TypedDict):
    here: bool
    peers: list[str]


class WhereView(TypedDict):
    known: Annotated[bool, Field(description="False until a page has asked for the host's nodes.")]
    places: list[PlaceView]
    classes: Annotated[dict[str, Any], Field(description="Class to the number of its place.")]
    values: Annotated[dict[str, Any], Field(description="Class, input, value to the number of its place.")]


class RemovedView(TypedDict):
    id: str


class KnownClassesView(TypedDict):
    known: list[str]


class LinkView(TypedDict):
    href: str
    summary: str


class IndexView(TypedDict):
    title: str
    version: str
    links: Annotated[list[LinkView], Field(description="What can be read, relative to this address.")]


class SessionView(TypedDict):
    token: str
