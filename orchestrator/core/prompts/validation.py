"""Would a peer take this prompt? Answers from its /object_info what POST /prompt would answer there.

The shape of errors is that of ComfyUI's own 400 (``validate_prompt`` in its execution.py), so the page marks
the guilty nodes. Checks that only a class's own code can do are left to the peer; a class outside ComfyUI's
own may replace those of lists, bounds and link types by its own (VALIDATE_INPUTS), which nobody sees here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from mimetypes import MimeTypes
from typing import Any

from ..models.job import Prompt
from ..workflow.object_info import COMBO, InputSpec, ObjectInfo
from ..workflow.prompt import class_of, is_link, links_of
from ..workflow.replacements import with_replacements
from .requirements import NO_DOUBT, TAKES_ANY_CHOICE, Doubt, doubt_of, lacks_of, may_be_input

_CONVERTED: Mapping[str, Callable[[Any], Any]] = {"INT": int, "FLOAT": float}
_LISTED_UP_TO = 20
_TYPES = MimeTypes()
_NOT_INSTALLED = "the peer does not have it installed"
_NO_OUTPUTS = "prompt_no_outputs"
# What a class may decide by itself: it is no error of a pack's node, only a reason to prefer another peer.
_OWN_BUSINESS = frozenset(
    {"value_not_in_list", "value_smaller_than_min", "value_bigger_than_max", "return_type_mismatch"}
)


@dataclass(frozen=True)
class Validation:
    """``outputs``: the output nodes that can run. ``error`` is None when there is at least one; it and
    ``node_errors`` (node id -> errors, class_type, dependent_outputs) are as in ComfyUI's answer. ``words``:
    the same for people, what the peer lacks first. ``rests_on``: what an error was read from."""

    outputs: tuple[str, ...] = ()
    node_errors: Mapping[str, Any] = field(default_factory=dict)
    error: Mapping[str, Any] | None = None
    words: tuple[str, ...] = ()
    rests_on: Doubt = NO_DOUBT


def validate(
    prompt: Prompt,
    info: ObjectInfo,
    targets: Sequence[str] | None = None,
    has_file: Callable[[str], bool] = lambda value: False,
) -> Validation:
    """Check `prompt`, or what its output nodes `targets` need. `has_file` tells of uploadable input files."""
    prompt = with_replacements(prompt, info.replacements, info)
    unknown = {i: class_of(node) for i, node in prompt.items() if class_of(node) not in info}
    if unknown:
        missing = lacks_of(prompt, info)
        return replace(_unknown_classes(unknown), words=missing.sure, rests_on=missing.rests_on)
    outputs = [
        node_id
        for node_id, node in prompt.items()
        if info.is_output_node(class_of(node)) and (targets is None or node_id in targets)
    ]
    if not outputs:
        return Validation(error=_error(_NO_OUTPUTS, "Prompt has no outputs", ""))
    found: dict[str, list[dict[str, Any]]] = {}
    dependents: dict[str, list[str]] = {}
    good: list[str] = []
    for output in outputs:
        upstream, is_cyclic = _upstream(prompt, output)
        for node_id in upstream:
            if node_id not in found:
                found[node_id] = [
                    error
                    for error in _node_errors(prompt, node_id, info, has_file)
                    if is_sure(error, class_of(prompt[node_id]), info)
                ]
        if is_cyclic:
            found[output].append(_error("dependency_cycle", "The graph has a cycle", f"above node {output}"))
        guilty = [node_id for node_id in upstream if found[node_id]]
        for node_id in guilty:
            dependents.setdefault(node_id, []).append(output)
        if not guilty:
            good.append(output)
    node_errors = {
        node_id: {
            "errors": found[node_id],
            "dependent_outputs": outputs_of,
            "class_type": class_of(prompt[node_id]),
        }
        for node_id, outputs_of in dependents.items()
    }
    rests_on = doubt_of(class_of(prompt[node_id]) for node_id in node_errors)
    if good:
        return Validation(tuple(good), node_errors, rests_on=rests_on)
    errors = [error for node_id in node_errors for error in found[node_id]]
    lines = [f"{error['message']}: {error['details']}" for error in errors]
    lacks = lacks_of(prompt, info, {node_id: prompt[node_id] for node_id in found}).sure
    others = [line for line, error in zip(lines, errors, strict=True) if not _is_told(error, lacks)]
    error = _error("prompt_outputs_failed_validation", "Prompt outputs failed validation", "\n".join(lines))
    return Validation((), node_errors, error, (*lacks, *others), rests_on)


def is_sure(error: Mapping[str, Any], class_type: str, info: ObjectInfo) -> bool:
    """Whether the peer refuses a prompt with this error for certain."""
    if error["type"] not in _OWN_BUSINESS:
        return True
    value = error["extra_info"].get("received_value")
    if isinstance(value, str) and may_be_input(value):
        if any(mark in value for mark in "/\\["):
            return False  # the list has what lies in the input folder itself, and nothing below or beside it
        spec = info.input(class_type, str(error["extra_info"].get("input_name")))
        if spec is not None and spec.upload and not _type_of(value).startswith(spec.upload):
            return False  # nor what is of another type by its ending, which the class may read all the same
    return info.is_stock(class_type) and class_type not in TAKES_ANY_CHOICE


def _type_of(name: str) -> str:
    """The media type by which ComfyUI lists a file, as far as every machine knows it; "" for others."""
    return _TYPES.guess_type(name, strict=False)[0] or ""


def doubtful(prompt: Prompt, info: ObjectInfo) -> tuple[tuple[str, str, Any], ...]:
    """What the peer's definitions say against values and links of the prompt, sure or not: the class, a
    phrase, and the value it is about. Names of files and folders are not judged here."""
    found: list[tuple[str, str, Any]] = []
    for node_id, node in prompt.items():
        class_type = class_of(node)
        if class_type in info and class_type not in TAKES_ANY_CHOICE:
            for error in _node_errors(prompt, node_id, info, lambda value: False):
                value = error["extra_info"].get("received_value")
                words = f"{error['message']} at node {node_id}: {error['details']}"
                found.append((class_type, words, value))
    return tuple(found)


def agree(answers: Mapping[str, Validation | str]) -> Validation:
    """One answer of all peers, by name; text stands for a peer that could not be asked, and says why.

    A prompt is fine when it is for one of them; else the nearest miss leads, with what each of them lacks.
    """
    asked = [answer for answer in answers.values() if isinstance(answer, Validation)]
    fine = [answer for answer in asked if answer.error is None]
    if fine:
        return max(fine, key=lambda answer: len(answer.outputs))
    if asked and all(answer.error is not None and answer.error["type"] == _NO_OUTPUTS for answer in asked):
        return asked[0]  # the prompt's own fault, whichever peer it goes to
    alike: dict[str, list[str]] = {}
    for name, answer in answers.items():
        alike.setdefault(_told(answer) if isinstance(answer, Validation) else answer, []).append(name)
    lines = [f"{', '.join(names)}: {words}" for words, names in alike.items()]
    if not answers:
        lines = ["No peer is registered. Open the Fleet tab and add the address of one, or leave fleet mode."]
    nearest = min(asked, key=lambda answer: len(answer.node_errors), default=None)
    kind = nearest.error["type"] if nearest and nearest.error else "no_peer"
    errors = nearest.node_errors if nearest else {}
    return Validation((), errors, _error(kind, "No peer can run this prompt", "\n".join(lines)))


def _told(answer: Validation) -> str:
    error = answer.error or {}
    return "; ".join(answer.words) or error.get("details") or error.get("message") or ""


def _is_told(error: Mapping[str, Any], lacks: Sequence[str]) -> bool:
    """Whether this error is about a file that is named among what the peer lacks."""
    value = error["extra_info"].get("received_value")
    is_choice = error["type"] == "value_not_in_list" and isinstance(value, str)
    return is_choice and any(f"the file {value}," in words for words in lacks)


def _unknown_classes(unknown: Mapping[str, str]) -> Validation:
    names = ", ".join(sorted(set(unknown.values())))
    return Validation(
        (),
        {
            node_id: {
                "errors": [_error("missing_node_type", f"Node type {name} is missing", _NOT_INSTALLED)],
                "dependent_outputs": [],
                "class_type": name,
            }
            for node_id, name in unknown.items()
        },
        _error("missing_node_type", f"Missing node types: {names}", ""),
    )


def _upstream(prompt: Prompt, output: str) -> tuple[list[str], bool]:
    """The node and all it depends on, and whether they depend on each other in a circle."""
    done: dict[str, bool] = {}  # False while its sources are being walked
    stack: list[tuple[str, bool]] = [(output, False)]
    is_cyclic = False
    while stack:
        node_id, is_left = stack.pop()
        if is_left:
            done[node_id] = True
            continue
        if node_id in done:
            continue
        done[node_id] = False
        stack.append((node_id, True))
        for _, source, _ in links_of(prompt[node_id]):
            if source in prompt:
                is_cyclic = is_cyclic or done.get(source) is False
                stack.append((source, False))
    return list(done), is_cyclic


def _node_errors(
    prompt: Prompt, node_id: str, info: ObjectInfo, has_file: Callable[[str], bool]
) -> Iterator[dict[str, Any]]:
    node = prompt[node_id]
    inputs = node.get("inputs", {})
    for spec in info.inputs(class_of(node)):
        if spec.section == "hidden" or spec.type.startswith("COMFY_"):
            continue  # dynamic inputs are the class's own business
        if spec.name not in inputs:
            if spec.section == "required":
                yield _input_error("required_input_missing", "Required input is missing", spec.name, spec)
            continue
        value = inputs[spec.name]
        if isinstance(value, list):
            yield from _link_errors(prompt, value, spec, info)
        else:
            yield from _value_errors(value, spec, has_file)


def _link_errors(
    prompt: Prompt, value: list[Any], spec: InputSpec, info: ObjectInfo
) -> Iterator[dict[str, Any]]:
    message = "Bad linked input, must be a length-2 list of [node_id, slot_index]"
    if not is_link(value) or str(value[0]) not in prompt:
        yield _input_error("bad_linked_input", message, spec.name, spec, received_value=value)
        return
    types = info.output_types(class_of(prompt[str(value[0])]))
    if not 0 <= value[1] < len(types):
        yield _input_error("bad_linked_input", message, spec.name, spec, received_value=value)
    elif not _fits(types[value[1]], spec.type):
        details = f"{spec.name}, received_type({types[value[1]]}) mismatch input_type({spec.type})"
        message = "Return type mismatch between linked nodes"
        yield _input_error(
            "return_type_mismatch", message, details, spec, received_type=types[value[1]], linked_node=value
        )


def _fits(given: str, wanted: str) -> bool:
    # A choice's type is its list, which only the peer can compare; a matched type is known when it runs.
    if COMBO in (given, wanted) or given.startswith("COMFY_"):
        return True
    return "*" in given or "*" in wanted or bool(_types(given) & _types(wanted))


def _types(text: str) -> set[str]:
    return {part.strip() for part in text.split(",")}


def _value_errors(value: Any, spec: InputSpec, has_file: Callable[[str], bool]) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict) and "__value__" in value:
        value = value["__value__"]
    if spec.type in _CONVERTED:
        try:
            value = _CONVERTED[spec.type](value)
        except (TypeError, ValueError, OverflowError) as exc:
            message = f"Failed to convert an input value to a {spec.type} value"
            details = f"{spec.name}, {value}, {exc}"
            yield _input_error("invalid_input_type", message, details, spec, received_value=value)
            return
        if (least := spec.minimum) is not None and value < least:
            message = f"Value {value} smaller than min of {least}"
            yield _input_error("value_smaller_than_min", message, spec.name, spec, received_value=value)
        elif (most := spec.maximum) is not None and value > most:
            message = f"Value {value} bigger than max of {most}"
            yield _input_error("value_bigger_than_max", message, spec.name, spec, received_value=value)
    elif spec.type == COMBO and not _is_choice(value, spec, has_file):
        choices = spec.choices or ()
        short = len(choices) <= _LISTED_UP_TO
        listed = str(list(choices)) if short else f"(list of length {len(choices)})"
        details = f"{spec.name}: '{value}' not in {listed}"
        yield _input_error("value_not_in_list", "Value not in list", details, spec, received_value=value)


def _is_choice(value: Any, spec: InputSpec, has_file: Callable[[str], bool]) -> bool:
    choices = spec.choices or ()
    if spec.multi_select or "remote" in spec.options or value in choices:
        return True
    if not isinstance(value, str):
        return False
    # Models are named with the separators of the machine that listed them; input files are brought along.
    spellings = (value.replace("\\", "/"), value.replace("/", "\\"))
    if any(other in choices for other in spellings):
        return True
    return (spec.upload is not None or may_be_input(value)) and has_file(value)


def _input_error(kind: str, message: str, details: str, spec: InputSpec, **extra: Any) -> dict[str, Any]:
    return _error(kind, message, details, input_name=spec.name, **extra)


def _error(kind: str, message: str, details: str, **extra: Any) -> dict[str, Any]:
    return {"type": kind, "message": message, "details": details, "extra_info": extra}
