"""The only reader of ComfyUI's /object_info: which inputs, choices and outputs each node class has.

Source: GET /object_info of ComfyUI 0.3.75 and later. An input is ``[type, options]``; a choice is
``[[value, …], options]`` in nodes of the old schema and ``["COMBO", {"options": […]}]`` in the new one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from ...errors import WorkflowError
from ..models.workflow import EMPTY
from .prompt import SEED_NAMES
from .replacements import Replacements

Section = Literal["required", "optional", "hidden"]
UploadKind = Literal["image", "video", "audio", "file"]

_UPLOAD_FLAGS: Mapping[str, UploadKind] = {
    "image_upload": "image",
    "animated_image_upload": "image",
    "video_upload": "video",
    "audio_upload": "audio",
    "file_upload": "file",
}
_STOCK_MODULES = frozenset({"nodes", "comfy_extras", "comfy_api_nodes"})
DYNAMIC_COMBO = "COMFY_DYNAMICCOMBO_V3"
AUTOGROW = "COMFY_AUTOGROW_V3"
MATCH_TYPE = "COMFY_MATCHTYPE_V3"
COMBO = "COMBO"
# The type of a widget that is known by its name alone (plain definitions).
ANY_VALUE = "*VALUE*"
# Types the frontend draws as a widget; every other type is a socket only.
WIDGET_TYPES = frozenset(
    {
        "INT", "FLOAT", "BOOLEAN", "STRING", "MARKDOWN", COMBO, "COLOR", "COLORS", "IMAGECOMPARE",
        "BOUNDING_BOX", "BOUNDING_BOXES", "CHART", "GALLERIA", "PAINTER", "COMPOSITOR", "TEXTAREA", "CURVE",
        "RANGE", "VIDEO_EDIT", "RESOLUTION_PREVIEW", "LIGHT_INFO_PREVIEW", DYNAMIC_COMBO,
        "IMAGEUPLOAD", "AUDIOUPLOAD", "AUDIO_UI", "AUDIO_RECORD", "WEBCAM", "LOAD_3D", "LOAD_3D_ADVANCED",
        "PREVIEW_3D", "COMFY_BRANCH_INPUT_NAMES", "COMFY_BRANCH_SELECTOR", ANY_VALUE,
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class InputSpec:
    """One input of a node class.

    ``choices`` is None unless the input is a choice; ``minimum``, ``maximum`` and ``step`` are None where
    the class sets no bound; ``upload`` says which kind of file the input's upload button takes.
    ``options`` are all options as the server sent them.
    """

    name: str
    type: str
    section: Section = "required"
    options: Mapping[str, Any] = field(default_factory=dict)
    choices: tuple[Any, ...] | None = None

    @property
    def default(self) -> Any:
        return self.options.get("default")

    @property
    def minimum(self) -> int | float | None:
        return _number(self.options.get("min"))

    @property
    def maximum(self) -> int | float | None:
        return _number(self.options.get("max"))

    @property
    def step(self) -> int | float | None:
        return _number(self.options.get("step"))

    @property
    def multiline(self) -> bool:
        return bool(self.options.get("multiline"))

    @property
    def force_input(self) -> bool:
        return bool(self.options.get("forceInput"))

    @property
    def multi_select(self) -> bool:
        return bool(self.options.get("multi_select") or self.options.get("multiselect"))

    @property
    def is_widget(self) -> bool:
        """Whether the frontend gives this input a widget, so that it has a value in a saved file."""
        widget_type = self.options.get("widgetType") or self.type
        return self.section != "hidden" and widget_type in WIDGET_TYPES and not self.force_input

    @property
    def upload(self) -> UploadKind | None:
        return next((kind for flag, kind in _UPLOAD_FLAGS.items() if self.options.get(flag)), None)

    @property
    def folder(self) -> str:
        """The ComfyUI folder an uploaded file is read from: input, output or temp."""
        return str(self.options.get("image_folder") or "input")


@dataclass(frozen=True, slots=True)
class _Inputs:
    """Of a class. ``by_name``: the first of each name."""

    in_order: tuple[InputSpec, ...]
    by_name: Mapping[str, InputSpec]


@dataclass(frozen=True, slots=True)
class _Facts:
    """What a definition says besides the inputs; every prompt asks for it."""

    module: str
    is_stock: bool
    is_output_node: bool
    output_types: tuple[str, ...]


class ObjectInfo:
    """Definitions of node classes.

    ``raw`` is the parsed body of GET /object_info, or the plain form ``{"KSampler": ["seed"]}``: class to
    widget names in order. Classes are read when first asked for, so a malformed one hurts nobody else.
    ``embeddings``: what GET /embeddings of the same server names, without endings; None where it was not
    asked. ``replacements``: which classes it takes in the place of old ones.
    """

    def __init__(
        self,
        raw: Mapping[str, Any],
        embeddings: Sequence[str] | None = None,
        replacements: Replacements = EMPTY,
    ) -> None:
        if not isinstance(raw, Mapping):
            raise WorkflowError(
                f"Node definitions must be an object of class names, not {_kind(raw)}. "
                "Give the answer of GET /object_info."
            )
        self._raw = raw
        self.embeddings = None if embeddings is None else tuple(embeddings)
        self.replacements = replacements
        self._inputs: dict[str, _Inputs] = {}
        self._facts: dict[str, _Facts] = {}

    @classmethod
    def of(cls, definitions: ObjectInfo | Mapping[str, Any] | None) -> ObjectInfo:
        """Return `definitions` as ObjectInfo; None becomes one that knows no class."""
        return definitions if isinstance(definitions, ObjectInfo) else cls(definitions or {})

    def extended(self, definitions: Mapping[str, Any]) -> ObjectInfo:
        """These definitions and more; a class that is here already keeps its own."""
        both = ObjectInfo({**definitions, **self._raw}, self.embeddings, self.replacements)
        both._inputs = dict(self._inputs)
        return both

    def updated(
        self,
        definitions: Mapping[str, Any],
        gone: Collection[str] = (),
        embeddings: Sequence[str] | None = None,
    ) -> ObjectInfo:
        """These definitions with others for some classes, without the classes that are `gone`, and with other
        `embeddings` unless None."""
        raw = {name: value for name, value in self._raw.items() if name not in gone}
        embeddings = self.embeddings if embeddings is None else embeddings
        newer = ObjectInfo({**raw, **definitions}, embeddings, self.replacements)
        changed = {*definitions, *gone}
        newer._inputs = {name: specs for name, specs in self._inputs.items() if name not in changed}
        return newer

    def is_same_as(self, other: ObjectInfo) -> bool:
        beside = (self.embeddings, self.replacements) == (other.embeddings, other.replacements)
        return beside and self._raw == other._raw

    def __contains__(self, class_type: object) -> bool:
        return class_type in self._raw

    def __iter__(self) -> Iterator[str]:
        return iter(self._raw)

    def __len__(self) -> int:
        return len(self._raw)

    @property
    def classes(self) -> frozenset[str]:
        return frozenset(self._raw)

    def inputs(self, class_type: str) -> tuple[InputSpec, ...]:
        """Inputs in the frontend's order: required, then optional, each in ``input_order``; then hidden.

        Raises WorkflowError for an unknown class or a definition that cannot be read.
        """
        return self._read(class_type).in_order

    def input(self, class_type: str, name: str) -> InputSpec | None:
        """Of an input inside a dynamic one (``resize_type.multiplier``, ``images.image0``) what all choices
        that bring it agree on."""
        by_name = self._read(class_type).by_name
        if name in by_name or "." not in name:
            return by_name.get(name)
        head, _, rest = name.partition(".")
        found = tuple(_inner_inputs(by_name[head], rest)) if head in by_name else ()
        if len({(spec.type, spec.upload) for spec in found}) != 1:
            return None
        choices = tuple(choice for spec in found for choice in spec.choices or ())
        return replace(found[0], name=name, choices=None if found[0].choices is None else choices)

    def widgets(self, class_type: str) -> tuple[InputSpec, ...]:
        """The inputs that have a value of their own in a saved file."""
        return tuple(spec for spec in self.inputs(class_type) if spec.is_widget)

    def output_types(self, class_type: str) -> tuple[str, ...]:
        """Link type of each output slot; a slot that hands on one of several choices is COMBO."""
        return self._facts_of(class_type).output_types

    def output_names(self, class_type: str) -> tuple[str, ...]:
        names = self._field(class_type, "output_name")
        types = self.output_types(class_type)
        return tuple(str(names[i]) if i < len(names) and names[i] else t for i, t in enumerate(types))

    def output_groups(self, class_type: str) -> tuple[str | None, ...]:
        """For each output the template its type follows (matched types), or None."""
        groups = self._field(class_type, "output_matchtypes")
        return tuple(group if isinstance(group, str) else None for group in groups)

    def is_output_node(self, class_type: str) -> bool:
        return self._facts_of(class_type).is_output_node

    def is_stock(self, class_type: str) -> bool:
        """Whether the class is one of ComfyUI's own, so that /object_info says all there is to know of it.

        Read from ``python_module`` ("nodes", "comfy_extras.…", "comfy_api_nodes.…"; packs have
        "custom_nodes.…"). False for an unknown class and where the definitions do not say.
        """
        return class_type in self._raw and self._facts_of(class_type).is_stock

    def module_of(self, class_type: str) -> str:
        """Which module of its ComfyUI the class comes from ("custom_nodes.…" for a pack's); "" where it does
        not say."""
        return self._facts_of(class_type).module if class_type in self._raw else ""

    def is_from_pack(self, class_type: str) -> bool:
        """Whether a node pack brings the class, by the definitions. Its page may do what they do not tell."""
        return bool(self.module_of(class_type)) and not self.is_stock(class_type)

    def is_api_node(self, class_type: str) -> bool:
        """Whether the class calls a paid service with the account of its sender (``api_node``)."""
        return class_type in self and bool(self._mapping(class_type).get("api_node"))

    def display_name(self, class_type: str) -> str:
        definition = self._mapping(class_type)
        return str(definition.get("display_name") or definition.get("name") or class_type)

    def raw(self, class_type: str) -> Any:
        """The definition as the server sent it: anything at all.

        Raises WorkflowError for an unknown class.
        """
        return self._definition(class_type)

    def _definition(self, class_type: str) -> Any:
        try:
            return self._raw[class_type]
        except KeyError:
            raise WorkflowError(
                f"There is no node class {class_type!r} in the node definitions. "
                "Install the node pack it belongs to, or take the node out of the workflow."
            ) from None

    def _mapping(self, class_type: str) -> Mapping[str, Any]:
        definition = self._definition(class_type)
        return definition if isinstance(definition, Mapping) else EMPTY

    def _field(self, class_type: str, name: str) -> Sequence[Any]:
        value = self._mapping(class_type).get(name)
        return value if isinstance(value, (list, tuple)) else ()

    def _facts_of(self, class_type: str) -> _Facts:
        known = self._facts.get(class_type)
        if known is None:
            definition = self._mapping(class_type)
            module = definition.get("python_module")
            module = module if isinstance(module, str) else ""
            outputs = self._field(class_type, "output")
            known = self._facts[class_type] = _Facts(
                module,
                is_stock=module.split(".")[0] in _STOCK_MODULES,
                is_output_node=bool(definition.get("output_node")),
                output_types=tuple(kind if isinstance(kind, str) else COMBO for kind in outputs),
            )
        return known

    def _read(self, class_type: str) -> _Inputs:
        known = self._inputs.get(class_type)
        if known is None:
            specs = tuple(self._specs(class_type))
            known = _Inputs(specs, {spec.name: spec for spec in reversed(specs)})
            self._inputs[class_type] = known
        return known

    def _specs(self, class_type: str) -> Iterator[InputSpec]:
        definition = self._definition(class_type)
        if isinstance(definition, (list, tuple)) and all(isinstance(name, str) for name in definition):
            for name in definition:
                yield InputSpec(name, "INT" if name in SEED_NAMES else ANY_VALUE)
            return
        if not isinstance(definition, Mapping):
            raise _malformed(class_type, "the definition is " + _kind(definition))
        inputs = definition.get("input")
        if inputs is None:
            return
        if not isinstance(inputs, Mapping):
            raise _malformed(class_type, "'input' is " + _kind(inputs))
        order = definition.get("input_order")
        sections: tuple[Section, ...] = ("required", "optional", "hidden")
        for section in sections:
            specs = inputs.get(section) or {}
            if not isinstance(specs, Mapping):
                raise _malformed(class_type, f"'input.{section}' is {_kind(specs)}")
            wanted = order.get(section) if isinstance(order, Mapping) else None
            wanted = [name for name in wanted if name in specs] if isinstance(wanted, list) else []
            for name in dict.fromkeys([*wanted, *specs]):
                yield read_spec(name, specs[name], section, class_type)


def read_spec(name: str, raw: Any, section: Section = "required", class_type: str = "?") -> InputSpec:
    """Read ``[type, options]``; raises WorkflowError naming `class_type` and `name` when it is not that."""
    if section == "hidden":
        return InputSpec(name, raw if isinstance(raw, str) else "HIDDEN", section)
    if isinstance(raw, str):
        return InputSpec(name, raw, section)
    if not isinstance(raw, (list, tuple)) or not raw:
        raise _malformed(class_type, f"input {name!r} is {_kind(raw)}")
    kind = raw[0]
    options = raw[1] if len(raw) > 1 and isinstance(raw[1], Mapping) else EMPTY
    if isinstance(kind, (list, tuple)):
        return InputSpec(name, COMBO, section, options, tuple(kind))
    if not isinstance(kind, str):
        raise _malformed(class_type, f"the type of input {name!r} is {_kind(kind)}")
    if kind == COMBO:
        choices = options.get("options")
        return InputSpec(name, COMBO, section, options, tuple(choices) if isinstance(choices, list) else ())
    if kind == DYNAMIC_COMBO:
        return InputSpec(name, kind, section, options, tuple(dynamic_options(options)))
    return InputSpec(name, kind, section, options)


def dynamic_options(options: Mapping[str, Any]) -> dict[Any, tuple[InputSpec, ...]]:
    """The choices of a dynamic combo and, for each, the inputs it brings (names without prefix)."""
    found: dict[Any, tuple[InputSpec, ...]] = {}
    entries = options.get("options")
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, Mapping) and "key" in entry:
            found[entry["key"]] = template_inputs(entry.get("inputs"))
    return found


def _inner_inputs(outer: InputSpec, name: str) -> Iterator[InputSpec]:
    """The inputs that `name` may be inside a dynamic one, by each choice that brings it."""
    if outer.type == AUTOGROW:
        template = outer.options.get("template")
        grown = template_inputs(template.get("input") if isinstance(template, Mapping) else None)
        # A group of one names its inputs as it likes; of several each has its own name and a number.
        yield from (spec for spec in grown if len(grown) == 1 or spec.name == name.rstrip("0123456789"))
    elif outer.type == DYNAMIC_COMBO:
        head, _, rest = name.partition(".")
        for inner in (spec for specs in dynamic_options(outer.options).values() for spec in specs):
            if inner.name == head:
                yield from _inner_inputs(inner, rest) if rest else (inner,)


def template_inputs(raw: Any) -> tuple[InputSpec, ...]:
    """Read ``{"required": {…}, "optional": {…}}`` as dynamic inputs carry it."""
    sections: tuple[Section, ...] = ("required", "optional")
    found: list[InputSpec] = []
    for section in sections:
        specs = raw.get(section) if isinstance(raw, Mapping) else None
        if isinstance(specs, Mapping):
            found += [read_spec(name, spec, section) for name, spec in specs.items()]
    return tuple(found)


def _number(value: Any) -> int | float | None:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _kind(value: Any) -> str:
    return "missing" if value is None else f"of type {type(value).__name__}"


def _malformed(class_type: str, what: str) -> WorkflowError:
    return WorkflowError(
        f"The definition of node class {class_type!r} cannot be read: {what}. "
        "Reload the node definitions from the server; if that does not help, the node pack is broken."
    )
