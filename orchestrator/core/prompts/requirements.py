"""What a prompt needs of a peer, read against that peer's own /object_info.

A peer's definitions say all there is to know of ComfyUI's own classes. A class of a pack may check its inputs
itself, and nobody sees that from outside: of such a one a list is only a suggestion. So what a peer lacks is
either sure, and then nothing is sent there; or it is not, and the peer decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..models.job import Prompt
from ..workflow.object_info import InputSpec, ObjectInfo
from ..workflow.prompt import class_of, is_link
from .mentions import Keys, Mention, leaves, mentions, replaced
from .peer_files import EMBEDDINGS, LORAS, files_of_peer, is_model_file, listing_class
from .resemblance import resembling

# Any ending but a model's may name a file that the user put into the master's input folder.
_INPUT_FILE = re.compile(r"\.[A-Za-z0-9]{1,8}(\s*\[(input|output|temp)\])?$")
# ComfyUI's own classes that take more than their list has (read in 0.33).
TAKES_ANY_CHOICE = frozenset(
    {"CustomCombo", "ModelAttentionBackend", "SelectModelDevice", "SelectCLIPDevice", "SelectVAEDevice"}
)
_HINTS_MAX = 4  #: of the files a prompt lacks, as many are told what they resemble: looking takes long
_PATH_MAX = 1_000  #: characters of a text that may be a path


@dataclass(frozen=True)
class Doubt:
    """What a "no" rests on: the classes whose definitions it was read from, and whether it is about
    embeddings, or about how large an upload may be. The peer may tell something else by now."""

    classes: frozenset[str] = frozenset()
    embeddings: bool = False
    upload_limit: bool = False

    def __bool__(self) -> bool:
        return bool(self.classes) or self.embeddings or self.upload_limit

    def and_(self, other: Doubt) -> Doubt:
        if not self or not other:
            return self or other
        return Doubt(
            self.classes | other.classes,
            self.embeddings or other.embeddings,
            self.upload_limit or other.upload_limit,
        )


NO_DOUBT = Doubt()


def doubt_of(classes: Iterable[str], *, embeddings: bool = False) -> Doubt:
    """What nearly every prompt has is the same object: thousands are made a minute."""
    known = frozenset(classes)
    return Doubt(known, embeddings) if known or embeddings else NO_DOUBT


@dataclass(frozen=True)
class Lacks:
    """What a peer does not have for a prompt, one phrase each. ``sure``: it cannot run it. ``unsure``: its
    class may take it all the same, or leave it out; only the peer knows. ``rests_on``: see Doubt."""

    sure: tuple[str, ...] = ()
    unsure: tuple[str, ...] = ()
    rests_on: Doubt = NO_DOUBT


@dataclass(frozen=True)
class InputReference:
    """An input, or a text inside its object (at ``keys``), that may name a file of the master. ``sure``: the
    class has an upload button for it. ``is_listed``: the peer's own list has this name, or there is none."""

    node_id: str
    input: str
    value: str
    sure: bool
    keys: Keys = ()
    is_listed: bool = False


@dataclass(frozen=True)
class PathReference:
    """An input that may name a file or folder where the ComfyUI runs, by a path or by a name in its input
    folder. Such things are not sent. ``is_choice``: the peer's list does not have it."""

    node_id: str
    input: str
    value: str
    class_type: str
    is_choice: bool = False


def lacks_of(prompt: Prompt, info: ObjectInfo, running: Prompt | None = None) -> Lacks:
    """Everything the peer lacks for this prompt; nothing when it can surely run it. `running`: the part of it
    that runs, where that is not all: of the rest ComfyUI looks at the classes alone."""
    running = prompt if running is None else running
    names = {class_of(node) for node in prompt.values()}
    missing = sorted(name for name in names if name not in info)
    sure: dict[str, str] = {}
    unsure: dict[str, str] = {}
    doubted = set(missing)
    for node_id, spec, value in _choices(running, info):
        class_type = class_of(running[node_id])
        if class_type in TAKES_ANY_CHOICE:
            continue
        if is_model_file(value) and not spec.upload and _listed_as(value, spec) is None:
            hint = _nearest_choice(value, spec) if len(sure) + len(unsure) < _HINTS_MAX else ""
            if info.is_stock(class_type):
                sure[value] = f"it lacks the file {value}, wanted by node {node_id} ({spec.name}){hint}"
            else:
                unsure[value] = (
                    f"its list for node {node_id} ({spec.name}) does not have the file {value}{hint}"
                )
            doubted.add(class_type)
    embeddings = False
    for mention in missing_mentions(running, info):
        is_hinted = len(sure) + len(unsure) < _HINTS_MAX
        near = files_of_peer(info).nearest(mention.name, mention.kind) if is_hinted else ""
        unsure.setdefault(f"{mention.kind}/{mention.name}", _words_of(mention, near))
        embeddings = embeddings or mention.kind == EMBEDDINGS
        doubted |= {listing_class(mention.kind)} - {""}
    return Lacks(
        (*(f"it lacks the node {name}" for name in missing), *(sure[name] for name in sorted(sure))),
        tuple(unsure[name] for name in sorted(unsure)),
        doubt_of(doubted, embeddings=embeddings),
    )


def unmet(prompt: Prompt, info: ObjectInfo) -> tuple[str, ...]:
    """What the peer surely lacks, one phrase each; empty when it can run the prompt, for all one knows."""
    return lacks_of(prompt, info).sure


def missing_mentions(prompt: Prompt, info: ObjectInfo) -> Iterator[Mention]:
    """The files that objects, lists and texts of the prompt name and the peer does not have."""
    files = files_of_peer(info)
    for mention in mentions(prompt, info):
        if files.is_known(mention.kind) and files.spelled(mention.name, mention.kind) is None:
            in_text = mention.kind == LORAS and not is_model_file(mention.name)
            if not (in_text and files.has_somewhere(mention.name, mention.kind)):
                yield mention


def localise_paths(prompt: Prompt, info: ObjectInfo) -> Prompt:
    """The prompt with model paths spelled with the peer's own separator."""
    changed = dict(prompt)
    for node_id, spec, value in _choices(prompt, info):
        listed = _listed_as(value, spec)
        if listed is not None and listed != value:
            changed = with_input(changed, node_id, spec.name, listed)
    files = files_of_peer(info)
    found = list(mentions(prompt, info))
    for mention in reversed(found):  # from the end of each text, so that the places before it stay
        spelled = files.spelled(mention.name, mention.kind)
        if (
            spelled is not None
            and spelled != mention.name
            and spelled.replace("\\", "/") == mention.name.replace("\\", "/")
        ):
            text = _text_at(changed, mention)
            text = text[: mention.start] + spelled + text[mention.end :]
            changed = with_input(changed, mention.node_id, mention.input, text, mention.keys)
    return changed


def input_references(prompt: Prompt, info: ObjectInfo) -> tuple[InputReference, ...]:
    """Inputs whose value, or a text in whose object, may be a file of the master's input, output or temp
    folder. A pack's list counts for nothing here: most take any file that lies in the folder."""
    found = [
        InputReference(
            node_id, spec.name, value, sure=spec.upload is not None, is_listed=value in (spec.choices or ())
        )
        for node_id, spec, value in _choices(prompt, info)
        if spec.upload or may_be_input(value)
    ]
    for node_id, node in prompt.items():
        for name, value in node.get("inputs", {}).items():
            if isinstance(value, (dict, list)) and not is_link(value):
                texts = (leaf for leaf in leaves(name, value) if leaf.keys and may_be_input(leaf.text))
                found += [InputReference(node_id, name, leaf.text, False, leaf.keys, True) for leaf in texts]
    return tuple(found)


def path_references(prompt: Prompt, info: ObjectInfo) -> tuple[PathReference, ...]:
    """Inputs that may name a folder, or a path, of one machine: choices that the peer's list does not have,
    and one-line texts with a folder in them that classes of packs read."""
    found: list[PathReference] = []
    for node_id, node in prompt.items():
        class_type = class_of(node)
        if class_type not in info or class_type in TAKES_ANY_CHOICE:
            continue
        for name, value in node.get("inputs", {}).items():
            if not isinstance(value, str) or not value or len(value) > _PATH_MAX or "\n" in value:
                continue
            spec = info.input(class_type, name)
            if spec is not None and spec.choices is not None:
                is_open = _listed_as(value, spec) is None and not spec.upload and not may_be_input(value)
                if is_open and not is_model_file(value):
                    found.append(PathReference(node_id, name, value, class_type, is_choice=True))
                continue
            is_line = spec is None or not spec.multiline
            if is_line and not info.is_stock(class_type) and ("/" in value or "\\" in value):
                found.append(PathReference(node_id, name, value, class_type))
    return tuple(found)


def only_here(value: str, kind: str, node_id: str, name: str) -> str:
    """What is said of a "file" or "folder" (`kind`) that one machine has, and a node elsewhere is to read."""
    return (
        f"{value} of node {node_id} ({name}) is a {kind} on this computer only: copy it to the same place "
        "there, or use a node that loads single files by their names, which are sent along"
    )


def oversized(files: Mapping[str, int], limit_bytes: int) -> tuple[str, ...]:
    """The input files, each with its bytes, that a peer with this limit does not take, one phrase each."""
    return tuple(
        f"its upload limit of {_mib(limit_bytes)} MiB is below {name} ({_mib(size)} MiB)"
        for name, size in sorted(files.items())
        if size > limit_bytes
    )


def with_input(prompt: Prompt, node_id: str, name: str, value: Any, keys: Keys = ()) -> Prompt:
    """The prompt with one input changed, or what is at `keys` inside it."""
    node = prompt[node_id]
    if keys:
        value = replaced(node["inputs"][name], keys, value)
    return {**prompt, node_id: {**node, "inputs": {**node["inputs"], name: value}}}


def _words_of(mention: Mention, near: str) -> str:
    what = {EMBEDDINGS: "embedding ", LORAS: "LoRA "}.get(mention.kind, "file ")
    hint = f" (it has {near})" if near else ""
    node = f"node {mention.node_id} ({mention.input})"
    return f"it lacks the {what}{mention.name}, which {node} may leave out{hint}"


def _text_at(prompt: Prompt, mention: Mention) -> str:
    value = prompt[mention.node_id]["inputs"][mention.input]
    for key in mention.keys:
        value = value[key]
    return str(value)


def may_be_input(value: str) -> bool:
    """Whether it may name a file of the input, output or temp folder."""
    return bool(_INPUT_FILE.search(value)) and not is_model_file(value) and len(value) <= _PATH_MAX


def _nearest_choice(value: str, spec: InputSpec) -> str:
    near = resembling(value, map(str, spec.choices or ()), 1, 0.8)
    return f" (it has {near[0]})" if near else ""


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
