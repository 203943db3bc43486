"""Which widgets and sockets a node of a class has, as ComfyUI's frontend lays them out, and their values.

A saved file holds widget values by position only, so the layout decides which value belongs to which input.
The order follows the frontend (1.58): sockets first, then widgets, each in the order of the definition;
a seed brings its control widget, a file choice its upload button, a dynamic combo the inputs of its choice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from .object_info import (
    AUTOGROW,
    COMBO,
    DYNAMIC_COMBO,
    MATCH_TYPE,
    InputSpec,
    ObjectInfo,
    dynamic_options,
    template_inputs,
)
from .prompt import SEED_NAMES
from .values import MISSING, default_value, js_text

_AUDIO_PLAYERS = frozenset(
    {"LoadAudio", "SaveAudio", "PreviewAudio", "SaveAudioMP3", "SaveAudioOpus", "SaveAudioAdvanced"}
)
_MODEL_VIEWERS = frozenset({"SaveGLB", "Preview3D"})
_NUMBERS = frozenset({"INT", "FLOAT"})
CUSTOM_COMBO = "CustomCombo"
MAX_GROWN_INPUTS = 200


@dataclass(slots=True)
class Widget:
    """A value a node holds.

    ``saved`` widgets take a place in the file's list of values; ``sent`` ones go into the prompt.
    """

    name: str
    value: Any = MISSING
    spec: InputSpec | None = None
    saved: bool = True
    sent: bool = True


@dataclass(slots=True)
class Socket:
    """A place a link can end in. ``widget`` names the widget the link would override."""

    name: str
    type: str
    widget: str | None = None
    label: str | None = None
    template: str | None = None


@dataclass(frozen=True, slots=True)
class Autogrow:
    """A group of inputs that grows as they are linked: ``images.image0``, ``images.image1`` …"""

    name: str
    inputs: tuple[InputSpec, ...]
    names: tuple[str, ...] | None
    prefix: str
    minimum: int
    maximum: int

    def slot_name(self, ordinal: int, key: str) -> str:
        if self.names is not None:
            return f"{self.name}.{self.names[ordinal]}"
        return f"{self.name}.{self.prefix if len(self.inputs) == 1 else key}{ordinal}"

    def ordinal(self, input_name: str) -> int | None:
        """Position of `input_name` in the group, or None when it is not one of its inputs."""
        if not input_name.startswith(self.name + "."):
            return None
        name = input_name[len(self.name) + 1 :]
        if self.names is not None:
            return self.names.index(name) if name in self.names else None
        digits = name[len(name.rstrip("0123456789")) :]
        return int(digits) if digits and len(digits) < 6 else None


@dataclass(slots=True)
class Layout:
    """Sockets and widgets of one node, growing while it is built."""

    sockets: list[Socket] = field(default_factory=list)
    widgets: list[Widget] = field(default_factory=list)
    autogrow: dict[str, Autogrow] = field(default_factory=dict)
    dynamic: bool = False
    options_grow: bool = False

    def add(self, specs: Iterable[InputSpec]) -> None:
        """Add the inputs `specs`: all sockets, then all widgets."""
        specs = [spec for spec in specs if spec.section != "hidden"]
        for spec in specs:
            if not spec.is_widget:
                self._add_socket(spec)
        for spec in specs:
            if spec.is_widget:
                self._add_widget(spec)

    def add_one(self, spec: InputSpec) -> None:
        if spec.is_widget:
            self._add_widget(spec)
        else:
            self._add_socket(spec)

    def widget(self, name: str | None) -> Widget | None:
        return next((widget for widget in self.widgets if widget.name == name), None)

    def _add_socket(self, spec: InputSpec) -> None:
        if spec.type == AUTOGROW:
            self._add_autogrow(spec)
        elif spec.type == MATCH_TYPE:
            template = spec.options.get("template")
            template = template if isinstance(template, Mapping) else {}
            allowed = str(template.get("allowed_types") or "*")
            self.dynamic = True
            self.sockets.append(Socket(spec.name, allowed, template=str(template.get("template_id") or "")))
        else:
            self.sockets.append(Socket(spec.name, spec.type))

    def _add_widget(self, spec: InputSpec) -> None:
        widget = Widget(spec.name, default_value(spec), spec)
        self.widgets.append(widget)
        if spec.type in _UNSAVED:
            widget.saved = False
        if spec.type in _UNSENT:
            widget.sent = False
        self.widgets += _companions(spec)
        if not spec.options.get("socketless"):
            self.sockets.append(Socket(spec.name, spec.type, widget=spec.name))
        if spec.type == DYNAMIC_COMBO:
            self.dynamic = True
            self.choose(widget, widget.value)

    def choose(self, combo: Widget, choice: Any) -> None:
        """Give the dynamic combo `combo` the value `choice` and swap in the inputs that come with it."""
        combo.value = choice
        prefix = combo.name + "."
        self.sockets = [socket for socket in self.sockets if not socket.name.startswith(prefix)]
        self.widgets = [widget for widget in self.widgets if not widget.name.startswith(prefix)]
        spec = combo.spec
        chosen = dynamic_options(spec.options).get(js_text(choice)) if spec and choice else None
        if not chosen:
            return
        widgets_before, sockets_before = len(self.widgets), len(self.sockets)
        for inner in chosen:
            self.add_one(replace(inner, name=prefix + inner.name))
        added, self.widgets[widgets_before:] = self.widgets[widgets_before:], []
        place = next(i for i, widget in enumerate(self.widgets) if widget is combo) + 1
        self.widgets[place:place] = added
        grown, self.sockets[sockets_before:] = self.sockets[sockets_before:], []
        names = [socket.name for socket in self.sockets]
        place = names.index(combo.name) + 1 if combo.name in names else len(names)
        self.sockets[place:place] = grown

    def _add_autogrow(self, spec: InputSpec) -> None:
        group = read_autogrow(spec)
        self.dynamic = True
        self.autogrow[spec.name] = group
        for ordinal in range(max(1, group.minimum + 1)):
            self.grow(group, ordinal)

    def grow(self, group: Autogrow, ordinal: int) -> None:
        """Add the inputs of `group` at position `ordinal`, unless the group is full or has them."""
        if ordinal >= group.maximum:
            return
        before = len(self.sockets)
        for spec in group.inputs:
            name = group.slot_name(ordinal, spec.name)
            if not any(socket.name == name for socket in self.sockets[:before]):
                self.add_one(replace(spec, name=name))
        grown, self.sockets[before:] = self.sockets[before:], []
        last = group.slot_name(ordinal - 1, group.inputs[-1].name) if ordinal and group.inputs else None
        places = [i for i, socket in enumerate(self.sockets) if last and socket.name.startswith(last)]
        place = places[-1] + 1 if places else len(self.sockets)
        self.sockets[place:place] = grown


_UNSAVED = frozenset({"IMAGECOMPARE", "AUDIO_UI", "RESOLUTION_PREVIEW"})
# Viewers show what the node made, never what was saved.
_UNRESTORED = frozenset({"PREVIEW_3D"})
_UNSENT = frozenset({"IMAGEUPLOAD", "AUDIOUPLOAD", "AUDIO_UI", "RESOLUTION_PREVIEW"})


def class_layout(class_type: str, specs: Iterable[InputSpec]) -> Layout:
    """The layout of a fresh node of a class."""
    layout = Layout()
    layout.add(specs)
    if class_type == CUSTOM_COMBO:
        # A list of its own: typing into the last option brings the next one.
        layout.options_grow = True
        layout.widgets += [Widget("index", -1), Widget("option1", "")]
    return layout


def class_specs(info: ObjectInfo, class_type: str) -> tuple[InputSpec, ...]:
    """The inputs of a class plus those the frontend adds itself (upload buttons, players, viewers)."""
    specs = info.inputs(class_type)
    added: list[InputSpec] = []
    if class_type in _AUDIO_PLAYERS:
        added.append(InputSpec("audioUI", "AUDIO_UI"))
    required = [spec for spec in specs if spec.section == "required"]
    if any(spec.name == "audio" and spec.options.get("audio_upload") is True for spec in required):
        added.append(InputSpec("upload", "AUDIOUPLOAD"))
    elif any(spec.upload in ("image", "video") and spec.choices is not None for spec in required):
        added.append(InputSpec("upload", "IMAGEUPLOAD"))
    if class_type in _MODEL_VIEWERS:
        added.append(InputSpec("image", "PREVIEW_3D"))
    return (*specs, *added) if added else specs


def _companions(spec: InputSpec) -> list[Widget]:
    """Widgets that exist only beside another: they take a place in the file but are not sent."""
    control = spec.options.get("control_after_generate")
    if spec.type == "INT" and control is None:
        control = spec.name in SEED_NAMES
    if spec.type == COMBO:
        found = _remote_companions(spec)
        if control:
            found += [_unsent("control_after_generate"), _unsent("control_filter_list")]
        return found
    if spec.type in _NUMBERS and control:
        return [_unsent("control_after_generate")]
    if spec.type == "BOUNDING_BOX":
        return [_unsent(name) for name in ("x", "y", "width", "height")]
    if spec.type == "AUDIO_RECORD":
        return [_unsent("record")]
    return []


def _remote_companions(spec: InputSpec) -> list[Widget]:
    """A choice fetched from the server has a toggle and may have a button, which is sent, oddly enough."""
    remote = spec.options.get("remote")
    if not isinstance(remote, Mapping):
        return []
    button = [Widget("refresh", "refresh")] if remote.get("refresh_button") else []
    return [_unsent("Auto-refresh after generation"), *button]


def _unsent(name: str) -> Widget:
    return Widget(name, "", sent=False)


def read_autogrow(spec: InputSpec) -> Autogrow:
    template = spec.options.get("template")
    template = template if isinstance(template, Mapping) else {}
    names = template.get("names")
    minimum, maximum = template.get("min"), template.get("max")
    known = tuple(str(name) for name in names) if isinstance(names, list) else None
    return Autogrow(
        name=spec.name,
        inputs=template_inputs(template.get("input")),
        names=known,
        prefix=str(template.get("prefix") or ""),
        minimum=min(minimum if isinstance(minimum, int) else 1, MAX_GROWN_INPUTS),
        maximum=min(
            len(known) if known is not None else maximum if isinstance(maximum, int) else 100,
            MAX_GROWN_INPUTS,
        ),
    )


def drop_forced_values(
    specs: Sequence[InputSpec], widgets: Sequence[Widget], values: Sequence[Any]
) -> Sequence[Any]:
    """Take out values that old files hold for inputs that have become sockets only.

    Frontends before 1.16 gave a forced input a dummy widget; without this every later value would shift.
    """
    names = {widget.name for widget in widgets}
    unsaved = {widget.name for widget in widgets if not widget.saved}
    forced: list[bool] = []
    for spec in specs:
        if spec.section == "hidden" or spec.name in unsaved:
            continue
        if spec.name in names or spec.force_input:
            forced.append(spec.force_input)
            if spec.options.get("control_after_generate"):
                forced.append(False)
    if not any(forced) and len(values) == sum(widget.saved for widget in widgets):
        return values
    saved = [v for i, v in enumerate(values) if i >= len(widgets) or widgets[i].saved]
    aligned = saved if len(saved) == len(forced) else values if len(values) == len(forced) else None
    if aligned is None:
        return values
    return [value for value, is_forced in zip(aligned, forced, strict=True) if not is_forced]


def restore(  # noqa: C901  the page's own steps, in their order
    layout: Layout, values: Sequence[Any] | Mapping[str, Any], named: Mapping[str, Any] | None = None
) -> None:
    """Give the widgets of `layout` their saved `values`, by position or by name.

    `named` is the file's second copy: where it lacks a widget, a null among `values` stands for no value.
    """
    position = index = 0
    while index < len(layout.widgets):
        widget = layout.widgets[index]
        index += 1
        if not widget.saved:
            continue
        if isinstance(values, Mapping):
            value = values.get(widget.name, MISSING)
        else:
            value = values[position] if position < len(values) else MISSING
        position += 1
        kind = widget.spec.type if widget.spec is not None else None
        if value is MISSING or kind in _UNRESTORED:
            continue
        if value is None and named is not None and widget.name not in named:
            widget.value = MISSING
        elif kind == DYNAMIC_COMBO:
            layout.choose(widget, value)
        else:
            widget.value = value
        if layout.options_grow and widget is layout.widgets[-1] and value:
            layout.widgets.append(Widget(f"option{len(layout.widgets) - 1}", ""))
    for widget in list(layout.widgets):
        spec = widget.spec
        if spec is None:
            continue
        if widget.value is None and spec.choices:
            if spec.type == DYNAMIC_COMBO:
                layout.choose(widget, spec.choices[0])
            else:
                widget.value = spec.choices[0]
        elif spec.type == "STRING" and spec.multiline and not isinstance(widget.value, str):
            widget.value = js_text(widget.value)
