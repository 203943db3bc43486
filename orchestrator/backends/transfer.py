"""Large files on their way: streamed, off the event loop, and ended when they stand still."""

from __future__ import annotations

import asyncio
import io
import shutil
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar

import aiohttp

from ..errors import LocalDiskError, PeerTimeoutError, PeerUnreachableError, ResultError, ResultGoneError
from .answers import IN_THREAD_FROM

_BLOCK = 1 << 18
WINDOW_S = 30.0  #: how long a transfer may stand still
WINDOW_MIN_BYTES = 64 << 10  #: fewer than so many in a window is standing still

T = TypeVar("T")


@dataclass
class Partial:
    """What is there of a file that comes in pieces.

    ``size`` is on disk; ``seen`` came in all, through ``cuts`` + 1 tries. ``etag`` names the content, "" when
    the peer does not.
    """

    size: int = 0
    etag: str = ""
    seen: int = 0
    cuts: int = 0

    @property
    def can_go_on(self) -> bool:
        return self.size > 0 and bool(self.etag)

    def wanted(self) -> dict[str, str]:
        """The headers that ask for the rest only."""
        return {"Range": f"bytes={self.size}-", "If-Range": self.etag} if self.can_go_on else {}

    def meet(self, answer: aiohttp.ClientResponse, name: str) -> None:
        """Get ready for the rest, or for the whole file when that is what comes.

        Raises:
            PeerUnreachableError: the rest of something else; ask again.
        """
        etag, asked_for = answer.headers.get("ETag", ""), self.size
        if answer.status == HTTPStatus.PARTIAL_CONTENT:
            span = answer.headers.get("Content-Range", "")
            if etag != self.etag or not span.startswith(f"bytes {asked_for}-"):
                self.size, self.etag = 0, ""
                raise PeerUnreachableError(f"The result {name} changed on its peer while it was fetched.")
        else:
            self.size, self.etag = 0, "" if etag.startswith("W/") else etag


class ObservedFile(io.BufferedReader):
    """A file that knows how much of it was read."""

    moved_bytes = 0

    def read(self, size: int | None = -1, /) -> bytes:
        block = super().read(size)
        self.moved_bytes += len(block)
        return block


def observed(path: Path) -> ObservedFile:
    return ObservedFile(io.FileIO(path))


async def at_a_pace(
    work: Coroutine[Any, Any, T], moved_bytes: Callable[[], int], base_url: str, window_s: float = WINDOW_S
) -> T:
    """The result of a transfer that has no time limit of its own.

    Raises:
        PeerTimeoutError: hardly a byte moved for `window_s`.
    """
    task = asyncio.create_task(work, name=f"remote-dispatch transfer {base_url}")
    before = 0
    try:
        while not task.done():
            await asyncio.wait([task], timeout=window_s)
            now = moved_bytes()
            if not task.done() and now - before < WINDOW_MIN_BYTES:
                raise PeerTimeoutError(
                    f"A file to or from {base_url} stood still. Is the machine busy or asleep?"
                )
            before = now
        return task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def in_thread(work: Callable[[], T]) -> T:
    """Run `work` in a thread and leave only when it has ended, cancelled or not."""
    task = asyncio.get_running_loop().run_in_executor(None, work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.gather(task, return_exceptions=True)
        raise


async def save_body(
    answer: aiohttp.ClientResponse,
    name: str,
    target: Path,
    max_bytes: int,
    so_far: Partial,
    reserve_bytes: int = 0,
) -> int:
    """Write an answer's body to `target`, behind what is there of it; `so_far` is kept up to date.

    Raises:
        ResultGoneError: it says that it is larger than `max_bytes`. ResultError: it is.
        OSError: `target` cannot be written.
        LocalDiskError: it would leave less than `reserve_bytes` free.
        aiohttp.ClientPayloadError: it is shorter than it said.
    """
    announced = so_far.size + (answer.content_length or 0)
    if announced > max_bytes:
        raise ResultGoneError(
            f"The result {name} has {announced >> 20} MiB; at most {max_bytes >> 20} are taken."
        )
    needed_bytes = (answer.content_length or 0) + reserve_bytes if reserve_bytes else 0
    is_first = True
    size, held = so_far.size, 0
    blocks: list[bytes] = []

    async def flush() -> None:
        nonlocal blocks, held, is_first
        room = needed_bytes if is_first else 0
        await in_thread(partial(_append, target, blocks, anew=so_far.size == 0, needed_bytes=room))
        blocks, held, so_far.size, is_first = [], 0, size, False

    try:
        async for block in answer.content.iter_chunked(_BLOCK):
            size, held = size + len(block), held + len(block)
            so_far.seen += len(block)
            if size > max_bytes:
                raise ResultError(f"The result {name} is larger than {max_bytes >> 20} MiB.")
            blocks.append(block)
            if held >= IN_THREAD_FROM:
                await flush()
    except (aiohttp.ClientError, ConnectionError):
        await flush()  # what came need not come again
        raise
    await flush()  # the only hop off the loop that a small picture needs
    return size


def _refuse_to_fill(target: Path, needed_bytes: int) -> None:
    folder = next(parent for parent in target.parents if parent.exists())
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        raise LocalDiskError(
            f"The disk of {folder} has {free >> 20} MiB left, and a result needs {needed_bytes >> 20} with "
            "what has to stay free. Make room; the peer still has the result."
        )


def _append(target: Path, blocks: list[bytes], *, anew: bool, needed_bytes: int) -> None:
    if needed_bytes:
        _refuse_to_fill(target, needed_bytes)
    if anew:
        target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb" if anew else "ab") as file:
        file.writelines(blocks)
