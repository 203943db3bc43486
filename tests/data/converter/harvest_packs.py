"""Ask a real ComfyUI with node packs what its page sends for workflows that are built in that page.

    python tests/data/converter/harvest_packs.py --server URL --name packs_fe1.58.1 OUT_FOLDER

The page builds each graph of `pack_graphs.py`, saves it, loads what it saved and queues it; the body of its
POST /prompt is the truth (the request is answered here, so nothing runs). Written are the set and the node
definitions that it needs, without the packs' help texts.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import os
import random
import shutil
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pack_graphs import PACKS, SCRIPTS, Recipe, random_recipes, recipes
from playwright.async_api import Page, Route, async_playwright

SETTLE_MS = 700  #: what packs do on timers after loading is over by then
CHOICES_MAX = 12  #: of a list in the definitions that are kept
HELP = frozenset({"tooltip", "placeholder", "description", "display_name"})
ONLY = ("input", "input_order", "output", "output_name", "output_node", "output_matchtypes")
BUILD = """async ({nodes, links, script, settle}) => {
  const { app, LiteGraph } = window;
  app.graph.clear();
  const made = {};
  for (const [name, type, values, mode] of nodes) {
    const node = LiteGraph.createNode(type);
    if (!node) throw new Error("no class " + type);
    app.graph.add(node);
    const count = Object.keys(made).length;
    node.pos = [260 * (count % 10), 420 * Math.floor(count / 10)];  // in sight: some widgets act as they are drawn
    made[name] = node;
    for (const [key, value] of Object.entries(values)) {
      const widget = node.widgets?.find((each) => each.name === key);
      if (!widget) continue;
      widget.value = value;
      try { widget.callback?.call(widget, value, app.canvas, node, node.pos, {}); } catch (error) { void error; }
    }
    if (mode) node.mode = mode;
  }
  for (const [from, output, to, input] of links) {
    const [a, b] = [made[from], made[to]];
    const out = typeof output === "number" ? output : a.outputs.findIndex((each) => each.name === output);
    const place = typeof input === "number" ? input : b.inputs.findIndex((each) => each.name === input);
    if (out >= 0 && place >= 0 && a.outputs[out] && b.inputs[place]) a.connect(out, b, place);
  }
  app.canvas.ds.scale = 0.4;
  app.canvas.ds.offset = [40, 80];
  if (script) await (await eval(script))(made, app, (ms) => new Promise((done) => setTimeout(done, ms)));
  await new Promise((done) => setTimeout(done, settle));
  return JSON.parse(JSON.stringify(app.graph.serialize()));
}"""
LOAD = "async (workflow) => { await window.app.loadGraphData(workflow); }"
CLOSE_DIALOGS = "() => document.querySelectorAll('.p-dialog-close-button').forEach((each) => each.click())"


class PackPage:
    """The page of a running ComfyUI whose POST /prompt is caught."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._sent: list[dict[str, Any]] = []

    async def open(self, server: str, classes: int) -> None:
        await self._page.route("**/prompt", self._catch)
        await self._page.goto(server)
        await self._page.wait_for_function("window.app && window.app.graph && window.LiteGraph", timeout=90_000)
        await self._page.wait_for_function(
            f"Object.keys(window.LiteGraph.registered_node_types).length >= {classes}", timeout=90_000
        )
        await self._page.wait_for_timeout(3_000)

    async def _catch(self, route: Route) -> None:
        if route.request.method != "POST":
            await route.continue_()
            return
        self._sent.append(json.loads(route.request.post_data or "{}"))
        await route.fulfill(json={"prompt_id": f"p{len(self._sent)}", "number": 1, "node_errors": {}})

    async def truth(self, recipe: Recipe) -> dict[str, Any]:
        """Raises when the page makes no prompt of it."""
        graph = {
            "nodes": recipe.nodes,
            "links": recipe.links,
            "script": SCRIPTS.get(recipe.script),
            "settle": SETTLE_MS,
        }
        saved = await self._page.evaluate(BUILD, graph)
        record = await self.loaded(saved)
        again = await self.loaded(record["workflow_frontend"])
        if again["api"] != record["api"]:  # what the page sends changes whenever it loads what it sent
            record["flags"] = ["not the same again"]
        return record

    async def loaded(self, workflow: dict[str, Any]) -> dict[str, Any]:
        """What the page sends for a saved workflow that it loads."""
        self._sent.clear()
        await self._page.evaluate(LOAD, workflow)
        await self._page.wait_for_timeout(SETTLE_MS)
        await self._page.evaluate("async () => { await window.app.queuePrompt(0, 1); }")
        await self._page.evaluate(CLOSE_DIALOGS)
        for _ in range(40):
            if self._sent:
                break
            await self._page.wait_for_timeout(100)
        body = self._sent[-1]
        carried = body["extra_data"]["extra_pnginfo"]["workflow"]
        return {"workflow_file": workflow, "workflow_frontend": carried, "api": body["prompt"]}


async def harvest(server: str, wanted: Iterable[Recipe], classes: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    program = os.environ.get("CHROMIUM") or shutil.which("chromium")
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = PackPage(await chromium.new_page())
        await page.open(server, classes)
        for recipe in wanted:
            try:
                made = await page.truth(recipe)
            except Exception as exc:
                print(f"{recipe.name}: the page makes no prompt: {str(exc)[:300]}")
                continue
            found.append({"name": recipe.name, "flags": [], **made})
            print(f"{recipe.name}: {len(made['api'])} nodes {made.get('flags', '')}")
        await chromium.close()
    return found


def needed(definitions: dict[str, Any], records: list[dict[str, Any]]) -> dict[str, Any]:
    """The definitions of the classes in `records`, cut down to what a conversion reads."""
    used: set[str] = set()
    for record in records:
        workflow = record["workflow_file"]
        scopes = [workflow, *((workflow.get("definitions") or {}).get("subgraphs") or [])]
        used |= {node["type"] for scope in scopes for node in scope["nodes"]}
    return {name: _cut(definitions[name]) for name in sorted(used & set(definitions))}


def _cut(definition: dict[str, Any]) -> dict[str, Any]:
    kept = {key: definition[key] for key in ONLY if key in definition}
    sections = (definition.get("input") or {}).items()
    kept["input"] = {
        section: {name: _cut_spec(spec) if section != "hidden" else spec for name, spec in (specs or {}).items()}
        for section, specs in sections
    }
    kept["display_name"] = definition.get("display_name")
    kept["python_module"] = definition.get("python_module")
    return kept


def _cut_spec(spec: Any) -> Any:
    if not isinstance(spec, list) or not spec:
        return spec
    kind = spec[0][:CHOICES_MAX] if isinstance(spec[0], list) else spec[0]
    if len(spec) < 2 or not isinstance(spec[1], dict):
        return [kind]
    options = {key: value for key, value in spec[1].items() if key not in HELP}
    if isinstance(options.get("options"), list):
        options["options"] = options["options"][:CHOICES_MAX]
    return [kind, options]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--server", required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--only", default="", help="recipes whose name begins so")
    parser.add_argument("--random", type=int, default=8, help="random graphs for each pack")
    parser.add_argument("--base", default="", help="the server's base folder, named /comfyui in what is kept")
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    with urllib.request.urlopen(f"{args.server}/object_info") as answer:
        definitions = json.load(answer)
    wanted = [*recipes(), *random_recipes(definitions, PACKS, args.random, random.Random(14))]
    wanted = [recipe for recipe in wanted if recipe.name.startswith(args.only)]
    made = asyncio.run(harvest(args.server, wanted, len(definitions)))
    for name, content in ((args.name, made), (f"{args.name}_object_info", needed(definitions, made))):
        with gzip.open(args.out / f"{name}.json.gz", "wt", encoding="utf-8") as file:
            text = json.dumps(content, separators=(",", ":"))
            file.write(text.replace(args.base, "/comfyui") if args.base else text)


if __name__ == "__main__":
    main()
