"""One server's HTTP and websocket. Knows no retry, and no foreign error gets out of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp

from ..core.models.backend import QueueState, Vitals
from ..core.models.job import RemoteFile
from ..core.workflow.replacements import Replacements, read_replacements
from ..errors import (
    AnswerTooLargeError,
    PeerAuthError,
    PeerBusyError,
    PeerProtocolError,
    PeerRefusedError,
    PeerUnfitError,
)
from . import wire
from .answers import json_max_bytes, kept_node_errors, parse_body, read_body, read_json
from .connection import Connection
from .downloads import CheckHead, Download, Partial
from .json_stream import Wanted
from .large_answers import ENDINGS, HISTORY, NODE_LIST, QUEUE, Limits, NodeList, queue_ids
from .masking import Mask
from .request_body import json_body
from .resolver import CheckedResolver
from .transfer import at_a_pace, in_thread, observed
from .vitals_reader import VitalsReader

OWN_NODES_HEADER = "X-Orchestrator-Own-Nodes"  #: a peer that is a master itself then leaves its peers out
HOP_HEADER = "X-Orchestrator-Hop"  #: says which master sent it; another master then runs it itself
ID_MAX = 100  #: characters of a prompt's id that are taken from a peer
_NO_FILE = {"filename": "remote-dispatch-is-there-a-view.png", "type": "temp"}
DEFAULT_UPLOAD_MAX_BYTES = 104_857_600  #: ComfyUI's own default for --max-upload-size
HTTP_NOT_FOUND = 404
HTTP_UNAUTHORIZED, HTTP_FORBIDDEN, HTTP_TOO_MANY = 401, 403, 429
SUBMIT_TIMEOUT_S = 30.0
MODELS_TIMEOUT_S = 20.0
LISTING_TIMEOUT_S = 20.0


class ComfyUIClient:
    """A stock ComfyUI at `base_url` (no slash at its end).

    `headers` go with every request, once the server's certificate was found right: by this computer's
    authorities, or as `tls` says (see ``checked_trust``). `resolver` finds its name. A `session` that is
    handed in is used in place of own connections, and not closed by ``close``. `sender` names the master to
    others that the prompts might reach.
    """

    def __init__(
        self,
        base_url: str,
        *,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 5.0,
        session: aiohttp.ClientSession | None = None,
        resolver: CheckedResolver | None = None,
        tls: str = "",
        sender: str = "1",
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.latest: Vitals | None = None
        self._connection = Connection(
            self.base_url,
            headers=headers or {},
            timeout_s=timeout_s,
            tls=tls,
            resolver=resolver,
            session=session,
        )
        self._sender = sender
        self._vitals = VitalsReader(self.base_url, partial(self._json, "GET"), self.queue)
        self._door = asyncio.Lock()  #: prompts arrive in the order in which they are handed in

    @property
    def mask(self) -> Mask:
        """Strikes the keys of its headers out of what the server says."""
        return self._connection.mask

    async def health_check(self) -> bool:
        """Ask for the vitals and keep them in ``latest``.

        Raises:
            PeerError: what is wrong, in words.
        """
        self.latest = await self.vitals()
        return True

    async def vitals(self) -> Vitals:
        """What it is made of and what it is at, see ``VitalsReader.read``.

        Raises:
            PeerError
        """
        return await self._vitals.read()

    async def is_still_idle(self) -> bool:
        """Whether it had nothing to do when ``latest`` was read, and has nothing now.

        Raises:
            PeerError
        """
        return self.latest is not None and not self.latest.queue.length and not await self._vitals.remaining()

    async def queue(self) -> QueueState:
        """Whose prompts run and wait there.

        Raises:
            AnswerTooLargeError: nobody can tell.
        """
        return wire.queue_state(await self._large_json("/queue", QUEUE, queue_ids()))

    async def queued(self, client_ids: Collection[str] = ()) -> tuple[wire.QueuedPrompt, ...]:
        """The same, what runs first, with the graphs of those that one of these asked for."""
        return wire.queued_prompts(await self._large_json("/queue", QUEUE, queue_ids(client_ids)))

    async def object_info(self, class_type: str = "") -> dict[str, Any]:
        """All node classes of the peer: up to several MB, seconds on a large installation. Or this one as it
        is now; nothing where there is none."""
        path = f"/object_info/{quote(class_type, safe='')}" if class_type else "/object_info"
        nodes = NodeList()
        body = await self._large_json(path, NODE_LIST, nodes.wanted(), headers={OWN_NODES_HEADER: "1"})
        if not isinstance(body, dict):
            raise PeerProtocolError("The peer's list of nodes is not ComfyUI's.")
        return await asyncio.to_thread(nodes.kept, body)

    async def embeddings(self) -> tuple[str, ...]:
        """The names of its embeddings, without endings, with its own separators."""
        return wire.embeddings(await self._json("GET", "/embeddings", timeout_s=MODELS_TIMEOUT_S))

    async def node_replacements(self) -> Replacements:
        """The nodes that it takes by another name in a prompt."""
        return read_replacements(await self._json_if_there("/node_replacements"))

    async def model_folders(self) -> tuple[str, ...]:
        """The kinds of model files it has, by their folders' names."""
        return wire.model_folders(await self._json("GET", "/experiment/models"))

    async def model_sizes(self, folder: str) -> dict[str, int]:
        """Bytes of each file in one of these, by name. The peer looks through the whole folder for it."""
        path = f"/experiment/models/{quote(folder, safe='')}"
        return wire.model_sizes(await self._json("GET", path, timeout_s=MODELS_TIMEOUT_S))

    async def max_upload_bytes(self) -> int:
        """The most bytes one request to the peer may have."""
        return wire.upload_limit(await self._json_if_there("/features")) or DEFAULT_UPLOAD_MAX_BYTES

    async def submit(
        self,
        prompt: Mapping[str, Any],
        *,
        prompt_id: str,
        client_id: str,
        extra_data: Mapping[str, Any] | None = None,
        targets: Sequence[str] = (),
    ) -> dict[str, Any]:
        """One POST /prompt; of all output nodes only `targets`, if given.

        Returns the node errors of parts that the peer leaves out: {} when all is well.

        Raises:
            PromptRefusedError: the peer's validation said no.
            PeerUnreachableError, PeerRefusedError: nobody knows whether it arrived.
        """
        body = {
            "prompt": prompt,
            "prompt_id": prompt_id,
            "client_id": client_id,
            "extra_data": dict(extra_data or {}),
            **({"partial_execution_targets": list(targets)} if targets else {}),
        }
        headers = {"Content-Type": "application/json", HOP_HEADER: self._sender}
        async with self._door:
            data = await json_body(body)
            answer = await self._json(
                "POST", "/prompt", timeout_s=SUBMIT_TIMEOUT_S, headers=headers, data=data
            )
        taken_as = answer.get("prompt_id") if isinstance(answer, Mapping) else None
        if taken_as != prompt_id:
            unfit = PeerUnfitError(
                f"{self.base_url} gives prompts ids of its own, so a job cannot be followed there. It is "
                "older than ComfyUI 0.3.45, or only looks like ComfyUI. Update it, then press Test."
            )
            unfit.prompt_id = wire.text(taken_as, ID_MAX)
            raise unfit
        errors = answer.get("node_errors")
        return kept_node_errors(errors) if isinstance(errors, Mapping) else {}

    async def history(self, prompt_id: str, *, with_prompt: bool = False) -> dict[str, Any] | None:
        """The finished prompt's entry; None while it is unfinished or unknown. `with_prompt`: what was run
        is in there too.

        Raises:
            AnswerTooLargeError: it has ended, and its entry cannot be read.
        """
        body = await self._large_json(f"/history/{prompt_id}", HISTORY, None if with_prompt else ENDINGS)
        entry = body.get(prompt_id) if isinstance(body, Mapping) else None
        return entry if isinstance(entry, dict) else None

    async def has_ended(self, prompt_id: str) -> bool:
        """Whether its history has the prompt."""
        try:
            return await self.history(prompt_id) is not None
        except AnswerTooLargeError:
            return True

    async def recent_history(self, most: int) -> dict[str, Any]:
        """The entries of the prompts that ended last, by id, the oldest first."""
        body = await self._large_json(f"/history?max_items={most}", HISTORY)
        return body if isinstance(body, dict) else {}

    async def interrupt(self, prompt_id: str) -> None:
        """Stop this prompt if it runs; no other."""
        await self._body("POST", "/interrupt", json={"prompt_id": prompt_id})

    async def delete_queued(self, prompt_id: str) -> None:
        """Take this prompt out of the peer's queue if it waits there."""
        await self._body("POST", "/queue", json={"delete": [prompt_id]})

    async def forget(self, prompt_id: str) -> None:
        """Take this prompt out of the peer's history."""
        await self._body("POST", "/history", json={"delete": [prompt_id]})

    async def free(self) -> None:
        """Ask the peer to unload its models and give their memory back, once it is idle."""
        await self._body("POST", "/free", json={"unload_models": True, "free_memory": True})

    async def output_files(self) -> tuple[str, ...]:
        """The names of the files at the top of the peer's output folder; those in folders are not listed."""
        return wire.listed_files(
            await self._json("GET", "/internal/files/output", timeout_s=LISTING_TIMEOUT_S)
        )

    async def has_file(self, file: RemoteFile) -> bool:
        """Whether /view has it; False where it does not say. It raises PeerError in a bad moment."""
        wanted = {"filename": file.filename, "subfolder": file.subfolder, "type": file.type}
        try:
            async with self._connection.request("HEAD", f"/view?{urlencode(wanted, errors='replace')}"):
                return True
        except (PeerRefusedError, PeerAuthError) as exc:
            if exc.status >= 500 or exc.status in (HTTP_UNAUTHORIZED, HTTP_TOO_MANY):
                raise
            return False

    async def check_view(self) -> None:
        """Whether results can be fetched from it at all.

        Raises:
            PeerUnfitError: they lie elsewhere. PeerError: it does not say.
        """
        try:
            async with self._connection.request("HEAD", f"/view?{urlencode(_NO_FILE)}"):
                return
        except PeerRefusedError:
            return  # as it should: there is no such file
        except PeerAuthError as exc:
            if not 300 <= exc.status < 400:
                raise
            raise PeerUnfitError(
                f"{self.base_url} sends us elsewhere for results ({exc.status} for /view), and nothing is "
                "fetched there. Give the address of ComfyUI itself, then press Test."
            ) from exc

    async def upload(self, source: Path, *, name: str, subfolder: str = "") -> str:
        """Send an input file; return the name to put into the graph, which need not be the one asked for."""
        with await asyncio.to_thread(observed, source) as file:
            form = aiohttp.FormData()
            form.add_field("image", file, filename=name, content_type="application/octet-stream")
            form.add_field("type", "input")
            if subfolder:
                form.add_field("subfolder", subfolder)
            sending = self._json("POST", "/upload/image", data=form, timeout_s=None)
            body = await at_a_pace(sending, lambda: file.moved_bytes, self.base_url)
        stored = body.get("name") if isinstance(body, Mapping) else None
        folder = body.get("subfolder") if isinstance(body, Mapping) else None
        if not isinstance(stored, str) or not stored:
            raise PeerProtocolError("The peer took a file and did not say under which name.")
        return f"{folder}/{stored}" if isinstance(folder, str) and folder else stored

    async def has_input(self, name: str, subfolder: str, size_bytes: int) -> bool:
        """Whether a file of this name and length is among the peer's inputs; False where it does not say."""
        place = urlencode({"filename": name, "subfolder": subfolder, "type": "input"})
        headers = {"Accept-Encoding": "identity"}  # the length announced is then the file's
        try:
            async with self._connection.request("HEAD", f"/view?{place}", headers=headers) as answer:
                return answer.content_length == size_bytes
        except PeerBusyError:
            raise
        except PeerRefusedError:
            return False

    async def download(
        self,
        file: RemoteFile,
        target: Path,
        *,
        max_bytes: int = 8 << 30,
        reserve_bytes: int = 0,
        so_far: Partial | None = None,
        only_if_changed: bool = False,
        check_head: CheckHead | None = None,
    ) -> int:
        """Stream a result into `target`; return its size. Nothing stays behind of a failed one, unless its
        caller has given `so_far`, to go on with it later or to have what was there. See Download.run."""
        keeps, so_far = so_far is not None, so_far or Partial()
        download = Download(
            self._connection, self.base_url, file, target, max_bytes, reserve_bytes, check_head
        )
        try:
            await download.run(so_far, only_if_changed=only_if_changed)
        except BaseException:
            if not keeps:
                await _remove(target)
            raise
        return so_far.size

    def websocket(self, client_id: str) -> AbstractAsyncContextManager[aiohttp.ClientWebSocketResponse]:
        """The peer's event stream for this client id.

        Raises:
            PeerError
        """
        return self._connection.websocket(f"/ws?{urlencode({'clientId': client_id})}")

    async def close(self) -> None:
        """For good: later requests are refused."""
        await self._connection.close()

    async def _json(self, method: str, path: str, *, max_bytes: int = 0, **options: Any) -> Any:
        return await parse_body(await self._body(method, path, max_bytes=max_bytes, **options))

    async def _json_if_there(self, path: str) -> Any:
        """None where the peer is older than the route."""
        try:
            return await self._json("GET", path)
        except PeerBusyError:
            raise
        except PeerRefusedError:
            return None

    async def _large_json(
        self, path: str, limits: Limits, wanted: Wanted | None = None, **options: Any
    ) -> Any:
        options["pause_s"] = None if limits.may_begin_late else 0.0
        async with self._connection.request("GET", path, timeout_s=limits.timeout_s, **options) as answer:
            return await read_json(answer, limits.max_bytes, wanted, self.mask)

    async def _body(self, method: str, path: str, *, max_bytes: int = 0, **options: Any) -> bytes:
        """`max_bytes`: 0 is the route's own."""
        async with self._connection.request(method, path, **options) as answer:
            body = await read_body(answer, max_bytes or json_max_bytes(path))
        return self.mask.bytes(body)


async def _remove(target: Path) -> None:
    # What went wrong is the message, not that there is nothing to remove.
    with contextlib.suppress(OSError):
        await in_thread(lambda: target.unlink(missing_ok=True))
