"""Everything a server says to one client for one prompt, and how two such recordings differ.

A recording holds the answer of POST /prompt, every websocket message and binary frame in order, the prompt's
place in GET /queue while it ran, and its entry in GET /history/{id}.
"""

from __future__ import annotations

import asyncio
import difflib
import hashlib
import json
import re
import struct
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import aiohttp

Json = Any
QUIET_S = 0.4  #: so long nothing comes after the last word before the recording ends
LIMIT_S = 60.0


@dataclass
class Recording:
    """``answer``: status and body of POST /prompt. ``told``: messages in order, a JSON message as itself, a
    binary frame as {"frame": kind, …}. ``queued``: the prompt's tuple in the queue; None where it was too
    quick to be seen. ``did``: the statuses that the client's own later requests were answered with."""

    answer: tuple[int, Json]
    told: list[Json] = field(default_factory=list)
    queued: Json = None
    history: Json = None
    did: list[int] = field(default_factory=list)

    @property
    def prompt_id(self) -> str:
        body = self.answer[1]
        return str(body.get("prompt_id", "")) if isinstance(body, dict) else ""

    def kinds(self) -> list[str]:
        return [str(message.get("type", f"frame {message.get('frame')}")) for message in self.told]


class Recorder:
    """One client of one server. `act` is what it does while the prompt runs: it gets this recorder, and uses
    ``post`` and ``until``."""

    def __init__(self, http: aiohttp.ClientSession, url: str, *, flags: bool, with_client_id: bool) -> None:
        self.http = http
        self.url = url
        self.flags = flags
        self.with_client_id = with_client_id
        self.client_id = uuid.uuid4().hex
        self.recording = Recording((0, None))

    async def record(
        self, body: Mapping[str, Any], act: Callable[[Recorder], Awaitable[None]] | None = None
    ) -> Recording:
        address = f"{self.url}/ws?clientId={self.client_id}"
        async with self.http.ws_connect(address, max_msg_size=1 << 28) as socket:
            if self.flags:
                await socket.send_json({"type": "feature_flags", "data": {"supports_preview_metadata": True}})
            reader = asyncio.create_task(self._read(socket), name="recorder")
            try:
                await self._until_greeted()
                await self._run(body, act)
            finally:
                reader.cancel()
                await asyncio.gather(reader, return_exceptions=True)
        return self.recording

    async def _run(self, body: Mapping[str, Any], act: Callable[[Recorder], Awaitable[None]] | None) -> None:
        self.recording.told.clear()
        sent = {**body, "client_id": self.client_id} if self.with_client_id else dict(body)
        async with self.http.post(f"{self.url}/prompt", json=sent) as answer:
            self.recording.answer = (answer.status, await answer.json(content_type=None))
        if act is not None:
            await act(self)
        if self.recording.prompt_id:
            await self._to_the_end()

    async def _to_the_end(self) -> None:
        prompt_id = self.recording.prompt_id
        end = asyncio.get_running_loop().time() + LIMIT_S
        while asyncio.get_running_loop().time() < end:
            queue = await self.get("/queue")
            items = [*queue["queue_running"], *queue["queue_pending"]]
            mine = [item for item in items if item[1] == prompt_id]
            self.recording.queued = next(iter(mine), self.recording.queued)
            entry = (await self.get(f"/history/{quote(prompt_id, safe='')}")).get(prompt_id)
            if entry is not None or not mine:
                self.recording.history = entry
                break
            await asyncio.sleep(0.02)
        while True:  # what was said last may be on its way
            count = len(self.recording.told)
            await asyncio.sleep(QUIET_S)
            if len(self.recording.told) == count:
                return

    async def _until_greeted(self) -> None:
        wanted = {"status", "feature_flags"} if self.flags else {"status"}
        await self.until(lambda: wanted <= set(self.recording.kinds()))

    async def until(self, condition: Callable[[], bool]) -> None:
        end = asyncio.get_running_loop().time() + LIMIT_S
        while not condition():
            assert asyncio.get_running_loop().time() < end, self.recording.kinds()
            await asyncio.sleep(0.01)

    async def get(self, path: str) -> Json:
        async with self.http.get(self.url + path) as answer:
            return await answer.json(content_type=None)

    async def post(self, path: str, body: Json) -> None:
        async with self.http.post(self.url + path, json=body) as answer:
            await answer.read()
            self.recording.did.append(answer.status)

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            if message.type is aiohttp.WSMsgType.TEXT:
                self.recording.told.append(json.loads(message.data))
            elif message.type is aiohttp.WSMsgType.BINARY:
                self.recording.told.append(frame_view(message.data))


def frame_view(frame: bytes) -> dict[str, Any]:
    """A binary frame, whole: its kind, what stands before the picture, and a digest of the picture."""
    kind, second = struct.unpack_from(">II", frame)
    if kind != 4:
        return {"frame": kind, "format": second, **_bytes_view(frame[8:])}
    return {"frame": 4, "meta": json.loads(frame[8 : 8 + second]), **_bytes_view(frame[8 + second :])}


def _bytes_view(data: bytes) -> dict[str, Any]:
    return {"size": len(data), "begins": data[:4].hex(), "sha256": hashlib.sha256(data).hexdigest()[:16]}


#: What must differ between two runs, by the name of the field: only the type of its value is compared.
MUST_DIFFER = frozenset({"timestamp", "create_time", "prompt_id", "client_id", "sid", "asset_hash"})
_FILE_NUMBER = re.compile(r"\d{4,}_|_temp_[a-z]{5}")
_PEER = re.compile(r"peer-\d+|master")
#: Lists whose order means nothing: the host keeps these in sets.
_UNORDERED = frozenset({"executed", "current_outputs"})


def lines_of(recording: Recording) -> list[str]:
    """A recording as lines of text, without what must differ."""
    lines = ["answer " + _text([recording.answer[0], recording.answer[1]])]
    lines += [f"did {status}" for status in recording.did]
    for message in recording.told:
        kind = message.get("type")
        if kind == "status" or str(kind).startswith("orchestrator."):
            continue  # how often the length of the queue is told, and the page's own news
        lines.append(("frame " if kind is None else f"{kind} ") + _text(message.get("data", message)))
    if recording.queued is not None:
        number, _, prompt, extra, outputs = recording.queued[:5]
        lines.append("queued " + _text([type(number).__name__, prompt, extra, sorted(outputs)]))
    lines += _history_lines(recording.history)
    return lines


def _history_lines(entry: Json) -> list[str]:
    if entry is None:
        return ["history none"]
    number, _, prompt, extra, outputs = entry["prompt"]
    status = entry["status"]
    return [
        "history prompt " + _text([type(number).__name__, prompt, extra, sorted(outputs)]),
        *(
            f"history output {node_id} " + _text(entry["outputs"][node_id])
            for node_id in sorted(entry["outputs"])
        ),
        *(f"history meta {node_id} " + _text(entry["meta"][node_id]) for node_id in sorted(entry["meta"])),
        "history status " + _text([status["status_str"], status["completed"]]),
        *(f"history message {kind} " + _text(data) for kind, data in status["messages"]),
        "history keys " + _text(sorted(entry)),
    ]


def _text(value: Json) -> str:
    return json.dumps(_without(value), sort_keys=True)


def _without(value: Json, key: str = "") -> Json:
    if key in MUST_DIFFER:
        return f"<{type(value).__name__}>"
    if isinstance(value, dict):
        return {name: _without(item, name) for name, item in value.items()}
    if isinstance(value, list):
        items = [_without(item, key) for item in value]
        return sorted(items, key=str) if key in _UNORDERED else items
    if key == "number":
        return f"<{type(value).__name__}, {'negative' if value < 0 else 'positive'}>"
    if isinstance(value, str):
        return _PEER.sub("<peer>", _FILE_NUMBER.sub("<number>", value))
    return value


def differences(plain: Recording, other: Recording) -> list[str]:
    """What `other` says otherwise: lines with "-" are of `plain` alone, lines with "+" of `other`."""
    a, b = lines_of(plain), lines_of(other)
    if plain.queued is None or other.queued is None:
        a, b = _not_queued(a), _not_queued(b)
    return [line for line in difflib.ndiff(a, b) if line[0] in "+-"]


def _not_queued(lines: Sequence[str]) -> list[str]:
    return [line for line in lines if not line.startswith("queued ")]
