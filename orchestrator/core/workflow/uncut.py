"""A prompt as it was asked for, of one that the fleet ran: what pictures made by it carry.

The master cuts a prompt for its dispatch nodes (see ``cut``). A peer gets prefixes and names of uploaded
files that are its own (see ``engine.output_names``, ``dispatch.transport``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..models.job import Prompt
from .cut import DISPATCH_CLASS, VALUE_INPUT, Stash
from .prompt import class_of

_PREFIXES = ("filename_prefix", "prefix")
_IN_FOLDER = re.compile(r"rd-[0-9a-f]{8}[/\\]")
_FLAT = re.compile(r"rd-[0-9a-f]{8}-\d+(~+)")
#: See ``engine.input_names``: in a folder of its own under its name, or named by its content.
_UPLOADED = re.compile(r"remote-dispatch[/\\][0-9a-f]{40}(?:[/\\](?P<name>[^/\\]+)|(?P<ending>\.\w+)?)")
_ANNOTATION = re.compile(r" \[(input|output|temp)\]$")


def restored(prompt: Prompt, workflow: Mapping[str, Any] | None = None) -> Prompt:
    """`prompt` with what was cut out put back, and with the names that were asked for; the names of uploaded
    files are those of the `workflow` beside it, where only one can be meant.

    Raises:
        WorkflowError: what was cut out is damaged.
    """
    whole = _uncut(prompt)
    return {node_id: _renamed(node_id, node, workflow) for node_id, node in whole.items()}


def _uncut(prompt: Prompt) -> Prompt:
    result = prompt
    for node_id, node in prompt.items():
        inputs = node.get("inputs") if class_of(node) == DISPATCH_CLASS else None
        stash = Stash.from_input(inputs.get(VALUE_INPUT)) if isinstance(inputs, dict) else None
        if stash is None or not isinstance(inputs, dict):
            continue
        own = {name: value for name, value in inputs.items() if name not in stash.boundaries}
        del own[VALUE_INPUT]
        if stash.link is not None:
            own[VALUE_INPUT] = [stash.link.node_id, stash.link.slot]
        result = {**stash.prompt, **result, node_id: {**node, "inputs": own}}
    return result


def _renamed(node_id: str, node: Mapping[str, Any], workflow: Mapping[str, Any] | None) -> Any:
    inputs = node.get("inputs")
    if not isinstance(inputs, Mapping):
        return node
    texts = {name: value for name, value in inputs.items() if isinstance(value, str)}
    changed = {name: _asked_prefix(texts[name]) for name in _PREFIXES if name in texts}
    for name, value in texts.items():
        uploaded = _UPLOADED.fullmatch(value) if workflow else None
        if uploaded and workflow:
            saved = _saved_texts(workflow, node_id, class_of(node))
            names = {text for text in saved if _may_be(text, uploaded["name"], uploaded["ending"])}
            if len(names) == 1:
                changed[name] = names.pop()
    changed = {name: value for name, value in changed.items() if value != inputs[name]}
    return {**node, "inputs": {**inputs, **changed}} if changed else node


def _asked_prefix(prefix: str) -> str:
    if flat := _FLAT.match(prefix):
        return prefix[flat.end() :].replace(flat[1], "/")
    return _IN_FOLDER.sub("", prefix, count=1) if _IN_FOLDER.match(prefix) else prefix


def _may_be(text: str, name: str | None, ending: str | None) -> bool:
    """Whether a saved text names the file that was uploaded under this name, or with this ending."""
    file = _ANNOTATION.sub("", text)
    if name is not None:
        return re.split(r"[/\\]", file)[-1] == name
    return bool(ending) and file.lower().endswith(str(ending))


def _saved_texts(workflow: Mapping[str, Any], node_id: str, kind: str) -> Iterator[str]:
    """The texts among the values of the saved node that `node_id`, a path through subgraphs, leads to."""
    definitions = workflow.get("definitions")
    subgraphs = definitions.get("subgraphs") if isinstance(definitions, Mapping) else None
    for scope in (workflow, *_objects(subgraphs)):
        for node in _objects(scope.get("nodes")):
            if str(node.get("id")) == node_id.split(":")[-1] and node.get("type") == kind:
                values = node.get("widgets_values")
                values = values.values() if isinstance(values, Mapping) else values
                for value in values if isinstance(values, Iterable) else ():
                    if isinstance(value, str):
                        yield value


def _objects(found: Any) -> Iterator[Mapping[str, Any]]:
    return (each for each in found if isinstance(each, Mapping)) if isinstance(found, list) else iter(())
