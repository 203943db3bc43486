"""Set-up steps that are done once: stamped when whole, shown while they run, one process at a time."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

Say = Callable[[str], None]

TICK_S = 1.0
SIGN_OF_LIFE_S = 30.0  #: where lines cannot change in place, as in a CI log
WAIT_S = 1800.0


class RigError(Exception):
    """The rig cannot go on; says what to do."""


@dataclass(frozen=True)
class Step:
    """`needs` is all its result depends on: other needs, or another Python, and it is done again."""

    title: str
    stamp: Path
    needs: tuple[str, ...]
    work: Callable[[], None]

    @property
    def is_done(self) -> bool:
        try:
            return bool(json.loads(self.stamp.read_text(encoding="utf-8")) == self._wanted())
        except (OSError, ValueError):
            return False

    def do(self) -> None:
        # Gone before the work and written whole after it: what was cut short is done again.
        self.stamp.unlink(missing_ok=True)
        self.work()
        half = self.stamp.with_suffix(".half")
        half.write_text(json.dumps(self._wanted()), encoding="utf-8")
        os.replace(half, self.stamp)

    def _wanted(self) -> dict[str, object]:
        return {"python": sys.version.split()[0], "needs": list(self.needs)}


def do_missing(steps: Sequence[Step], lock: Path, say: Say) -> None:
    """Do the steps that are not done yet, in order. Another process at the same is waited for."""
    if all(step.is_done for step in steps):
        return
    with alone(lock, say):
        done = 0
        # Looked at anew each time: making the environment takes the stamp of what was in it away.
        while missing := [step for step in steps if not step.is_done]:
            with shown(f"[{done + 1} of {done + len(missing)}] {missing[0].title}", say):
                missing[0].do()
            done += 1


@contextmanager
def shown(title: str, say: Say) -> Iterator[None]:
    """A line that counts seconds on a terminal; elsewhere a line now and then."""
    began = time.monotonic()
    over = threading.Event()
    in_place = sys.stdout.isatty()

    def tick() -> None:
        while not over.wait(TICK_S if in_place else SIGN_OF_LIFE_S):
            line = f"  {title} … {time.monotonic() - began:.0f} s"
            if in_place:
                sys.stdout.write(f"\r\033[K{line}")
                sys.stdout.flush()
            else:
                say(line)

    say(f"  {title} …")
    ticking = threading.Thread(target=tick, name="set-up display", daemon=True)
    ticking.start()
    try:
        yield
    finally:
        over.set()
        ticking.join()
        if in_place:
            sys.stdout.write("\r\033[K")
    say(f"  {title}: done in {time.monotonic() - began:.0f} s")


@contextmanager
def alone(path: Path, say: Say) -> Iterator[None]:
    """Hold the lock of a cache folder; the system lets go of it when its process ends, however that is."""
    with path.open("a") as handle:
        end = time.monotonic() + WAIT_S
        told = False
        while not _lock(handle.fileno()):
            if time.monotonic() > end:
                raise RigError(f"Another process has been setting up {path.parent} for too long. End it.")
            if not told:
                say(f"  Waiting for another process that is setting up {path.parent} …")
                told = True
            time.sleep(TICK_S)
        yield


def _lock(handle: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
