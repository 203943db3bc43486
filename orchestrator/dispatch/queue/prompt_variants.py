"""What each peer would get of a waiting job, made once for all peers with the same definitions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from ...backends.manager import BackendManager
from ...backends.request_body import is_small
from ...background import done_for_each
from ...core.engine.placement.eligibility import said_of
from ...core.engine.placement.need import Need
from ...core.models.backend import LOCAL_PEER_ID, BackendConfig
from ...core.models.job import JobRequest, Prompt
from ...core.prompts.kinds import Kind, kind_of
from ...core.prompts.preparation import Prepared, prepare
from ...core.prompts.requirements import Doubt, only_here, oversized
from ...core.workflow.object_info import ObjectInfo
from ...core.workflow.prompt import class_of
from ...core.workflow.runs_here import HereClasses, in_words
from .queued_job import QueuedJob

IN_PLACE_NODES = 100  #: in larger prompts nothing is looked for on the event loop
LOOK_S = 1.0  #: until a disk with input files counts as hung: all jobs wait meanwhile, whatever they need
_NOT_HERE = ("this computer runs only whole prompts of the Run button that may go anywhere",)


@dataclass(frozen=True)
class _OnDisk:
    """Of names in a prompt: bytes of the input files here, and what of the others is a "file" or "folder"."""

    input_bytes: dict[str, int]
    here: dict[str, str]


def is_quick_to_read(prompt: Prompt) -> bool:
    """Whether checking or preparing it for one peer takes a few milliseconds at most."""
    return len(prompt) <= IN_PLACE_NODES and is_small(prompt)


@dataclass
class _Making:
    """``kind`` is the kind of work as the first peer sees it that can run it; None while none can."""

    request: JobRequest
    here: HereClasses
    now: datetime | None  #: by this computer's clock, when it was asked for
    kind: Kind | None = None

    def variant(self, info: ObjectInfo) -> Prepared:
        """What a peer with these definitions would get. Whatever the way a job came: a node that runs on
        the master alone is run by no peer."""
        request, made = self.request, prepare(self.request, info, self.now)
        outputs = (
            i for i, n in made.prompt.items() if class_of(n) in info and info.is_output_node(class_of(n))
        )
        wanted = (node_id for node_id in outputs if not request.targets or node_id in request.targets)
        roots = wanted if request.result is None else (request.result.node_id,)
        kept = self.here.nodes(made.prompt, roots, info.is_api_node) if made.prompt else ()
        if kept:
            made = replace(made, unmet=(in_words(kept).rstrip("."),))
        if self.kind is None and not made.unmet and not made.error:
            self.kind = kind_of(made.prompt, info)
        return made


class PromptVariants:
    """`input_bytes` tells the size of the file here that an input's value names, if there is one; `kind_here`
    whether a name or path is a "file" or "folder" of this computer, "" for neither."""

    def __init__(
        self,
        manager: BackendManager,
        input_bytes: Callable[[str], int | None] = lambda value: None,
        kind_here: Callable[[str], str] = lambda value: "",
    ) -> None:
        self._manager = manager
        self._input_bytes = input_bytes
        self._here = manager.here_classes
        self._kind_here = kind_here
        self._one_look = asyncio.Lock()
        self._look_at_disk: asyncio.Future[_OnDisk] | None = None  #: the last one, which may be hung
        self._lists: dict[str, ObjectInfo] = {}
        self._limits: dict[str, int] = {}  #: bytes that the peers take of an input file, where they told
        self._edition = 0  #: of both
        self._looked_at = -1  #: the manager's edition that they are of

    def is_due(self, queued: QueuedJob) -> bool:
        """Whether it was never prepared, or peers had other nodes at the last ``look``."""
        return queued.group is None or queued.edition != self._edition

    async def prepare(self, queued: QueuedJob) -> None:
        """Make what is not made yet, and tell which jobs it is like."""
        self.look()
        edition, present, limits = self._edition, dict.fromkeys(self._lists.values()).keys(), self._limits
        here = self._here
        if queued.here_classes != here:
            queued.prepared, queued.here_classes = {}, here
        queued.prepared = {info: made for info, made in queued.prepared.items() if info in present}
        todo = [info for info in present if info not in queued.prepared]
        if todo:
            request = queued.request
            is_small = not request.workflow and is_quick_to_read(request.prompt)
            asked_at = queued.asked_at
            making = _Making(request, here, asked_at.astimezone() if asked_at else None)
            made = await done_for_each(making.variant, todo, in_place=is_small)
            if queued.request.prompt is not request.prompt:
                return  # it was edited meanwhile, and is due again
            queued.prepared.update(zip(todo, made, strict=True))
            queued.kind = making.kind or queued.kind
            names = {reference.value for prepared in made for reference in prepared.inputs}
            paths = {reference.value for prepared in made for reference in prepared.paths}
            if names or paths:
                await self._look_for_files(queued, names, paths)
            queued.cautions = {
                info: _cautions(queued, prepared) for info, prepared in queued.prepared.items()
            }
        queued.oversized = self._oversized(queued, limits)
        queued.edition = edition
        queued.group = self.group_of(queued)

    def group_of(self, queued: QueuedJob) -> Hashable:
        """Equal for prepared jobs that are all the same to placement."""
        lacks = tuple(
            (id(info), p.unmet, str(p.error or ""), queued.cautions.get(info, ()))
            for info, p in queued.prepared.items()
        )
        request, tried = queued.request, tuple(queued.tried.items())
        wishes = (request.peer, request.tags, request.avoid, queued.fits_here)
        too_large = tuple(queued.oversized.items())
        kind = queued.kind.signature
        return (queued.edition, kind, wishes, tried, queued.memory_bytes, lacks, too_large, queued.outranked)

    def cautions(self, queued: QueuedJob, backend_id: str) -> tuple[str, ...]:
        """What may be missing on that peer, or be refused by it, one phrase each."""
        known = self.prepared(queued, backend_id)
        return queued.cautions.get(known[0], ()) if known else ()

    def notes(self, queued: QueuedJob, peer: BackendConfig) -> tuple[str, ...]:
        """The same, one sentence each that names the peer."""
        return tuple(f"{said_of(peer.name, words)}." for words in self.cautions(queued, peer.id))

    def lacking(self, queued: QueuedJob) -> tuple[str, ...]:
        """Peers whose node list says that they cannot run it."""
        unmet = self.need(queued).unmet
        return tuple(
            backend_id for backend_id, lacks in unmet.items() if lacks and backend_id != LOCAL_PEER_ID
        )

    def doubts(self, queued: QueuedJob) -> dict[str, Doubt]:
        """What the peers, by id, can be asked before their "no" to it counts."""
        found: dict[str, Doubt] = {}
        for config in self._manager.all():
            if known := self.prepared(queued, config.id):
                is_too_large = config.id in queued.oversized
                found[config.id] = known[1].rests_on.and_(Doubt(upload_limit=is_too_large))
        return {backend_id: doubt for backend_id, doubt in found.items() if doubt}

    def prepared(self, queued: QueuedJob, backend_id: str) -> tuple[ObjectInfo, Prepared] | None:
        """What the peer would get, and the definitions it was made with."""
        info = self._manager.get_object_info(backend_id)
        known = queued.prepared.get(info) if info is not None else None
        return (info, known) if info is not None and known is not None else None

    def need(self, queued: QueuedJob) -> Need:
        unmet: dict[str, tuple[str, ...]] = {LOCAL_PEER_ID: () if queued.fits_here else _NOT_HERE}
        cautions: dict[str, tuple[str, ...]] = {}
        self.look()
        for backend_id, info in self._lists.items():
            if (known := queued.prepared.get(info)) is not None:
                lacks = (str(known.error),) if known.error else known.unmet
                unmet[backend_id] = lacks + queued.oversized.get(backend_id, ())
                if words := queued.cautions.get(info, ()):
                    cautions[backend_id] = words
        request = queued.request
        tried = dict(queued.tried)  # as it is now: others of its group share the need
        pinned = self._manager.find(request.peer) if request.peer else None
        name = pinned.name if pinned else ""
        return Need(
            *(request.peer, request.tags, unmet, tried, queued.memory_bytes, request.avoid, name),
            cautions=cautions,
            outranked=queued.outranked,
        )

    def look(self) -> None:
        """Note when a peer has other nodes or limits, or is new or gone, and what runs here: then jobs have
        other needs."""
        if self._looked_at == self._manager.edition:
            return  # thousands of jobs ask
        self._looked_at = self._manager.edition
        known = ((config.id, self._manager.get_object_info(config.id)) for config in self._manager.all())
        lists = {backend_id: info for backend_id, info in known if info is not None}
        told = ((backend_id, self._manager.get_upload_limit(backend_id)) for backend_id in lists)
        limits = {backend_id: limit for backend_id, limit in told if limit is not None}
        here = self._manager.here_classes
        if (lists, limits, here) != (self._lists, self._limits, self._here):
            self._lists, self._limits, self._here = lists, limits, here
            self._edition += 1

    async def _look_for_files(
        self, queued: QueuedJob, names: Collection[str], paths: Collection[str]
    ) -> None:
        """Note which of these are here; of none while the disk hangs: the upload, or the peer, will tell.

        A hung look keeps its thread, so there is never more than one."""
        async with self._one_look:
            if self._look_at_disk is not None and not self._look_at_disk.done():
                return
            loop = asyncio.get_running_loop()
            look = self._look_at_disk = loop.run_in_executor(None, self._on_disk, names, paths)
            await asyncio.wait({look}, timeout=LOOK_S)
            if look.done():
                found = look.result()
                queued.input_bytes.update(found.input_bytes)
                queued.here.update(found.here)

    def _on_disk(self, names: Collection[str], paths: Collection[str]) -> _OnDisk:
        sizes = ((name, self._input_bytes(name)) for name in names)
        found = {name: size for name, size in sizes if size is not None}
        others = {*names, *paths} - found.keys()
        return _OnDisk(found, {name: self._kind_here(name) for name in others})

    def _oversized(self, queued: QueuedJob, limits: Mapping[str, int]) -> dict[str, tuple[str, ...]]:
        """By peer, the input files that it would get and does not take."""
        largest = max(queued.input_bytes.values(), default=0)
        found: dict[str, tuple[str, ...]] = {}
        for backend_id, limit in limits.items() if largest else ():
            known = self.prepared(queued, backend_id) if largest > limit else None
            names = {reference.value for reference in known[1].inputs} if known else ()
            sent = {name: queued.input_bytes[name] for name in names if name in queued.input_bytes}
            if reasons := oversized(sent, limit):
                found[backend_id] = reasons
        return found


def _cautions(queued: QueuedJob, prepared: Prepared) -> tuple[str, ...]:
    """What was read from the peer's lists, and what is named that only this computer has, or nobody."""
    found = list(prepared.cautions)
    for file in prepared.inputs:
        if not file.is_listed and file.value in queued.here:
            where = f"node {file.node_id} ({file.input})"
            found.append(
                f"the file {file.value} of {where} is neither in this computer's input folder "
                "nor in the peer's list"
            )
    for path in prepared.paths:
        kind = queued.here.get(path.value)
        where = f"node {path.node_id} ({path.input})"
        if kind:
            found.append(only_here(path.value, kind, path.node_id, path.input))
        elif kind is not None and path.is_choice:
            found.append(f"its list for {where} does not have {path.value}")
    return tuple(dict.fromkeys(found))
