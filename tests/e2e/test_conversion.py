"""A real server's verdict on our conversions: the same as on the prompts of ComfyUI's own frontend.

The server's worker sleeps all the while, so nothing that is accepted runs.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from orchestrator.core.workflow.converter import workflow_to_api
from orchestrator.core.workflow.object_info import ObjectInfo
from tests.rig.comfy import ComfyProcess
from tests.rig.environment import Setup
from tests.rig.fleet import PEER_PACK

from .graphs import node, sleep
from .session import until

pytestmark = pytest.mark.e2e

DATA = Path(__file__).parents[1] / "data" / "converter"
SETS = {
    "templates_fe1.58.1": "object_info",
    "mutated_fe1.58.1": "object_info",
    "probes_fe1.58.1": "object_info_plus",
    "own_plain_fe1.58.1": "object_info",
    "own_plus_fe1.58.1": "object_info_plus",
    "templates_fe1.32.9": "object_info",
    "mutated_fe1.32.9": "object_info",
}
#: Where the older frontend sends another prompt (tests/data/converter/README.md) and the server minds.
OLDER_DIFFERS: dict[str, int] = {"templates_fe1.32.9": 0, "mutated_fe1.32.9": 20}
Prompt = dict[str, Any]
Verdict = tuple[int, str, dict[str, Any]]


@cache
def load(name: str) -> Any:
    with gzip.open(DATA / f"{name}.json.gz", "rt", encoding="utf-8") as file:
        return json.load(file)


@cache
def definitions(name: str) -> ObjectInfo:
    return ObjectInfo(load(name))


def records(name: str) -> list[dict[str, Any]]:
    return [record for record in load(name) if not record["flags"] and record["api"]]


class Judge:
    """Posts prompts to one server and remembers what it said of each.

    Ids are sent in order: a node's ``dependent_outputs`` depend on which output the server tries first.
    """

    def __init__(self, http: aiohttp.ClientSession, url: str, classes: frozenset[str]) -> None:
        self._http = http
        self._url = url
        self._classes = classes
        self._said: dict[str, Verdict] = {}

    def knows(self, prompt: Prompt) -> bool:
        return all(entry["class_type"] in self._classes for entry in prompt.values())

    async def verdict(self, prompt: Prompt) -> Verdict:
        text = json.dumps({"prompt": prompt}, sort_keys=True)
        if text not in self._said:
            self._said[text] = await self._ask(text)
        return self._said[text]

    async def _ask(self, body_text: str) -> Verdict:
        headers = {"Content-Type": "application/json"}
        async with self._http.post(f"{self._url}/prompt", data=body_text, headers=headers) as answer:
            body = await answer.json()
        return answer.status, (body.get("error") or {}).get("type", ""), body["node_errors"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyProcess]:
    process = ComfyProcess("judge", Setup().for_role("peer"), tmp_path_factory.mktemp("judge"))
    process.install(PEER_PACK, "test-nodes")
    stand_ins(process)
    try:
        process.start()
        process.wait_ready()
        yield process
    finally:
        process.stop()


def stand_ins(process: ComfyProcess) -> None:
    """An empty file for every file that a prompt names, wherever the server may look for it."""
    models = [folder.name for folder in (process.installation.path / "models").iterdir() if folder.is_dir()]
    folders = [process.base / "input", *(process.base / "models" / name for name in models)]
    names = {
        value
        for name in SETS
        for record in records(name)
        for entry in record["api"].values()
        for value in entry["inputs"].values()
        if isinstance(value, str) and Path(value).suffix and value.isprintable() and len(value) < 120
    }
    for folder in folders:
        for name in names:
            file = (folder / name).resolve()
            if file.is_relative_to(folder.resolve()):
                file.parent.mkdir(parents=True, exist_ok=True)
                file.touch()


@pytest.fixture
async def judge(server: ComfyProcess) -> AsyncIterator[Judge]:
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{server.url}/object_info") as answer:
            classes = frozenset(await answer.json())
        asleep = {**sleep(1, 3600.0), "9": node("PreviewImage", images=["10", 0])}
        async with http.post(f"{server.url}/prompt", json={"prompt": asleep}) as answer:
            assert answer.status == 200

        async def busy() -> bool:
            async with http.get(f"{server.url}/queue") as answer:
                return bool((await answer.json())["queue_running"])

        await until(busy, "the server's worker sleeps")
        yield Judge(http, server.url, classes)
        async with http.post(f"{server.url}/queue", json={"clear": True}):
            pass
        async with http.post(f"{server.url}/interrupt"):
            pass


async def test_a_real_server_takes_our_prompts_as_it_takes_the_frontends(judge: Judge) -> None:
    accepted = compared = 0
    for name, source in SETS.items():
        wanted = [record for record in records(name) if judge.knows(record["api"])]
        others = []
        for record in wanted:
            truth = await judge.verdict(record["api"])
            accepted += truth[0] == 200
            for form in ("frontend", "file"):
                made = workflow_to_api(record[f"workflow_{form}"], definitions(source))
                ours = await judge.verdict(made)
                compared += 1
                if ours != truth:
                    others.append(f"{record['name']} ({form}): {ours}, the frontend's: {truth}")
        print(f"{name}: {len(wanted)} prompts, {len(others)} of {2 * len(wanted)} judged otherwise")
        assert len(others) <= OLDER_DIFFERS.get(name, 0), "\n".join(others)
    print(f"{compared} comparisons, {accepted} of the frontend's prompts accepted")
    assert accepted > compared // 4, "too little was accepted to say anything"
