"""Free names for results: never over another file, and files that belong together keep one number."""

from __future__ import annotations

import contextlib
import filecmp
import glob
import re
import threading
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

_COUNTERS_MAX = 1_000
_CLAIMED_MAX = 10_000
#: ComfyUI's rule (name_00001_.png), and what packs make of it: clip_00001-audio.mp4, pictures_0001.png.
_COUNTED = re.compile(r"^(?P<prefix>.*)_(?P<counter>\d{5,}|0\d{3})(?P<rest>(?:\D.*)?)$", re.DOTALL)


@dataclass(frozen=True)
class WantedFile:
    """A downloaded file and the place that it is wanted at. Files of one `group` (a film, its picture, its
    sound) share their number; `head` is the part of the name to look for it in, "" for all of it. `owner`:
    for which file of which attempt a place is kept."""

    part: Path
    wanted: Path
    group: str = ""
    head: str = ""
    owner: str = ""


class Counters:
    """The highest number in use under each prefix: a full folder is read once, not for every file."""

    def __init__(self) -> None:
        self._highest: dict[tuple[Path, str], int] = {}
        self._claimed: dict[Path, None] = {}
        self._reserved: dict[Path, str] = {}
        self._lock = (
            threading.Lock()
        )  #: of what is known here; held while the disk is asked in ``claim`` alone

    def claim(self, path: Path, part: Path) -> bool:
        """Whether `path` holds what `part` does and nobody else took it; then `part` is not needed."""
        with self._lock:
            same = path not in self._claimed and path.stat().st_size == part.stat().st_size
            if not same or not filecmp.cmp(part, path, shallow=False):
                return False
            self._note(path)
        part.unlink()
        return True

    def take(self, owners: Mapping[Path, str]) -> list[Path] | None:
        """Before files are put into these places: from here on no other attempt takes one of them for its
        own. Those that nobody had yet; None where somebody else has reserved one."""
        with self._lock:
            if any(self._is_kept_from(path, owner) for path, owner in owners.items()):
                return None
            fresh = [path for path in owners if path not in self._claimed]
            for path in fresh:
                self._note(path)
            return fresh

    def give_back(self, paths: Iterable[Path]) -> None:
        """Nothing was put there after all."""
        with self._lock:
            for path in paths:
                self._claimed.pop(path, None)

    def _note(self, path: Path) -> None:
        self._claimed[path] = None
        if len(self._claimed) > _CLAIMED_MAX:
            del self._claimed[next(iter(self._claimed))]

    def reserve(self, owners: Mapping[Path, str]) -> bool:
        """Keep places for files that are still to come, by whose they are; False where one is taken."""
        if any(path.exists() for path in owners):
            return False
        with self._lock:
            if any(self._is_kept_from(path, owner) for path, owner in owners.items()):
                return False
            self._reserved.update(owners)
            return True

    def release(self, paths: Iterable[Path]) -> None:
        """Without the lock, which a thread may hold while it waits for the disk: the loop calls this."""
        for path in paths:
            self._reserved.pop(path, None)

    def _is_kept_from(self, path: Path, owner: str) -> bool:
        """Whether somebody else has reserved this place."""
        return self._reserved.get(path, owner) != owner

    def next(self, directory: Path, prefix: str, *, look_again: bool) -> int:
        """`look_again`: somebody else numbers files here too."""
        key = (directory, prefix)
        if look_again or key not in self._highest:
            if len(self._highest) > _COUNTERS_MAX:
                self._highest.clear()
            self._highest[key] = max(_highest_counter(directory, prefix), self._highest.get(key, 0))
        self._highest[key] += 1
        return self._highest[key]


def move_all(placements: Sequence[WantedFile], counters: Counters, brought: Sequence[Path]) -> list[Path]:
    """Give all of them names that nobody has: all, or none. `brought`: what an earlier process may have
    brought to these places already.

    Raises:
        OSError: one cannot be written; all parts are where they were.
    """
    paths: dict[WantedFile, Path] = {}
    for placement in placements:
        there = next((path for path in brought if counters.claim(path, placement.part)), None)
        if there is not None:
            paths[placement] = there
    try:
        for group in _groups(placement for placement in placements if placement not in paths):
            paths.update(zip(group, _move_together(group, counters), strict=True))
    except OSError:
        _move_back((placement.part, path) for placement, path in paths.items())
        raise
    return [paths[placement] for placement in placements]


def reserve_all(placements: Sequence[WantedFile], counters: Counters) -> list[Path]:
    """The places that ``move_all`` would give them now, kept for them until they are released."""
    paths: dict[WantedFile, Path] = {}
    for group in _groups(placements):
        wanted, conflicts = [placement.wanted for placement in group], 0
        owners = [placement.owner for placement in group]
        while not counters.reserve(dict(zip(wanted, owners, strict=True))):
            conflicts += 1
            wanted = _next_names(group, counters, conflicts)
        paths.update(zip(group, wanted, strict=True))
    return [paths[placement] for placement in placements]


def newer_files(places: Sequence[Path], since: datetime) -> tuple[Path, ...]:
    """Files that could be results for these places, and are younger than `since`."""
    found: dict[Path, None] = {}
    for place in places:
        match = _COUNTED.match(place.name)
        prefix = match["prefix"] if match else place.stem
        for path in sorted(place.parent.glob(f"{glob.escape(prefix)}*{place.suffix}")):
            if path.stat().st_mtime >= since.timestamp():
                found[path] = None
    return tuple(found)


def _groups(placements: Iterable[WantedFile]) -> list[list[WantedFile]]:
    """Those that share a number. Of two that want the same name each has its own: one would not part them."""
    groups: dict[Hashable, list[WantedFile]] = {}
    wanted: Counter[Hashable] = Counter()
    for placement in placements:
        key = _group_of(placement)
        same = key, str(placement.wanted).casefold()  # on many disks "A" and "a" are one name
        groups.setdefault((key, wanted[same]), []).append(placement)
        wanted[same] += 1
    return list(groups.values())


def _group_of(placement: WantedFile) -> tuple[str, ...]:
    match = _COUNTED.match(placement.head or placement.wanted.name)
    if match is None:
        return placement.group, str(placement.wanted)
    return placement.group, str(placement.wanted.parent), match["prefix"], match["counter"]


def _move_together(group: Sequence[WantedFile], counters: Counters) -> list[Path]:
    """The names they want, or all of them with the next number that is free for all."""
    paths, conflicts = [placement.wanted for placement in group], 0
    while True:
        moved: list[tuple[Path, Path]] = []
        fresh = counters.take({path: placement.owner for placement, path in zip(group, paths, strict=True)})
        try:
            if fresh is None:
                raise FileExistsError
            for placement, path in zip(group, paths, strict=True):
                _name(placement.part, path)
                moved.append((placement.part, path))
            return paths
        except FileExistsError:
            _move_back(moved)
            counters.give_back(fresh or ())
            conflicts += 1
            paths = _next_names(group, counters, conflicts)
        except OSError:
            _move_back(moved)
            counters.give_back(fresh or ())
            raise


def _next_names(group: Sequence[WantedFile], counters: Counters, conflicts: int) -> list[Path]:
    prefix = _numbered(group[0])[0]
    number = counters.next(group[0].wanted.parent, prefix, look_again=conflicts > 1)
    return [_with_number(placement, number) for placement in group]


def _numbered(placement: WantedFile) -> tuple[str, int, str]:
    """The name's parts around its number, and how many digits that has."""
    wanted = placement.wanted
    match = _COUNTED.match(placement.head or wanted.name)
    if match is None:
        return wanted.stem, 5, f"_{wanted.suffix}"
    rest = match["rest"] + (wanted.name[len(placement.head) :] if placement.head else "")
    return match["prefix"], len(match["counter"]), rest


def _with_number(placement: WantedFile, number: int) -> Path:
    prefix, digits, rest = _numbered(placement)
    return placement.wanted.with_name(f"{prefix}_{number:0{digits}d}{rest}")


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


def _move_back(moved: Iterable[tuple[Path, Path]]) -> None:
    for part, path in moved:
        path.replace(part)


def remove_all(parts: Iterable[Path]) -> None:
    for part in parts:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def _highest_counter(directory: Path, prefix: str) -> int:
    if not directory.is_dir():
        return 0
    counters = (_COUNTED.match(path.name) for path in directory.iterdir() if path.name.startswith(prefix))
    return max((int(m["counter"]) for m in counters if m and m["prefix"] == prefix), default=0)
