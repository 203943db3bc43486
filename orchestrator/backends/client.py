"""One server's HTTP and websocket. Knows no retry; every foreign error is translated here."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp

from ..core.models.backend import QueueState, Vitals
from ..core.models.job import RemoteFile
from ..errors import (
    PeerAuthError,
    PeerError,
    PeerProtocolError,
    PeerRefusedError,
    PeerTimeoutError,
    PeerUnreachableError,
    PromptRefusedError,
    ResultError,
)
from . import wire

JSON_MAX_BYTES = 16 << 20
OBJECT_INFO_MAX_BYTES = 64 << 20
WEBSOCKET_MAX_BYTES = 64 << 20
DEFAULT_UPLOAD_MAX_BYTES = 104_857_600  #: ComfyUI's own default for --max-upload-size
SUBMIT_TIMEOUT_S = 30.0
OBJECT_INFO_TIMEOUT_S = 60.0
STALL_TIMEOUT_S = 30.0  #: a transfer without a byte for so long has failed
_BLOCK = 1 << 18
_IN_THREAD_FROM = 1 << 20  #: JSON and files from this size on are handled off the event loop


class ComfyUIClient:
    """A stock ComfyUI at `base_url` (no slash at its end).

    `headers` go with every request. A `session` that is handed in is not closed by ``close``.
    """

    def __init__(
        self,
        base_url: str,
        *,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 5.0,
        session: aiohttp.ClientSession | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.latest: Vitals | None = None
        self._headers = dict(headers or {})
        self._timeout_s = timeout_s
        self._session = session
        self._owns_session = session is None

    async def health_check(self) -> bool:
        """Ask for the vitals and keep them in ``latest``.

        Raises:
            PeerError: what is wrong, in words.
        """
        self.latest = await self.vitals()
        return True

    async def vitals(self) -> Vitals:
        stats, queue = await asyncio.gather(self._json("GET", "/system_stats"), self.queue())
        return wire.vitals(stats, queue)

    async def queue(self) -> QueueState:
        return wire.queue_state(await self._json("GET", "/queue"))

    async def object_info(self) -> dict[str, Any]:
        """All node classes of the peer: up to several MB, seconds on a large installation."""
        body = await self._json(
            "GET", "/object_info", timeout_s=OBJECT_INFO_TIMEOUT_S, max_bytes=OBJECT_INFO_MAX_BYTES
        )
        if not isinstance(body, dict):
            raise PeerProtocolError("The peer's list of nodes is not ComfyUI's.")
        return body

    async def max_upload_bytes(self) -> int:
        try:
            body = await self._json("GET", "/features")
        except PeerRefusedError:
            body = None  # older than the route
        size = body.get("max_upload_size") if isinstance(body, Mapping) else None
        return int(size) if isinstance(size, (int, float)) and size > 0 else DEFAULT_UPLOAD_MAX_BYTES

    async def submit(
        self,
        prompt: Mapping[str, Any],
        *,
        prompt_id: str,
        client_id: str,
        extra_data: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """One POST /prompt. Returns the node errors of parts that the peer leaves out: {} when all is well.

        Raises:
            PromptRefusedError: the peer's validation said no.
            PeerUnreachableError, PeerRefusedError: nobody knows whether it arrived.
        """
        body = {
            "prompt": prompt,
            "prompt_id": prompt_id,
            "client_id": client_id,
            "extra_data": dict(extra_data or {}),
        }
        answer = await self._json("POST", "/prompt", timeout_s=SUBMIT_TIMEOUT_S, **await _large_json(body))
        if not isinstance(answer, Mapping) or answer.get("prompt_id") != prompt_id:
            raise PeerProtocolError(
                "The peer took the job under another id. It needs ComfyUI 0.3.45 or later."
            )
        errors = answer.get("node_errors")
        return dict(errors) if isinstance(errors, Mapping) else {}

    async def history(self, prompt_id: str) -> dict[str, Any] | None:
        """The finished prompt's entry; None while it is unfinished or unknown."""
        body = await self._json("GET", f"/history/{prompt_id}")
        entry = body.get(prompt_id) if isinstance(body, Mapping) else None
        return entry if isinstance(entry, dict) else None

    async def interrupt(self, prompt_id: str) -> None:
        """Stop this prompt if it runs; no other."""
        await self._text("POST", "/interrupt", json={"prompt_id": prompt_id})

    async def delete_queued(self, prompt_id: str) -> None:
        """Take this prompt out of the peer's queue if it waits there."""
        await self._text("POST", "/queue", json={"delete": [prompt_id]})

    async def upload(self, source: Path, *, name: str, subfolder: str = "") -> str:
        """Send an input file; return the name to put into the graph, which need not be the one asked for."""
        with await asyncio.to_thread(source.open, "rb") as file:
            form = aiohttp.FormData()
            form.add_field("image", file, filename=name, content_type="application/octet-stream")
            form.add_field("type", "input")
            if subfolder:
                form.add_field("subfolder", subfolder)
            body = await self._json("POST", "/upload/image", data=form, timeout_s=None)
        stored = body.get("name") if isinstance(body, Mapping) else None
        folder = body.get("subfolder") if isinstance(body, Mapping) else None
        if not isinstance(stored, str) or not stored:
            raise PeerProtocolError("The peer took a file and did not say under which name.")
        return f"{folder}/{stored}" if isinstance(folder, str) and folder else stored

    async def download(self, file: RemoteFile, target: Path, *, max_bytes: int = 8 << 30) -> int:
        """Stream a result into `target`; return its size. Nothing stays behind of a failed one.

        Raises:
            ResultError: it is gone, too large, or ended early. OSError: `target` cannot be written.
        """
        query = urlencode({"filename": file.filename, "subfolder": file.subfolder, "type": file.type})
        try:
            async with self._request("GET", f"/view?{query}", timeout_s=None) as answer:
                return await _save(answer, file.filename, target, max_bytes)
        except PeerRefusedError as exc:
            raise ResultError(
                f"The peer no longer has its result {file.filename[:80]} ({exc.status})."
            ) from exc
        except BaseException:
            await asyncio.to_thread(target.unlink, missing_ok=True)
            raise

    @contextlib.asynccontextmanager
    async def websocket(self, client_id: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """The peer's event stream for this client id.

        Raises:
            PeerError
        """
        with _translated(self.base_url):
            async with self._open_session().ws_connect(
                f"{self.base_url}/ws?{urlencode({'clientId': client_id})}",
                headers=self._headers,
                max_msg_size=WEBSOCKET_MAX_BYTES,
                timeout=aiohttp.ClientWSTimeout(ws_close=1.0),
            ) as socket:
                yield socket

    async def close(self) -> None:
        if self._owns_session and self._session is not None:
            await self._session.close()
            self._session = None

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession()
        return self._session

    async def _json(self, method: str, path: str, *, max_bytes: int = JSON_MAX_BYTES, **options: Any) -> Any:
        body = await self._text(method, path, max_bytes=max_bytes, **options)
        if len(body) >= _IN_THREAD_FROM:
            return await asyncio.to_thread(wire.parse_json, body)
        return wire.parse_json(body)

    async def _text(
        self, method: str, path: str, *, max_bytes: int = JSON_MAX_BYTES, **options: Any
    ) -> bytes:
        async with self._request(method, path, **options) as answer:
            if answer.content_type == "text/html":
                # Login pages of proxies come with status 200.
                raise PeerAuthError(
                    f"{self.base_url} answers with a web page where ComfyUI gives data: a login or another "
                    "service is in front of it. Give its key, or the right address."
                )
            return await _read(answer, max_bytes)

    @contextlib.asynccontextmanager
    async def _request(
        self,
        method: str,
        path: str,
        *,
        timeout_s: float | None = 0.0,
        content_type: str | None = None,
        **options: Any,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """`timeout_s`: 0 is the client's own, None has no end as long as bytes flow."""
        total = self._timeout_s if timeout_s == 0.0 else timeout_s
        timeout = aiohttp.ClientTimeout(total=total, sock_connect=self._timeout_s, sock_read=STALL_TIMEOUT_S)
        with _translated(self.base_url):
            async with self._open_session().request(
                method,
                self.base_url + path,
                headers={**self._headers, "Content-Type": content_type} if content_type else self._headers,
                allow_redirects=False,
                timeout=timeout,
                **options,
            ) as answer:
                await _check(answer, self.base_url)
                yield answer


@contextlib.contextmanager
def _translated(base_url: str) -> Iterator[None]:
    """Every error of aiohttp as one of ours; most specific first."""
    try:
        yield
    except (asyncio.TimeoutError, aiohttp.ServerTimeoutError) as exc:
        raise PeerTimeoutError(f"{base_url} did not answer in time. Is the machine busy or asleep?") from exc
    except aiohttp.ClientConnectorCertificateError as exc:
        raise PeerUnreachableError(f"{base_url} shows a certificate that is not valid for it.") from exc
    except aiohttp.ClientConnectorSSLError as exc:
        raise PeerUnreachableError(f"{base_url} does not speak https. Try http.") from exc
    except aiohttp.ClientConnectorDNSError as exc:
        raise PeerUnreachableError(f"There is no machine called {exc.host}. Check the address.") from exc
    except aiohttp.ClientConnectorError as exc:
        raise PeerUnreachableError(
            f"{base_url} refuses the connection. Is ComfyUI running there, started with --listen?"
        ) from exc
    except aiohttp.WSServerHandshakeError as exc:
        raise PeerRefusedError(f"{base_url} refuses its event stream ({exc.status}).", exc.status) from exc
    except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, ConnectionError) as exc:
        raise PeerUnreachableError(f"The connection to {base_url} was cut.") from exc
    except (aiohttp.ClientError, ValueError) as exc:
        raise PeerProtocolError(f"{base_url} does not answer as ComfyUI does: {str(exc)[:120]}") from exc


async def _check(answer: aiohttp.ClientResponse, base_url: str) -> None:
    status = answer.status
    if status < 300:
        return
    if status in (401, 403, 407):
        raise PeerAuthError(f"{base_url} wants a key ({status}). Enter it in the peer's form.")
    if status < 400:
        raise PeerAuthError(
            f"{base_url} sends us to another address ({status}): mostly a login. Give its key, or the address "
            "it leads to."
        )
    text = (await _read(answer, JSON_MAX_BYTES)).decode("utf-8", "replace")
    if status == 400 and answer.url.path.endswith("/prompt"):
        raise _prompt_refused(text)
    raise PeerRefusedError(f"{base_url} answered {status} {text[:200]}".strip(), status)


async def _large_json(body: Mapping[str, Any]) -> dict[str, Any]:
    """A request's body that may have megabytes: made off the loop, and sent in pieces."""
    data = await asyncio.to_thread(lambda: json.dumps(body).encode())
    return {"data": io.BytesIO(data), "content_type": "application/json"}


def _prompt_refused(text: str) -> PeerError:
    body = wire.parse_json(text)
    error = body.get("error") if isinstance(body, Mapping) else None
    nodes = body.get("node_errors") if isinstance(body, Mapping) else None
    error = error if isinstance(error, Mapping) else {"message": str(error or "no reason given")}
    nodes = nodes if isinstance(nodes, Mapping) else {}
    return PromptRefusedError(_in_words(error, nodes), error, nodes)


def _in_words(error: Mapping[str, Any], nodes: Mapping[str, Any]) -> str:
    said: list[str] = []
    for node_id, node in nodes.items():
        reasons = node.get("errors") if isinstance(node, Mapping) else None
        for reason in reasons if isinstance(reasons, list) else ():
            if isinstance(reason, Mapping):
                where = f"{node.get('class_type', 'node')} (node {node_id})"
                said.append(f"{where}: {reason.get('message')}: {reason.get('details')}")
    return "; ".join(said) or " ".join(str(error.get(key) or "") for key in ("message", "details")).strip()


async def _read(answer: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    blocks, size = [], 0
    async for block in answer.content.iter_chunked(_BLOCK):
        size += len(block)
        if size > max_bytes:
            raise PeerProtocolError(f"An answer of more than {max_bytes >> 20} MiB was not taken.")
        blocks.append(block)
    return b"".join(blocks)


async def _save(answer: aiohttp.ClientResponse, name: str, target: Path, max_bytes: int) -> int:
    expected = answer.content_length
    if expected is not None and expected > max_bytes:
        raise ResultError(
            f"The result {name[:80]} has {expected >> 20} MiB; at most {max_bytes >> 20} are taken."
        )
    if expected is not None and expected <= _IN_THREAD_FROM:
        data = await _read(answer, expected)
        _check_length(name, len(data), expected)
        # One hop off the loop: a small picture should not wait for four.
        await asyncio.to_thread(target.write_bytes, data)
        return expected
    size = 0
    with await asyncio.to_thread(target.open, "wb") as file:
        async for block in answer.content.iter_chunked(_IN_THREAD_FROM):
            size += len(block)
            if size > max_bytes:
                raise ResultError(f"The result {name[:80]} is larger than {max_bytes >> 20} MiB.")
            await asyncio.to_thread(file.write, block)
        await asyncio.to_thread(file.flush)
    if expected is not None:
        _check_length(name, size, expected)
    return size


def _check_length(name: str, size: int, expected: int) -> None:
    if size != expected:
        raise ResultError(f"The result {name[:80]} ended after {size} of {expected} bytes.")
