"""Files up to a peer and results down from it."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..backends.client import ComfyUIClient
from ..core.engine.requirements import InputReference, with_input
from ..core.models.job import OutputFile, Prompt, RemoteFile
from ..errors import PeerRefusedError, ResultError, WorkflowError

UPLOAD_FOLDER = "remote-dispatch"
MAX_FILES = 10_000
MAX_FILE_BYTES = 8 << 30
_DOWNLOADS_AT_ONCE = 4
_SAFE_NAME = re.compile(r"[^A-Za-z0-9 _.()+-]+")
_RESERVED = re.compile(r"^(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)
# Kinds of files ComfyUI's own and common nodes save. Anything else is kept, under a harmless ending.
_KNOWN_ENDINGS = frozenset(
    {"png", "jpg", "jpeg", "webp", "gif", "avif", "apng", "exr", "tif", "tiff", "bmp"}  # pictures
    | {"mp4", "webm", "mkv", "mov", "avi", "mp3", "wav", "flac", "ogg", "opus", "m4a"}  # video and audio
    | {"glb", "gltf", "obj", "ply", "stl", "fbx", "usdz", "spz", "splat", "ksplat"}  # 3D
    | {"latent", "safetensors", "json", "txt", "csv", "npz", "npy"}
)


@dataclass(frozen=True)
class Folders:
    """Where files are on this machine.

    ``resolve_input`` finds the file an input's value names ("a.png", "sub/a.png [temp]"), or None; it
    never leaves the input, output and temp folders.
    """

    output: Path
    temp: Path
    resolve_input: Callable[[str], Path | None]


class Transport:
    """Moves files; knows what each peer already has."""

    def __init__(self, folders: Folders) -> None:
        self._folders = folders
        self._hashes: dict[tuple[str, int, int], str] = {}
        self._stored: dict[tuple[str, str], str] = {}
        self._sending: dict[tuple[str, str], asyncio.Lock] = {}

    def forget(self, base_url: str) -> None:
        """The peer may have lost what was sent to it: send it again when it is next needed."""
        self._stored = {key: name for key, name in self._stored.items() if key[0] != base_url}

    async def send_inputs(
        self,
        client: ComfyUIClient,
        prompt: Prompt,
        references: Iterable[InputReference],
        peer_limit: int | None,
    ) -> Prompt:
        """Upload the master's files that the prompt names; return it with the names the peer gave.

        A reference without a file here is left alone: it may be the peer's own.

        Raises:
            WorkflowError: a file here cannot be read.
            PeerRefusedError: a file is larger than the peer takes (``status`` 413).
        """
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
            prompt = with_input(
                prompt, reference.node_id, reference.input, await self._stored_name(client, path)
            )
        return prompt

    async def _stored_name(self, client: ComfyUIClient, path: Path) -> str:
        digest = await self.content_hash(path)
        key = (client.base_url, digest + path.suffix)
        async with self._sending.setdefault(key, asyncio.Lock()):
            stored = self._stored.get(key)
            if stored is None:
                # Named by content: sent once, and never over somebody else's file.
                name = f"{digest[:40]}{path.suffix.lower()}"
                stored = await client.upload(path, name=name, subfolder=UPLOAD_FOLDER)
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

    async def fetch(
        self, client: ComfyUIClient, files: Sequence[RemoteFile], *, strip: str, job_id: str, keep: bool
    ) -> tuple[OutputFile, ...]:
        """Bring result files here, in order, under names of our own choosing.

        `keep`: files of type "output" go to the output folder with the prefix the workflow asked for;
        all others, and everything without `keep`, to the temp folder. `strip` is the folder prefix that
        was put before every output name of this attempt.
        """
        if len(files) > MAX_FILES:
            raise ResultError(f"The peer lists {len(files)} result files; at most {MAX_FILES} are taken.")
        gate = asyncio.Semaphore(_DOWNLOADS_AT_ONCE)

        async def one(number: int, file: RemoteFile) -> OutputFile:
            async with gate:
                return await self._fetch_one(client, file, strip, job_id, number, keep=keep)

        tasks = [
            asyncio.create_task(one(n, file), name=f"remote-dispatch download {job_id} {n}")
            for n, file in enumerate(files)
        ]
        try:
            return tuple(await asyncio.gather(*tasks))
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise

    async def _fetch_one(
        self, client: ComfyUIClient, file: RemoteFile, strip: str, job_id: str, number: int, *, keep: bool
    ) -> OutputFile:
        to_output = keep and file.type == "output"
        root = self._folders.output if to_output else self._folders.temp
        folder = safe_folder(file.subfolder, strip) if to_output else PurePosixPath(UPLOAD_FOLDER, job_id)
        name = safe_name(file.filename)
        if not to_output:
            name = f"{number:04d}_{name}"
        directory = root / folder
        # The part file has a name of its own, so nothing half done is ever taken for a result.
        part = directory / f".{job_id}-{number}.part"
        try:
            await asyncio.to_thread(directory.mkdir, parents=True, exist_ok=True)
            await client.download(file, part, max_bytes=MAX_FILE_BYTES)
            final = await asyncio.to_thread(move_to_free_name, part, directory / name)
        except OSError as exc:
            raise ResultError(
                f"The result {name} cannot be written to {directory}: {exc.strerror}. "
                "Make room or fix the folder's permissions, then run it again."
            ) from exc
        return OutputFile(
            node_id=file.node_id,
            path=str(final),
            filename=final.name,
            subfolder="" if str(folder) == "." else str(folder),
            type="output" if to_output else "temp",
        )


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def safe_name(name: str) -> str:
    """A harmless file name made of a peer's: one component, a known ending, no dot in front."""
    last = re.split(r"[\\/]", name)[-1][-120:]
    stem, dot, ending = last.rpartition(".")
    if not dot:
        stem, ending = last, ""
    stem = _SAFE_NAME.sub("_", stem).strip(" .") or "result"
    if _RESERVED.match(stem):
        stem = f"_{stem}"
    return f"{stem}.{ending.lower()}" if ending.lower() in _KNOWN_ENDINGS else f"{stem}.bin"


def safe_folder(subfolder: str, strip: str) -> PurePosixPath:
    """The workflow's own subfolder of a result, without the attempt's prefix; never leads outside."""
    parts = [part for part in re.split(r"[\\/]+", subfolder) if part not in ("", ".", "..")]
    if parts and parts[0] == strip:
        parts = parts[1:]
    clean = (_SAFE_NAME.sub("_", part).strip(" .")[:60] for part in parts[:8])
    return PurePosixPath(*[f"_{part}" if _RESERVED.match(part) else part for part in clean if part])


_COUNTED = re.compile(r"^(?P<prefix>.*)_(?P<counter>\d{5,})(?P<rest>_?\.\w+)$")


def move_to_free_name(part: Path, wanted: Path) -> Path:
    """Give `part` a name nobody has: the next counter after ComfyUI's rule (name_00001_.png)."""
    match = _COUNTED.match(wanted.name)
    prefix, rest = (match["prefix"], match["rest"]) if match else (wanted.stem, f"_{wanted.suffix}")
    candidate = wanted
    counter = 0
    while True:
        try:
            candidate.touch(exist_ok=False)
            break
        except FileExistsError:
            counter = max(counter, _highest_counter(wanted.parent, prefix)) + 1
            candidate = wanted.with_name(f"{prefix}_{counter:05d}{rest}")
    return part.replace(candidate)


def _highest_counter(directory: Path, prefix: str) -> int:
    counters = (_COUNTED.match(path.name) for path in directory.iterdir() if path.name.startswith(prefix))
    return max((int(m["counter"]) for m in counters if m and m["prefix"] == prefix), default=0)
