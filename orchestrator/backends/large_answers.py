"""What is kept of the answers that can be of any size: node lists, queues and histories."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from .json_stream import LongText, Path, Wanted

#: As nodes of both schemas are listed (ComfyUI 0.3.75 to 0.33); packs add others, of any size.
DEFINITION_KEYS = frozenset(
    {
        "input", "input_order", "is_input_list", "output", "output_is_list", "output_name", "output_tooltips",
        "output_matchtypes", "name", "display_name", "description", "python_module", "category",
        "output_node", "deprecated", "experimental", "dev_only", "api_node", "price_badge", "search_aliases",
        "essentials_category", "has_intermediate_output",
    }
)  # fmt: skip
#: Choices of lists that are looked for their like: for shorter ones it is not worth it, and comparing longer
#: ones would hold up everybody else.
SHARED_FROM, SHARED_MAX = 8, 20_000
_PROMPT, _EXTRA = 2, 3  #: where in an entry [number, id, prompt, extra data, …]


@dataclass(frozen=True)
class Limits:
    """Bytes of JSON, and seconds from the request to the last of them. ``may_begin_late``: a peer has to
    make it first, which may take most of that time."""

    max_bytes: int
    timeout_s: float
    may_begin_late: bool = False


NODE_LIST = Limits(128 << 20, 60.0, may_begin_late=True)
#: A peer answers nothing else while it makes it: waiting longer for it to begin would hide one that is gone.
QUEUE = Limits(64 << 20, 20.0)
HISTORY = Limits(64 << 20, 20.0)


@dataclass
class NodeList:
    """Keeps of each class what anybody here reads. Many classes offer the same thousands of files: equal
    lists become one."""

    _lists: dict[tuple[str, ...], list[str]] = field(default_factory=dict)

    def wanted(self) -> Wanted:
        return Wanted(self._skips, self._reduced, LongText.REFUSED)

    def kept(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The same of a list that was read at once."""
        return {name: self._reduced((name,), definition) for name, definition in body.items()}

    def _skips(self, path: Path) -> bool:
        return len(path) == 2 and path[1] not in DEFINITION_KEYS

    def _reduced(self, path: Path, value: Any) -> Any:
        if len(path) != 1 or not isinstance(value, dict):
            return value
        kept = {key: item for key, item in value.items() if key in DEFINITION_KEYS}
        inputs = kept.get("input")
        for specs in inputs.values() if isinstance(inputs, dict) else ():
            for spec in specs.values() if isinstance(specs, dict) else ():
                self._share_choices(spec)
        return kept

    def _share_choices(self, spec: Any) -> None:
        """Of ``[[value, …], options]`` and of ``["COMBO", {"options": [value, …]}]``."""
        if not isinstance(spec, list) or not spec:
            return
        options = spec[1] if len(spec) > 1 and isinstance(spec[1], dict) else {}
        for holder, key in ((spec, 0), (options, "options")):
            choices = holder[0] if holder is spec else options.get("options")
            if not isinstance(choices, list) or not SHARED_FROM <= len(choices) <= SHARED_MAX:
                continue
            if set(map(type, choices)) == {str}:
                holder[key] = self._lists.setdefault(tuple(choices), choices)  # type: ignore[index]


def queue_ids(client_ids: Collection[str] = ()) -> Wanted:
    """Of each prompt its id and who asked for it; its graph where one of these did, without long texts."""
    return Wanted(
        partial(_skips_in_queue, with_graphs=bool(client_ids)),
        partial(_reduced_entry, client_ids=frozenset(client_ids)),
        LongText.EMPTIED,
    )


def _skips_in_queue(path: Path, *, with_graphs: bool) -> bool:
    if len(path) == 3:
        return path[2] == _PROMPT and not with_graphs
    return len(path) == 4 and path[2] == _EXTRA and path[3] != "client_id"


def _reduced_entry(path: Path, value: Any, *, client_ids: frozenset[str]) -> Any:
    if len(path) != 2 or not isinstance(value, list) or len(value) <= _EXTRA:
        return value
    extra = value[_EXTRA] if isinstance(value[_EXTRA], dict) else {}
    client_id = extra.get("client_id")
    graph = value[_PROMPT] if isinstance(client_id, str) and client_id in client_ids else None
    return [value[0], value[1], graph, {"client_id": client_id}]


#: What became of prompts, without the prompts themselves.
ENDINGS = Wanted(
    lambda path: len(path) == 2 and path[1] == "prompt",
    lambda path, value: (
        {key: item for key, item in value.items() if key != "prompt"}
        if len(path) == 1 and isinstance(value, dict)
        else value
    ),
)
