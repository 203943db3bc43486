"""Input files up to a peer."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ...backends.client import ComfyUIClient
from ...backends.gate import when_let
from ...core.models.job import InputFile, Prompt
from ...core.prompts.input_names import name_on_peer
from ...core.prompts.requirements import InputReference, with_input
from ...errors import BodyTooLargeError, PeerRefusedError, WorkflowError

PATIENCE_S = 600.0  #: how long a peer may put off the files of a job
ASK_FROM_BYTES = 256 << 10  #: a smaller file is there as soon as the answer whether it is there already


Read = Callable[[], Awaitable[bytes | None]]


class EarlyFiles:
    """Results of attempts under way: one may be asked for by the place that it is to have. Belongs to one
    event loop."""

    def __init__(self) -> None:
        self._readers: dict[Path, Read] = {}

    def offer(self, path: Path, read: Read) -> None:
        """From now on `path` stands for what `read` gives."""
        self._readers[path] = read

    def withdraw(self, paths: Iterable[Path]) -> None:
        for path in paths:
            self._readers.pop(path, None)

    async def read(self, path: Path) -> bytes | None:
        """The file's bytes, once all of them have come; None where there is none, or it is in its place."""
        read = self._readers.get(path)
        return await read() if read is not None else None


@dataclass(frozen=True)
class Folders:
    """Where files are on this computer.

    ``resolve_input`` finds the file an input's value names ("a.png", "sub/a.png [temp]"), or None; it
    never leaves the input, output and temp folders. ``reserve_bytes`` of their disk stay free.
    ``kind_here`` tells whether a name or path, absolute or as nodes read it, is a "file" or "folder" of this
    machine, "" for neither.
    ``with_assets``, where the host keeps a list of its files, adds those to it that a job shows (job id, what
    its nodes show), and returns that with what the host says of each file. It takes its time.
    ``early``: the results of attempts under way, by the places they are to have.
    """

    output: Path
    temp: Path
    resolve_input: Callable[[str], Path | None]
    reserve_bytes: int = 512 << 20
    with_assets: Callable[[str, dict[str, Any]], dict[str, Any]] | None = None
    kind_here: Callable[[str], str] = lambda value: ""
    early: EarlyFiles = field(default_factory=EarlyFiles)


class Transport:
    """Sends input files; knows what each peer already has."""

    def __init__(self, folders: Folders) -> None:
        self._folders = folders
        self._hashes: dict[tuple[str, int, int], str] = {}
        self._stored: dict[tuple[str, str], str] = {}
        self._sending: dict[tuple[str, str], asyncio.Lock] = {}

    def input_bytes(self, value: str) -> int | None:
        """The size of the file here that an input's value names; None where there is none."""
        path = self._folders.resolve_input(value)
        try:
            return path.stat().st_size if path is not None else None
        except OSError:
            return None  # the upload will tell

    def kind_here(self, value: str) -> str:
        """See Folders."""
        return self._folders.kind_here(value)

    def forget(self, base_url: str) -> None:
        """The peer may have lost what was sent to it: send it again when it is next needed."""
        self._stored = {key: name for key, name in self._stored.items() if key[0] != base_url}

    async def send_inputs(
        self,
        client: ComfyUIClient,
        prompt: Prompt,
        references: Iterable[InputReference],
        peer_limit: int | None,
    ) -> tuple[Prompt, tuple[InputFile, ...]]:
        """Upload the master's files that the prompt names; return it with the names the peer gave, and what
        was sent.

        A reference without a file here is left alone: it may be the peer's own.

        Raises:
            WorkflowError: a file here cannot be read.
            PeerRefusedError: a file is larger than the peer takes (``status`` 413).
        """
        sent: dict[str, InputFile] = {}
        for reference in references:
            path = await asyncio.to_thread(self._folders.resolve_input, reference.value)
            if path is None:
                continue
            size = (await asyncio.to_thread(path.stat)).st_size
            if peer_limit is not None and size > peer_limit:
                raise PeerRefusedError(
                    f"{reference.value} has {size / 2**20:.0f} MiB; the peer takes uploads up to "
                    f"{peer_limit / 2**20:.0f} MiB (its --max-upload-size).",
                    413,
                )
            digest = await self.content_hash(path)
            stored = await self._stored_name(client, path, digest)
            prompt = with_input(prompt, reference.node_id, reference.input, stored, reference.keys)
            sent[reference.value] = InputFile(reference.value, digest)
        return prompt, tuple(sent.values())

    async def _stored_name(self, client: ComfyUIClient, path: Path, digest: str) -> str:
        subfolder, name = name_on_peer(path.name, digest)
        key = (client.base_url, f"{subfolder}/{name}")
        async with self._sending.setdefault(key, asyncio.Lock()):
            stored = self._stored.get(key)
            if stored is None:
                size = (await asyncio.to_thread(path.stat)).st_size
                # By an earlier process, or by an upload whose answer was lost.
                has_it = partial(client.has_input, name, subfolder, size)
                if size >= ASK_FROM_BYTES and await when_let(has_it, PATIENCE_S):
                    stored = f"{subfolder}/{name}"
                else:
                    upload = partial(client.upload, path, name=name, subfolder=subfolder)
                    try:
                        stored = await when_let(upload, PATIENCE_S)
                    except (
                        BodyTooLargeError
                    ) as exc:  # of the file alone: that is what later ones are measured by
                        raise BodyTooLargeError(str(exc), size) from exc
                self._stored[key] = stored
            return stored

    async def content_hash(self, path: Path) -> str:
        """SHA-256 of a file's bytes, remembered while its size and time of change stay."""
        try:
            return await asyncio.to_thread(self._hash, path)
        except OSError as exc:
            raise WorkflowError(f"The input file {path.name} cannot be read: {exc.strerror}.") from exc

    def _hash(self, path: Path) -> str:
        stat = path.stat()
        key = (str(path), stat.st_size, stat.st_mtime_ns)
        if key not in self._hashes:
            self._hashes[key] = hash_file(path)
        return self._hashes[key]


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
