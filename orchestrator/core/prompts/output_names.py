"""How the files of one attempt are named on its peer, so that no two runs share a name, and back again.

ComfyUI's own save nodes make the folders that a prefix names, so each attempt gets a folder there. Nodes of
packs may join prefix and folder and make nothing (WAS *Image Save*); and GET /internal/files/output lists
only the top of the output folder. They, and ComfyUI's own nodes that save without telling, get a flat prefix.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..models.job import Prompt
from ..workflow.object_info import ObjectInfo
from ..workflow.prompt import class_of

_PREFIX = "filename_prefix"
#: ComfyUI's own classes that save and do not tell (seen in 0.3.75 and 0.33), with the input of their prefix.
_SILENT_STOCK: Mapping[str, str] = {
    "CLIPSave": _PREFIX,
    "CheckpointSave": _PREFIX,
    "ImageOnlyCheckpointSave": _PREFIX,
    "LoraSave": _PREFIX,
    "ModelSave": _PREFIX,
    "SaveLoRA": "prefix",
    "SaveLoRANode": "prefix",
    "VAESave": _PREFIX,
}
#: These join the prefix to a folder of their own, which no route lists: a prefix would only mar their names.
_IN_OWN_FOLDER = frozenset({"SaveImageDataSetToFolder", "SaveImageTextDataSetToFolder"})
_FLAT_MAX_BYTES = 150  #: of a flat prefix; a file name takes 255, and nodes add to it
_PLACE = re.compile(r"(^|_)(path|folder|directory|dir)(_|$)|(folder|dir)path", re.IGNORECASE)
_DRIVE = re.compile(r"^[A-Za-z]:")
_SEPARATORS = re.compile(r"[\\/]+")
_END_OF_NAME = r"[^\s\"'<>|]*"


@dataclass(frozen=True)
class FlatPrefix:
    """`mark` begins the names of one node's files; `separator` stands for "/" in what follows; `folder` was
    left out, because the whole would have been too long."""

    mark: str
    separator: str
    folder: str = ""


@dataclass(frozen=True)
class OutputNames:
    """The names of one attempt: `tag` is its folder, and the start of every mark. `flat` is by node id."""

    tag: str
    flat: Mapping[str, FlatPrefix] = field(default_factory=dict)

    def mark_of(self, node_id: str) -> str:
        """What the files of this node have in their names; "" where it was given no flat prefix."""
        return self.flat[node_id].mark if node_id in self.flat else ""

    def node_of(self, name: str) -> str:
        """The node that a file of this name belongs to; "" for a file that is not of this attempt."""
        return next((node_id for node_id, prefix in self.flat.items() if prefix.mark in name), "")

    def wanted(self, subfolder: str, filename: str) -> tuple[str, str]:
        """Subfolder and name as the workflow asked for them."""
        folders = [part for part in _SEPARATORS.split(subfolder) if part]
        folders = folders[1:] if folders[:1] == [self.tag] else folders
        prefix = self.flat.get(self.node_of(filename))
        if prefix is None:
            return "/".join(folders), filename
        head, _, name = _without(filename, prefix).rpartition("/")
        return "/".join(filter(None, (*folders, prefix.folder, head))), name

    def restored(self, text: str) -> str:
        """A text in which names of this attempt's files may occur, with the names that were asked for."""
        if self.tag not in text:
            return text
        for prefix in self.flat.values():
            pattern = re.escape(prefix.mark) + _END_OF_NAME
            text = re.sub(pattern, lambda found, p=prefix: _without(found[0], p), text)  # type: ignore[misc]
        return text.replace(f"{self.tag}/", "").replace(f"{self.tag}\\", "")


def with_output_names(prompt: Prompt, info: ObjectInfo, tag: str) -> tuple[Prompt, OutputNames]:
    """The prompt with a prefix for each save node that it can use, and how to read the names that come back.

    A prefix that is linked, or that names a place outside of the output folder, stays as it is.
    """
    changed: Prompt = {}
    flat: dict[str, FlatPrefix] = {}
    for node_id, node in prompt.items():
        class_type = class_of(node)
        name = _SILENT_STOCK.get(class_type, _PREFIX)
        prefix = node.get("inputs", {}).get(name)
        is_stock = info.is_stock(class_type)
        if not isinstance(prefix, str) or _leads_elsewhere(prefix) or class_type in _IN_OWN_FOLDER:
            continue
        if not is_stock and any(_is_the_users(place) for place in _places(node["inputs"])):
            continue  # into a folder that is the user's: nothing there shall bear our marks
        if is_stock and prefix and class_type not in _SILENT_STOCK:
            named = f"{tag}/{prefix}"
        elif is_stock or prefix:
            flat[node_id] = _flat(f"{tag}-{len(flat) + 1}", prefix)
            named = _spelled(prefix, flat[node_id])
        else:
            continue  # what a pack's node does without a prefix may be something else altogether
        changed[node_id] = {**node, "inputs": {**node["inputs"], name: named}}
    return {**prompt, **changed}, OutputNames(tag, flat)


def _flat(mark: str, prefix: str) -> FlatPrefix:
    separator = "~"
    while separator in prefix:
        separator += "~"
    parts = _parts(prefix)
    is_long = len(prefix.encode(errors="replace")) > _FLAT_MAX_BYTES
    return FlatPrefix(mark + separator, separator, "/".join(parts[:-1]) if is_long else "")


def _spelled(prefix: str, flat: FlatPrefix) -> str:
    parts = _parts(prefix)
    return flat.mark + flat.separator.join(parts[-1:] if flat.folder else parts)


def _parts(prefix: str) -> list[str]:
    """As the host reads it: neither empty parts nor a separator at the end count."""
    return [part for part in _SEPARATORS.split(prefix) if part not in ("", ".")]


def _without(name: str, prefix: FlatPrefix) -> str:
    before, _, rest = name.partition(prefix.mark)
    return before + rest.replace(prefix.separator, "/")


def _places(inputs: Mapping[str, Any]) -> Iterator[str]:
    """Where a node is told to write."""
    for name, value in inputs.items():
        if isinstance(value, str) and _PLACE.search(name):
            yield value


def _is_the_users(place: str) -> bool:
    """Packs take "./…" from where ComfyUI was started, which may well be its output folder."""
    return _leads_elsewhere(place) or place.startswith(("./", ".\\"))


def _leads_elsewhere(place: str) -> bool:
    """Whether it is no place within the output folder."""
    is_rooted = place[:1] in ("/", "\\", "~") or bool(_DRIVE.match(place))
    return is_rooted or ".." in _SEPARATORS.split(place)
