"""Changing parameters of a prompt by address, title, class or bare name."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...errors import ParameterError
from ..models.job import Prompt
from ..prompts.requirements import may_be_input
from ..prompts.resemblance import resembling
from ..workflow.inspector import Parameter, inspect_parameters
from ..workflow.parser import check_prompt, check_value
from ..workflow.prompt import is_link, title_of

_MAX_CANDIDATES, _MAX_NEAR = 12, 4
_TRUE, _FALSE = frozenset({"true", "yes", "on", "1"}), frozenset({"false", "no", "off", "0"})


def patch_parameters(
    api: Mapping[str, Any], parameters: Iterable[Parameter], changes: Mapping[str, Any]
) -> Prompt:
    """Return a new prompt with `changes` applied; `api` stays untouched.

    A target is ``<node id>.<input>``, ``<title>.<input>``, ``<class>.<input>``, or an input's bare name
    when only one node has it. `parameters` (from `inspect_parameters`) give types and limits; inputs they
    do not cover take any value of the kind they hold. Raises ParameterError, naming the candidates, for a
    target that fits none or several inputs, and naming the limits for a value that is not allowed.
    """
    prompt = check_prompt(api)
    known = {(p.node_id, p.input): p for p in inspect_parameters(prompt)}
    known.update({(p.node_id, p.input): p for p in parameters if p.node_id in prompt})
    for target, value in changes.items():
        parameter = find_parameter(prompt, list(known.values()), target)
        prompt[parameter.node_id]["inputs"][parameter.input] = _prompt_value(parameter, value)
    return prompt


def find_parameter(prompt: Mapping[str, Any], parameters: Sequence[Parameter], target: str) -> Parameter:
    """The one parameter that `target` means; raises ParameterError naming what would have fitted."""
    by_address = [p for p in parameters if p.address == target]
    if by_address:
        return by_address[0]
    _refuse_link(prompt, target)
    qualified = [p for p in parameters if target in (f"{p.title}.{p.input}", f"{p.class_type}.{p.input}")]
    found = qualified or [p for p in parameters if p.input == target]
    if len(found) == 1:
        return found[0]
    if found:
        names = _addresses(found)
        raise ParameterError(
            f"{target!r} fits {len(found)} inputs: {_listed(found)}. Name one of them by its address.", names
        )
    near = _nearest(parameters, target)
    hint = f" Did you mean {_listed(near)}?" if near else ", and none with a similar name."
    stop = "." if near else ""
    raise ParameterError(f"There is no parameter {target!r} in this prompt{stop}{hint}", _addresses(near))


def coerce(parameter: Parameter, value: Any) -> Any:
    """Return `value` in the type of `parameter`, as the frontend's widget would take it.

    Raises ParameterError for a value of the wrong kind, out of range or not in the list.
    """
    check_value(value, f"parameter {parameter.address}")
    if parameter.type == "INT":
        return _in_range(parameter, _integer(parameter, value))
    if parameter.type == "FLOAT":
        return _in_range(parameter, _number(parameter, value))
    if parameter.type == "BOOLEAN":
        return _boolean(parameter, value)
    if parameter.type == "STRING":
        return _text(parameter, value)
    if parameter.choices and not parameter.upload:
        return _choice(parameter, value)
    return value


def _prompt_value(parameter: Parameter, value: Any) -> Any:
    coerced = coerce(parameter, value)
    return {"__value__": list(coerced)} if isinstance(coerced, (list, tuple)) else coerced


def _refuse_link(prompt: Mapping[str, Any], target: str) -> None:
    for node_id, node in prompt.items():
        for name, value in node["inputs"].items():
            if is_link(value) and target in (f"{node_id}.{name}", f"{title_of(node)}.{name}"):
                raise ParameterError(
                    f"{target!r} is linked: its value comes from node {value[0]}. Change a value there, "
                    "or take the link out in the workflow."
                )


def _integer(parameter: Parameter, value: Any) -> int | float:
    if isinstance(value, str):
        try:
            return int(value.strip())
        except ValueError:
            pass
    number = _number(parameter, value)
    if isinstance(number, int) or (parameter.is_guess and not number.is_integer()):
        return number  # pages write 2.0 as 2: what stands there does not tell that it has to be whole
    return math.floor(number + 0.5)


def _number(parameter: Parameter, value: Any) -> int | float:
    if isinstance(value, str):
        try:
            value = float(value.strip())
        except ValueError:
            raise _wrong(parameter, value, "a number") from None
        check_value(value, f"parameter {parameter.address}")
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _wrong(parameter, value, "a number")
    return value


def _in_range(parameter: Parameter, value: int | float) -> int | float:
    low, high = parameter.min, parameter.max
    if (low is not None and value < low) or (high is not None and value > high):
        bounds = f"{'…' if low is None else low} to {'…' if high is None else high}"
        raise ParameterError(
            f"{value} is out of range for {parameter.address} ({parameter.title}): allowed is {bounds}.",
            [str(bound) for bound in (low, high) if bound is not None],
        )
    return value


def _boolean(parameter: Parameter, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if str(value).strip().lower() in _TRUE:
        return True
    if str(value).strip().lower() in _FALSE:
        return False
    raise _wrong(parameter, value, "true or false")


def _text(parameter: Parameter, value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    raise _wrong(parameter, value, "a text")


def _choice(parameter: Parameter, value: Any) -> Any:
    choices = parameter.choices or ()
    for choice in choices:
        if choice == value and isinstance(choice, bool) == isinstance(value, bool):
            return choice
    wanted = str(value)
    for choice in choices:
        if str(choice) == wanted or str(choice).replace("\\", "/") == wanted.replace("\\", "/"):
            return choice
    # The list of a pack is a suggestion, and that of an input folder lacks what is sent along.
    if parameter.is_open or may_be_input(wanted):
        return value
    texts = [str(choice) for choice in choices]
    near = resembling(wanted, texts, 5, 0.4) or texts[:5]
    raise ParameterError(
        f"{wanted!r} is not in the list of {parameter.address} ({parameter.title}). "
        f"The nearest of its {len(texts)} choices: {', '.join(map(repr, near))}.",
        near,
    )


def _wrong(parameter: Parameter, value: Any, wanted: str) -> ParameterError:
    shown = repr(value)[:60]
    return ParameterError(
        f"{parameter.address} ({parameter.title}) needs {wanted}, but was given {shown}.", [parameter.address]
    )


def _nearest(parameters: Sequence[Parameter], target: str) -> list[Parameter]:
    """Those whose input is called so, or much like it; of several, those of a node called alike alone."""
    node, _, name = target.rpartition(".")
    near = [p for p in parameters if p.input == name]
    if not near:
        names = resembling(name, sorted({p.input for p in parameters}), 4, 0.6)
        near = [p for wanted in names for p in parameters if p.input == wanted]
    nodes = {label for p in near for label in (p.node_id, p.title, p.class_type)}
    alike = resembling(node, sorted(nodes), len(nodes), 0.6) if node and nodes else []
    of_it = [p for p in near if {p.node_id, p.title, p.class_type} & set(alike)]
    return (of_it or near)[:_MAX_NEAR]


def _addresses(parameters: Iterable[Parameter]) -> list[str]:
    return [parameter.address for parameter in parameters]


def _listed(parameters: Sequence[Parameter]) -> str:
    shown = [f"{p.address} ({p.title})" for p in parameters[:_MAX_CANDIDATES]]
    return ", ".join(shown) + (" …" if len(parameters) > _MAX_CANDIDATES else "")
