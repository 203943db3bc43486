"""No package: the routes that clients use, one after another, with what people send to them and do wrong.

Notes the status, the headers that clients look at, and the shape of each answer: names, types, and the values
that are the same on every server. Left out, for they differ on purpose: the words of a refusal, which name
the peers; a class that nobody has, which is answered as newer cores do; a link to a node that is not there,
which the host finds by an exception; an ended prompt's number, which a master gives it at its end.
"""

from __future__ import annotations

import asyncio
import io
import json
import re
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
from notes import Notes
from PIL import Image
from shapes import shape

server, graph, folder = sys.argv[1:4]
GRAPH = json.loads(Path(graph).read_text(encoding="utf-8"))
HEADERS = ("Content-Type", "Access-Control-Allow-Origin", "Allow", "Content-Disposition", "Accept-Ranges")
SEED = GRAPH["1"]["inputs"]["seed"]


def slow(seconds: float, seed: int) -> dict[str, Any]:
    return {
        "1": {"class_type": "TestStamp", "inputs": {"width": 16, "height": 16, "batch": 1, "seed": seed}},
        "2": {"class_type": "TestSleep", "inputs": {"value": ["1", 0], "seconds": seconds}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "client"}},
    }


class Walk:
    def __init__(self, http: aiohttp.ClientSession, notes: Notes) -> None:
        self.http = http
        self.notes = notes

    async def ask(self, method: str, path: str, name: str = "", **sent: Any) -> Any:
        """Notes the answer; gives its body."""
        async with self.http.request(method, server + path, **sent) as answer:
            raw = await answer.read()
            headers = {key: answer.headers.get(key, "") for key in HEADERS if answer.headers.get(key)}
            headers = {k: re.sub(r'filename=".*"', "filename", v) for k, v in headers.items()}
            try:
                body = json.loads(raw)
            except ValueError:
                body = raw
            said = "bytes" if isinstance(body, bytes) and len(body) > 200 else str(body)
            self.notes.note(
                f"{method} {name or path}",
                answer.status,
                headers,
                said if isinstance(body, bytes) else shape(body),
            )
            return body

    async def quietly(self, path: str) -> Any:
        async with self.http.get(server + path) as answer:
            return await answer.json(content_type=None)

    async def post(self, name: str, body: Any) -> str:
        answer = await self.ask("POST", "/prompt", f"/prompt {name}", json=body)
        return answer.get("prompt_id", "") if isinstance(answer, dict) else ""

    async def ended(self, prompt_id: str) -> Any:
        for _ in range(2000):
            entry = (await self.quietly(f"/history/{prompt_id}")).get(prompt_id)
            if entry:
                return entry
            await asyncio.sleep(0.02)
        raise TimeoutError(prompt_id)

    async def empty(self) -> None:
        for _ in range(2000):
            if not any((await self.quietly("/queue")).values()):
                return
            await asyncio.sleep(0.02)


async def refusals(walk: Walk) -> None:
    for name, sent in {
        "without a body": {},
        "with no JSON": {"data": b"{not json"},
        "with a list": {"json": []},
        "with a text": {"json": "prompt"},
    }.items():
        await walk.ask("POST", "/prompt", f"/prompt {name}", **sent)
    missing_input = {**GRAPH, "9": {"class_type": "SaveImage", "inputs": {"filename_prefix": "x"}}}
    wrong_value = {**GRAPH, "1": {**GRAPH["1"], "inputs": {**GRAPH["1"]["inputs"], "width": "wide"}}}
    for name, body in {
        "without a prompt": {"client_id": "x"},
        "null": {"prompt": None},
        "that is a list": {"prompt": [1]},
        "that is empty": {"prompt": {}},
        "without an output": {"prompt": {"1": GRAPH["1"]}},
        "without class_type": {"prompt": {"1": {"inputs": {}}}},
        "without inputs": {"prompt": {"1": {"class_type": "SaveImage"}}},
        "whose node is a text": {"prompt": {"1": "SaveImage"}},
        "with a missing input": {"prompt": missing_input},
        "with a wrong value": {"prompt": wrong_value},
        "with an id that is a number": {"prompt": GRAPH, "prompt_id": 7},
        "with targets that do not exist": {"prompt": GRAPH, "partial_execution_targets": ["77"]},
    }.items():
        if prompt_id := await walk.post(name, body):
            walk.notes.note("ended", (await walk.ended(prompt_id))["status"]["status_str"])


async def ways_to_send(walk: Walk) -> None:
    ways: dict[str, dict[str, Any]] = {
        "plain": {},
        "with an own id": {"prompt_id": str(uuid.uuid4())},
        "with an id in capitals": {"prompt_id": str(uuid.uuid4()).upper()},
        "with an id that is no UUID": {"prompt_id": "mine"},
        "with an empty id": {"prompt_id": ""},
        "with a number": {"number": 12345},
        "with a fraction": {"number": 0.5},
        "with a negative number": {"number": -3},
        "to the front": {"front": True},
        "with extra_data": {
            "extra_data": {"mine": {"a": [1]}, "extra_pnginfo": {"workflow": {"x": 1}, "by": "me"}}
        },
        "with a client_id of its own": {"client_id": "somebody"},
        "with a target": {"partial_execution_targets": ["9"]},
        "with what nobody knows": {"unheard": True},
    }
    for number, (name, more) in enumerate(ways.items()):
        changed = {"1": ("seed", SEED + 50 + number), "12": ("value", SEED + 50 + number)}
        fresh = {
            node_id: {**GRAPH[node_id], "inputs": {**GRAPH[node_id]["inputs"], key: value}}
            for node_id, (key, value) in changed.items()
        }
        if prompt_id := await walk.post(name, {"prompt": {**GRAPH, **fresh}, **more}):
            early = await walk.quietly(f"/history/{prompt_id}")
            walk.notes.note("early", isinstance(early, dict))
            walk.notes.note("entry", shape(await walk.ended(prompt_id)))
    async with walk.http.post(f"{server}/api/prompt", json={"prompt": slow(0, SEED + 40)}) as answer:
        prompt_id = (await answer.json())["prompt_id"]
    await walk.ended(prompt_id)
    await walk.ask("GET", f"/api/history/{prompt_id}", "/api/history/ID")


async def history(walk: Walk) -> None:
    await walk.ask("POST", "/history", "/history clear", json={"clear": True})
    await walk.ask("GET", "/history", "/history that is empty")
    ids = []
    for number in range(3):
        async with walk.http.post(f"{server}/prompt", json={"prompt": slow(0, SEED + number)}) as answer:
            ids.append((await answer.json())["prompt_id"])
        await walk.ended(ids[-1])
    for query in (
        "",
        "?max_items=2",
        "?max_items=1&offset=1",
        "?max_items=2&offset=0",
        "?offset=1",
        "?max_items=0",
    ):
        found = await walk.quietly(f"/history{query}")
        walk.notes.note("history" + query, [ids.index(prompt_id) for prompt_id in found])
    await walk.ask("GET", "/history?max_items=some")
    await walk.ask("GET", "/history/unknown")
    await walk.ask("POST", "/history", "/history delete", json={"delete": [ids[0], "unknown"]})
    walk.notes.note("left", [ids.index(prompt_id) for prompt_id in await walk.quietly("/history")])
    await walk.ask("GET", f"/history/{ids[0]}", "/history/DELETED")
    await walk.ask("POST", "/history", "/history nothing", json={})
    for path in (
        "/jobs",
        f"/jobs/{ids[1]}",
        "/jobs?status=completed&limit=1",
        "/jobs/unknown",
        "/jobs?status=odd",
    ):
        await walk.ask("GET", "/api" + path, "/api" + path.replace(ids[1], "ID"))


async def queue(walk: Walk) -> None:
    await walk.empty()
    await walk.ask("GET", "/queue", "/queue that is empty")
    await walk.ask("GET", "/prompt", "/prompt when idle")
    ids = []
    for number in range(6):
        body = {"prompt": slow(1.5, SEED + 10 + number), "client_id": "queue", "extra_data": {"mine": number}}
        async with walk.http.post(f"{server}/prompt", json=body) as answer:
            ids.append((await answer.json())["prompt_id"])
    remaining = await walk.quietly("/prompt")
    walk.notes.note("remaining", remaining["exec_info"]["queue_remaining"])
    for _ in range(500):
        now = await walk.quietly("/queue")
        if now["queue_running"] and now["queue_pending"]:
            break
        await asyncio.sleep(0.01)
    for part in ("queue_running", "queue_pending"):
        walk.notes.note(part, shape(now[part][0]), isinstance(now[part][0][0], int))
    numbers = [item[0] for item in sorted(now["queue_pending"])]
    walk.notes.note("in order", numbers == sorted(numbers), sum(map(len, now.values())) == 6)
    await walk.ask("GET", f"/history/{ids[0]}", "/history/RUNNING")
    await walk.ask("POST", "/queue", "/queue delete", json={"delete": [ids[5], "unknown"]})
    listed = [item[1] for part in (await walk.quietly("/queue")).values() for item in part]
    walk.notes.note("deleted", ids[5] in listed, len(listed))
    await walk.ask("GET", f"/history/{ids[5]}", "/history/REMOVED")
    await walk.ask("POST", "/interrupt", "/interrupt unknown", json={"prompt_id": "unknown"})
    await walk.ask("POST", "/interrupt", "/interrupt waiting", json={"prompt_id": ids[4]})
    await walk.ask("POST", "/interrupt", "/interrupt running", json={"prompt_id": ids[0]})
    walk.notes.note("interrupted", shape(await walk.ended(ids[0])))
    await walk.ask("POST", "/queue", "/queue clear", json={"clear": True})
    walk.notes.note("pending", len((await walk.quietly("/queue"))["queue_pending"]))
    await walk.ask("POST", "/interrupt", "/interrupt all")
    await walk.empty()
    await walk.ask("POST", "/interrupt", "/interrupt nothing", data=b"")
    await walk.ask("POST", "/queue", "/queue nothing", json={})
    await walk.ask("POST", "/free", json={"unload_models": True, "free_memory": True})
    await walk.ask("POST", "/free", "/free nothing", json={})


async def files(walk: Walk) -> None:
    body = io.BytesIO()
    Image.new("RGBA", (20, 10), (10, 20, 30, 40)).save(body, "PNG")
    for name, fields in {
        "client.png": {"overwrite": "true"},
        "second.png": {"subfolder": "below", "overwrite": "true"},
        "third.png": {"type": "temp"},
    }.items():
        form = aiohttp.FormData()
        form.add_field("image", body.getvalue(), filename=name, content_type="image/png")
        for field in fields.items():
            form.add_field(*field)
        await walk.ask("POST", "/upload/image", f"/upload/image {name}", data=form)
    form = aiohttp.FormData()
    form.add_field("image", body.getvalue(), filename="mask.png", content_type="image/png")
    form.add_field("original_ref", json.dumps({"filename": "client.png", "subfolder": "", "type": "input"}))
    form.add_field("overwrite", "true")
    await walk.ask("POST", "/upload/mask", data=form)
    for name in ("client.png", "below/second.png", "third.png [temp]", "mask.png", "nowhere.png"):
        prompt = {
            "1": {"class_type": "LoadImage", "inputs": {"image": name}},
            "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
            "3": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}},
            "9": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "below/it"}},
        }
        if prompt_id := await walk.post(f"of {name}", {"prompt": prompt}):
            entry = await walk.ended(prompt_id)
            walk.notes.note("made", shape(entry["status"]["status_str"]), sorted(entry["outputs"]))
            for node_id, output in sorted(entry["outputs"].items()):
                for file in output["images"]:
                    await view(walk, node_id, file)
    await walk.ask("GET", "/view?filename=nowhere.png")
    await walk.ask("GET", "/view")
    await walk.ask("GET", "/view?filename=..%2f..%2fmain.py")


async def view(walk: Walk, node_id: str, file: dict[str, str]) -> None:
    name = f"/view of {node_id}"
    walk.notes.note(name, file["type"], file["subfolder"] if file["type"] == "output" else "")
    data = await walk.ask("GET", "/view", name, params=file)
    walk.notes.keep(f"{node_id}.png", data)
    await walk.ask("HEAD", "/view", f"{name} (head)", params=file)
    await walk.ask("GET", "/view", f"{name} (range)", params=file, headers={"Range": "bytes=0-7"})
    for more in ({"preview": "webp;90"}, {"channel": "rgb"}, {"channel": "a"}):
        await walk.ask("GET", "/view", f"{name} {more}", params={**file, **more})


async def others(walk: Walk) -> None:
    for path in ("/prompt", "/queue", "/history", "/interrupt", "/object_info/SaveImage"):
        await walk.ask("OPTIONS", path)
        await walk.ask("HEAD", path)
    for path in (
        "/object_info/SaveImage",
        "/object_info/Nobody",
        "/embeddings",
        "/extensions/none.js",
        "/models",
    ):
        await walk.ask("GET", path)
    await walk.ask("PUT", "/prompt")
    await walk.ask("DELETE", "/queue")
    origin = {"Origin": "http://somewhere.example"}
    await walk.ask("POST", "/prompt", "/prompt from another page", json={"prompt": GRAPH}, headers=origin)
    await walk.ask("POST", "/prompt", "/prompt of no type", data=json.dumps({"prompt": GRAPH}))
    await walk.empty()


class Socket:
    """What one websocket hears, and when it is enough."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.heard: list[Any] = []
        self.came = asyncio.Event()
        self.reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for message in self.socket:
            is_text = message.type is aiohttp.WSMsgType.TEXT
            self.heard.append(json.loads(message.data) if is_text else {"type": "binary"})
            self.came.set()

    async def until(self, kind: str, limit_s: float = 30.0) -> None:
        async with asyncio.timeout(limit_s):
            while not any(
                message["type"] == kind or (_is_end(message) and kind == "end") for message in self.heard
            ):
                self.came.clear()
                await self.came.wait()

    def kinds(self) -> list[str]:
        """Without what may come at any moment."""
        return [m["type"] for m in self.heard if m["type"] not in ("status", "progress_state", "binary")]


def _is_end(message: Any) -> bool:
    return message["type"] == "executing" and message["data"]["node"] is None


@contextmanager
def closing(*sockets: Socket) -> Iterator[None]:
    yield
    for each in sockets:
        each.reader.cancel()


async def sockets(walk: Walk) -> None:
    async with walk.http.ws_connect(f"{server}/ws") as unnamed:
        first = json.loads((await unnamed.receive()).data)
        walk.notes.note("first message", shape(first), len(first["data"]["sid"]))
    name = uuid.uuid4().hex
    address = f"{server}/ws?clientId={name}"
    async with walk.http.ws_connect(address) as one:
        first = json.loads((await one.receive()).data)
        walk.notes.note("first message", first["data"]["sid"] == name)
        heard = Socket(one)
        with closing(heard):
            await one.send_json({"type": "feature_flags", "data": {}})
            await heard.until("feature_flags")
            walk.notes.note(sorted(heard.heard[-1]["data"]))
            await walk.post("heard", {"prompt": slow(0.3, SEED + 30), "client_id": name})
            await heard.until("end")
            walk.notes.note(heard.kinds())
            status = [
                m["data"]["status"]["exec_info"]["queue_remaining"]
                for m in heard.heard
                if m["type"] == "status"
            ]
            await asyncio.sleep(0.5)
            walk.notes.note("remaining", max(status), shape(status[0]))
    # It goes away in the middle and comes back; and it is there twice.
    async with walk.http.ws_connect(address) as one:
        heard = Socket(one)
        with closing(heard):
            prompt_id = await walk.post("left", {"prompt": slow(2.0, SEED + 31), "client_id": name})
            await heard.until("progress")
    async with walk.http.ws_connect(address) as again:
        heard = Socket(again)
        with closing(heard):
            await heard.until("end")
            kinds = heard.kinds()
            walk.notes.note(
                "came back", [k for i, k in enumerate(kinds) if k != "progress" or kinds[i - 1] != k]
            )
    await walk.ended(prompt_id)
    async with walk.http.ws_connect(address) as one, walk.http.ws_connect(address) as two:
        older, newer = Socket(one), Socket(two)
        with closing(older, newer):
            await walk.post("twice", {"prompt": slow(0.3, SEED + 32), "client_id": name})
            await newer.until("end")
            walk.notes.note("older", older.kinds(), "newer", newer.kinds())


async def main() -> None:
    with Notes(folder) as notes:
        async with aiohttp.ClientSession() as http:
            walk = Walk(http, notes)
            for part in (others, refusals, ways_to_send, history, queue, files, sockets):
                notes.note(f"-- {part.__name__}")
                try:
                    await part(walk)
                except Exception as exc:
                    notes.note(part.__name__, repr(exc))
                await walk.empty()


asyncio.run(main())
