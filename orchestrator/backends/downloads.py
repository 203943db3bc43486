"""One result file from a peer's /view: in pieces, within bounds, looked at again when it may have grown."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlencode

import aiohttp

from ..core.models.job import RemoteFile
from ..errors import (
    LocalDiskError,
    PeerAuthError,
    PeerBusyError,
    PeerRefusedError,
    PeerUnreachableError,
    ResultError,
    ResultGoneError,
)
from .answers import IN_THREAD_FROM
from .connection import Connection
from .transfer import at_a_pace, in_thread

UNTOLD_MAX_BYTES = 64 << 20  #: of a file whose length the peer does not tell in any way
HEAD_BYTES = 16  #: enough to tell what kind of file it is
URL_MAX = 8_000  #: characters; servers refuse longer ones
#: Pictures do not shrink any more, and uncompressed the length announced is the file's.
_AS_IT_IS = {"Accept-Encoding": "identity"}
_BLOCK = 1 << 18
_NAME_SHOWN = 80
_SPAN = re.compile(r"bytes (\d+)-\d+/(\d+)")

CheckHead = Callable[[bytes], None]  #: raises ResultError for the beginning of a file that is not to be had


@dataclass
class Partial:
    """What is there of a file that comes in pieces.

    ``size`` is on disk; ``total`` is what the peer says it has, None while it does not; ``seen`` came in all,
    through ``cuts`` + 1 tries. ``etag`` names the content, "" when the peer does not; ``modified`` is when it
    was written, in the peer's words.
    """

    size: int = 0
    etag: str = ""
    seen: int = 0
    cuts: int = 0
    total: int | None = None
    modified: str = ""

    @property
    def can_go_on(self) -> bool:
        return self.size > 0 and bool(self.etag) and not self.etag.startswith("W/")

    def start_over(self) -> None:
        self.size, self.etag, self.total, self.modified = 0, "", None, ""

    def headers(self, *, only_if_changed: bool) -> dict[str, str]:
        """Those that ask for the rest only; or, of one that is here, for all of it if it has changed."""
        if only_if_changed:
            return {"If-None-Match": self.etag} if self.etag else {}
        return {"Range": f"bytes={self.size}-", "If-Range": self.etag} if self.can_go_on else {}

    def is_same(self, answer: aiohttp.ClientResponse) -> bool:
        """Whether the answer says that it has what is here, and all of it."""
        if answer.status == HTTPStatus.NOT_MODIFIED:
            return True
        etag, modified = answer.headers.get("ETag", ""), answer.headers.get("Last-Modified", "")
        if etag and self.etag:
            return _weak(etag) == _weak(self.etag)
        return bool(modified) and (modified, answer.content_length) == (self.modified, self.size)

    def meet(self, answer: aiohttp.ClientResponse, name: str) -> None:
        """Get ready for the rest, or for the whole file when that is what comes.

        Raises:
            PeerUnreachableError: the rest of something else; ask again.
        """
        etag, asked_for = answer.headers.get("ETag", ""), self.size
        if answer.status == HTTPStatus.PARTIAL_CONTENT:
            start, total = _span(answer)
            if _weak(etag) != _weak(self.etag) or start != asked_for or self.total not in (None, total):
                self.start_over()
                raise PeerUnreachableError(f"The result {name} changed on its peer while it was fetched.")
            self.total = total
        else:
            self.start_over()
            self.etag, self.modified = etag, answer.headers.get("Last-Modified", "")
            # What a proxy packs has another length once it is unpacked, and may swell without end.
            is_packed = answer.headers.get("Content-Encoding", "identity") != "identity"
            self.total = None if is_packed else answer.content_length


def _weak(etag: str) -> str:
    return etag.removeprefix("W/")


def _span(answer: aiohttp.ClientResponse) -> tuple[int | None, int | None]:
    """Where the part of a 206 begins, and how long the whole is; None for what it does not say."""
    found = _SPAN.match(answer.headers.get("Content-Range", ""))
    return (int(found[1]), int(found[2])) if found else (None, None)


@dataclass(frozen=True)
class Download:
    """One file into one place. `max_bytes` are taken at most; `reserve_bytes` of the disk stay free."""

    connection: Connection
    base_url: str
    file: RemoteFile
    target: Path
    max_bytes: int
    reserve_bytes: int = 0
    check_head: CheckHead | None = None

    @property
    def _name(self) -> str:
        return self.file.filename[:_NAME_SHOWN]

    async def run(self, so_far: Partial, *, only_if_changed: bool = False) -> None:
        """Fetch what is missing; `so_far` is kept up to date. `only_if_changed`: all of it is here, and is
        fetched again if the peer has something else by now.

        Raises:
            ResultGoneError: it is not there, not shown, or says that it is too large.
            ResultError: it is too large, or of another kind.
            PeerUnreachableError: it ended early, or changed; ask again.
            FileNotFoundError: what was here of it is gone; ask again.
            LocalDiskError: too little would stay free. OSError: `target` cannot be written.
        """
        wanted = {"filename": self.file.filename, "subfolder": self.file.subfolder, "type": self.file.type}
        path = f"/view?{urlencode(wanted, errors='replace')}"
        if len(path) > URL_MAX:
            raise ResultGoneError(
                f"The peer's result {self._name}… has a name of {len(self.file.filename)} characters."
            )
        try:
            fetching = self._fetch(path, so_far, only_if_changed)
            await at_a_pace(fetching, lambda: so_far.seen, self.base_url)
        except PeerBusyError:
            raise
        except PeerRefusedError as exc:
            if exc.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and so_far.size:
                so_far.start_over()
                raise PeerUnreachableError(f"The result {self._name} became shorter on its peer.") from exc
            if exc.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                raise
            is_hidden = exc.status != HTTPStatus.NOT_FOUND
            text = f"The peer no longer has its result {self._name} ({exc.status})."
            raise ResultGoneError(text, is_hidden=is_hidden) from exc
        except PeerAuthError as exc:
            if exc.status != HTTPStatus.FORBIDDEN:
                raise
            # ComfyUI's own answer for a place outside of its folders; a key is asked for on every route.
            text = f"The peer does not show its result {self._name} ({exc.status})."
            raise ResultGoneError(text, is_hidden=True) from exc

    async def _fetch(self, path: str, so_far: Partial, only_if_changed: bool) -> None:
        headers = {**_AS_IT_IS, **so_far.headers(only_if_changed=only_if_changed)}
        async with self.connection.request("GET", path, timeout_s=None, headers=headers) as answer:
            if only_if_changed and so_far.is_same(answer):
                return
            so_far.meet(answer, self._name)
            if so_far.total is None:
                so_far.total = await self._total(path)
            await self._save(answer, so_far)

    async def _total(self, path: str) -> int | None:
        """The length of a file whose answer does not tell it."""
        headers = {**_AS_IT_IS, "Range": "bytes=0-0"}
        try:
            async with self.connection.request("GET", path, headers=headers) as answer:
                return _span(answer)[1] if answer.status == HTTPStatus.PARTIAL_CONTENT else None
        except PeerBusyError:
            raise
        except PeerRefusedError:
            return None

    async def _save(self, answer: aiohttp.ClientResponse, so_far: Partial) -> None:
        """Write the body behind what is there of it."""
        if (so_far.total or 0) > self.max_bytes:
            raise ResultGoneError(
                f"The result {self._name} has {(so_far.total or 0) >> 20} MiB; "
                f"at most {self.max_bytes >> 20} are taken."
            )
        most = min(self.max_bytes, UNTOLD_MAX_BYTES if so_far.total is None else so_far.total)
        size, held, blocks = so_far.size, 0, list[bytes]()
        is_checked = self.check_head is None or size > 0
        needed_bytes = (so_far.total or 0) - size + self.reserve_bytes if self.reserve_bytes else 0

        async def flush() -> None:
            nonlocal blocks, held, needed_bytes
            await in_thread(partial(_append, self.target, so_far.size, blocks, needed_bytes))
            blocks, held, so_far.size, needed_bytes = [], 0, size, 0

        try:
            async for block in answer.content.iter_chunked(_BLOCK):
                size, held = size + len(block), held + len(block)
                so_far.seen += len(block)
                blocks.append(block)
                if not is_checked and size >= HEAD_BYTES:
                    self._check(blocks)
                    is_checked = True
                if size > most:
                    raise ResultError(self._too_long(most, so_far.total))
                if held >= IN_THREAD_FROM:
                    await flush()
        except (aiohttp.ClientError, ConnectionError):
            await flush()  # what came need not come again
            raise
        if not is_checked:
            self._check(blocks)
        await flush()  # the only hop off the loop that a small picture needs
        if so_far.total is not None and size < so_far.total:
            raise PeerUnreachableError(f"The result {self._name} ended early.")
        so_far.total = size

    def _check(self, blocks: list[bytes]) -> None:
        if self.check_head is not None:
            self.check_head(b"".join(blocks)[:HEAD_BYTES])

    def _too_long(self, most: int, total: int | None) -> str:
        if total is None and most < self.max_bytes:
            return (
                f"The result {self._name} is larger than {most >> 20} MiB, and the peer does not say how "
                "large. A proxy before it may leave that out: let it pass Content-Length, or Range requests."
            )
        if total is not None:
            return f"The result {self._name} is larger than its peer said ({total} bytes)."
        return f"The result {self._name} is larger than {most >> 20} MiB."


def _refuse_to_fill(target: Path, needed_bytes: int) -> None:
    folder = next(parent for parent in target.parents if parent.exists())
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        raise LocalDiskError(
            f"The disk of {folder} has {free >> 20} MiB left, and a result needs {needed_bytes >> 20} with "
            "what has to stay free. Make room; the peer still has the result."
        )


def _append(target: Path, at: int, blocks: list[bytes], needed_bytes: int) -> None:
    """Behind the `at` bytes that are there. Somebody may have cleared the folder since: never a file without
    its beginning."""
    if needed_bytes:
        _refuse_to_fill(target, needed_bytes)
    with _opened(target, is_new=at == 0) as file:
        if at and file.seek(0, os.SEEK_END) != at:
            raise FileNotFoundError(errno.ENOENT, "what was fetched before is gone", str(target))
        file.writelines(blocks)


def _opened(target: Path, *, is_new: bool) -> BinaryIO:
    """Its folder is nearly always there."""
    try:
        return target.open("wb" if is_new else "r+b")
    except FileNotFoundError:
        if not is_new:
            raise
        target.parent.mkdir(parents=True, exist_ok=True)
        return target.open("wb")
