"""Our conversion against the frontend's own graphToPrompt, in one run: python benchmarks/conversion.py

Each workflow of the development sets is loaded into the real page (frontend 1.58.1 in Chromium). There
``app.graphToPrompt()`` is timed, and here ``workflow_to_api`` on the same serialised workflow, parsing of the
file included, in turns; of each the median of the rounds counts. No ComfyUI runs: a server on loopback
plays one.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from orchestrator.core.workflow.converter import workflow_to_api  # noqa: E402
from orchestrator.core.workflow.object_info import ObjectInfo  # noqa: E402
from tests.rig.chromium import HOW_TO, find_chromium  # noqa: E402
from tests.rig.environment import Setup  # noqa: E402

DATA = ROOT / "tests" / "data" / "converter"
SETS = ("templates_fe1.58.1", "mutated_fe1.58.1")
ROUNDS = 5
WORST = 5
PAGE_MAX = 40  #: workflows a page is given: it grows slower with each
LOAD = """async (workflow) => {
  await window.app.loadGraphData(workflow);
  await new Promise((done) => setTimeout(done, 120));
  await window.app.graphToPrompt();
}"""
# The page's clock has steps of 0.1 ms, so several calls are timed as one.
TIME = """async (calls) => {
  const before = performance.now();
  for (let i = 0; i < calls; i++) await window.app.graphToPrompt();
  return (performance.now() - before) / calls;
}"""
CALLS = 4


def ours_ms(workflow: Any, info: ObjectInfo) -> float:
    began = time.perf_counter()
    for _ in range(CALLS):
        workflow_to_api(workflow, info)
    return 1000 * (time.perf_counter() - began) / CALLS


async def measure(frontend: Path, browser: str, every: int) -> None:
    from tests.data.converter.harvest import open_page, read  # these need the rig's environment

    object_info = read(DATA / "object_info.json.gz")
    info = ObjectInfo(object_info)
    wanted = [r for name in SETS for r in read(DATA / f"{name}.json.gz") if not r["flags"] and r["api"]]
    wanted = wanted[::every]
    found: list[tuple[str, float, float]] = []
    for start in range(0, len(wanted), PAGE_MAX):
        async with open_page(frontend, object_info, browser) as page:
            for record in wanted[start : start + PAGE_MAX]:
                workflow = record["workflow_frontend"]
                await page.evaluate(LOAD, workflow)
                workflow_to_api(workflow, info)
                ours, theirs = [], []
                for _ in range(ROUNDS):
                    theirs.append(await page.evaluate(TIME, CALLS))
                    ours.append(ours_ms(workflow, info))
                found.append((record["name"], statistics.median(ours), statistics.median(theirs)))
                print(f"\r{len(found)} of {len(wanted)}", end="", file=sys.stderr, flush=True)
    report(found)


def report(found: list[tuple[str, float, float]]) -> None:
    print(file=sys.stderr)
    ours, theirs = [row[1] for row in found], [row[2] for row in found]
    print(f"{len(found)} workflows    ours      frontend  ratio")
    for name, pick in (("median", statistics.median), ("largest", max)):
        one, other = pick(ours), pick(theirs)
        print(f"{name:<15} {one:>6.2f} ms {other:>10.2f} ms {one / other:>6.2f}")
    ratios = sorted(((one / other, name, one, other) for name, one, other in found), reverse=True)
    slower = [row for row in ratios if row[0] > 1]
    print(f"ratio: median {statistics.median(row[0] for row in ratios):.2f}, {len(slower)} above 1; largest:")
    for ratio, name, one, other in ratios[:WORST]:
        print(f"  {ratio:.2f}  {one:6.2f} ms against {other:6.2f} ms  {name}")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--every", type=int, default=1, help="only every nth workflow")
    parser.add_argument("--in-environment", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    setup = Setup()
    if not options.in_environment:  # Playwright is in the rig's environment
        python = str(setup.tools())
        return subprocess.run([python, __file__, *sys.argv[1:], "--in-environment"], check=False).returncode
    browser = find_chromium()
    if browser is None:
        print(HOW_TO)
        return 1
    asyncio.run(measure(setup.frontend(), str(browser), options.every))
    return 0


if __name__ == "__main__":
    sys.exit(main())
