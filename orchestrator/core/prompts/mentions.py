"""Files that a prompt names elsewhere than in a choice: inside objects and lists, and within texts.

Sources: rgthree's Power Lora Loader keeps ``{"on": true, "lora": "styles/ink.safetensors"}`` per row;
LoraManager a list of ``{"name": "ink", "strength": 1, "active": true}``; ComfyUI's tokenizers read
``embedding:name`` at the start of a text, behind white space and behind a bracket; text loaders of packs read
``<lora:name:0.8>``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..models.job import Prompt
from ..workflow.object_info import ObjectInfo
from ..workflow.prompt import class_of, is_link
from .peer_files import ANY_KIND, EMBEDDINGS, LORAS, is_model_file, kind_of_word

Keys = tuple[str | int, ...]  #: the way to a value inside an object or a list; () for the value itself

DEPTH_MAX = 20
NAME_MAX = 400  #: characters; no file system takes longer names, texts have them
_EMBEDDING = re.compile(r"(?:(?<=[\s(])|^)embedding:([^\s()<>\[\]]+)")
_LORA_TAG = re.compile(r"<lora:([^<>:\n]+)(?::[^<>\n]*)?>", re.IGNORECASE)
_WEIGHT = re.compile(r":[-+.\d]*$")
_ON = ("on", "active", "enabled", "enable")
_NAMES = frozenset({"name", "lora", "lora_name", "file", "model"})
_STRENGTHS = frozenset({"strength", "weight", "model_strength", "strength_model", "active", "on"})
_NOTHING = frozenset({"", "none", "no lora", "null"})


@dataclass(frozen=True)
class Mention:
    """A model file that the value at ``keys`` of an input names. ``kind``: the folder it is looked for in, as
    ComfyUI calls it, or ANY_KIND. ``start`` and ``end``: where the name stands within the value."""

    node_id: str
    input: str
    keys: Keys
    name: str
    kind: str
    start: int
    end: int


@dataclass(frozen=True)
class Leaf:
    """A text inside an input's value. ``word``: the nearest name on the way to it. ``beside``: the names that
    stand beside it in its object."""

    keys: Keys
    text: str
    word: str
    beside: frozenset[str] = frozenset()


def mentions(prompt: Prompt, info: ObjectInfo) -> Iterator[Mention]:
    """Every file that the prompt's objects, lists and texts name, as far as they are switched on."""
    for node_id, node in prompt.items():
        inputs = node.get("inputs")
        if isinstance(inputs, Mapping):
            yield from _of_node(node_id, inputs, prompt, info)


def leaves(name: str, value: Any) -> Iterator[Leaf]:
    """The texts of an input's value; none of what an object in it has switched off (``"on": false``)."""
    yield from _leaves(value, (), name, frozenset(), DEPTH_MAX)


def replaced(value: Any, keys: Keys, text: str) -> Any:
    """`value` with another text at the end of `keys`; the argument is not changed."""
    if not keys:
        return text
    first, rest = keys[0], keys[1:]
    copy: Any = dict(value) if isinstance(value, Mapping) else list(value)
    copy[first] = replaced(value[first], rest, text)
    return copy


def _of_node(node_id: str, inputs: Mapping[str, Any], prompt: Prompt, info: ObjectInfo) -> Iterator[Mention]:
    found = [
        (name, leaf)
        for name, value in inputs.items()
        if (isinstance(value, str) and ":" in value)
        or (isinstance(value, (dict, list)) and not is_link(value))
        for leaf in leaves(name, value)
    ]
    if not found:
        return
    class_type = class_of(prompt[node_id])
    is_pack = class_type in info and not info.is_stock(class_type)
    off: frozenset[str] | None = None
    for name, leaf in found:
        for match in _EMBEDDING.finditer(leaf.text) if "embedding:" in leaf.text else ():
            word = _WEIGHT.sub("", match[1]).strip(",").rstrip(".;!?\"'")
            if word:
                start = match.start(1) + match[1].index(word)
                yield Mention(node_id, name, leaf.keys, word, EMBEDDINGS, start, start + len(word))
        if "<lora:" in leaf.text.lower() and (is_pack or _feeds_a_pack(node_id, prompt, info)):
            off = _switched_off(inputs) if off is None else off
            for match in _LORA_TAG.finditer(leaf.text):
                if match[1].strip() not in off:
                    yield Mention(node_id, name, leaf.keys, match[1], LORAS, match.start(1), match.end(1))
        elif leaf.keys and (kind := _kind_named(class_type, name, leaf)) is not None:
            yield Mention(node_id, name, leaf.keys, leaf.text, kind, 0, len(leaf.text))


def _kind_named(class_type: str, name: str, leaf: Leaf) -> str | None:
    """The kind of model that a text inside an object or list names; None where it is no name of one."""
    text = leaf.text
    if len(text) > NAME_MAX or "\n" in text or "://" in text or text.strip().lower() in _NOTHING:
        return None
    kind = next((kind for word in (leaf.word, name, class_type) if (kind := kind_of_word(word))), ANY_KIND)
    if is_model_file(text):
        return kind
    # LoraManager and others leave the ending out.
    is_entry = leaf.word.lower() in _NAMES and bool(leaf.beside & _STRENGTHS)
    return kind if is_entry and kind == LORAS else None


def _leaves(value: Any, keys: Keys, word: str, beside: frozenset[str], depth: int) -> Iterator[Leaf]:
    if isinstance(value, str):
        yield Leaf(keys, value, word, beside)
    elif depth and isinstance(value, Mapping):
        if not _is_off(value):
            names = frozenset(str(name).lower() for name in value)
            for name, inner in value.items():
                named = word if name == "__value__" else str(name)
                yield from _leaves(inner, (*keys, name), named, names, depth - 1)
    elif depth and isinstance(value, list) and not (keys == () and is_link(value)):
        for place, inner in enumerate(value):
            yield from _leaves(inner, (*keys, place), word, frozenset(), depth - 1)


def _is_off(value: Mapping[str, Any]) -> bool:
    return any(value.get(name) is False for name in _ON)


def _switched_off(inputs: Mapping[str, Any]) -> frozenset[str]:
    """Names in objects of a node that are switched off: its text may still hold their tags."""
    todo: list[Any] = [value for value in inputs.values() if not isinstance(value, str)]
    found: set[str] = set()
    for _ in range(DEPTH_MAX):
        objects = [value for value in todo if isinstance(value, Mapping)]
        found |= {
            value[name] for value in objects if _is_off(value) for name in _NAMES & value.keys()
            if isinstance(value[name], str)
        }  # fmt: skip
        lists: list[Sequence[Any]] = [value for value in todo if isinstance(value, list)]
        todo = [inner for value in objects for inner in value.values()] + [i for one in lists for i in one]
    return frozenset(found)


def _feeds_a_pack(node_id: str, prompt: Prompt, info: ObjectInfo) -> bool:
    """Whether a node that only hands on a text hands it to a class of a pack, which may read tags in it."""
    texts, seen = [node_id], {node_id}
    while texts:
        source = texts.pop()
        class_type = class_of(prompt[source])
        if class_type not in info or "STRING" not in info.output_types(class_type):
            continue
        for user, node in prompt.items():
            inputs = node.get("inputs")
            links = inputs.values() if isinstance(inputs, Mapping) else ()
            if user not in seen and any(is_link(link) and str(link[0]) == source for link in links):
                if class_of(node) in info and not info.is_stock(class_of(node)):
                    return True
                seen.add(user)
                texts.append(user)
    return False
