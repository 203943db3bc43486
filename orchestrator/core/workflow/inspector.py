"""What a person may want to change in a workflow or prompt, the most wanted first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..models.workflow import Workflow
from .converter import sketch_prompt
from .object_info import ANY_VALUE, ObjectInfo
from .prompt import is_link, title_of

_WANTED = (
    ("text", "prompt", "positive", "negative", "clip_l", "t5xxl"),
    ("seed", "noise_seed"),
    ("steps",),
    ("cfg", "guidance"),
    ("width", "height", "batch_size", "length"),
    ("ckpt_name", "unet_name", "model_name", "lora_name", "clip_name", "vae_name"),
    ("sampler_name", "scheduler", "denoise"),
    ("image", "video", "audio", "file"),
)
_RANK = {name: rank for rank, names in enumerate(_WANTED) for name in names}
_TEXT_NAMES = frozenset(_WANTED[0])


@dataclass(frozen=True, slots=True)
class Parameter:
    """One changeable value of a prompt.

    ``address`` is ``<node id>.<input>`` and stays valid as long as the node lives. ``type`` is ComfyUI's
    (INT, FLOAT, STRING, BOOLEAN, COMBO …), or what the value looks like where no definition is known.
    ``choices`` is None unless the value must be one of them; ``upload`` says that it names an input file.
    ``is_guess``: the type is what the value looks like; of a whole number that may be INT or FLOAT.
    ``is_open``: the class may take what is not among the choices, or several of them.
    """

    node_id: str
    input: str
    title: str
    class_type: str
    type: str
    value: Any
    default: Any = None
    min: int | float | None = None
    max: int | float | None = None
    step: int | float | None = None
    choices: tuple[Any, ...] | None = None
    multiline: bool = False
    upload: str | None = None
    is_guess: bool = False
    is_open: bool = False

    @property
    def address(self) -> str:
        return f"{self.node_id}.{self.input}"


def inspect_parameters(
    workflow: Workflow | Mapping[str, Any],
    definitions: ObjectInfo | Mapping[str, Any] | None = None,
) -> tuple[Parameter, ...]:
    """List the parameters of a workflow (UI format) or a prompt (API format).

    Without `definitions` names and types come from the file itself. Node ids are those of the prompt, so
    the inner node 8 of the subgraph node 57 is ``57:8``. Raises WorkflowError for a malformed file.
    """
    info = ObjectInfo.of(definitions)
    found = [
        _parameter(node_id, node, name, value, info)
        for node_id, node in sketch_prompt(workflow, info).items()
        for name, value in node["inputs"].items()
        if not is_link(value)
    ]
    return tuple(sorted(found, key=_rank))


def unwrapped(value: Any) -> Any:
    """The array inside ``{"__value__": […]}``, which keeps a prompt's arrays apart from links."""
    if isinstance(value, Mapping) and isinstance(value.get("__value__"), (list, tuple)):
        return list(value["__value__"])
    return value


def _parameter(node_id: str, node: Mapping[str, Any], name: str, raw: Any, info: ObjectInfo) -> Parameter:
    class_type = str(node["class_type"])
    value = unwrapped(raw)
    spec = info.input(class_type, name) if class_type in info else None
    if spec is None or spec.type == ANY_VALUE:
        kind = _looks_like(value)
        multiline = kind == "STRING" and (name in _TEXT_NAMES or "\n" in value)
        told = (node_id, name, title_of(node), class_type, kind, value)
        return Parameter(*told, multiline=multiline, is_guess=True)
    return Parameter(
        node_id,
        name,
        title_of(node),
        class_type,
        spec.type,
        value,
        spec.default,
        spec.minimum,
        spec.maximum,
        spec.step,
        spec.choices,
        spec.multiline,
        spec.upload,
        is_open=spec.multi_select or info.is_from_pack(class_type),
    )


def _looks_like(value: Any) -> str:
    if isinstance(value, bool):
        return "BOOLEAN"
    if isinstance(value, int):
        return "INT"
    if isinstance(value, float):
        return "FLOAT"
    return "STRING" if isinstance(value, str) else "JSON"


def _rank(parameter: Parameter) -> int:
    if parameter.multiline and parameter.type == "STRING":
        return 0
    return _RANK.get(parameter.input, len(_WANTED))
