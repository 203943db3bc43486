"""The ComfyUI that the plugin lives in, on a real socket, without the computing: scriptable, and it records.

``async with FakeHost(home) as host:`` loads the plugin as ComfyUI does, through ``installation.install``, and
serves until the block ends. Shapes and habits are those of ComfyUI 0.3.75, with the /jobs routes of 0.33.
Nothing in its queue runs until a test says ``begin`` and ``finish``.

The plugin imports modules of ComfyUI. While a host is there, stand-ins for them are in ``sys.modules``, see
``host_modules``; so only one host can be there at a time.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import logging
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

from orchestrator.core.workflow.cut import DISPATCH_CLASS
from orchestrator.errors import ConfigError
from orchestrator.runtime import Runtime

from .answers import refusal_of
from .comfyui import FakeComfyUI, Seen
from .graphs import stock_classes
from .host_modules import checked_id, classes_of, comfyui_modules
from .prompt_queue import Body, PromptHandling, PromptQueue
from .waiting import until, until_told


class FakeHost(PromptHandling):
    """A PromptServer; `home` holds input, output, temp and user. Set it up between making and entering it.

    ``classes``: the node classes that it has. ``reached``: what came as far as its own handlers.
    ``interrupts``: how often the running prompt was told to stop. ``checks_ids``: as in 0.33, an id that
    is no UUID is refused.
    """

    def __init__(self, home: Path) -> None:
        super().__init__()
        self.home = home
        self.classes = classes_of({**stock_classes(), DISPATCH_CLASS: {"output_node": True}})
        self.checks_ids = False
        self.reached: list[Seen] = []
        self.interrupts = 0
        self.app = web.Application(client_max_size=64 << 20)
        self.routes = web.RouteTableDef()
        self.sockets: dict[str, web.WebSocketResponse] = {}
        self.sockets_metadata: dict[str, dict[str, Any]] = {}
        self.prompt_queue: Any = PromptQueue(self.queue_updated)
        self.number = 0
        self.port = 0
        self.runtime: Runtime
        self.loop: asyncio.AbstractEventLoop
        self._messages: asyncio.Queue[tuple[str, Any, str | None]]
        self._open = AsyncExitStack()

    async def __aenter__(self) -> FakeHost:
        try:
            await self._start()
        except BaseException:
            await self._open.aclose()
            raise
        return self

    async def _start(self) -> None:
        self.loop, self._messages = asyncio.get_running_loop(), asyncio.Queue()
        self.session = await self._open.enter_async_context(aiohttp.ClientSession())
        modules = comfyui_modules(
            self.home,
            classes=self.classes,
            validate_prompt=self.validate_prompt,
            interrupt=self._interrupt,
            checks_ids=self.checks_ids,
        )
        self._open.enter_context(modules)
        self._add_routes()
        self._open.callback(_use_the_log_as_before)
        importlib.import_module("orchestrator.host.installation").install(self)
        self.runtime = importlib.import_module("orchestrator.host.current").current().runtime
        self._open.callback(gc.unfreeze)  # the plugin freezes what is there when its host starts
        self._repeat_routes()
        server = TestServer(self.app, host="127.0.0.1")
        self._open.push_async_callback(server.close)
        await server.start_server()
        self.port = server.port or 0
        self._open.push_async_callback(
            _ended, asyncio.create_task(self._publish(), name="fake host's events")
        )
        await until_told(self._is_loaded, "the plugin has started, or could not")

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def _is_loaded(self) -> bool:
        try:
            await self.runtime.ready()
        except ConfigError as exc:
            return "could not start" in str(exc)
        return True

    # What a test does with it

    async def add(self, name: str, peer: FakeComfyUI) -> str:
        """Register a peer, and wait until its nodes are known."""
        peer.object_info = peer.object_info or stock_classes()
        backend_id = (await self.runtime.peers.add(name=name, url=peer.url)).id
        await until(lambda: self.runtime.manager.get_object_info(backend_id), "its nodes are known")
        return backend_id

    async def prefer(self, **changes: Any) -> None:
        """Switch something on or off, as in the Fleet tab."""
        await self.runtime.change_settings(changes)

    async def post(self, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """A program's request, and the answer's status and JSON, or text where it is none."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", **headers}
        async with self.session.post(self.url + path, data=data, headers=sent) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if answer.content_type == "application/json" else text

    async def get(self, path: str, **headers: str) -> Any:
        async with self.session.get(self.url + path, headers=headers) as answer:
            return await answer.json()

    async def run(self, prompt: Mapping[str, Any], **body: Any) -> Any:
        """The answer of POST /prompt to a prompt that is accepted."""
        status, answer = await self.post("/prompt", {"prompt": prompt, **body})
        assert status == 200, answer
        return answer

    @asynccontextmanager
    async def listening(self, client_id: str) -> AsyncIterator[list[Any]]:
        """What this client hears, as it comes: JSON messages and bytes."""
        heard: list[Any] = []
        async with self.session.ws_connect(f"{self.url}/ws?clientId={client_id}") as socket:

            async def listen() -> None:
                async for message in socket:
                    is_text = message.type is aiohttp.WSMsgType.TEXT
                    heard.append(json.loads(message.data) if is_text else message.data)

            task = asyncio.create_task(listen(), name=f"client {client_id}")
            try:
                await until(lambda: heard, "it is connected")
                yield heard
            finally:
                await _ended(task)

    def begin(self, prompt_id: str) -> None:
        """The prompt worker takes this prompt out of the queue."""
        item = next(one for one in self.prompt_queue.queue if one[1] == prompt_id)
        self.prompt_queue.queue.remove(item)
        self.prompt_queue.currently_running[self.number] = item

    def finish(self, prompt_id: str, outputs: Mapping[str, Any] | None = None) -> None:
        """The running prompt ends well."""
        running = self.prompt_queue.currently_running
        key = next(key for key, item in running.items() if item[1] == prompt_id)
        status = {"status_str": "success", "completed": True, "messages": []}
        item, shown = running.pop(key), dict(outputs or {})
        self.prompt_queue.history[prompt_id] = {"prompt": item[:5], "outputs": shown, "status": status}

    @property
    def waiting(self) -> list[str]:
        """The ids of the prompts that it would run itself."""
        return [item[1] for item in self.prompt_queue.queue]

    def asked(self, path: str) -> list[Any]:
        """The bodies of the requests for this path that its own handler got."""
        return [seen.json for seen in self.reached if seen.path == path]

    # What the plugin sees of a PromptServer

    def queue_updated(self) -> None:
        remaining = self.prompt_queue.get_tasks_remaining()
        self.send_sync("status", {"status": {"exec_info": {"queue_remaining": remaining}}})

    def send_sync(self, event: str, data: Any, sid: str | None = None) -> None:
        self.loop.call_soon_threadsafe(self._messages.put_nowait, (event, data, sid))

    async def _publish(self) -> None:
        while True:
            event, data, sid = await self._messages.get()
            for client_id in tuple(self.sockets) if sid is None else (sid,):
                with suppress(KeyError, ConnectionError):
                    await self.sockets[client_id].send_json({"type": event, "data": data})

    async def validate_prompt(
        self, prompt_id: str, prompt: Mapping[str, Any], targets: list[str] | None = None
    ) -> tuple[bool, Any, list[str], Any]:
        """Which nodes there are is all that it looks at."""
        for node_id, node in prompt.items():
            if "class_type" not in node:
                return False, _error("invalid_prompt", "Cannot execute: a node has no class_type."), [], {}
            if node["class_type"] not in self.classes:
                words = f"Cannot execute because node {node['class_type']} does not exist."
                return False, {**_error("invalid_prompt", words), "details": f"Node ID '#{node_id}'"}, [], {}
        outputs = [
            node_id for node_id, node in prompt.items() if self.classes[node["class_type"]].OUTPUT_NODE
        ]
        outputs = [node_id for node_id in outputs if not targets or node_id in targets]
        if not outputs:
            return False, _error("prompt_no_outputs", "Prompt has no outputs"), [], {}
        return True, None, outputs, {}

    # Its own handlers

    def _add_routes(self) -> None:
        own = {
            "/prompt": self._post_prompt,
            "/interrupt": self._post_interrupt,
            "/queue": self._post_queue,
            "/history": self._post_history,
            "/api/jobs/cancel": self._cancel_several,
            "/api/jobs/{job_id}/cancel": self._cancel_one,
        }
        for path, handler in own.items():
            self.routes.post(path)(self._recorded(handler))
        self.routes.get("/queue")(self._get_queue)
        self.routes.get("/history")(self._get_history)
        self.routes.get("/history/{prompt_id}")(self._get_history)
        self.routes.get("/ws")(self._websocket)

    def _repeat_routes(self) -> None:
        """Everything is there below /api too, what packs have added as well."""
        for route in self.routes:
            assert isinstance(route, web.RouteDef)
            self.app.router.add_route(route.method, "/api" + route.path, route.handler)
        self.app.add_routes(self.routes)

    def _recorded(self, handler: Callable[[Any], Any]) -> Callable[[web.Request], Any]:
        async def recorded(request: web.Request) -> web.StreamResponse:
            path = request.path.removeprefix("/api")
            try:
                body = await request.json()
            except json.JSONDecodeError:
                body = None
            self.reached.append(Seen(request.method, path, dict(request.query), dict(request.headers), body))
            answer: web.StreamResponse = await handler(body) if body is not None else web.Response(status=500)
            return answer

        return recorded

    async def _post_prompt(self, body: Body) -> web.Response:
        body = self.trigger_on_prompt(body)
        number = float(body["number"]) if "number" in body else self.number
        if "number" not in body:
            number = -number if body.get("front") else number
            self.number += 1
        if "prompt" not in body:
            return web.json_response(
                refusal_of("no_prompt", "No prompt provided", "No prompt provided"), status=400
            )
        prompt_id, extra = str(body.get("prompt_id", uuid.uuid4())), dict(body.get("extra_data", {}))
        targets = body.get("partial_execution_targets")
        good, error, outputs, node_errors = await self.validate_prompt(prompt_id, body["prompt"], targets)
        if not good:
            return web.json_response({"error": error, "node_errors": node_errors}, status=400)
        if "client_id" in body:
            extra["client_id"] = body["client_id"]
        self.prompt_queue.put((number, prompt_id, body["prompt"], extra, outputs, {}))
        return web.json_response({"prompt_id": prompt_id, "number": number, "node_errors": node_errors})

    async def _post_interrupt(self, body: Body) -> web.Response:
        running, _ = self.prompt_queue.get_current_queue_volatile()
        if body.get("prompt_id") is None or any(item[1] == body["prompt_id"] for item in running):
            self._interrupt()
        return web.Response()

    def _interrupt(self) -> None:
        self.interrupts += 1

    async def _post_queue(self, body: Body) -> web.Response:
        if body.get("clear"):
            self.prompt_queue.wipe_queue()
        for prompt_id in body.get("delete", ()):
            self._delete(prompt_id)
        return web.Response()

    async def _post_history(self, body: Body) -> web.Response:
        if body.get("clear"):
            self.prompt_queue.wipe_history()
        for prompt_id in body.get("delete", ()):
            self.prompt_queue.delete_history_item(prompt_id)
        return web.Response()

    async def _cancel_one(self, body: Body) -> web.Response:
        return web.json_response({"cancelled": False})

    async def _cancel_several(self, body: Body) -> web.Response:
        ids = body.get("job_ids")
        if not isinstance(ids, list) or not all(map(_is_uuid, ids)):
            return web.json_response({"error": "job_ids must be valid UUIDs"}, status=400)
        deleted = list(map(self._delete, ids))
        return web.json_response({"cancelled": any(deleted)})

    def _delete(self, prompt_id: str) -> bool:
        return bool(self.prompt_queue.delete_queue_item(lambda item: item[1] == prompt_id))

    async def _get_queue(self, _: web.Request) -> web.Response:
        running, waiting = self.prompt_queue.get_current_queue_volatile()
        listed = {"queue_running": running, "queue_pending": waiting}
        return web.json_response({name: [item[:5] for item in items] for name, items in listed.items()})

    async def _get_history(self, request: web.Request) -> web.Response:
        return web.json_response(self.prompt_queue.get_history(prompt_id=request.match_info.get("prompt_id")))

    async def _websocket(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        for _ in range(3):  # as long as a client is slow to take the head of the answer
            await asyncio.sleep(0)
        sid = request.rel_url.query.get("clientId", "") or uuid.uuid4().hex
        self.sockets[sid], self.sockets_metadata[sid] = socket, {"feature_flags": {}}
        try:
            await socket.send_json({"type": "status", "data": {"status": {}, "sid": sid}})
            async for _ in socket:
                pass
        finally:
            if self.sockets.get(sid) is socket:
                del self.sockets[sid], self.sockets_metadata[sid]
        return socket


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


def _error(kind: str, message: str) -> dict[str, Any]:
    return {"type": kind, "message": message, "details": "", "extra_info": {}}


def _is_uuid(value: object) -> bool:
    with suppress(ValueError):
        return checked_id(value) == value
    return False


def _use_the_log_as_before() -> None:
    """The plugin names its lines from its host's start on; tests without one hear them bare, and once."""
    for logger in map(logging.getLogger, ("orchestrator", "nodes")):
        logger.propagate = True
        for handler in list(logger.handlers):
            if type(handler).__module__.endswith("host.log_lines"):
                logger.removeHandler(handler)
