"""The widgets that the page of a node pack really has, and the values of a file that fit none of them.

A definition tells all widgets of ComfyUI's own classes, not those of packs: their pages add, remove and
rename some. The table is ``pack_rules``; a value that neither it nor the definition claims is a doubt: a
sentence that refuses the conversion, because the page might send it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from ..models.workflow import Node
from .object_info import COMBO, InputSpec, read_spec
from .pack_rules import FORMAT, IN_MEMORY, PAGE_WIDGETS, RESET_BY_FORMAT, REST, REWRITTEN, UNCHOSEN, UNSENT
from .values import MISSING, default_value
from .widgets import Layout, Widget

Values = tuple[Any, ...] | Mapping[str, Any]

_SEPARATE = ("Show Strengths", "Separate Model & Clip")
_CHOOSER_BUTTONS = {
    "Always Pause": "Waiting for selection...",
    "Keep Last Selection": "Using last selection",
}
_NOTHING_TO_INSERT = frozenset({"CHOOSE", "DISABLE LORAS"})
_SILENT: tuple[Any, ...] = (
    *(None, "", {}, [], "image", "CHOOSE"),
    *("fixed", "increment", "decrement", "randomize"),
)
_NUMBERS = frozenset({"INT", "FLOAT"})
_SHOWN_MAX = 5


def has_rule(class_type: str) -> bool:
    return any(class_type in rules for rules in (PAGE_WIDGETS, _SPECIAL, REWRITTEN))


def arrange(node: Node, layout: Layout) -> Values:
    """Give `layout` the widgets that the page has for a pack's class; returns the values for them.

    By name where the file has the names, for then nothing can have shifted.
    """
    special = _SPECIAL.get(node.type)
    if special is not None and not isinstance(node.values, Mapping):
        return special(node, layout)
    names = PAGE_WIDGETS.get(node.type)
    if names is not None:
        layout.widgets = list(_page_widgets(node, layout, names))
    if isinstance(node.values, Mapping) or node.named is None:
        return node.values
    return dict(node.named)


def without_empty_choices(class_type: str, layout: Layout, values: Values) -> Values:
    """Nothing in place of null for the classes whose page sends no empty choice."""
    if class_type not in UNCHOSEN:
        return values
    for widget in layout.widgets:
        widget.value = MISSING
    if isinstance(values, Mapping):
        return {name: value for name, value in values.items() if value is not None}
    return tuple(MISSING if value is None else value for value in values)


def reset_by_format(layout: Layout) -> None:
    """Give what the first format set the values of the one that the file names."""
    combo = layout.widget("format")
    formats = combo.spec.options.get("formats") if combo is not None and combo.spec is not None else None
    if combo is None or combo.spec is None or not isinstance(formats, Mapping):
        return
    names = (default_value(combo.spec), combo.value)
    first, chosen = (formats.get(name) if isinstance(name, str) else None for name in names)
    for name, (field, place) in RESET_BY_FORMAT.items():
        widget = layout.widget(name)
        before, after = (_reset(each, field, place) for each in (first, chosen))
        if widget is not None and None not in (before, after) and widget.value == before:
            widget.value = after


def forget_memory(node: Node, layout: Layout) -> None:
    """Let go of names that only the server knew with which the file was made."""
    widget = layout.widget(IN_MEMORY.get(node.type))
    if widget is not None and not _is_elsewhere(widget.value):
        widget.value = f"${node.id}-0"


def _is_elsewhere(value: Any) -> bool:
    """Whether it is a picture that the page gives to the server as it opens the file."""
    return isinstance(value, str) and bool(value) and not value.startswith("$")


def _reset(told: Any, field: str, place: int | None) -> Any:
    value = told.get(field) if isinstance(told, Mapping) else None
    if place is None:
        return value
    return value[place] if isinstance(value, list) and len(value) > place and value[place] else None


def doubts(node: Node, layout: Layout, values: Values) -> Iterator[str]:
    """What of the saved `values` the restored `layout` cannot account for, in words."""
    if node.type in REWRITTEN:
        yield REWRITTEN[node.type]
    bridge = layout.widget(IN_MEMORY.get(node.type))
    if bridge is not None and _is_elsewhere(bridge.value):
        yield f"its page gives the picture {bridge.value!r} to the server as it opens the file"
    saved = [widget for widget in layout.widgets if widget.saved]
    if isinstance(values, Mapping):
        known = {widget.name for widget in saved}
        left = [name for name, value in values.items() if name not in known and _says_something(value)]
        # Of two widgets with one name the second is marked so.
        left = [name for name in left if name.split("#")[0] not in known]
        if left:
            yield f"the file holds values for it that its definition does not name: {_listed(left)}"
    else:
        made = [widget for widget in saved if widget.sent and widget.spec is None]
        if len(made) > 1 and 0 < len(values) < len(saved):
            counts = f"the file has {len(values)} values for it, its page {len(saved)}"
            yield f"{counts}: the pack has changed since"
        left = [value for value in values[len(saved) :] if _says_something(value)]
        if left:
            yield f"the file has {len(left)} more value(s) for it than its definition names: {_listed(left)}"
    bad = [widget.name for widget in saved if widget.spec and _misfits(widget.spec, widget.value)]
    if bad:
        yield f"the values saved for it do not fit its definition: {_listed(bad)}"


def _page_widgets(node: Node, layout: Layout, names: Iterable[str]) -> Iterator[Widget]:
    listed = {name.removeprefix(UNSENT) for name in names}
    own = {widget.name: widget for widget in layout.widgets}
    for name in names:
        if name == REST:
            yield from (widget for widget in layout.widgets if widget.name not in listed)
        elif name == FORMAT:
            yield from _format_widgets(node, own.get("format"))
        elif name.startswith(UNSENT):
            yield Widget(name.removeprefix(UNSENT), "", sent=False)
        else:
            yield own.get(name) or Widget(name)


def _format_widgets(node: Node, combo: Widget | None) -> Iterator[Widget]:
    """The choice's definition lists what each format brings: ``{"video/webm": [["crf", "INT", {…}]]}``."""
    if combo is None or combo.spec is None:
        return
    chosen = node.values.get("format", combo.value) if isinstance(node.values, Mapping) else combo.value
    formats = combo.spec.options.get("formats")
    found = formats.get(chosen) if isinstance(formats, Mapping) and isinstance(chosen, str) else None
    for entry in found if isinstance(found, list) else ():
        if isinstance(entry, list) and len(entry) > 1 and isinstance(entry[0], str):
            spec = read_spec(entry[0], entry[1:])
            yield Widget(spec.name, default_value(spec), spec)


def _power_lora(node: Node, layout: Layout) -> Values:
    """One input for each LoRA that was added, numbered from 1; the second strength only where it is shown."""
    two = node.properties.get(_SEPARATE[0]) == _SEPARATE[1]
    loras = [value for value in _positional(node) if isinstance(value, Mapping) and "lora" in value]
    layout.widgets = [
        Widget("PowerLoraLoaderHeaderWidget", {"type": "PowerLoraLoaderHeaderWidget"}),
        *(Widget(f"lora_{n}", _strengths(lora, two)) for n, lora in enumerate(loras, 1)),
        Widget("➕ Add Lora", ""),
    ]
    return ()


def _strengths(lora: Mapping[str, Any], two: bool) -> dict[str, Any]:
    sent = {name: value for name, value in lora.items() if name != "strengthTwo"}
    if two:
        second = lora.get("strengthTwo")
        sent["strengthTwo"] = 1 if second is None else second
    return sent


def _show_text(node: Node, layout: Layout) -> Values:
    """The page shows the texts of the last run in widgets, and sends them."""
    values = _positional(node)
    texts = values[0] if values and isinstance(values[0], (list, tuple)) else values
    layout.widgets += [Widget(f"text_{n}", text) for n, text in enumerate(texts)]
    return ()


def _comparer(node: Node, layout: Layout) -> Values:
    images: Any = next(iter(_positional(node)), [])
    layout.widgets = [
        Widget("rgthree_comparer", images if isinstance(images, Mapping) else {"images": images})
    ]
    return ()


def _display(node: Node, layout: Layout) -> Values:
    """It shows what came in, and sends nothing of it."""
    layout.widgets = [Widget("output", "")]
    return ()


def _power_prompt(node: Node, layout: Layout) -> Values:
    """Its lists of things to insert are there as long as there is something to insert."""
    layout.widgets = [widget for widget in layout.widgets if _has_something_to_insert(widget)]
    return node.named if node.named is not None else node.values


def _has_something_to_insert(widget: Widget) -> bool:
    if not widget.name.startswith("insert_"):
        return widget.name.startswith("prompt")
    choices = widget.spec.choices if widget.spec is not None else None
    return any(choice not in _NOTHING_TO_INSERT for choice in choices or ())


def _chooser(node: Node, layout: Layout) -> Values:
    """Its button says what it does in each mode."""
    layout.widgets.append(
        Widget(_CHOOSER_BUTTONS.get(next(iter(_positional(node)), ""), ""), "", saved=False)
    )
    return node.values


def _positional(node: Node) -> tuple[Any, ...]:
    return node.values if isinstance(node.values, tuple) else ()


_SPECIAL: Mapping[str, Callable[[Node, Layout], Values]] = {
    "Power Lora Loader (rgthree)": _power_lora,
    "ShowText|pysssss": _show_text,
    "Image Comparer (rgthree)": _comparer,
    "easy imageChooser": _chooser,
    "Display Any (rgthree)": _display,
    "Display Int (rgthree)": _display,
    "Power Prompt (rgthree)": _power_prompt,
    "Power Prompt - Simple (rgthree)": _power_prompt,
    "SDXL Power Prompt - Positive (rgthree)": _power_prompt,
    "SDXL Power Prompt - Simple / Negative (rgthree)": _power_prompt,
}


def _misfits(spec: InputSpec, value: Any) -> bool:
    if value is MISSING or value is None:
        return False
    if spec.type in _NUMBERS:
        return not (isinstance(value, (int, float)) or _is_number(value))
    if spec.type == "STRING":
        return isinstance(value, (Mapping, list, tuple))
    if spec.type == COMBO and not spec.multi_select:
        return isinstance(value, (Mapping, list, tuple))
    return spec.type == "BOOLEAN" and isinstance(value, (Mapping, list, tuple))


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def _says_something(value: Any) -> bool:
    """Buttons leave null or an empty text behind, uploads "image", and seeds what becomes of them."""
    return value not in _SILENT


def _listed(found: Sequence[Any]) -> str:
    names = ", ".join(repr(each)[:60] for each in found[:_SHOWN_MAX])
    return f"{names} and {len(found) - _SHOWN_MAX} more" if len(found) > _SHOWN_MAX else names
