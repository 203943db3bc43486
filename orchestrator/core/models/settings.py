"""What the user of a master switched on and off, and set; kept across restarts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

from ...errors import ConfigError
from ..workflow.runs_here import HereClasses
from .host_names import parse_place

CLASS_LISTS = ("runs_here", "runs_on_peers")
CLASSES_MAX, CLASS_LENGTH_MAX = 1000, 200
HOSTS_MAX = 50
BOUNDS: Mapping[str, tuple[int, int]] = {"keep_days": (1, 3650), "keep_jobs": (100, 1_000_000)}


_Value = TypeVar("_Value")


def _told(description: str, default: _Value) -> _Value:
    """A field that the HTTP API describes in these words."""
    told: _Value = field(default=default, metadata={"description": description})
    return told


@dataclass(frozen=True)
class Settings:
    """``fleet_mode``: the Run button's prompts go to the peers. ``paused``: no further job is started on a
    peer. ``this_machine``: the master runs fleet prompts too, when its own queue is empty.
    ``peer_nodes``: the page offers the nodes and models of the peers too.
    ``second_copies``: the last running jobs also run on a peer that would finish them clearly sooner.
    ``retry_interrupted``: a job that somebody interrupts on its peer runs on another one.
    The others: as the API describes them."""

    fleet_mode: bool = False
    paused: bool = False
    this_machine: bool = False
    peer_nodes: bool = True
    second_copies: bool = False
    retry_interrupted: bool = False
    keep_days: int = _told("How long finished jobs stay in the journal.", 30)
    keep_jobs: int = _told("How many of them at most.", 10_000)
    runs_here: tuple[str, ...] = _told(
        "Node classes that run on the master alone, beside those that are known to have to.", ()
    )
    runs_on_peers: tuple[str, ...] = _told("Of the known ones, those that may run on peers.", ())
    #: See ``Place``
    accepted_hosts: tuple[str, ...] = _told(
        "Hosts under which the master's page is opened, besides its own names and addresses.", ()
    )

    @property
    def here_classes(self) -> HereClasses:
        return HereClasses(frozenset(self.runs_here), frozenset(self.runs_on_peers))

    def changed(self, changes: Mapping[str, Any]) -> Settings:
        """These with some changed.

        Raises:
            ConfigError: there is no such setting, or a value it cannot have.
        """
        known = [field.name for field in fields(self)]
        for name, value in changes.items():
            if name not in known:
                raise ConfigError(f"Unknown setting {name[:64]!r}. Known are: {', '.join(known)}.")
            if name in CLASS_LISTS and not _fits(name, value):
                raise ConfigError(
                    f'"{name}" must be a list of at most {CLASSES_MAX} names of node classes, '
                    f"each of 1 to {CLASS_LENGTH_MAX} characters."
                )
            if name == "accepted_hosts" and not _fits(name, value):
                raise ConfigError(
                    f'"{name}" must be a list of at most {HOSTS_MAX} hosts like "nas" or "nas.lan:8443".'
                )
            if not _fits(name, value):
                lowest, highest = BOUNDS.get(name, (0, 1))
                what = f"a whole number from {lowest} to {highest}" if name in BOUNDS else "true or false"
                raise ConfigError(f'"{name}" must be {what}.')
        return replace(self, **{name: _plain(value) for name, value in changes.items()})

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Settings:
        """From what was kept, by this or another version: what it does not know is left out."""
        known = [f.name for f in fields(cls) if f.name in record and _fits(f.name, record[f.name])]
        return cls(**{name: _plain(record[name]) for name in known})


def _plain(value: Any) -> Any:
    """As it is kept: a list of names without doubles, in its order."""
    return tuple(dict.fromkeys(value)) if isinstance(value, (list, tuple)) else value


def _fits(name: str, value: Any) -> bool:
    if name == "accepted_hosts":
        is_list = isinstance(value, (list, tuple)) and len(value) <= HOSTS_MAX
        return is_list and all(isinstance(each, str) and parse_place(each) is not None for each in value)
    if name in CLASS_LISTS:
        is_list = isinstance(value, (list, tuple)) and len(value) <= CLASSES_MAX
        return is_list and all(
            isinstance(each, str) and 0 < len(each) <= CLASS_LENGTH_MAX and each.isprintable()
            for each in value
        )
    if name not in BOUNDS:
        return isinstance(value, bool)
    lowest, highest = BOUNDS[name]
    return isinstance(value, int) and not isinstance(value, bool) and lowest <= value <= highest
