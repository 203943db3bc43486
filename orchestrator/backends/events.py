"""One websocket per peer, shared by all jobs there. What it tells is a hint; polling is the truth."""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from collections.abc import Callable
from dataclasses import replace

import aiohttp

from ..errors import PeerError
from ..signals import Signal
from . import wire
from .client import ComfyUIClient
from .wire import COMFYUI_TYPES, PeerEvent, PreviewFrame, RawFrame

__all__ = ["EventStream", "Message", "PeerEvent", "PreviewFrame", "RawFrame"]

log = logging.getLogger(__name__)

BACKOFF_FIRST_S = 0.5
BACKOFF_MAX_S = 10.0
STRANGERS_MAX = 64
_HELLO = {"type": "feature_flags", "data": {"supports_preview_metadata": True}}

Message = PeerEvent | PreviewFrame | RawFrame
Callback = Callable[[Message], None]


class EventStream:
    """Connects when ``start`` is called and again whenever it is cut.

    ``client_id`` stays the same for life: a peer sends a prompt's events to the client id that posted it.
    An own one is made unless the id of an earlier process is given, whose prompts may still run there.
    ``backoff_first_s``: the pause after a connection was cut; it doubles with each that is not made.
    """

    def __init__(
        self, client: ComfyUIClient, backoff_first_s: float = BACKOFF_FIRST_S, client_id: str = ""
    ) -> None:
        self.client_id = client_id or uuid.uuid4().hex
        self.cuts = 0  #: how often a connection came to its end
        self.refusals = 0  #: how often in a row no connection was made
        self.heard_at_s = 0.0  #: when something about a prompt came last, on the loop's clock
        self._client = client
        self._callbacks: dict[str, list[Callback]] = {}
        self._cut = Signal[[]]("cut event streams")
        self._connected = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.strangers: dict[str, None] = {}  #: ids of prompts that began and nobody had subscribed to
        self._executing: tuple[str, str] = ("", "")
        self._backoff_first_s = backoff_first_s
        self._pause_s = 0.0
        self._due = asyncio.Event()  #: the next attempt to connect
        self._door = asyncio.Lock()  #: lets those who wait for a connection through in their order

    def start(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(
                self._run(), name=f"remote-dispatch events {self._client.base_url}"
            )

    @property
    def is_connected(self) -> bool:
        return self._connected.is_set()

    async def wait_connected(self, timeout_s: float) -> bool:
        """Whether it is connected within that time; what waits for another attempt tries at once. Those who
        ask go on in the order in which they asked."""
        async with self._door:
            if self.is_connected:
                return True
            self._due.set()
            try:
                await asyncio.wait_for(self._connected.wait(), timeout_s)
            except asyncio.TimeoutError:
                return False
            return True

    def subscribe(self, prompt_id: str, callback: Callback) -> Callable[[], None]:
        """Hear all messages about one prompt; returns the way to stop it."""
        self._callbacks.setdefault(prompt_id, []).append(callback)
        self.strangers.pop(prompt_id, None)

        def undo() -> None:
            callbacks = self._callbacks.get(prompt_id, [])
            if callback in callbacks:
                callbacks.remove(callback)
            if not callbacks:
                self._callbacks.pop(prompt_id, None)

        return undo

    def hear_cuts(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Be told when a connection comes to its end; returns the way to stop it."""
        return self._cut.subscribe(callback)

    async def aclose(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _run(self) -> None:
        while True:
            heard = False
            try:
                async with self._client.websocket(self.client_id) as socket:
                    await socket.send_str(json.dumps(_HELLO))
                    self.refusals = 0
                    self._connected.set()
                    try:
                        heard = await self._read(socket)
                    finally:
                        self.cuts += 1
                        self._cut.tell()
            except PeerError as exc:
                self.refusals += 1
                log.debug("No event stream: %s", exc)
            except Exception:
                log.exception("The event stream of %s failed", self._client.base_url)
            finally:
                self._connected.clear()
            self._pause_s = pause_after(self._pause_s, heard, self._backoff_first_s)
            # The old socket is closed before the next one opens: with two of one id the newer would go deaf.
            await self._pause()

    async def _pause(self) -> None:
        self._due.clear()
        timer = asyncio.get_running_loop().call_later(self._pause_s, self._due.set)
        try:
            await self._due.wait()
        finally:
            timer.cancel()

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> bool:
        """Hand on everything until the end; tell whether anything came."""
        anything = False
        async for message in socket:
            anything = True
            try:
                if message.type is aiohttp.WSMsgType.TEXT:
                    self._tell(wire.text_message(self._client.mask.text(message.data)))
                elif message.type is aiohttp.WSMsgType.BINARY:
                    self._tell(wire.binary_message(self._client.mask.bytes(message.data)))
            except PeerError as exc:
                log.debug("A message was not understood: %s", exc)
        return anything

    def _tell(self, message: Message | None) -> None:
        if isinstance(message, PeerEvent):
            message = self._placed(message)
        elif message is not None and not message.prompt_id:
            prompt_id, node_id = self._executing
            message = replace(message, prompt_id=prompt_id)
            if isinstance(message, PreviewFrame):
                message = replace(message, node_id=node_id, display_node_id=node_id)
        if message is None:
            return
        if message.prompt_id:
            self.heard_at_s = asyncio.get_running_loop().time()
        for callback in tuple(self._callbacks.get(message.prompt_id, ())):
            try:
                callback(message)
            except Exception:
                log.exception("A listener of a peer's events failed")

    def _note_stranger(self, prompt_id: str) -> None:
        if prompt_id and prompt_id not in self._callbacks:
            self.strangers[prompt_id] = None
            if len(self.strangers) > STRANGERS_MAX:
                del self.strangers[next(iter(self.strangers))]

    def _placed(self, message: PeerEvent) -> PeerEvent:
        """With the prompt it is about. Packs seldom name one: what they tell is about the one that runs."""
        if message.type == "execution_start":
            self._note_stranger(message.prompt_id)
            self._executing = (message.prompt_id, "")
        elif message.type == "executing":
            # After a reconnect ComfyUI tells the node alone: the prompt is still the same.
            node_id = message.data.get("node")
            prompt_id = message.prompt_id or self._executing[0]
            self._executing = (prompt_id, node_id if isinstance(node_id, str) else "")
            if node_id is None:  # the prompt has ended, and what comes now belongs to another one
                self._executing = ("", "")
            return message
        if message.prompt_id or message.type in COMFYUI_TYPES:
            return message
        return replace(message, of_prompt=self._executing[0])


def pause_after(last_pause_s: float, heard: bool, first_s: float = BACKOFF_FIRST_S) -> float:
    """Seconds until the next attempt; `heard` whether the last one brought a message (a proxy may only seem
    to connect)."""
    return first_s if heard else max(first_s, min(last_pause_s * 2, BACKOFF_MAX_S))
