"""What kind of work a prompt is: two prompts of one kind take equally long on one peer."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

from ...errors import WorkflowError
from ..workflow.object_info import ObjectInfo
from ..workflow.prompt import class_of, is_link
from .peer_files import is_model_file

#: Inputs whose number says how much there is to do, and how the values of several nodes come together.
_SIZES: Mapping[str, str] = {
    "width": "max",
    "height": "max",
    "batch_size": "max",
    "length": "max",
    "frames": "max",
    "num_frames": "max",
    "video_frames": "max",
    "frame_count": "max",
    "steps": "sum",
    "seconds": "sum",
    "duration": "max",
    "megapixels": "max",
    "scale_by": "max",
    "upscale_by": "max",
    "amount": "max",
    "resolution": "max",
    "denoise": "max",
    "start_at_step": "max",
    "end_at_step": "max",
}
#: In `work`, but not factors of it: they bound other inputs.
_NOT_FACTORS = frozenset({"denoise", "start_at_step", "end_at_step"})
#: Choices that change how long a step takes.
_MODES = frozenset({"sampler_name", "weight_dtype", "dtype", "upscale_method", "device"})
_FILES_MAX = 64


@dataclass(frozen=True)
class Kind:
    """``signature``: the graph's structure, model files and sizes, as a short hash. Node ids, seeds, texts
    and file names of results are not in it. ``shape``: the same without sizes. ``work``: how much there is
    to do, in no unit: pixels × frames × batch × steps; comparable within a shape. ``files``: the model files,
    with "/" between folders.
    """

    signature: str
    shape: str = ""
    work: float = 1.0
    files: tuple[str, ...] = ()


UNKNOWN_KIND = Kind("")


def kind_of(prompt: Mapping[str, Any], info: ObjectInfo | None = None) -> Kind:
    """The kind of an API-format prompt. `info` tells file choices from texts that look like a file; where it
    does not know a class the ending decides."""
    files: set[str] = set()
    sizes: dict[str, float] = {}
    own_shapes: dict[str, str] = {}
    own_sizes: dict[str, str] = {}
    for node_id, node in prompt.items():
        own_shapes[node_id], own_sizes[node_id] = _own(node, info, files, sizes)
    kept = tuple(sorted(files))[:_FILES_MAX]
    shapes = _hashes(prompt, own_shapes)
    full = _hashes(prompt, {node_id: own_shapes[node_id] + own_sizes[node_id] for node_id in prompt})
    return Kind(_digest(*sorted(full.values())), _digest(*sorted(shapes.values())), _work(sizes), kept)


def _own(node: Any, info: ObjectInfo | None, files: set[str], sizes: dict[str, float]) -> tuple[str, str]:
    """What a node is by itself, without and with its sizes; its files and sizes are noted."""
    class_type = class_of(node)
    inputs = node.get("inputs") if isinstance(node, Mapping) else None
    shape, size = [class_type], []
    for name, value in sorted((str(k), v) for k, v in inputs.items()) if isinstance(inputs, Mapping) else ():
        if isinstance(value, str):
            if is_model_file(value) and _is_choice(info, class_type, name):
                spelled = value.replace("\\", "/")
                files.add(spelled)
                shape.append(f"{name}={spelled}")
            elif name in _MODES:
                shape.append(f"{name}={value}")
        elif name in _SIZES and isinstance(value, (int, float)) and not isinstance(value, bool):
            size.append(f"{name}={value!r}")
            number = float(value) if abs(value) < 1e15 else 1e15
            both = sizes.get(name, 0.0) + number if _SIZES[name] == "sum" else max(sizes.get(name, 0), number)
            sizes[name] = both
    return "\x1f".join(shape), "\x1e" + "\x1f".join(size)


def _is_choice(info: ObjectInfo | None, class_type: str, name: str) -> bool:
    if info is None or class_type not in info:
        return True
    try:
        spec = info.input(class_type, name)
    except WorkflowError:
        return True
    return spec is None or spec.choices is not None


def _work(sizes: Mapping[str, float]) -> float:
    factors = (value for name, value in sizes.items() if name not in _NOT_FACTORS and value > 0)
    return min(max(reduce(lambda a, b: a * b, factors, 1.0), 1e-6), 1e30)


def _hashes(prompt: Mapping[str, Any], own: Mapping[str, str]) -> dict[str, str]:
    """For each node a hash of itself and all it depends on. A link that leads in a circle counts as none."""
    done: dict[str, str] = {}
    for root in prompt:
        stack = [root]
        under_way: set[str] = set()
        while stack:
            node_id = stack[-1]
            if node_id in done:
                stack.pop()
                continue
            links = list(_links(prompt[node_id]))
            todo = [s for _, s, _ in links if s in prompt and s not in done and s not in under_way]
            if todo and node_id not in under_way:
                under_way.add(node_id)
                stack.extend(todo)
                continue
            above = (f"{name}<{done.get(source, '')}:{slot}" for name, source, slot in links)
            done[node_id] = _digest(own[node_id], *above)
            stack.pop()
    return done


def _links(node: Any) -> Iterator[tuple[str, str, int]]:
    inputs = node.get("inputs") if isinstance(node, Mapping) else None
    for name, value in sorted((str(k), v) for k, v in inputs.items()) if isinstance(inputs, Mapping) else ():
        if is_link(value):
            yield name, str(value[0]), value[1]


def _digest(*parts: str) -> str:
    return hashlib.blake2b("\x1d".join(parts).encode("utf-8", "replace"), digest_size=10).hexdigest()
