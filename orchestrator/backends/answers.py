"""What a peer answers, read within bounds; and every way it can go wrong, said in our own errors."""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections.abc import Iterator, Mapping
from functools import lru_cache
from http import HTTPStatus
from typing import Any

import aiohttp

from ..clock import utc_now
from ..core.workflow.foreign import details
from ..errors import (
    AnswerTooLargeError,
    BodyTooLargeError,
    PeerAuthError,
    PeerBusyError,
    PeerError,
    PeerProtocolError,
    PeerRefusedError,
    PeerTimeoutError,
    PeerUnreachableError,
    PromptRefusedError,
)
from . import wire
from .gate import retry_after_s
from .json_stream import PIECE_BYTES, JsonStream, Wanted
from .masking import NOTHING, Mask, MaskedBlocks

JSON_MAX_BYTES = 16 << 20
#: Of routes that tell little. What they say is parsed into up to twenty times as much memory.
_SMALL = {
    "/system_stats": 1 << 20,
    "/features": 1 << 20,
    "/upload/": 1 << 20,
    "/interrupt": 1 << 20,
    "/free": 1 << 20,
    "/embeddings": 4 << 20,
    "/node_replacements": 4 << 20,
    "/experiment/models": 4 << 20,
}
IN_THREAD_FROM = 1 << 20  #: JSON and files from this size on are handled off the event loop
_BLOCK = 1 << 18
_WORDS_MAX = 2_000
_ERROR_MAX_BYTES = 64 << 10
_NODES_MAX, _NODE_MAX = 200, 4096  #: nodes of a refused prompt that are kept, characters of each
_WANTS_KEY = (401, 403, 407)
#: OpenSSL's X509_V_ERR_…; Python has no names for them
_NOT_YET, _EXPIRED, _OTHER_NAME = 9, 10, (62, 64)


@contextlib.contextmanager
def translated(base_url: str, mask: Mask = NOTHING) -> Iterator[None]:
    """Every error of aiohttp as one of our own; most specific first."""
    try:
        yield
    except (asyncio.TimeoutError, aiohttp.ServerTimeoutError) as exc:
        raise PeerTimeoutError(f"{base_url} did not answer in time. Is the machine busy or asleep?") from exc
    except aiohttp.ClientConnectorCertificateError as exc:
        raise PeerUnreachableError(_not_trusted(base_url, exc.certificate_error)) from exc
    except aiohttp.ServerFingerprintMismatch as exc:
        raise PeerUnreachableError(
            f"{base_url} shows another certificate than the one in its form: sha256:{exc.got.hex()}. If it "
            "was renewed there, put this fingerprint into the form; else somebody stands between."
        ) from exc
    except aiohttp.ClientConnectorSSLError as exc:
        raise PeerUnreachableError(f"{base_url} does not speak https. Try http.") from exc
    except aiohttp.ClientConnectorDNSError as exc:
        raise PeerUnreachableError(f"There is no machine called {exc.host}. Check the address.") from exc
    except aiohttp.ClientConnectorError as exc:
        is_closed = exc.errno == errno.ECONNREFUSED
        raise PeerUnreachableError(_not_connected(base_url, exc), is_closed=is_closed) from exc
    except aiohttp.WSServerHandshakeError as exc:
        if exc.status in _WANTS_KEY:
            raise wants_key(base_url, exc.status, mask) from exc
        raise PeerRefusedError(f"{base_url} refuses its event stream ({exc.status}).", exc.status) from exc
    except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, ConnectionError) as exc:
        raise PeerUnreachableError(f"The connection to {base_url} was cut.") from exc
    except (aiohttp.ClientError, ValueError) as exc:
        raise PeerProtocolError(
            f"{base_url} does not answer as ComfyUI does: {mask.text(str(exc))[:120]}"
        ) from exc


def _not_connected(base_url: str, exc: aiohttp.ClientConnectorError) -> str:
    if exc.errno == errno.ECONNREFUSED:
        return f"{base_url} refused the connection. Is ComfyUI running there with --listen?"
    return f"{base_url} cannot be reached ({exc.strerror}). Is the machine on, and in this network?"


def _not_trusted(base_url: str, error: Exception) -> str:
    code = getattr(error, "verify_code", None)
    start = f"{base_url} shows a certificate that is not valid"
    if code == _EXPIRED:
        return f"{start} any more. Renew it on the peer."
    if code == _NOT_YET:
        return f"{start} yet. Compare the clocks of both machines."
    if code in _OTHER_NAME:
        return (
            f"{start} for it: it is for another name. Use that name in the address, or pin its fingerprint."
        )
    return (
        f"{start} for it: nobody trusted has signed it. Put its CA file or its SHA-256 fingerprint into the "
        "peer's form, under Certificate."
    )


def wants_key(base_url: str, status: int, mask: Mask) -> PeerAuthError:
    if mask.has_keys:
        return PeerAuthError(
            f"{base_url} refused the saved key ({status}). Enter it again in the peer's form; many proxies "
            "expect a Bearer token.",
            status,
        )
    return PeerAuthError(f"{base_url} needs an API key ({status}). Enter it in the peer's form.", status)


def leads_elsewhere(base_url: str, status: int) -> PeerAuthError:
    return PeerAuthError(
        f"{base_url} sends us to another address ({status}): mostly a login. Give its key, or the address it "
        "leads to.",
        status,
    )


async def check_answer(answer: aiohttp.ClientResponse, base_url: str, mask: Mask = NOTHING) -> None:
    """Pass what ComfyUI says when all is well.

    Raises:
        PeerAuthError: a login is in front of it. PeerBusyError: it wants to be asked later.
        BodyTooLargeError: 413. PeerRefusedError: another 4xx or 5xx, with its words.
    """
    status, is_page = answer.status, answer.content_type == "text/html"
    if status in _WANTS_KEY:
        raise wants_key(base_url, status, mask)
    if status == HTTPStatus.NOT_MODIFIED:
        return  # said only to who asks whether it was
    if 300 <= status < 400:
        raise leads_elsewhere(base_url, status)
    if status < 300:
        if is_page:
            # Login pages of proxies come with status 200.
            raise PeerAuthError(
                f"{base_url} answers with a web page where ComfyUI gives data: a login or another service "
                "is in front of it. Give its key, or the right address."
            )
        return
    if retry_after_s(status, answer.headers, utc_now()) is not None:
        raise PeerBusyError(
            f"{base_url}, or a proxy in front of it, takes no more requests for the moment ({status}).",
            status,
        )
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        raise _body_too_large(answer, base_url, is_proxys=is_page)
    if status == 400 and answer.url.path.endswith("/prompt") and not is_page:
        raise await _prompt_refused(mask.bytes(await read_body(answer, JSON_MAX_BYTES)), base_url)
    body = mask.bytes(await _beginning(answer))
    words = "" if is_page else " ".join(body[:_WORDS_MAX].decode("utf-8", "replace").split())[:200]
    reason = mask.text(answer.reason or "")[:200]
    raise PeerRefusedError(f"{base_url} answered {status} {reason} {words}".strip(), status)


async def _beginning(answer: aiohttp.ClientResponse) -> bytes:
    """As much of an error's page as could tell what is wrong, and a key that begins in it."""
    body = b""
    async for block in answer.content.iter_chunked(_BLOCK):
        body += block
        if len(body) > _ERROR_MAX_BYTES:
            break
    return body


def _body_too_large(answer: aiohttp.ClientResponse, base_url: str, *, is_proxys: bool) -> BodyTooLargeError:
    sent = answer.request_info.headers.get("Content-Length", "")
    size_bytes = int(sent) if sent.isdigit() else 0
    size = f"{size_bytes / 2**20:.1f} MiB" if size_bytes else "what was sent"
    if not is_proxys:
        return BodyTooLargeError(
            f"{base_url} does not take {size} (413). Start its ComfyUI with a larger --max-upload-size, then "
            "press Test in the peer's row.",
            size_bytes,
        )
    return BodyTooLargeError(
        f"A proxy in front of {base_url} does not take {size} (413). If it is nginx, set "
        '"client_max_body_size 0;" there and reload it, then press Test in the peer\'s row.',
        size_bytes,
    )


@lru_cache(maxsize=64)
def json_max_bytes(path: str) -> int:
    """The most that an answer of this route can honestly have."""
    return next((most for route, most in _SMALL.items() if path.startswith(route)), JSON_MAX_BYTES)


async def read_body(answer: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    """
    Raises:
        AnswerTooLargeError: there is more, or will be by what it says of itself.
    """
    blocks, size = [], 0
    if (answer.content_length or 0) > max_bytes:
        raise _too_large(answer, max_bytes)
    async for block in answer.content.iter_chunked(_BLOCK):
        size += len(block)
        if size > max_bytes:
            raise _too_large(answer, max_bytes)
        blocks.append(block)
    return b"".join(blocks)


def _too_large(answer: aiohttp.ClientResponse, max_bytes: int) -> AnswerTooLargeError:
    return AnswerTooLargeError(
        f"{answer.url.origin()} answered {answer.url.path[:60]} by more than {max_bytes >> 20} MiB, so it "
        "was not taken."
    )


async def read_json(
    answer: aiohttp.ClientResponse, max_bytes: int, wanted: Wanted | None = None, mask: Mask = NOTHING
) -> Any:
    """A body as JSON; what of a large one is `wanted` is kept, as it comes, off the event loop.

    Raises:
        AnswerTooLargeError: it is, or it began and did not end in its time. PeerProtocolError: it is no JSON.
    """
    if (answer.content_length or 0) > max_bytes:
        raise _too_large(answer, max_bytes)
    stream: JsonStream | None = None
    masked = MaskedBlocks(mask)
    blocks, held, size = list[bytes](), 0, 0
    try:
        async for block in answer.content.iter_chunked(_BLOCK):
            blocks.append(block)
            held, size = held + len(block), size + len(block)
            if size > max_bytes:
                raise _too_large(answer, max_bytes)
            if held >= PIECE_BYTES and size >= IN_THREAD_FROM:
                stream = stream or JsonStream(wanted or Wanted())
                await asyncio.to_thread(_feed, stream, masked, blocks)
                blocks, held = [], 0
    except asyncio.TimeoutError as exc:
        raise AnswerTooLargeError(
            f"{answer.url.origin()} began to answer {answer.url.path[:60]} and took too long to end, so that "
            "was not taken."
        ) from exc
    if stream is None:
        return await parse_body(mask.bytes(b"".join(blocks)))
    return await asyncio.to_thread(_ended, stream, masked, blocks)


def _feed(stream: JsonStream, masked: MaskedBlocks, blocks: list[bytes]) -> None:
    body = masked.next(b"".join(blocks))
    for start in range(0, len(body), PIECE_BYTES):
        stream.feed(body[start : start + PIECE_BYTES])


def _ended(stream: JsonStream, masked: MaskedBlocks, blocks: list[bytes]) -> Any:
    _feed(stream, masked, blocks)
    stream.feed(masked.rest())
    return stream.close()


async def parse_body(body: bytes) -> Any:
    if len(body) >= IN_THREAD_FROM:
        return await asyncio.to_thread(wire.parse_json, body)
    return wire.parse_json(body)


async def _prompt_refused(data: bytes, base_url: str) -> PeerError:
    try:
        body = await parse_body(data)
    except PeerProtocolError:
        body = None
    if not isinstance(body, Mapping):
        return PeerRefusedError(f"{base_url} did not take the prompt and gave no reason (400).", 400)
    error, nodes = body.get("error"), body.get("node_errors")
    error = error if isinstance(error, Mapping) else {"message": wire.text(error) or "no reason given"}
    nodes = nodes if isinstance(nodes, Mapping) else {}
    return PromptRefusedError(_in_words(error, nodes), details(error), kept_node_errors(nodes))


def kept_node_errors(nodes: Mapping[str, Any]) -> dict[str, Any]:
    """What a peer says against each node. It repeats the whole list of a file's choices, for each."""
    return {node_id: details(nodes[node_id], _NODE_MAX) for node_id in list(nodes)[:_NODES_MAX]}


def _in_words(error: Mapping[str, Any], nodes: Mapping[str, Any]) -> str:
    said: list[str] = []
    for node_id, node in nodes.items():
        reasons = node.get("errors") if isinstance(node, Mapping) else None
        for reason in reasons if isinstance(reasons, list) else ():
            if isinstance(reason, Mapping):
                where = f"{wire.text(node.get('class_type')) or 'node'} (node {node_id[:40]})"
                said.append(f"{where}: {_both(reason, ': ')}")
    return ("; ".join(said) or _both(error, " ") or "The prompt was refused.")[:_WORDS_MAX]


def _both(reason: Mapping[str, Any], between: str) -> str:
    return between.join(filter(None, (wire.text(reason.get(key), 500) for key in ("message", "details"))))
