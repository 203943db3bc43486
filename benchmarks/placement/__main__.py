"""One trace through the policies, or all kinds of traces into a table.

python -m benchmarks.placement --make KIND --seed N --out FILE
python -m benchmarks.placement --trace FILE --policy NAME|all --json OUT
python -m benchmarks.placement --table --seeds 10 [--first 1] [--kinds uniform,churn] [--json OUT]
python -m benchmarks.placement --table --seeds 100 --kinds mixed
python -m benchmarks.placement --plots OUT --out FOLDER
python -m benchmarks.placement --cost
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from .bound import lower_bound
from .cost import cost_table
from .makers import MAKERS
from .measure import POLICIES, as_json, measure
from .table import collect, load, markdown, plot, save
from .trace import Trace, read_trace, write_trace

TABLED = [kind for kind in MAKERS if kind not in ("mixed", "large")]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.placement",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--make", choices=MAKERS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--trace", type=Path)
    parser.add_argument("--policy", default="all", choices=[*POLICIES, "all"])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--kinds", default=",".join(TABLED))
    parser.add_argument("--plots", type=Path, help="the JSON of a table")
    parser.add_argument("--cost", action="store_true")
    asked = parser.parse_args()
    if asked.make:
        write_trace(MAKERS[asked.make](asked.seed), asked.out or Path(f"{asked.make}-{asked.seed}.json"))
    if asked.trace:
        try:
            trace = read_trace(asked.trace)
        except (OSError, ValueError, TypeError, KeyError) as exc:
            parser.error(f"{asked.trace} cannot be read as a trace: {exc}")
        _one_trace(trace, asked.policy, asked.json)
    if asked.table:
        for kind in asked.kinds.split(","):
            seeds = collect(kind, range(asked.first, asked.first + asked.seeds))
            print(markdown(kind, seeds), flush=True)
            if asked.json:
                save(kind, seeds, asked.json)
    if asked.plots:
        found, folder = load(asked.plots), asked.out or Path()
        for key, title, longest in (
            ("makespan_ratio", "Makespan, as a multiple of the lower bound", 3.0),
            ("p95_wait_s", "95 of 100 jobs wait no longer than, in seconds", 1_500.0),
        ):
            (folder / f"placement-{key.split('_')[0]}.svg").write_text(
                plot(found, key, title, longest=longest), "utf-8"
            )
    if asked.cost:
        print(cost_table())


def _one_trace(trace: Trace, policy: str, out: Path | None) -> None:
    bound_s = lower_bound(trace)
    names = list(POLICIES) if policy == "all" else [policy]
    text = json.dumps(as_json({name: measure(trace, name, bound_s) for name in names}), indent=2)
    if out:
        out.write_text(text + "\n", "utf-8")
    print(text)


if __name__ == "__main__":
    main()
