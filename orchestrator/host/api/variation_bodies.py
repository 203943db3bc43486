"""What callers may ask of variations: the values of each parameter, and how they go together."""

from __future__ import annotations

import random
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, JsonValue, ValidationError, WrapValidator

from ...core.prompts.variations import Axis, combined, random_seeds, spread, stepped
from ...errors import ConfigError
from .bodies import Body, must, told
from .job_bodies import JOBS_MAX

_ADDRESS_MAX = 512
_KINDS = '"values": […], "from" and "to" with "step" or "count", or "seeds": N'


def _way(**kinds: str) -> JsonValue:
    return {"required": list(kinds), "properties": {name: {"type": kind} for name, kind in kinds.items()}}


_WAYS = [
    _way(values="array"),
    _way(seeds="integer"),
    *(_way(**{"from": "number", "to": "number", by: "number"}) for by in ("step", "count")),
]
_draw = random.SystemRandom().randrange
_COUNT = must(f"must be a whole number from 1 to {JOBS_MAX}.")
_NUMBER = must("must be a number.")
_Count = Annotated[int, Field(ge=1, le=JOBS_MAX)]
Number = Annotated[int | float | None, _NUMBER]


class AxisBody(Body):
    """One parameter's values: listed, drawn at random, or from one number to another."""

    model_config = ConfigDict(extra="ignore", json_schema_extra={"anyOf": _WAYS})

    address: Annotated[
        Annotated[str, Field(min_length=1, max_length=_ADDRESS_MAX)],
        must(f'must be text of at most {_ADDRESS_MAX} characters, like "3.seed".'),
    ] = Field(description='the address of a parameter, like "3.seed".')
    values: list[Any] | None = None
    seeds: Annotated[_Count | None, _COUNT] = Field(default=None, description="How many to draw.")
    from_: Number = Field(default=None, alias="from")
    to: Number = None
    step: Number = None
    count: Annotated[_Count | None, _COUNT] = None
    whole: bool = Field(default=False, description="With count: whole numbers only.")

    def axis(self) -> Axis:
        """The values themselves.

        Raises:
            ConfigError: none are asked for, or too many.
        """
        if self.values is not None:
            return Axis(self.address, tuple(self.values[: JOBS_MAX + 1]))
        if self.seeds is not None:
            return Axis(self.address, random_seeds(self.seeds, _draw))
        first, last = self.from_, self.to
        if first is None or last is None or (self.step is None and self.count is None):
            raise ConfigError(f"{self.address} needs {_KINDS}.")
        try:
            return Axis(self.address, self._numbers(first, last))
        except OverflowError:  # JSON has numbers that no float holds
            raise ConfigError(f"{self.address} gets numbers that are too large.") from None

    def _numbers(self, first: float, last: float) -> tuple[Any, ...]:
        if self.step is None:
            return spread(first, last, self.count or 1, whole=self.whole)
        if self.step and abs((last - first) / self.step) > JOBS_MAX:
            raise ConfigError(f"{self.address} gets more than {JOBS_MAX} values. Take a larger step.")
        return stepped(first, last, self.step)


def _named(given: Any, handler: Any) -> AxisBody:
    """What is wrong with an axis is told with its address."""
    try:
        axis: AxisBody = handler(given)
    except ValidationError as exc:
        ours = told(exc)
        address = given.get("address") if isinstance(given, dict) else None
        if ours is None or not isinstance(address, str):
            raise ours or exc from None
        raise ConfigError(f"{address[:_ADDRESS_MAX]}: {ours}") from None
    return axis


class Axes(Body):
    """The parameters that vary, and how their values are combined."""

    axes: Annotated[
        Annotated[list[Annotated[AxisBody, WrapValidator(_named)]], Field(min_length=1)],
        must(f'must be a list of {{"address": "3.seed", …}} with {_KINDS}.'),
    ] = Field(description=f'a list of {{"address": "3.seed", …}} with {_KINDS}.')
    combine: Annotated[
        Literal["grid", "side_by_side"],
        must('must be "grid" (every combination) or "side_by_side".'),
    ] = "grid"

    def changes(self) -> list[dict[str, Any]]:
        """Those of each job, see ``combined``.

        Raises:
            ConfigError: the values cannot be made or combined.
        """
        axes = [axis.axis() for axis in self.axes]
        return combined(axes, side_by_side=self.combine == "side_by_side", most=JOBS_MAX)
