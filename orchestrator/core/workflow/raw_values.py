"""Single raw values of a workflow file, checked: every complaint names the place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ...errors import WorkflowError

# Names that a browser would take for an object's own machinery.
FORBIDDEN_NAMES = frozenset({"__proto__", "constructor", "prototype"})


# The parts of a place are put together only for a complaint: a file has thousands of places.
def words(where: Iterable[object]) -> str:
    return " ".join(map(str, where))


def as_mapping(value: Any, *where: object) -> Mapping[str, Any]:
    if isinstance(value, (dict, Mapping)):
        return value
    raise WorkflowError(f"Expected an object for {words(where)}, found {shown(value)}.")


def as_list(value: Any, *where: object) -> list[Any]:
    if value is None:
        return []
    if isinstance(value, (list, tuple)):
        return list(value)
    raise WorkflowError(f"Expected a list for {words(where)}, found {shown(value)}.")


def as_text(value: Any, *where: object) -> str:
    if isinstance(value, str) and value:
        return value
    raise WorkflowError(f"Expected a name for {words(where)}, found {shown(value)}.")


def as_name(value: Any, *where: object) -> str:
    if not isinstance(value, str):
        raise WorkflowError(f"Expected a name for {words(where)}, found {shown(value)}.")
    if value in FORBIDDEN_NAMES:
        raise WorkflowError(f"{value!r} is not allowed as {words(where)}.")
    return value


def optional_text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def as_id(value: Any, *where: object) -> str:
    if type(value) is int:
        return str(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, (int, str)) or value == "":
        raise WorkflowError(f"Expected a number or a text for {words(where)}, found {shown(value)}.")
    return as_name(str(value), *where)


def as_slot(value: Any, *where: object) -> int:
    if type(value) is int:
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 6:
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if value is None or isinstance(value, bool) or not isinstance(value, int):
        raise WorkflowError(f"Expected a slot number for {words(where)}, found {shown(value)}.")
    return value


def as_type(value: Any) -> str:
    if isinstance(value, str):
        return value or "*"
    if isinstance(value, (list, tuple)):
        return "COMBO"
    return "*" if value is None or value == 0 else str(value)


def shown(value: Any) -> str:
    text = repr(value) if isinstance(value, (str, int, float, bool)) else type(value).__name__
    return "nothing" if value is None else text[:60]
