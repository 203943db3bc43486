"""Whether anything of a cut-out graph changed, as the host would ask had it stayed in the prompt.

The host's cache asks each class it has by the class's own check (IS_CHANGED, fingerprint_inputs). Nodes in a
stash are no longer nodes of its prompt, so Remote Dispatch asks for them, by the host's own code. Of a class
that this computer lacks nothing can be asked: its node is the same as long as its inputs are.
"""

from __future__ import annotations

import copy
import hashlib
import importlib
import json
import logging
import math
import uuid
from collections.abc import Mapping
from typing import Any

from comfy_execution.graph import DynamicPrompt  # type: ignore[import-not-found]

from ..orchestrator.core.models.job import Prompt
from ..orchestrator.core.prompts.mentions import leaves
from ..orchestrator.core.workflow.prompt import class_of
from ..orchestrator.dispatch.attempts.transport import hash_file
from ..orchestrator.host import comfy as host_comfy
from .carriers import CHAIN_FOLDER

# ComfyUI's module; a type checker would look for our own.
execution: Any = importlib.import_module("execution")

log = logging.getLogger(__name__)
_DEPTH_MAX = 32


async def fingerprint(prompt: Prompt) -> str:
    """A text that stays the same as long as the checks of all classes, and the bytes of all input files that
    the graph names, do."""
    digest = hashlib.sha256(_input_bytes(prompt).encode())
    checks = _checks(prompt)
    for stashed_id in sorted(prompt):
        if host_comfy.has_class(class_of(prompt[stashed_id])):
            digest.update(f"{stashed_id}={_lasting(await _asked(checks, stashed_id))}\n".encode())
    return digest.hexdigest()


def _checks(prompt: Prompt) -> Any:
    """The host's own reader of such checks; it notes its answers in the nodes, so these are copies."""
    return execution.IsChangedCache("", DynamicPrompt(copy.deepcopy(prompt)), None)


async def _asked(checks: Any, node_id: str) -> Any:
    """What the node's class says; NaN, which equals nothing, where it cannot say."""
    try:
        return await checks.get(node_id)
    except Exception as exc:  # a pack's own code, and a host that may do it in another way
        log.warning("Whether node %s changed cannot be told (%s), so it counts as changed", node_id, exc)
        return math.nan


def _lasting(value: Any) -> str:
    """A text for it that is the same the next time; another one each time for what equals nothing."""
    return json.dumps(_plain(value, 0), sort_keys=True, default=repr)


def _plain(value: Any, depth: int) -> Any:
    if isinstance(value, float):
        return value if value == value else _unique()
    if value is None or isinstance(value, (str, int, bool)):
        return value
    if isinstance(value, bytes):
        return value.hex()
    if depth < _DEPTH_MAX and isinstance(value, Mapping):
        return [[_plain(k, depth + 1), _plain(v, depth + 1)] for k, v in value.items()]
    if depth < _DEPTH_MAX and isinstance(value, (list, tuple)):
        return [_plain(item, depth + 1) for item in value]
    return _unique()  # as for the host: nothing that it could compare


def _unique() -> str:
    return uuid.uuid4().hex


def _input_bytes(prompt: Prompt) -> str:
    lines = []
    for node_id in sorted(prompt):
        for name, value in sorted(prompt[node_id].get("inputs", {}).items()):
            for leaf in leaves(name, value):  # files inside objects are sent too
                if leaf.text.startswith(f"{CHAIN_FOLDER}/"):
                    continue  # named by its bytes
                path = host_comfy.resolve_input(leaf.text) if leaf.text else None
                if path is not None:
                    lines.append(f"{node_id}.{name}={hash_file(path)}\n")
    return "".join(lines)
