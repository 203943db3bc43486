"""What a prompt needs of a peer, read against that peer's own /object_info."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ...errors import WorkflowError
from ..models.job import Prompt
from ..workflow.object_info import InputSpec, ObjectInfo
from ..workflow.prompt import class_of

# A choice with such an ending names a model file; the peer has to have it.
_MODEL_FILE = re.compile(r"\.(safetensors|sft|ckpt|pt|pt2|pth|bin|gguf|onnx|engine|pkl|yaml)$", re.IGNORECASE)
# Any other ending may name a file that the user put into the master's input folder.
_INPUT_FILE = re.compile(r"\.[A-Za-z0-9]{1,8}(\s*\[(input|output|temp)\])?$")


@dataclass(frozen=True)
class InputReference:
    """An input that may name a file of the master. ``sure``: the class has an upload button for it."""

    node_id: str
    input: str
    value: str
    sure: bool


def unmet(prompt: Prompt, info: ObjectInfo) -> tuple[str, ...]:
    """Everything the peer lacks for this prompt, one phrase each; empty when it can run it."""
    classes = {class_of(node) for node in prompt.values()}
    missing = tuple(f"it lacks the node {name}" for name in sorted(classes) if name not in info)
    files: dict[str, str] = {}
    for node_id, spec, value in _choices(prompt, info):
        if _MODEL_FILE.search(value) and not spec.upload and _listed_as(value, spec) is None:
            near = difflib.get_close_matches(value, [str(c) for c in spec.choices or ()], n=1, cutoff=0.8)
            hint = f" (it has {near[0]})" if near else ""
            files[value] = f"it lacks the file {value}, wanted by node {node_id} ({spec.name}){hint}"
    return missing + tuple(files[name] for name in sorted(files))


def is_model_file(value: str) -> bool:
    return bool(_MODEL_FILE.search(value))


def model_files(info: ObjectInfo) -> frozenset[str]:
    """The model files that the peer offers in any of its nodes, with "/" between folders."""
    found: set[str] = set()
    for class_type in info:
        try:
            specs = info.inputs(class_type)
        except WorkflowError:
            continue
        for spec in specs:
            choices = (spec.choices or ()) if spec.upload is None else ()
            names = (choice for choice in choices if isinstance(choice, str) and _MODEL_FILE.search(choice))
            found.update(name.replace("\\", "/") for name in names)
    return frozenset(found)


def localise_paths(prompt: Prompt, info: ObjectInfo) -> Prompt:
    """The prompt with model paths spelled with the peer's own separator."""
    changed: Prompt = {}
    for node_id, spec, value in _choices(prompt, info):
        listed = _listed_as(value, spec)
        if listed is not None and listed != value:
            node = changed[node_id] if node_id in changed else prompt[node_id]
            changed[node_id] = {**node, "inputs": {**node["inputs"], spec.name: listed}}
    return {**prompt, **changed}


def input_references(prompt: Prompt, info: ObjectInfo) -> tuple[InputReference, ...]:
    """Inputs whose value may be a file of the master's input, output or temp folder."""
    return tuple(
        InputReference(node_id, spec.name, value, sure=spec.upload is not None)
        for node_id, spec, value in _choices(prompt, info)
        if spec.upload or (_INPUT_FILE.search(value) and not _MODEL_FILE.search(value))
    )


def oversized(files: Mapping[str, int], limit_bytes: int) -> tuple[str, ...]:
    """The input files, each with its bytes, that a peer with this limit does not take, one phrase each."""
    return tuple(
        f"its upload limit of {_mib(limit_bytes)} MiB is below {name} ({_mib(size)} MiB)"
        for name, size in sorted(files.items())
        if size > limit_bytes
    )


def with_input(prompt: Prompt, node_id: str, name: str, value: Any) -> Prompt:
    """The prompt with one input changed."""
    node = prompt[node_id]
    return {**prompt, node_id: {**node, "inputs": {**node["inputs"], name: value}}}


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / 2**20:.4g}" if size_bytes < 10_000 << 20 else f"{size_bytes / 2**20:.0f}"


def _choices(prompt: Prompt, info: ObjectInfo) -> Iterator[tuple[str, InputSpec, str]]:
    for node_id, node in prompt.items():
        class_type = class_of(node)
        if class_type not in info:
            continue
        for name, value in node.get("inputs", {}).items():
            if isinstance(value, str) and value:
                spec = info.input(class_type, name)
                if spec is not None and spec.choices is not None:
                    yield node_id, spec, value


def _listed_as(value: str, spec: InputSpec) -> str | None:
    """How the peer's own list spells the value; None when it is not there."""
    choices = spec.choices or ()
    if value in choices:
        return value
    for other in (value.replace("\\", "/"), value.replace("/", "\\")):
        if other in choices:
            return other
    return None
