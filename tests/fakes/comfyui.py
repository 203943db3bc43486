"""A stock ComfyUI on a real socket, without the computing: scriptable, and it remembers what it was asked.

Shapes and habits are those of ComfyUI 0.3.75: one prompt runs at a time, the end is announced before it is
in /history, a lookup of an unknown or unfinished prompt is ``{}``, /interrupt without a prompt id hits
whoever runs.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket
import struct
import uuid
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Literal

from aiohttp import WSCloseCode, WSMsgType, web

from .answers import refusal_of, value_not_in_list

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
OnPrompt = Literal["run", "hold", "fail", "refuse", "error", "drop", "drop_after_accept"]
MIB = 1 << 20
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415408d763f8cfc000000301"
    "0100c9fe92ef0000000049454e44ae426082"
)
_SAVING = ("SaveImage", "PreviewImage")
_TURNS_OF_AN_ACCEPT = 5  #: asyncio makes a transport of a taken connection in three


@dataclass(frozen=True)
class Seen:
    """One request that arrived. ``json`` is its body where that is JSON."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    json: Any = None
    port: int = 0  #: the asker's


@dataclass
class Prompt:
    """A prompt the fake accepted. ``messages`` are those of its history's status."""

    id: str
    number: int
    graph: dict[str, Any]
    extra_data: dict[str, Any]
    client_id: str
    messages: list[list[Any]] = field(default_factory=list)

    @property
    def entry(self) -> list[Any]:
        return [self.number, self.id, self.graph, self.extra_data, list(self.graph)]


class FakeComfyUI:
    """``async with FakeComfyUI() as fake:`` serves at ``fake.url`` until the block ends.

    ``on_prompt`` says what becomes of the prompts that arrive:
    run (done at once, with a picture for each saving node), hold (runs until ``finish`` or ``fail``), fail
    (a node raises, as ``raises`` says), refuse (400), error (500), drop (the connection ends, nothing was
    accepted), drop_after_accept (accepted and held, but the answer is lost).
    ``answers`` maps a path to a handler that stands in for the stock one ("*" for all).
    ``key`` is a header and the value it must have; without it every answer is 401.
    ``unsaid`` are kinds of messages that get lost.
    ``models`` are the bytes of model files by folder and name; None: it is older than the route.
    ``own_ids``: prompts get ids of its own, as before ComfyUI 0.3.45.
    ``late_history`` is how many lookups of a finished prompt still find nothing.
    """

    def __init__(self, *, prefix: str = "", key: tuple[str, str] | None = None, port: int = 0) -> None:
        self.prefix = prefix
        self.key = key
        self.port = port
        self.version = "0.3.75"
        self.vram_total = 24 << 30
        self.vram_free = 20 << 30
        self.object_info: dict[str, Any] = {}
        self.embeddings: list[str] = []
        self.replacements: dict[str, list[Any]] = {}
        self.features: dict[str, Any] = {"supports_preview_metadata": True, "max_upload_size": 100 * MIB}
        self.models: dict[str, dict[str, Any]] | None = {}
        self.on_prompt: OnPrompt = "run"
        self.raises: dict[str, Any] = {}
        self.refusal: dict[str, Any] | None = None
        self.node_errors: dict[str, Any] = {}
        self.own_ids = False
        self.answers: dict[str, Handler] = {}
        self.unsaid: set[str] = set()
        self.late_history = 0
        self.files: dict[tuple[str, str, str], bytes] = {}
        self.requests: list[Seen] = []
        self.prompts: list[Prompt] = []
        self.sockets: dict[str, web.WebSocketResponse] = {}
        self.socket_count = 0
        self.hellos: list[Any] = []
        self._queue: list[Prompt] = []
        self._running: Prompt | None = None
        self._history: dict[str, dict[str, Any]] = {}
        self._awake = asyncio.Event()
        self._awake.set()
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> FakeComfyUI:
        await self.come_back()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.go_down()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.prefix}"

    @property
    def running(self) -> str | None:
        """The id of the prompt that runs."""
        return self._running.id if self._running else None

    @property
    def pending(self) -> list[str]:
        """The ids of those behind the one that runs, or that is about to."""
        behind = self._queue if self._running else self._queue[1:]
        return [prompt.id for prompt in behind]

    def asked(self, path: str) -> list[Seen]:
        """The requests for this path that want what is there; of /prompt those that brought one, not the
        polls."""
        found = [seen for seen in self.requests if seen.path == path and seen.method != "HEAD"]
        return [seen for seen in found if path != "/prompt" or seen.method == "POST"]

    # Faults

    async def go_down(self) -> None:
        """Stop as a killed process does: refused connections, everything open is cut."""
        runner, self._runner = self._runner, None
        if runner is not None:
            for websocket in tuple(self.sockets.values()):
                await websocket.close(code=WSCloseCode.GOING_AWAY, drain=False)
            # Python 3.11 leaks a connection that is taken in the very moment its server closes.
            asyncio.get_running_loop().remove_reader(self._listening)
            for _ in range(_TURNS_OF_AN_ACCEPT):
                await asyncio.sleep(0)
            await runner.cleanup()
        self.sockets.clear()

    async def come_back(self) -> None:
        """Start again at the same port; queue and history are those of a new process: empty."""
        self._queue, self._running, self._history = [], None, {}
        app = web.Application(client_max_size=512 * MIB, middlewares=[self._door])
        app.add_routes(
            [web.route(method, self.prefix + path, handler) for method, path, handler in self._routes()]
        )
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        self._listening = socket.create_server(("127.0.0.1", self.port))
        await web.SockSite(self._runner, self._listening).start()
        self.port = self._listening.getsockname()[1]

    def freeze(self) -> None:
        """Like SIGSTOP: connections are taken, nothing is answered."""
        self._awake.clear()

    @property
    def is_frozen(self) -> bool:
        return not self._awake.is_set()

    def thaw(self) -> None:
        self._awake.set()

    async def cut_sockets(self) -> None:
        for websocket in tuple(self.sockets.values()):
            await websocket.close()

    def forget(self) -> None:
        """Queue and history are cleared by somebody else."""
        self._queue, self._running, self._history = [], None, {}

    # What happens to prompts

    async def finish(self, prompt_id: str, outputs: Mapping[str, Any] | None = None) -> None:
        """The running prompt ends well; without `outputs` each of its saving nodes has made a picture."""
        prompt = self._take(prompt_id)
        results = dict(self._pictures(prompt) if outputs is None else outputs)
        for node_id, output in results.items():
            await self.send(prompt, "executing", node=node_id, display_node=node_id)
            await self.send(prompt, "executed", node=node_id, display_node=node_id, output=output)
        await self._end(prompt, "execution_success", results)

    def requeue(self, prompt_id: str, *, client_id: str | None = None, **changed: Any) -> str:
        """A node of the running prompt puts it into the queue again, before all others, under another id;
        each of its nodes has the inputs `changed` then."""
        first = self._take(prompt_id)
        graph = {
            node_id: {**node, "inputs": {**node["inputs"], **changed}}
            for node_id, node in first.graph.items()
        }
        asked_by = first.client_id if client_id is None else client_id
        extra = {**first.extra_data, "client_id": asked_by}
        again = Prompt(str(uuid.uuid4()), -len(self.prompts), graph, extra, asked_by)
        self.prompts.append(again)
        self._queue.insert(0, again)
        return again.id

    async def fail(self, prompt_id: str, **details: Any) -> None:
        """A node of the running prompt raises."""
        prompt = self._take(prompt_id)
        node_id = str(details.pop("node_id", next(iter(prompt.graph))))
        said = {"exception_message": "it broke", "exception_type": "RuntimeError", "traceback": [], **details}
        node_type = prompt.graph[node_id]["class_type"]
        await self._end(prompt, "execution_error", {}, node_id=node_id, node_type=node_type, **said)

    async def interrupt(self, prompt_id: str | None = None) -> None:
        """Somebody asks to stop this prompt, or whichever runs."""
        if self._running and prompt_id in (None, "", self._running.id):
            await self._end(self._take(self._running.id), "execution_interrupted", {}, executed=[])

    async def send(self, prompt: Prompt | str, kind: str, **data: Any) -> None:
        """One message about a prompt, to the client that posted it."""
        known = prompt if isinstance(prompt, Prompt) else self._prompt(prompt)
        body = {**data, "prompt_id": known.id}
        if kind.startswith("execution_"):
            known.messages.append([kind, {**body, "timestamp": 1_700_000_000_000}])
        if kind not in self.unsaid:
            await self.send_raw(known.client_id, json.dumps({"type": kind, "data": body}))

    async def send_preview(
        self, prompt_id: str, node_id: str, picture: bytes, *, old: bool = False, kind: str = "image/jpeg"
    ) -> None:
        """A preview; `old` without the metadata that says whose it is."""
        if old:
            frame = struct.pack(">II", 1, 2 if kind == "image/png" else 1) + picture
        else:
            meta = {"node_id": node_id, "display_node_id": node_id, "prompt_id": prompt_id}
            head = json.dumps({**meta, "image_type": kind}).encode()
            frame = struct.pack(">II", 4, len(head)) + head + picture
        await self.send_raw(self._prompt(prompt_id).client_id, frame)

    async def send_raw(self, client_id: str, message: str | bytes) -> None:
        websocket = self.sockets.get(client_id)
        if websocket is not None and not websocket.closed:
            with suppress(ConnectionResetError):
                if isinstance(message, str):
                    await websocket.send_str(message)
                else:
                    await websocket.send_bytes(message)

    def _prompt(self, prompt_id: str) -> Prompt:
        return next(prompt for prompt in self.prompts if prompt.id == prompt_id)

    def _take(self, prompt_id: str) -> Prompt:
        prompt = self._running
        assert prompt is not None and prompt.id == prompt_id, f"{prompt_id} does not run here"
        return prompt

    async def _end(self, prompt: Prompt, ending: str, outputs: Mapping[str, Any], **data: Any) -> None:
        await self.send(prompt, ending, **data)
        good = ending == "execution_success"
        self._history[prompt.id] = {
            "prompt": prompt.entry,
            "outputs": dict(outputs),
            "status": {
                "status_str": "success" if good else "error",
                "completed": good,
                "messages": prompt.messages,
            },
            "meta": {},
        }
        self._running = None
        await self.send_raw(
            prompt.client_id,
            json.dumps({"type": "executing", "data": {"node": None, "prompt_id": prompt.id}}),
        )
        await self._next()

    async def _next(self) -> None:
        if self._running is not None or not self._queue:
            return
        prompt = self._running = self._queue.pop(0)
        await self.send(prompt, "execution_start")
        await self.send(prompt, "execution_cached", nodes=[])
        if self.on_prompt == "run":
            await self.finish(prompt.id)
        elif self.on_prompt == "fail":
            await self.fail(prompt.id, **self.raises)

    def _pictures(self, prompt: Prompt) -> dict[str, Any]:
        outputs = {}
        for node_id, node in prompt.graph.items():
            if node["class_type"] in _SAVING:
                prefix = PurePosixPath(str(node["inputs"].get("filename_prefix", "ComfyUI")))
                folder = "" if str(prefix.parent) == "." else str(prefix.parent)
                kind = "temp" if node["class_type"] == "PreviewImage" else "output"
                file = {"filename": f"{prefix.name}_00001_.png", "subfolder": folder, "type": kind}
                self.files[(kind, folder, file["filename"])] = PNG
                outputs[node_id] = {"images": [file]}
        return outputs

    # HTTP

    def _routes(self) -> list[tuple[str, str, Handler]]:
        return [
            ("GET", "/system_stats", self._system_stats),
            ("GET", "/queue", self._get_queue),
            ("POST", "/queue", self._post_queue),
            ("GET", "/object_info", self._get_object_info),
            ("GET", "/object_info/{class}", self._get_class_info),
            ("GET", "/embeddings", self._get_embeddings),
            ("GET", "/node_replacements", self._get_replacements),
            ("GET", "/features", self._get_features),
            ("GET", "/experiment/models", self._get_model_folders),
            ("GET", "/experiment/models/{folder}", self._get_models),
            ("GET", "/prompt", self._get_prompt),
            ("POST", "/prompt", self._post_prompt),
            ("GET", "/history/{prompt_id}", self._get_history),
            ("GET", "/history", self._get_recent_history),
            ("POST", "/history", self._post_history),
            ("POST", "/interrupt", self._post_interrupt),
            ("POST", "/free", self._post_free),
            ("POST", "/upload/image", self._upload),
            ("GET", "/view", self._view),
            ("GET", "/internal/files/output", self._list_output),
            ("GET", "/ws", self._websocket),
        ]

    @web.middleware
    async def _door(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        path = request.path.removeprefix(self.prefix)
        is_json = request.content_type == "application/json" and request.can_read_body
        body = await request.json() if is_json else None
        port = request.get_extra_info("peername")[1]
        self.requests.append(
            Seen(request.method, path, dict(request.query), dict(request.headers), body, port)
        )
        await self._awake.wait()
        if self.key is not None and request.headers.get(self.key[0]) != self.key[1]:
            return web.Response(status=401)
        if (request.method, path) == ("GET", "/prompt"):  # the poll; a test that answers /prompt means jobs
            path = "GET /prompt"
        return await (self.answers.get(path) or self.answers.get("*") or handler)(request)

    async def _get_class_info(self, request: web.Request) -> web.Response:
        name = request.match_info["class"]
        return web.json_response({name: self.object_info[name]} if name in self.object_info else {})

    async def _get_embeddings(self, _: web.Request) -> web.Response:
        return web.json_response(self.embeddings)

    async def _get_replacements(self, _: web.Request) -> web.Response:
        return web.json_response(self.replacements)

    async def _get_object_info(self, _: web.Request) -> web.Response:
        return web.json_response(self.object_info)

    async def _get_features(self, _: web.Request) -> web.Response:
        return web.json_response(self.features)

    async def _get_model_folders(self, _: web.Request) -> web.Response:
        if self.models is None:
            return web.Response(status=404)
        return web.json_response([{"name": name, "folders": [f"/models/{name}"]} for name in self.models])

    async def _get_models(self, request: web.Request) -> web.Response:
        files = (self.models or {}).get(request.match_info["folder"])
        if files is None:
            return web.Response(status=404)
        told = {"pathIndex": 0, "modified": 1_700_000_000.0, "created": 1_700_000_000.0}
        return web.json_response([{"name": name, **told, "size": size} for name, size in files.items()])

    async def _system_stats(self, _: web.Request) -> web.Response:
        gpu = {"name": "cuda:0 Fake", "type": "cuda", "index": 0, "vram_total": self.vram_total}
        system = {"os": "posix", "ram_total": 64 << 30, "ram_free": 32 << 30, "comfyui_version": self.version}
        return web.json_response({"system": system, "devices": [{**gpu, "vram_free": self.vram_free}]})

    async def _get_queue(self, _: web.Request) -> web.Response:
        running = [self._running.entry] if self._running else []
        return web.json_response({"queue_running": running, "queue_pending": [p.entry for p in self._queue]})

    async def _get_prompt(self, _: web.Request) -> web.Response:
        remaining = len(self._queue) + (self._running is not None)
        return web.json_response({"exec_info": {"queue_remaining": remaining}})

    async def _post_queue(self, request: web.Request) -> web.Response:
        body = await request.json()
        if body.get("clear"):
            self._queue.clear()
        self._queue = [prompt for prompt in self._queue if prompt.id not in body.get("delete", ())]
        return web.Response()

    async def _post_prompt(self, request: web.Request) -> web.StreamResponse:
        if self.on_prompt == "error":
            return web.Response(status=500, text="500 Internal Server Error")
        if self.on_prompt == "drop":
            return _hang_up(request)
        body = await request.json()
        refusal = self._refusal(body["prompt"])
        if refusal is not None:
            return web.json_response(refusal, status=400)
        prompt = self.accept(body)
        if self.on_prompt == "drop_after_accept":
            return _hang_up(request)
        answer = {"prompt_id": prompt.id, "number": prompt.number, "node_errors": self.node_errors}
        return web.json_response(answer)

    def accept(self, body: dict[str, Any]) -> Prompt:
        """Take in what was posted, which may have been long ago."""
        prompt = Prompt(
            id=str((not self.own_ids and body.get("prompt_id")) or uuid.uuid4()),
            number=len(self.prompts),
            graph=body["prompt"],
            extra_data={**body.get("extra_data", {}), "client_id": body.get("client_id", "")},
            client_id=body.get("client_id", ""),
        )
        self.prompts.append(prompt)
        self._queue.append(prompt)
        asyncio.get_running_loop().call_soon(self._start_next)
        return prompt

    def _start_next(self) -> None:
        self._worker = asyncio.create_task(self._next(), name="fake ComfyUI's worker")

    def _refusal(self, graph: dict[str, Any]) -> dict[str, Any] | None:
        if self.on_prompt == "refuse":
            return self.refusal or value_not_in_list(next(iter(graph)), graph)
        for node_id, node in graph.items():
            if self.object_info and node["class_type"] not in self.object_info:
                return refusal_of(
                    "invalid_prompt",
                    f"Cannot execute because node {node['class_type']} does not exist.",
                    f"Node ID '#{node_id}'",
                )
        return None

    async def _list_output(self, _: web.Request) -> web.Response:
        """The top of the folder alone; newer versions write the folder behind each name."""
        behind = "" if self.version == "0.3.75" else " [output]"
        names = [name for kind, folder, name in self.files if kind == "output" and not folder]
        return web.json_response([name + behind for name in names])

    async def _get_history(self, request: web.Request) -> web.Response:
        prompt_id = request.match_info["prompt_id"]
        entry = self._history.get(prompt_id)
        if entry is not None and self.late_history > 0:
            self.late_history -= 1
            entry = None
        return web.json_response({prompt_id: entry} if entry else {})

    async def _get_recent_history(self, request: web.Request) -> web.Response:
        most = int(request.query["max_items"])
        return web.json_response(dict(tuple(self._history.items())[-most:]))

    async def _post_history(self, request: web.Request) -> web.Response:
        for prompt_id in (await request.json()).get("delete", ()):
            self._history.pop(prompt_id, None)
        return web.Response()

    async def _post_free(self, request: web.Request) -> web.Response:
        if (await request.json()).get("unload_models"):
            self.vram_free = 24 << 30
        return web.Response()

    async def _post_interrupt(self, request: web.Request) -> web.Response:
        await self.interrupt((await request.json()).get("prompt_id") if request.body_exists else None)
        return web.Response()

    async def _upload(self, request: web.Request) -> web.Response:
        form = await request.post()
        image, folder = form["image"], str(form.get("subfolder", ""))
        assert isinstance(image, web.FileField)
        kind, data = str(form.get("type", "input")), image.file.read()
        path, name, number = PurePosixPath(image.filename), image.filename, 0
        while self.files.get((kind, folder, name), data) != data:
            number += 1
            name = f"{path.stem} ({number}){path.suffix}"
        self.files[(kind, folder, name)] = data
        return web.json_response({"name": name, "subfolder": folder, "type": kind})

    async def _view(self, request: web.Request) -> web.Response:
        query = request.query
        key = (query.get("type", "output"), query.get("subfolder", ""), query.get("filename", ""))
        data = self.files.get(key)
        if data is None:
            return web.Response(status=404)
        headers = {"ETag": f'"{hashlib.md5(data).hexdigest()}"'}
        if request.headers.get("If-None-Match") == headers["ETag"]:
            return web.Response(status=304, headers=headers)
        start, stop = request.http_range.start or 0, request.http_range.stop or len(data)
        body, status = data[start:stop], 206 if "Range" in request.headers else 200
        if status == 206:  # as aiohttp's own file answers: If-Range with an ETag is not looked at
            headers["Content-Range"] = f"bytes {start}-{start + len(body) - 1}/{len(data)}"
        return web.Response(body=body, status=status, content_type="image/png", headers=headers)

    async def _websocket(self, request: web.Request) -> web.StreamResponse:
        websocket = web.WebSocketResponse()
        await websocket.prepare(request)
        client_id = request.query.get("clientId") or uuid.uuid4().hex
        self.sockets[client_id] = websocket
        self.socket_count += 1
        status = {"status": {"exec_info": {"queue_remaining": len(self._queue)}}, "sid": client_id}
        await websocket.send_json({"type": "status", "data": status})
        try:
            async for message in websocket:
                if message.type is WSMsgType.TEXT:
                    self.hellos.append(json.loads(message.data))
        finally:
            if self.sockets.get(client_id) is websocket:
                del self.sockets[client_id]
        return websocket


def _hang_up(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()
