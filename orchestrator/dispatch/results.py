"""Result files of one attempt: down from its peer, under names of our own choosing."""

from __future__ import annotations

import asyncio
import contextlib
import filecmp
import glob
import re
import threading
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path, PurePosixPath
from unicodedata import category

from ..backends.client import ComfyUIClient
from ..backends.transfer import Partial, in_thread
from ..core.models.job import OutputFile, RemoteFile
from ..errors import LocalDiskError, PeerTimeoutError, PeerUnreachableError, ResultError
from .contents import check_contents
from .transport import UPLOAD_FOLDER, Folders

MAX_FILES = 20_000
MAX_FILE_BYTES = 8 << 30
CUTS_MAX = 5  #: of one file's download
RESUME_PAUSE_S = 0.2
_DOWNLOADS_AT_ONCE = 4
_HARMFUL = frozenset('<>:"/\\|?*')  #: refused by some file system, or a path's own
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Cn", "Zl", "Zp"})  #: kinds of characters that only deceive
_NAME_BYTES, _FOLDER_BYTES = 200, 120  #: in UTF-8; file systems take 255, and a number is added
_RESERVED = re.compile(r"^(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)
_COUNTERS_MAX = 1_000
_CLAIMED_MAX = 10_000
_COUNTED = re.compile(r"^(?P<prefix>.*)_(?P<counter>\d{5,})(?P<rest>_?\.\w+)$")
# Kinds of files ComfyUI's own and common nodes save. Anything else is kept, under a harmless ending.
_KNOWN_ENDINGS = frozenset(
    {"png", "jpg", "jpeg", "webp", "gif", "avif", "apng", "exr", "tif", "tiff", "bmp"}  # pictures
    | {"mp4", "webm", "mkv", "mov", "avi", "mp3", "wav", "flac", "ogg", "opus", "m4a"}  # video and audio
    | {"glb", "gltf", "obj", "ply", "stl", "fbx", "usdz", "spz", "splat", "ksplat"}  # 3D
    | {"latent", "safetensors", "json", "txt", "csv", "npz", "npy"}
)


@dataclass(frozen=True)
class Earlier:
    """A process that ended in the middle of an attempt, perhaps just when its results were in their places.

    ``since``: when it began the attempt. ``delivered`` tells which of these paths are a job's by the journal.
    """

    since: datetime
    delivered: Callable[[Sequence[str]], Awaitable[frozenset[str]]]

    async def brought(self, places: Sequence[Path]) -> tuple[Path, ...]:
        """Files that look like results for these places, and are no job's yet."""
        found = await asyncio.to_thread(_newer_files, places, self.since)
        delivered = await self.delivered([str(path) for path in found])
        return tuple(path for path in found if str(path) not in delivered)


@dataclass(frozen=True)
class _Download:
    file: RemoteFile
    part: Path
    task: asyncio.Task[None]


class Results:
    """Each file is fetched as soon as its node has made it; all get their names when the attempt succeeded.

    `keep`: files of type "output" go to the output folder with the prefix the workflow asked for; all others,
    and everything without `keep`, to the temp folder. `strip` is the folder prefix that was put before every
    output name of this attempt. `earlier`: the process that began it; what that one brought here before it
    ended is not brought a second time.
    """

    def __init__(
        self,
        client: ComfyUIClient,
        folders: Folders,
        counters: Counters,
        *,
        job_id: str,
        strip: str,
        keep: bool,
        earlier: Earlier | None = None,
    ) -> None:
        self._client = client
        self._folders = folders
        self._counters = counters
        self._job_id = job_id
        self._strip = strip
        self._keep = keep
        self._earlier = earlier
        self._gate = asyncio.Semaphore(_DOWNLOADS_AT_ONCE)
        self._downloads: dict[RemoteFile, _Download] = {}
        self._begun = 0

    def expect(self, files: Iterable[RemoteFile]) -> None:
        """Begin to fetch what a node of the running attempt has just made."""
        for file in files:
            if file not in self._downloads and len(self._downloads) < MAX_FILES:
                self._begin(file)

    async def publish(self, files: Sequence[RemoteFile]) -> tuple[OutputFile, ...]:
        """Bring all `files` of the successful attempt to their places, in order.

        Raises:
            ResultError: one is gone, too large, or not what it says. PeerError: the peer went away.
            LocalDiskError: one cannot be written here; asking again later is worth it.
        """
        if len(files) > MAX_FILES:
            raise ResultError(f"The peer lists {len(files)} result files; at most {MAX_FILES} are taken.")
        try:
            await asyncio.gather(*(self._fetched(file) for file in dict.fromkeys(files)))
            wanted = dict.fromkeys(files)
            places = [self._place(number, file) for number, file in enumerate(wanted)]
            parts = [self._downloads[file].part for file in wanted]
            names = [file.filename[:80] for file in wanted]
            brought = await self._earlier.brought(places) if self._earlier else ()
            paths = await asyncio.to_thread(_move_all, parts, places, names, self._counters, brought)
        except OSError as exc:
            raise LocalDiskError(
                f"A result cannot be written to {exc.filename or 'the output folder'}: {exc.strerror}. "
                "Make room or fix the folder's permissions; the peer still has the result."
            ) from exc
        for file in wanted:
            del self._downloads[file]
        made = {file: self._output(file, path) for file, path in zip(wanted, paths, strict=True)}
        return tuple(made[file] for file in files)

    async def discard(self) -> None:
        """End what is still on its way and leave nothing half done behind. Harmless after ``publish``."""
        tasks = [download.task for download in self._downloads.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        parts = [download.part for download in self._downloads.values()]
        if parts:
            await asyncio.to_thread(_remove_all, parts)

    async def _fetched(self, file: RemoteFile) -> None:
        """One begun while the peer was still at work may have come too soon: it gets a second try."""
        if file in self._downloads:
            await asyncio.wait([self._downloads[file].task])
        if file not in self._downloads or self._downloads[file].task.exception() is not None:
            self._begin(file)
        await self._downloads[file].task

    def _begin(self, file: RemoteFile) -> None:
        self._begun += 1
        # The part file has a name of its own, so nothing half done is ever taken for a result.
        part = self._directory(file) / f".{self._job_id}-{self._strip}-{self._begun}.part"
        name = f"remote-dispatch download {self._job_id} {self._begun}"
        self._downloads[file] = _Download(file, part, asyncio.create_task(self._fetch(file, part), name=name))

    async def _fetch(self, file: RemoteFile, part: Path) -> None:
        async with self._gate:
            try:
                await self._fetch_in_pieces(file, part)
            except BaseException:
                await in_thread(partial(_remove_all, [part]))
                raise

    async def _fetch_in_pieces(self, file: RemoteFile, part: Path) -> None:
        """Where the connection is cut it goes on from there; a try that brings nothing is too much."""
        so_far = Partial()
        while True:
            seen = so_far.seen
            try:
                await self._client.download(
                    file,
                    part,
                    max_bytes=MAX_FILE_BYTES,
                    reserve_bytes=self._folders.reserve_bytes,
                    so_far=so_far,
                )
                return
            except PeerTimeoutError:
                raise
            except PeerUnreachableError:
                so_far.cuts += 1
                if so_far.seen == seen or so_far.cuts > CUTS_MAX:
                    raise
            await asyncio.sleep(RESUME_PAUSE_S)

    def _to_output(self, file: RemoteFile) -> bool:
        return self._keep and file.type == "output"

    def _folder(self, file: RemoteFile) -> PurePosixPath:
        if self._to_output(file):
            return safe_folder(file.subfolder, self._strip)
        return PurePosixPath(UPLOAD_FOLDER, self._job_id)

    def _directory(self, file: RemoteFile) -> Path:
        root = self._folders.output if self._to_output(file) else self._folders.temp
        return root / self._folder(file)

    def _place(self, number: int, file: RemoteFile) -> Path:
        name = safe_name(file.filename)
        return self._directory(file) / (name if self._to_output(file) else f"{number:04d}_{name}")

    def _output(self, file: RemoteFile, path: Path) -> OutputFile:
        folder = str(self._folder(file))
        return OutputFile(
            node_id=file.node_id,
            path=str(path),
            filename=path.name,
            subfolder="" if folder == "." else folder,
            type="output" if self._to_output(file) else "temp",
        )


def _move_all(
    parts: Sequence[Path],
    places: Sequence[Path],
    names: Sequence[str],
    counters: Counters,
    brought: Sequence[Path],
) -> list[Path]:
    """Check all of them, then give them their names: all, or none."""
    for part, place, name in zip(parts, places, names, strict=True):
        check_contents(part, place.suffix[1:], name)
    moved: list[Path] = []
    try:
        for part, place in zip(parts, places, strict=True):
            there = next((path for path in brought if counters.claim(path, part)), None)
            moved.append(there or move_to_free_name(part, place, counters))
    except OSError:
        for part, path in zip(parts, moved, strict=False):
            path.replace(part)
        raise
    return moved


def _remove_all(parts: Sequence[Path]) -> None:
    for part in parts:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def safe_name(name: str) -> str:
    """A harmless file name made of a peer's: one component, a known ending, no dot in front."""
    last = re.split(r"[\\/]", name)[-1]
    stem, dot, ending = last.rpartition(".")
    if not dot:
        stem, ending = last, ""
    stem = _readable(stem)[-_NAME_BYTES:]
    stem = stem.encode()[-_NAME_BYTES:].decode(errors="ignore").strip(" .") or "result"
    if _RESERVED.match(stem):
        stem = f"_{stem}"
    return f"{stem}.{ending.lower()}" if ending.lower() in _KNOWN_ENDINGS else f"{stem}.bin"


def safe_folder(subfolder: str, strip: str) -> PurePosixPath:
    """The workflow's own subfolder of a result, without the attempt's prefix; never leads outside."""
    parts = [part for part in re.split(r"[\\/]+", subfolder) if part not in ("", ".", "..")]
    if parts and parts[0] == strip:
        parts = parts[1:]
    clean = (
        _readable(part).encode()[:_FOLDER_BYTES].decode(errors="ignore").strip(" .") for part in parts[:8]
    )
    return PurePosixPath(*[f"_{part}" if _RESERVED.match(part) else part for part in clean if part])


def _readable(text: str) -> str:
    """In any alphabet; what no file system takes or nobody can see becomes "_"."""
    return "".join("_" if c in _HARMFUL or category(c) in _INVISIBLE else c for c in text)


class Counters:
    """The highest number in use under each prefix: a full folder is read once, not for every file."""

    def __init__(self) -> None:
        self._highest: dict[tuple[Path, str], int] = {}
        self._claimed: dict[Path, None] = {}
        self.lock = threading.Lock()

    def claim(self, path: Path, part: Path) -> bool:
        """Whether `path` holds what `part` does and nobody else took it; then `part` is not needed."""
        with self.lock:
            same = path not in self._claimed and path.stat().st_size == part.stat().st_size
            if not same or not filecmp.cmp(part, path, shallow=False):
                return False
            self.note(path)
        part.unlink()
        return True

    def note(self, path: Path) -> None:
        """This place is taken by a result of this process."""
        self._claimed[path] = None
        if len(self._claimed) > _CLAIMED_MAX:
            del self._claimed[next(iter(self._claimed))]

    def next(self, directory: Path, prefix: str, *, anew: bool) -> int:
        """`anew`: somebody else numbers files here too; look again."""
        key = (directory, prefix)
        if anew or key not in self._highest:
            if len(self._highest) > _COUNTERS_MAX:
                self._highest.clear()
            self._highest[key] = max(_highest_counter(directory, prefix), self._highest.get(key, 0))
        self._highest[key] += 1
        return self._highest[key]


def move_to_free_name(part: Path, wanted: Path, counters: Counters) -> Path:
    """Give `part` a name nobody has: the next counter after ComfyUI's rule (name_00001_.png)."""
    match = _COUNTED.match(wanted.name)
    prefix, rest = (match["prefix"], match["rest"]) if match else (wanted.stem, f"_{wanted.suffix}")
    candidate, conflicts = wanted, 0
    while True:
        try:
            with counters.lock:  # else an attempt of an earlier process could take it for its own
                _name(part, candidate)
                counters.note(candidate)
            return candidate
        except FileExistsError:
            conflicts += 1
            counter = counters.next(wanted.parent, prefix, anew=conflicts > 1)
            candidate = wanted.with_name(f"{prefix}_{counter:05d}{rest}")


def _name(part: Path, path: Path) -> None:
    """Move it there in one step, whole; FileExistsError when the name is taken."""
    try:
        path.hardlink_to(part)
        part.unlink()
    except FileExistsError:
        raise
    except OSError:  # a file system without links: the name is taken first
        path.touch(exist_ok=False)
        try:
            part.replace(path)
        except OSError:
            path.unlink(missing_ok=True)
            raise


def _newer_files(places: Sequence[Path], since: datetime) -> tuple[Path, ...]:
    found: dict[Path, None] = {}
    for place in places:
        match = _COUNTED.match(place.name)
        prefix = match["prefix"] if match else place.stem
        for path in sorted(place.parent.glob(f"{glob.escape(prefix)}*{place.suffix}")):
            if path.stat().st_mtime >= since.timestamp():
                found[path] = None
    return tuple(found)


def _highest_counter(directory: Path, prefix: str) -> int:
    counters = (_COUNTED.match(path.name) for path in directory.iterdir() if path.name.startswith(prefix))
    return max((int(m["counter"]) for m in counters if m and m["prefix"] == prefix), default=0)
