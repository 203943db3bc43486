"""Everything that an attempt made: files its nodes told, frames told as a pattern, and files nobody told."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...backends.client import ComfyUIClient
from ...core.models.job import OutputFile, Prompt, RemoteFile
from ...core.prompts.output_names import OutputNames
from ...core.workflow.object_info import ObjectInfo
from ...core.workflow.prompt import class_of, node_in_words, title_of
from ...core.workflow.result_files import FrameSequence, companions_of, files_of, sequence_of
from ...core.workflow.result_nodes import is_for_result
from ...errors import PeerError, ResultError, ResultGoneError

log = logging.getLogger(__name__)

FRAMES_MAX = 15_000  #: of all sequences; an attempt may have somewhat more files in all
_ASKED_AT_ONCE = 8
_ASK_AGAIN_S = (0.2, 1.0, 3.0)  #: pauses before a question about a frame is asked again
_NAMED_MAX = 5  #: files that are named in one sentence
#: Inputs that say where a node writes, or under which name.
_PLACE = re.compile(
    r"(^|_)(file|filename|path|folder|directory|dir)(_|$)|(file|folder|dir)(name|path)|(file|output|save)_?prefix"
)
#: Classes that say of themselves that a file is what they take.
_TAKES = re.compile(r"play|load|read|show|preview", re.IGNORECASE)
_WRITES = re.compile(r"save|write|export|store|upload", re.IGNORECASE)


@dataclass(frozen=True)
class Made:
    """``extra``: files whose damage is no fault of the job. ``frames`` are those of each sequence, of which
    ``frames_max`` are taken."""

    files: tuple[RemoteFile, ...]
    extra: frozenset[RemoteFile] = frozenset()
    frames: Mapping[FrameSequence, tuple[RemoteFile, ...]] = field(default_factory=dict)
    silent: tuple[str, ...] = ()  #: nodes that write and told of no file, and none was found
    frames_max: int = FRAMES_MAX
    cut_off: tuple[str, ...] = ()  #: nodes that made nothing but what was sent while nobody could hear it

    @property
    def heads(self) -> dict[RemoteFile, str]:
        """What comes before the number in the name of each frame."""
        return {frame: sequence.head for sequence, frames in self.frames.items() for frame in frames}

    def with_sequences(self, places: Mapping[RemoteFile, OutputFile]) -> dict[RemoteFile, OutputFile]:
        """The places, and for each sequence the one that stands for it: a pattern, as its node told it."""
        both = dict(places)
        for sequence, frames in self.frames.items():
            here = [frame for frame in frames if frame in places]
            number = sequence.number_of(here[0].filename) if here else None
            if number is not None:
                first = places[here[0]]
                pattern = sequence.pattern_here(number, first.filename)
                if pattern:
                    path = first.path[: -len(first.filename)] + pattern
                    both[sequence.file] = OutputFile(
                        first.node_id, path, pattern, first.subfolder, first.type
                    )
        return both


class Gathering:
    """Of one attempt with this `prompt`, whose files have these `names`. `targets`: the output nodes that
    ran, empty for all; `value_node` only carries a value."""

    def __init__(
        self,
        client: ComfyUIClient,
        prompt: Prompt,
        info: ObjectInfo,
        names: OutputNames,
        *,
        targets: Sequence[str] = (),
        value_node: str = "",
        frames_max: int = FRAMES_MAX,
    ) -> None:
        self._client = client
        self._prompt = prompt
        self._info = info
        self._names = names
        self._targets = targets
        self._value_node = value_node
        self._frames_max = frames_max

    async def made(self, outputs: Mapping[str, Any]) -> Made:
        """What the outputs of its history name, and what else is found on the peer.

        Raises:
            PeerError: it went away while it was asked for frames.
        """
        told = files_of(outputs, self._prompt)
        sequences = [each for file in told if (each := sequence_of(file)) is not None]
        listing = await self._listing() if self._names.flat or sequences else None
        most = self._frames_max // max(len(sequences), 1)
        frames = {sequence: await self._frames(sequence, listing, most) for sequence in sequences}
        patterns = {sequence.file for sequence in sequences if frames[sequence]}
        files = [file for file in told if file not in patterns]
        files += [frame for some in frames.values() for frame in some]
        found = self._untold(listing or (), files)
        with_files = {file.node_id.split(".")[0] for file in (*files, *found)}
        silent = (node for node in self._prompt if node not in with_files and self._may_write(node))
        extra = companions_of(outputs) | frozenset(found)
        return Made((*files, *found), extra, frames, tuple(silent), most)

    async def _listing(self) -> tuple[str, ...] | None:
        try:
            return await self._client.output_files()
        except PeerError as exc:
            log.info("%s does not list its output folder: %s", self._client.base_url, exc)
            return None

    async def _frames(
        self, sequence: FrameSequence, listing: Sequence[str] | None, most: int
    ) -> tuple[RemoteFile, ...]:
        file = sequence.file
        if listing is not None and file.type == "output" and not file.subfolder:
            numbers = sorted(n for name in listing if (n := sequence.number_of(name)) is not None)
            return tuple(sequence.frame(number) for number in numbers[:most])
        first = 0 if await self._is_there(sequence.frame(0)) else 1
        frames: list[RemoteFile] = []
        while len(frames) < most:
            number = first + len(frames)
            asked = [sequence.frame(n) for n in range(number, number + _ASKED_AT_ONCE)]
            are_there = await asyncio.gather(*map(self._is_there, asked))
            there = are_there.index(False) if False in are_there else len(asked)
            frames += asked[:there]
            if there < len(asked):
                break
        return tuple(frames[:most])

    async def _is_there(self, frame: RemoteFile) -> bool:
        """A bad moment of the peer must not end a sequence."""
        for pause_s in _ASK_AGAIN_S:
            try:
                return await self._client.has_file(frame)
            except PeerError as exc:
                log.debug("Asked again for %s: %s", frame.filename, exc)
            await asyncio.sleep(pause_s)
        return await self._client.has_file(frame)

    def _untold(self, listing: Sequence[str], told: Collection[RemoteFile]) -> tuple[RemoteFile, ...]:
        names = {file.filename for file in told if file.type == "output" and not file.subfolder}
        tag = self._names.tag  # of a hundred thousand names only these are looked at closely
        found = ((self._names.node_of(name), name) for name in listing if tag in name and name not in names)
        order = {node_id: number for number, node_id in enumerate(self._prompt)}
        ours = sorted((order[node_id], node_id, name) for node_id, name in found if node_id in order)
        return tuple(RemoteFile(node_id, name) for _, node_id, name in ours)

    def _may_write(self, node_id: str) -> bool:
        class_type = class_of(self._prompt[node_id])
        ran = node_id in self._targets if self._targets else True
        if (self._value_node and is_for_result(node_id)) or not ran or class_type not in self._info:
            return False
        if self._names.mark_of(node_id):
            return self._info.is_output_node(class_type)
        if _TAKES.search(class_type) and not _WRITES.search(class_type):
            return False
        inputs = self._prompt[node_id].get("inputs", {})
        says_where = any(_PLACE.search(name) and isinstance(value, str) for name, value in inputs.items())
        return says_where and self._info.is_output_node(class_type)

    def is_lost(self, made: Made, missing: Mapping[RemoteFile, ResultError]) -> bool:
        """Whether nothing came of what was listed, although all of it should lie where the peer shows files:
        another run may bring it. What a node put elsewhere it would put there again."""
        told = [file for file in made.files if file not in made.extra]
        if not told or not all(file in missing for file in told):
            return False
        return not any(_is_elsewhere(file, missing[file], self._names.tag) for file in told)

    def notes(self, made: Made, missing: Mapping[RemoteFile, ResultError], peer: str) -> tuple[str, ...]:
        """A sentence for each thing that did not come."""
        notes = [self._silence(node_id, peer) for node_id in made.silent]
        notes += [
            f"The connection to {peer} was cut while the job ran: pictures that {self._where(node_id)} sent "
            "over it may be missing."
            for node_id in made.cut_off
            if node_id not in made.silent
        ]
        notes += [
            f"{self._where(sequence.file.node_id)} made {made.frames_max} frames or more; these are here, "
            f"all others in the output folder of {peer}. Get them from there."
            for sequence, frames in made.frames.items()
            if len(frames) >= made.frames_max and sequence.file.node_id in self._prompt
        ]
        if missing:
            named = [self._named(file, why) for file, why in list(missing.items())[:_NAMED_MAX]]
            more = len(missing) - len(named)
            listed = "; ".join(named) + (f"; and {more} more" if more else "")
            notes.insert(0, f"Not everything that {peer} lists could be fetched: {listed}")
        return tuple(notes)

    def _named(self, file: RemoteFile, why: ResultError) -> str:
        subfolder, name = self._names.wanted(file.subfolder, file.filename)
        place = f" (in {file.type}/{subfolder})"[:200] if subfolder else f" (in {file.type})"
        return f"{name[:120]}{place}: {why}"

    def _where(self, node_id: str) -> str:
        node = self._prompt[node_id]
        return node_in_words(node_id, class_of(node), title_of(node))

    def _silence(self, node_id: str, peer: str) -> str:
        mark = self._names.mark_of(node_id)
        under = f", with {mark} in their names" if mark else ""
        return (
            f"{self._where(node_id)} wrote files that this peer does not list; they are in its output "
            f"folder{under}, or where the node was told to put them. Get them from {peer} itself."
        )


def _is_elsewhere(file: RemoteFile, why: ResultError, tag: str) -> bool:
    is_hidden = isinstance(why, ResultGoneError) and why.is_hidden
    return is_hidden or bool(file.subfolder and not file.subfolder.startswith(tag))
