"""One prompt at one ComfyUI: what it wrote, and what a client was told of it."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from tests.e2e.session import Session, until
from tests.rig.comfy import ComfyProcess

from .cases import DISPATCHER, Prompt
from .content import Content, content_of

DEADLINE_S = 90.0
FREED_S = 0.5  #: the worker wakes up for POST /free; sent at once, the next prompt would come before it
#: A peer's names of its own: of the machine alone, so they are not compared.
_OWN_PLACES = frozenset({"filename", "subfolder", "fullpath", "id", "asset_hash", "preview_id", "mtime"})
_HOSTS_EVENTS = re.compile(
    r"status|execution_\w+|executing|executed|progress|progress_state|progress_text|feature_flags|binary|"
    r"orchestrator\..*|notification|logs|manager-.*|assets\..*"
)


@dataclass
class Seen:
    """What came of one run.

    ``written``: files in the output folder and in the one that all machines see, by their path there.
    ``listed``: files that the history names (of the node: that its job has), whatever folder they are in.
    ``outputs``: the history's, with a file's content in place of its name. ``said``: the notes of the job.
    ``failed``: why it was refused or failed.
    """

    written: dict[str, Content] = field(default_factory=dict)
    listed: list[Content | str] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)
    events: dict[str, int] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    failed: str = ""


class Machine:
    """A ComfyUI whose prompts are looked at one by one."""

    def __init__(self, session: Session, process: ComfyProcess, peers: Sequence[Session] = ()) -> None:
        self.session = session
        self.process = process
        self._peers = peers
        self._folders = (process.base / "output", process.base.parent / "shared" / "made")

    async def run(self, prompt: Prompt, workflow: Mapping[str, Any], *, by_node: bool = False) -> Seen:
        """`by_node`: its results are those of the jobs that a node began, and of the nodes that stayed."""
        await self._forget_earlier()
        earlier_jobs = {job["job_id"] for job in await self._jobs()}
        async with self.session.listening() as (client_id, heard):
            body = {
                "prompt": prompt,
                "client_id": client_id,
                "extra_data": {"extra_pnginfo": {"workflow": dict(workflow)}},
            }
            async with self.session.http.post(f"{self.session.url}/prompt", json=body) as answer:
                told = await answer.json(content_type=None)
            if answer.status != 200 or told.get("node_errors"):
                return Seen(failed=_refusal(told))
            entries = await self._ended(told["prompt_id"])
            events: dict[str, int] = {}
            for event in heard:
                if not _HOSTS_EVENTS.fullmatch(event["type"]):
                    events[event["type"]] = events.get(event["type"], 0) + 1
        seen = Seen(events=events)
        seen.failed = next((_failure(e) for e in entries if e["status"]["status_str"] != "success"), "")
        executed = (event["data"] for event in heard if event["type"] == "executed")
        # What a node's job shows on boxes that were sent away is told to the page alone.
        merged: dict[str, Any] = {data["node"]: dict(data["output"] or {}) for data in executed}
        for entry in entries:
            for node_id, output in entry["outputs"].items():
                merged.setdefault(node_id, {}).update(output)
        seen.outputs = await self._with_contents(_without_rounds(merged))
        ran_here = {node_id for entry in entries for node_id in entry["prompt"][2]} - {DISPATCHER}
        own = {key: output for key, output in seen.outputs.items() if not by_node or key in ran_here}
        seen.listed = [c for output in own.values() for c in _contents(output)]
        seen.texts = [text for node_id in prompt for text in _texts(own.get(node_id, {}))]
        return await self._completed(seen, earlier_jobs, by_node=by_node)

    async def run_file(self, workflow: Mapping[str, Any], token: str) -> Seen:
        """By the command line, as a file."""
        await self._forget_earlier()
        earlier_jobs = {job["job_id"] for job in await self._jobs()}
        file = self.process.base / "workflow.json"
        await asyncio.to_thread(file.write_text, json.dumps(workflow), "utf-8")
        options = ("--server", self.session.url, "--token", token, "--wait")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "orchestrator", "submit", str(file), *options),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        told, _ = await process.communicate()
        seen = Seen(failed=told.decode() if process.returncode else "")
        return await self._completed(seen, earlier_jobs, by_node=True)

    async def _completed(self, seen: Seen, earlier_jobs: set[str], *, by_node: bool) -> Seen:
        """With what the jobs since then tell, and the files that lie there."""
        jobs = [job for job in await self._jobs() if job["job_id"] not in earlier_jobs]
        seen.said = [note for job in jobs for note in job["notes"]]
        if by_node:
            files = [file for job in jobs for file in job["outputs"]]
            seen.listed += [await self._content(file) for file in files]
            seen.texts += [_plain_text(text) for job in jobs for text in job["texts"]]
        seen.written = await asyncio.to_thread(self._written)
        return seen

    async def _jobs(self) -> list[dict[str, Any]]:
        if self.process.name != "master":
            return []
        return list((await self.session.get("/orchestrator/jobs?limit=10"))["jobs"])

    async def _forget_earlier(self) -> None:
        """Nothing is cached, there or on its peers, and the output folder is empty."""
        for session in (self.session, *self._peers):
            await session.post("/free", {"unload_models": True, "free_memory": True})
        await asyncio.sleep(FREED_S)
        for folder in self._folders:
            folder.mkdir(parents=True, exist_ok=True)
            for path in sorted(folder.rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()

    async def _ended(self, prompt_id: str) -> list[dict[str, Any]]:
        """The entries of the prompt and of those that it put into the queue itself."""
        before = set(await self.session.get("/history")) - {prompt_id}

        async def over() -> Any:
            entries = await self.session.get("/history")
            return prompt_id in entries and await self.session.is_idle() and entries

        entries = await until(over, f"prompt {prompt_id} ends", DEADLINE_S, pause_s=0.1)
        return [entry for key, entry in entries.items() if key not in before]

    def _written(self) -> dict[str, Content]:
        return {
            path.relative_to(folder).as_posix(): content_of(path.name, path.read_bytes())
            for folder in self._folders
            for path in sorted(folder.rglob("*"))
            if path.is_file() and not path.name.startswith(".")
        }

    async def _with_contents(self, value: Any) -> Any:
        """A history's outputs with a content in place of each file."""
        if isinstance(value, list):
            return [await self._with_contents(item) for item in value]
        if not isinstance(value, dict):
            return _plain_text(value) if isinstance(value, str) else value
        if isinstance(value.get("filename"), str) and isinstance(value.get("type"), str):
            held = {key: item for key, item in value.items() if key not in _OWN_PLACES}
            if isinstance(held.get("workflow"), str):  # VideoHelperSuite's picture beside a film
                held["workflow"] = await self._content({**value, "filename": held["workflow"]})
            return {**held, "content": await self._content(value)}
        return {key: await self._with_contents(item) for key, item in value.items()}

    async def _content(self, file: Mapping[str, Any]) -> Content | str:
        name = file["filename"]
        if "%" in name:  # a pattern: the first of its files
            name = name % 1 if re.search(r"%0?\d*d", name) else name
        query = urlencode({**{key: file.get(key, "") for key in ("subfolder", "type")}, "filename": name})
        async with self.session.http.get(f"{self.session.url}/view?{query}") as answer:
            if answer.status != 200:
                return f"missing {file['type']} file"
            return content_of(name, await answer.read())


def _without_rounds(outputs: Mapping[str, Any]) -> dict[str, Any]:
    """Without what the rounds before the last one of a prompt that queues itself again tell the page."""
    return {
        node_id: {key: value for key, value in output.items() if key != "unfinished_batch"}
        for node_id, output in outputs.items()
    }


def _texts(output: Mapping[str, Any]) -> list[str]:
    return [text for text in output.get("text", ()) if isinstance(text, str)]


def _contents(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for item in value:
            yield from _contents(item)
    elif isinstance(value, dict):
        if "content" in value:
            yield value["content"]
        for key, item in value.items():
            if key != "content":
                yield from _contents(item)


def _plain_text(text: str) -> str:
    """Without the folders of the machine that wrote it."""
    return re.sub(r"/\S*/(plain|peer-1|master)/(?=output|input|temp|models)", "…/", text)


def _refusal(told: Mapping[str, Any]) -> str:
    error = told.get("error")
    parts = [str(error)]
    if isinstance(error, dict):
        parts = [str(error.get("message")), str(error.get("details"))]
    for node_id, entry in (told.get("node_errors") or {}).items():
        parts += [f"{node_id}: {e.get('message')} {e.get('details')}" for e in entry.get("errors", ())]
    return " ".join(parts)


def _failure(entry: Mapping[str, Any]) -> str:
    for kind, data in entry["status"]["messages"]:
        if kind == "execution_error":
            return f"{data['node_id']} {data['node_type']}: {data['exception_message']}"
    return "interrupted"
