"""Which jobs a caller wants listed: GET /jobs?state=failed&batch=…&limit=200&skip=200."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from ...core.models.job import Job, JobState
from ...errors import ConfigError
from .bodies import TEXT_MAX, Body, must

PAGE_MAX = 10**9
_STATES = ", ".join(state.value for state in JobState)
_ONE_STATE = f" *({'|'.join(state.value for state in JobState)})? *"
_NUMBER = must("must be a whole number, such as 200.")
_Text = Annotated[str, StringConstraints(max_length=TEXT_MAX)]


class JobsQuery(Body):
    """What stands behind the question mark. All texts have to fit; "" fits everything."""

    model_config = ConfigDict(strict=False)

    skip: Annotated[Annotated[int, Field(ge=0, lt=PAGE_MAX)], _NUMBER] = Field(
        default=0, description="How many to leave out, of the queue and of those that ended."
    )
    limit: Annotated[Annotated[int, Field(ge=0, lt=PAGE_MAX)] | None, _NUMBER] = Field(
        default=None, description="The most of each to list; running ones come with the first page."
    )
    only: Annotated[Literal["line", ""], must('must be "line".')] = Field(
        default="", description='"line": their ids in the order of the queue, without the jobs themselves.'
    )
    state: _Text = Field(
        default="",
        description=f"One or several, separated by commas: {_STATES}.",
        json_schema_extra={"pattern": f"^{_ONE_STATE}(,{_ONE_STATE})*$"},
    )
    batch: _Text = Field(default="", description="The id of the request that made several jobs.")
    peer: _Text = Field(default="", description="Id or name of the peer that it is on, or was on last.")
    client_id: _Text = Field(default="", description="Of the page or client that hears of it.")

    def wanted(self, name_of: Callable[[str], str]) -> Callable[[Job], bool]:
        """Whether a job is among those that are asked for. `name_of` gives the name of a peer's id.

        Raises:
            ConfigError: there is no such state.
        """
        states = _states(self.state)

        def fits(job: Job) -> bool:
            return (
                job.state in states
                and self.batch in ("", job.request.batch_id)
                and self.client_id in ("", job.request.client_id)
                and (not self.peer or self.peer in _places(job, name_of))
            )

        return fits


def _states(wanted: str) -> frozenset[JobState]:
    names = [name.strip() for name in wanted.split(",") if name.strip()]
    known = {state.value: state for state in JobState}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ConfigError(f'There is no state "{unknown[0][:64]}". There are {_STATES}.', field="state")
    return frozenset(known[name] for name in names) or frozenset(JobState)


def _places(job: Job, name_of: Callable[[str], str]) -> tuple[str, ...]:
    peer = job.backend_id or (job.attempts[-1].backend_id if job.attempts else "")
    return (peer, name_of(peer)) if peer else ()
