"""comfy-headless: its websocket client for progress, its HTTP client for results."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from comfy_headless.client import ComfyClient
from comfy_headless.websocket_client import ComfyWSClient
from notes import Notes

server, graph, folder = sys.argv[1:4]
prompt = json.loads(Path(graph).read_text(encoding="utf-8"))


async def main(notes: Notes) -> None:
    async def progress(step) -> None:
        size = len(step.preview_data) if step.preview_data else 0
        notes.note(step.status, step.node_id, step.progress, step.max_progress, size)

    async with ComfyWSClient(server) as client:
        client.add_listener("", progress)  # to all, and before anything is queued
        prompt_id = await client.queue_prompt(prompt)
        await client.wait_for_completion(prompt_id, timeout=60)
        entry = (await client.get_history(prompt_id)).get(prompt_id) or {}
        status = entry.get("status", {})
        notes.note(status.get("status_str"), status.get("completed"))
        notes.note([message[0] for message in status.get("messages", [])])
        for output in entry.get("outputs", {}).values():
            for file in output["images"]:
                notes.keep(file["filename"], await client.get_image(**_place(file)))
    polling = ComfyClient(server)
    again = polling.queue_prompt(prompt, {"author": {"name": "somebody"}})
    entry = polling.wait_for_completion(again, timeout=60, poll_interval=0.2)
    notes.note("polled", entry and entry["status"]["status_str"], sorted(entry["outputs"]) if entry else None)


def _place(file: dict) -> dict:
    return {"filename": file["filename"], "subfolder": file["subfolder"], "folder_type": file["type"]}


with Notes(folder) as kept:
    asyncio.run(main(kept))
