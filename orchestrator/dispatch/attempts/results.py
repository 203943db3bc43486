"""Result files of one attempt: down from its peer, under names of our own choosing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path, PurePosixPath

from ...backends.client import ComfyUIClient
from ...backends.gate import when_let
from ...backends.transfer import in_thread
from ...core.models.job import OutputFile, RemoteFile
from ...core.prompts.input_names import UPLOAD_FOLDER
from ...core.prompts.output_names import OutputNames
from ...errors import (
    LocalDiskError,
    PeerAuthError,
    PeerRefusedError,
    PeerTimeoutError,
    PeerUnreachableError,
    ResultError,
    ResultGoneError,
)
from .contents import check_head
from .expected_file import NAME_SHOWN, ExpectedFile
from .free_names import Counters, WantedFile, move_all, newer_files, remove_all, reserve_all
from .result_names import safe_folder, safe_name
from .transport import PATIENCE_S, Folders

log = logging.getLogger(__name__)

MAX_FILES = 20_000
MAX_FILE_BYTES = 8 << 30
CUTS_MAX = 5  #: of one file's download
CHECKS_MAX = 2  #: how often files that somebody removes here are fetched again
RESUME_PAUSE_S = 0.1  #: before the first new try; twice as long before each one after it
_DOWNLOADS_AT_ONCE = 4


#: Which of these paths are a job's by the journal
Delivered = Callable[[Sequence[str]], Awaitable[frozenset[str]]]


@dataclass(frozen=True)
class Earlier:
    """A process that ended in the middle of an attempt, perhaps just when its results were in their places.

    ``since``: when it began the job's first attempt.
    """

    since: datetime
    delivered: Delivered

    async def brought(self, places: Sequence[Path]) -> tuple[Path, ...]:
        """Files that look like results for these places, and are no job's yet."""
        found = await asyncio.to_thread(newer_files, places, self.since)
        delivered = await self.delivered([str(path) for path in found])
        return tuple(path for path in found if str(path) not in delivered)


@dataclass(frozen=True)
class Published:
    """What came of each file: its place here, or why it could not be had."""

    places: Mapping[RemoteFile, OutputFile]
    missing: Mapping[RemoteFile, ResultError] = field(default_factory=dict)


@dataclass(frozen=True)
class _Place:
    """Where a file goes: to this `folder` of the output folder, or of the temp folder, under this `name` if
    it is free. All of it is safe."""

    is_output: bool
    folder: PurePosixPath
    directory: Path
    name: str


class Results:
    """Each file is fetched as soon as its node has made it; all get their names when the attempt succeeded.

    Files of type "output" go to the output folder under the name that the workflow asked for (see `names`);
    all others, and those of `value_node`, to the temp folder. `stock_nodes` write nothing more into a file
    that they have told. `earlier`: the process that began the job; what that one brought here before it ended
    is not brought a second time.
    """

    def __init__(
        self,
        client: ComfyUIClient,
        folders: Folders,
        counters: Counters,
        *,
        job_id: str,
        names: OutputNames,
        value_node: str = "",
        stock_nodes: Collection[str] = (),
        earlier: Earlier | None = None,
    ) -> None:
        self._client = client
        self._folders = folders
        self._counters = counters
        self._job_id = job_id
        self._names = names
        self._value_node = value_node
        self._stock_nodes = stock_nodes
        self._earlier = earlier
        self._gate = asyncio.Semaphore(_DOWNLOADS_AT_ONCE)
        self._downloads: dict[RemoteFile, ExpectedFile] = {}
        self._named: dict[RemoteFile, Path] = {}
        self._places: dict[RemoteFile, _Place] = {}
        self._reading = asyncio.Lock()  #: a file that is read cannot be moved everywhere
        self._begun = 0
        self._is_over = False

    async def name(self, files: Sequence[RemoteFile]) -> Mapping[RemoteFile, OutputFile]:
        """The places that `files` of one node, which are expected, will have if all goes well. They are kept
        for them, and give what is asked for there as soon as it has come.

        Raises:
            OSError: a folder cannot be read.
        """
        if any(file not in self._downloads for file in files):
            return {}  # there are too many
        first = len(self._named)
        placements = [self._placement(first + number, file) for number, file in enumerate(files)]
        paths = await asyncio.to_thread(reserve_all, placements, self._counters)
        for file, path in zip(files, paths, strict=True):
            self._named[file] = path
            self._folders.early.offer(path, partial(self._read, file))
        return {file: self._output(file, path) for file, path in zip(files, paths, strict=True)}

    async def _read(self, file: RemoteFile) -> bytes | None:
        """Its bytes before it is in its place, checked like those that are; None for a very large one."""
        if file in self._downloads:
            await self._downloads[file].settled()
        async with self._reading:
            download = self._downloads.get(file)
            if download is None or not download.is_here:
                return None
            return await asyncio.to_thread(download.sound_bytes)

    def expect(self, files: Iterable[RemoteFile]) -> None:
        """Begin to fetch what a node of the running attempt has just made."""
        for file in files:
            if file not in self._downloads and len(self._downloads) < MAX_FILES:
                self._begin(file)

    def keep(self, file: RemoteFile, data: bytes) -> None:
        """Store what came over the websocket, as if it had been fetched."""
        if len(self._downloads) < MAX_FILES:
            self._begin(file, data)

    def run_ended(self) -> None:
        """Nothing more is made: what was fetched while it was can be asked for once more."""
        self._is_over = True
        for download in self._downloads.values():
            if download.is_early and download.last_look is None:
                name = f"remote-dispatch last look {self._job_id}"
                download.last_look = asyncio.create_task(self._look_again(download), name=name)

    async def publish(
        self,
        files: Sequence[RemoteFile],
        *,
        extra: Collection[RemoteFile] = (),
        heads: Mapping[RemoteFile, str] | None = None,
    ) -> Published:
        """Bring `files` of the successful attempt to their places, in order.

        One that the peer does not give is missing, and so is one of `extra` that is damaged. `heads`: the
        part of a frame's name that comes before its number.

        Raises:
            ResultError: one is not what it says. PeerError: the peer went away.
            LocalDiskError: one cannot be written here; asking again later is worth it.
        """
        self.run_ended()
        wanted = list(dict.fromkeys(files))
        if len(wanted) > MAX_FILES:
            raise ResultError(f"The peer lists {len(wanted)} result files; at most {MAX_FILES} are taken.")
        try:
            found = await self._all_fetched(wanted)
            checks_left = CHECKS_MAX
            while True:
                _refuse_damage(found, extra)
                here = [file for file in wanted if found[file] is None]
                faults, made = await self._brought(here, heads or {})
                if not any(faults):
                    break
                found.update(
                    await self._with_removed_again(dict(zip(here, faults, strict=True)), checks_left)
                )
                checks_left -= 1
        except OSError as exc:
            raise LocalDiskError(
                f"A result cannot be written to {exc.filename or 'the output folder'}: {exc.strerror}. "
                "Make room or fix the folder's permissions; the peer still has the result."
            ) from exc
        return Published(made, {file: fault for file, fault in found.items() if fault is not None})

    async def _brought(
        self, files: Sequence[RemoteFile], heads: Mapping[RemoteFile, str]
    ) -> tuple[Sequence[ResultError | None], Mapping[RemoteFile, OutputFile]]:
        """What is wrong with each of these files, which are here; if nothing is, they are in their places.

        Raises:
            OSError: one cannot be written.
        """
        placements = [self._placement(number, file, heads.get(file, "")) for number, file in enumerate(files)]
        places = [placement.wanted for placement in placements]
        brought = await self._earlier.brought(places) if self._earlier else ()
        downloads = [self._downloads[file] for file in files]
        async with self._reading:
            faults, paths = await asyncio.to_thread(_moved, downloads, placements, self._counters, brought)
            made = {file: self._output(file, path) for file, path in zip(files, paths, strict=False)}
            for file in made:
                del self._downloads[file]
        return faults, made

    @property
    def has_leftovers(self) -> bool:
        """Whether ``discard`` has anything to end or to remove."""
        return bool(self._downloads)

    def release_names(self) -> None:
        """Nobody keeps a place for its files, or reads them early, any more."""
        self._folders.early.withdraw(self._named.values())
        self._counters.release(self._named.values())

    async def discard(self) -> None:
        """End what is still on its way and leave nothing half done behind. Harmless after ``publish``."""
        downloads = tuple(self._downloads.values())
        tasks = [task for each in downloads for task in (each.task, each.last_look) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.release_names()
        parts = [download.part for download in self._downloads.values()]
        if parts:
            await asyncio.to_thread(remove_all, parts)

    async def _all_fetched(self, files: Sequence[RemoteFile]) -> dict[RemoteFile, ResultError | None]:
        return dict(zip(files, await asyncio.gather(*map(self._fetched, files)), strict=True))

    async def _with_removed_again(
        self, faults: Mapping[RemoteFile, ResultError | None], checks_left: int
    ) -> dict[RemoteFile, ResultError | None]:
        """The same once those are fetched again that somebody has removed here since they were fetched."""
        gone = (file for file, fault in faults.items() if isinstance(fault, ResultGoneError))
        removed = [file for file in gone if checks_left > 0 and not self._downloads[file].is_frame]
        for file in removed:
            self._begin(file)
        return {**faults, **await self._all_fetched(removed)}

    async def _fetched(self, file: RemoteFile) -> ResultError | None:
        """Why it cannot be had, if so. One begun while the peer was still at work may have come too soon: it
        gets a second try."""
        download = self._downloads.get(file)
        if download is not None:
            await download.settled()
            if download.is_here:
                return None
        if download is None or not download.is_frame or download.frame is not None:
            self._begin(file, download.frame if download else None)
        try:
            await self._downloads[file].task
        except ResultGoneError as exc:
            return exc
        return None

    def _begin(self, file: RemoteFile, frame: bytes | None = None) -> None:
        self._begun += 1
        # The part file has a name of its own, so nothing half done is ever taken for a result.
        part = self._place(file).directory / f".{self._job_id}-{self._names.tag}-{self._begun}.part"
        name = f"remote-dispatch download {self._job_id} {self._begun}"
        is_frame = frame is not None
        is_early = not self._is_over and not is_frame and file.node_id not in self._stock_nodes
        download = ExpectedFile(file, part, is_early, is_frame, frame)
        work = self._fetch(download) if frame is None else download.store(frame)
        download.task = asyncio.create_task(work, name=name)
        self._downloads[file] = download

    async def _fetch(self, download: ExpectedFile) -> None:
        async with self._gate:
            try:
                await self._fetch_in_pieces(download)
            except BaseException:
                await in_thread(partial(remove_all, [download.part]))
                raise

    async def _look_again(self, download: ExpectedFile) -> None:
        """Fetch it again if the peer has something else under its name by now."""
        await asyncio.wait([download.task])
        if download.task.cancelled() or download.task.exception():
            return  # it is fetched again in any case
        async with self._gate:
            try:
                await self._fetch_in_pieces(download, only_if_changed=True)
            except (ResultGoneError, PeerRefusedError, PeerAuthError) as exc:
                log.info(
                    "What was fetched early of %s is what there is: %s", download.file.filename[:80], exc
                )

    async def _fetch_in_pieces(self, download: ExpectedFile, *, only_if_changed: bool = False) -> None:
        """Where the connection is cut it goes on from there; a try that brings nothing is too much."""
        so_far, file = download.so_far, download.file
        ending, shown = self._place(file).name.rpartition(".")[2], file.filename[:NAME_SHOWN]
        while True:
            seen = so_far.seen
            try:
                fetch = partial(
                    self._client.download,
                    file,
                    download.part,
                    max_bytes=MAX_FILE_BYTES,
                    reserve_bytes=self._folders.reserve_bytes,
                    so_far=so_far,
                    only_if_changed=only_if_changed and so_far.total == so_far.size,
                    check_head=lambda head: check_head(head, ending, shown),
                )
                await when_let(fetch, PATIENCE_S)
                return
            except PeerTimeoutError:
                raise
            except PeerUnreachableError:
                so_far.cuts += 1
                if so_far.seen == seen or so_far.cuts > CUTS_MAX:
                    raise
            except PeerRefusedError:  # a server error is no reason to run all of it again
                so_far.cuts += 1
                if so_far.cuts > CUTS_MAX:
                    raise
            except FileNotFoundError:  # somebody cleared the folder: from the beginning
                so_far.cuts += 1
                if so_far.size == 0 or so_far.cuts > CUTS_MAX:
                    raise
                so_far.start_over()
            await asyncio.sleep(RESUME_PAUSE_S * 2**so_far.cuts)

    def _place(self, file: RemoteFile) -> _Place:
        if file not in self._places:
            is_output = file.type == "output" and file.node_id != self._value_node
            asked_for, name = self._names.wanted(file.subfolder, file.filename)
            folder = safe_folder(asked_for) if is_output else PurePosixPath(UPLOAD_FOLDER, self._job_id)
            directory = (self._folders.output if is_output else self._folders.temp) / folder
            self._places[file] = _Place(is_output, folder, directory, safe_name(name))
        return self._places[file]

    def _placement(self, number: int, file: RemoteFile, head: str = "") -> WantedFile:
        place = self._place(file)
        if head and place.is_output:  # made safe like the name that it is the beginning of
            head = safe_name(f"{self._names.wanted(file.subfolder, head)[1]}.x")[: -len(".x")]
        else:
            head = ""
        name = place.name if place.is_output else f"{number:04d}_{place.name}"
        wanted = self._named.get(file) or place.directory / name
        owner = f"{self._names.tag} {file}"
        return WantedFile(self._downloads[file].part, wanted, file.node_id, head, owner)

    def _output(self, file: RemoteFile, path: Path) -> OutputFile:
        place = self._place(file)
        return OutputFile(
            node_id=file.node_id,
            path=str(path),
            filename=path.name,
            subfolder="" if place.folder == PurePosixPath() else str(place.folder),
            type="output" if place.is_output else "temp",
        )


def _moved(
    downloads: Sequence[ExpectedFile],
    placements: Sequence[WantedFile],
    counters: Counters,
    brought: Sequence[Path],
) -> tuple[list[ResultError | None], list[Path]]:
    """What is wrong with each file; if nothing is, all were moved to these paths. Blocks its thread."""
    faults = [download.fault() for download in downloads]
    return faults, [] if any(faults) else move_all(placements, counters, brought)


def _refuse_damage(found: Mapping[RemoteFile, ResultError | None], extra: Collection[RemoteFile]) -> None:
    """Raises: ResultError: a file that is none of `extra` is not what it says."""
    for file, fault in found.items():
        if fault is not None and not isinstance(fault, ResultGoneError) and file not in extra:
            raise fault
