"""What a test does at a ComfyUI: queue a prompt, listen, look at the results."""

from __future__ import annotations

import asyncio
import io
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import numpy as np
from PIL import Image

from orchestrator.backends.client import OWN_NODES_HEADER

DEADLINE_S = 60.0


class PromptRejected(Exception):
    """POST /prompt answered 400; the body is in `body`."""

    def __init__(self, body: dict[str, Any]) -> None:
        super().__init__(json.dumps(body)[:500])
        self.body = body


@dataclass
class Finished:
    """The end of a prompt: its history entry and, for a client with a websocket, what it heard."""

    prompt_id: str
    entry: dict[str, Any]
    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def succeeded(self) -> bool:
        return self.entry["status"]["status_str"] == "success"

    @property
    def error(self) -> dict[str, Any]:
        return next(data for kind, data in self.entry["status"]["messages"] if kind == "execution_error")

    def images(self, node_id: str) -> list[dict[str, Any]]:
        return self.entry["outputs"][node_id]["images"]


async def until(
    condition: Callable[[], Awaitable[Any]], what: str, deadline_s: float = DEADLINE_S, pause_s: float = 0.05
) -> Any:
    """Ask until the answer is true; fail with `what` when time is over."""
    loop = asyncio.get_running_loop()
    end = loop.time() + deadline_s
    while loop.time() < end:
        answer = await condition()
        if answer:
            return answer
        await asyncio.sleep(pause_s)
    raise AssertionError(f"Not within {deadline_s} s: {what}")


class Session:
    """One client of one ComfyUI."""

    def __init__(self, http: aiohttp.ClientSession, url: str, token: str = "") -> None:
        self.http = http
        self.url = url
        self._headers = {"X-Orchestrator-Token": token} if token else {}

    async def get(self, path: str, **headers: str) -> Any:
        async with self.http.get(self.url + path, headers=headers) as answer:
            return await answer.json(content_type=None)

    async def own_nodes(self) -> Any:
        """What this computer has itself; a master's page is offered its peers' nodes as well."""
        return await self.get("/object_info", **{OWN_NODES_HEADER: "1"})

    async def post(self, path: str, body: Any, *, status: int | None = None) -> Any:
        async with self.http.post(self.url + path, json=body, headers=self._headers) as answer:
            text = await answer.text()
            if status is not None:
                assert answer.status == status, text
            return json.loads(text) if text else None

    async def patch(self, path: str, body: Any) -> Any:
        async with self.http.patch(self.url + path, json=body, headers=self._headers) as answer:
            return await answer.json()

    async def delete(self, path: str) -> None:
        async with self.http.delete(self.url + path, json={}, headers=self._headers) as answer:
            assert answer.status == 200, await answer.text()

    async def upload(self, name: str, data: bytes) -> None:
        form = aiohttp.FormData()
        form.add_field("image", data, filename=name)
        form.add_field("overwrite", "true")
        async with self.http.post(f"{self.url}/upload/image", data=form) as answer:
            assert answer.status == 200

    async def queue(self, prompt: dict[str, Any], **extra: Any) -> str:
        async with self.http.post(f"{self.url}/prompt", json={"prompt": prompt, **extra}) as answer:
            body = await answer.json()
            if answer.status != 200:
                raise PromptRejected(body)
            assert not body["node_errors"], body
            return body["prompt_id"]

    async def finished(self, prompt_id: str) -> Finished:
        async def entry() -> Any:
            return (await self.get(f"/history/{prompt_id}")).get(prompt_id)

        return Finished(prompt_id, await until(entry, f"prompt {prompt_id} ends"))

    async def run(self, prompt: dict[str, Any], **extra: Any) -> Finished:
        """As a script without a page does it."""
        return await self.finished(await self.queue(prompt, **extra))

    @asynccontextmanager
    async def listening(self, **headers: str) -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
        """A client: its id, and the list its JSON events and binary frames go to."""
        client_id, heard = uuid.uuid4().hex, []
        async with self.http.ws_connect(
            f"{self.url}/ws?clientId={client_id}", max_msg_size=1 << 26, headers=headers
        ) as socket:
            flags = {"type": "feature_flags", "data": {"supports_preview_metadata": True}}
            await socket.send_str(json.dumps(flags))

            async def read() -> None:
                async for message in socket:
                    if message.type is aiohttp.WSMsgType.TEXT:
                        heard.append(json.loads(message.data))
                    elif message.type is aiohttp.WSMsgType.BINARY:
                        heard.append({"type": "binary", "event": message.data[3], "data": message.data[4:]})

            reader = asyncio.create_task(read(), name="test reader")
            try:
                yield client_id, heard
            finally:
                reader.cancel()
                await asyncio.gather(reader, return_exceptions=True)

    async def picture(self, image: dict[str, Any]) -> np.ndarray:
        query = "&".join(f"{key}={image[key]}" for key in ("filename", "subfolder", "type"))
        async with self.http.get(f"{self.url}/view?{query}") as answer:
            assert answer.status == 200
            return np.asarray(Image.open(io.BytesIO(await answer.read())))

    async def is_idle(self) -> bool:
        queue = await self.get("/queue")
        return not queue["queue_running"] and not queue["queue_pending"]

    async def jobs(self) -> list[dict[str, Any]]:
        """The master's journal, newest first."""
        return (await self.get("/orchestrator/jobs"))["jobs"]

    async def peers(self) -> dict[str, dict[str, Any]]:
        return {peer["name"]: peer for peer in (await self.get("/orchestrator/peers"))["peers"]}

    async def peers_are_up(self) -> bool:
        """Healthy, and their node lists read."""
        return all(peer["health"] == "up" and peer["node_types"] for peer in (await self.peers()).values())

    async def forget_peers(self) -> None:
        for peer in (await self.peers()).values():
            await self.delete(f"/orchestrator/peers/{peer['id']}")
