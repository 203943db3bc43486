"""What the user of a master switched on and off; kept across restarts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from ...errors import ConfigError


@dataclass(frozen=True)
class Preferences:
    """``fleet_mode``: the Run button's prompts go to the peers. ``paused``: no further job is started on a
    peer. ``this_machine``: the master runs fleet prompts too, when its own queue is empty.
    ``peer_nodes``: the page offers the nodes and models of the peers too."""

    fleet_mode: bool = False
    paused: bool = False
    this_machine: bool = False
    peer_nodes: bool = True

    def changed(self, changes: Mapping[str, Any]) -> Preferences:
        """These with some changed.

        Raises:
            ConfigError: there is no such preference, or a value is not true or false.
        """
        known = [field.name for field in fields(self)]
        for name, value in changes.items():
            if name not in known:
                raise ConfigError(f"Unknown setting {name[:64]!r}. Known are: {', '.join(known)}.")
            if not isinstance(value, bool):
                raise ConfigError(f'"{name}" must be true or false.')
        return replace(self, **changes)

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Preferences:
        """From what was kept, by this or another version: what it does not know is left out."""
        known = {f.name: record[f.name] for f in fields(cls) if isinstance(record.get(f.name), bool)}
        return cls(**known)
