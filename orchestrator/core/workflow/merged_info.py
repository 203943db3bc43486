"""One list of nodes for the page: the master's own, and what its peers have besides.

The master's own definition of a class wins; its choices gain the peers' values. A file in a folder is one
value, whichever separator a machine writes: the master's spelling stands, and each peer later gets its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .foreign_definition import fit_definition, fit_spec, is_name
from .object_info import COMBO, DYNAMIC_COMBO, ObjectInfo

CLASSES_MAX = 20_000  #: that one peer may add
CHOICES_MAX = 20_000  #: values of one choice, all peers together
NESTED_MAX = 4  #: dynamic choices within dynamic choices


@dataclass(frozen=True)
class Availability:
    """Where something is: on this computer or not, and on these peers, by name."""

    here: bool
    peers: tuple[str, ...]


@dataclass(frozen=True)
class Where:
    """What is not everywhere. ``classes``: those that some machine lacks. ``values``: class, input, value
    (with ``/`` between folders), of those that some machine lacks although it has the class.

    An input that a dynamic choice brings is ``choice.input``.
    """

    classes: Mapping[str, Availability] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, Mapping[str, Availability]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Merged:
    info: Mapping[str, Any]
    where: Where


def merge_info(own: Mapping[str, Any], peers: Mapping[str, ObjectInfo]) -> Merged:
    """`own`: the answer of the master's GET /object_info, which is not changed; `peers`: lists by name."""
    merge = _Merge(tuple(peers))
    info: dict[str, Any] = {}
    for name, definition in own.items():
        theirs = {peer: listed.raw(name) for peer, listed in peers.items() if name in listed}
        info[name] = merge.definition(name, definition, theirs)
        merge.note_class(name, True, theirs)
    for name, having in _foreign_classes(own, peers).items():
        fit = ((peer, fit_definition(name, peers[peer].raw(name))) for peer in having)
        owner, definition = next(((peer, found) for peer, found in fit if found), ("", None))
        if definition is None:
            continue
        theirs = {peer: peers[peer].raw(name) for peer in having if peer != owner}
        info[name] = merge.definition(name, definition, theirs, owner=owner)
        told = definition["description"].strip()
        only = f"Not on this computer, but on {', '.join(having)}."
        info[name] = {**info[name], "description": f"{told}\n\n{only}".strip()}
        merge.note_class(name, False, having)
    return Merged(info, Where(merge.classes, merge.values))


def _foreign_classes(own: Mapping[str, Any], peers: Mapping[str, ObjectInfo]) -> dict[str, list[str]]:
    """Class to the peers that have it, for classes that this computer lacks."""
    found: dict[str, list[str]] = {}
    for peer, listed in peers.items():
        foreign = [name for name in listed if name not in own and is_name(name)]
        for name in foreign[:CLASSES_MAX]:
            found.setdefault(name, []).append(peer)
    return found


class _Merge:
    def __init__(self, peers: tuple[str, ...]) -> None:
        self._peers = peers
        self._having = 0  # how many peers have the class at hand
        self._places: dict[Availability, Availability] = {}  # thousands of values share a few
        self.classes: dict[str, Availability] = {}
        self.values: dict[str, dict[str, dict[str, Availability]]] = {}

    def note_class(self, name: str, here: bool, having: Mapping[str, Any] | Sequence[str]) -> None:
        if not here or len(having) < len(self._peers):
            self.classes[name] = self._place(here, having)

    def definition(
        self, name: str, definition: Any, theirs: Mapping[str, Any], *, owner: str | None = None
    ) -> Any:
        """`definition` with the values that the others' definitions offer. ``owner``: the peer it is from."""
        if not theirs and owner is None:
            return definition
        self._having = len(theirs) + (owner is not None)
        inputs = definition.get("input") if isinstance(definition, Mapping) else None
        if not isinstance(inputs, Mapping):
            return definition
        others = [(peer, _inputs(other)) for peer, other in theirs.items()]
        changed = {
            section: self._section(name, "", inputs[section], others, owner, NESTED_MAX)
            for section in ("required", "optional")
            if isinstance(inputs.get(section), Mapping)
        }
        return {**definition, "input": {**inputs, **changed}}

    def _section(
        self,
        name: str,
        prefix: str,
        specs: Mapping[str, Any],
        others: Sequence[tuple[str, Mapping[str, Any]]],
        owner: str | None,
        depth: int,
    ) -> dict[str, Any]:
        merged = dict(specs)
        for key, spec in specs.items():
            theirs = [(peer, listed[key]) for peer, listed in others if key in listed]
            if isinstance(spec, (list, tuple)) and spec and (theirs or owner is not None):
                merged[key] = self._spec(name, prefix + key, spec, theirs, owner, depth)
        return merged

    def _spec(
        self,
        name: str,
        key: str,
        spec: Sequence[Any],
        theirs: Sequence[tuple[str, Any]],
        owner: str | None,
        depth: int,
    ) -> Any:
        options = spec[1] if len(spec) > 1 and isinstance(spec[1], Mapping) else {}
        if _is_upload(options):
            return spec  # files of the user's own on this computer
        if isinstance(spec[0], (list, tuple)):
            return [self._choices(name, key, spec[0], theirs, owner), *spec[1:]]
        if spec[0] == COMBO and isinstance(options.get("options"), (list, tuple)):
            choices = self._choices(name, key, options["options"], theirs, owner)
            return [COMBO, {**options, "options": choices}, *spec[2:]]
        if spec[0] == DYNAMIC_COMBO and isinstance(options.get("options"), list) and depth > 0:
            return [spec[0], {**options, "options": self._dynamic(name, key, options, theirs, owner, depth)}]
        return spec

    def _choices(
        self,
        name: str,
        key: str,
        own: Sequence[Any],
        theirs: Sequence[tuple[str, Any]],
        owner: str | None,
    ) -> list[Any]:
        values = list(own)
        having = {_plain(value): [owner] if owner else [] for value in own}
        here = set() if owner else set(having)
        for peer, spec in theirs:
            for value in filter(_is_choice, _offered(spec)):
                plain = _plain(value)
                if plain not in having:
                    if len(values) >= CHOICES_MAX:
                        continue
                    values.append(value)
                    having[plain] = []
                if peer not in having[plain][-1:]:
                    having[plain].append(peer)
        noted = {
            plain: self._place(plain in here, peers)
            for plain, peers in having.items()
            if len(peers) < self._having or (owner is None and plain not in here)
        }
        if noted:
            self.values.setdefault(name, {}).setdefault(key, {}).update(noted)
        return values

    def _dynamic(
        self,
        name: str,
        key: str,
        options: Mapping[str, Any],
        theirs: Sequence[tuple[str, Any]],
        owner: str | None,
        depth: int,
    ) -> list[Any]:
        """The inputs that each choice brings; a choice that only peers have comes with its own."""
        offered = [(peer, _dynamic_entries(spec)) for peer, spec in theirs]
        merged: list[Any] = []
        for entry in options["options"]:
            inputs = entry.get("inputs") if isinstance(entry, Mapping) else None
            if isinstance(inputs, Mapping):
                others = [(p, _sections(found.get(entry.get("key")))) for p, found in offered]
                changed = {
                    section: self._section(name, f"{key}.", specs, others, owner, depth - 1)
                    for section, specs in inputs.items()
                    if isinstance(specs, Mapping)
                }
                entry = {**entry, "inputs": {**inputs, **changed}}
            merged.append(entry)
        known = {entry.get("key") for entry in merged if isinstance(entry, Mapping)}
        added: dict[str, list[str]] = {}
        for peer, found in offered:
            for choice in found:
                if choice not in known and is_name(choice):
                    added.setdefault(choice, []).append(peer)
        for choice, having in added.items():
            fit = fit_spec(["*", {"inputs": dict(offered)[having[0]][choice] or {}}])
            if fit is not None:
                merged.append({"key": choice, **fit[1]})
                noted = self.values.setdefault(name, {}).setdefault(key, {})
                noted[choice] = self._place(False, having)
        return merged

    def _place(self, here: bool, peers: Mapping[str, Any] | Sequence[str]) -> Availability:
        place = Availability(here, tuple(peers))
        return self._places.setdefault(place, place)


def _inputs(definition: Any) -> dict[str, Any]:
    return _sections(definition.get("input") if isinstance(definition, Mapping) else None)


def _sections(inputs: Any) -> dict[str, Any]:
    """All inputs by name, whichever section they are in."""
    found: dict[str, Any] = {}
    for section in ("optional", "required"):
        specs = inputs.get(section) if isinstance(inputs, Mapping) else None
        if isinstance(specs, Mapping):
            found.update(specs)
    return found


def _offered(spec: Any) -> Sequence[Any]:
    if not isinstance(spec, (list, tuple)) or not spec:
        return ()
    if isinstance(spec[0], (list, tuple)):
        return spec[0]
    options = spec[1] if len(spec) > 1 and isinstance(spec[1], Mapping) else {}
    choices = options.get("options") if spec[0] == COMBO else None
    return choices if isinstance(choices, (list, tuple)) else ()


def _dynamic_entries(spec: Any) -> dict[Any, Any]:
    """Choice to the inputs it brings."""
    if not isinstance(spec, (list, tuple)) or len(spec) < 2 or spec[0] != DYNAMIC_COMBO:
        return {}
    entries = spec[1].get("options") if isinstance(spec[1], Mapping) else None
    if not isinstance(entries, list):
        return {}
    return {
        entry["key"]: entry.get("inputs")
        for entry in entries[:CHOICES_MAX]
        if isinstance(entry, Mapping) and isinstance(entry.get("key"), str)
    }


def _is_choice(value: Any) -> bool:
    return is_name(value) or (isinstance(value, (int, float)) and abs(value) < 2**53)


def _plain(value: Any) -> str:
    """How the page asks for it: as text, with one kind of separator."""
    return str(value).replace("\\", "/")


def _is_upload(options: Mapping[str, Any]) -> bool:
    return any(key.endswith("_upload") and value for key, value in options.items())
