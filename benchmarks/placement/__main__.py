"""python -m benchmarks.placement --make KIND --seed N --out FILE | --trace FILE --policy NAME|all --json OUT"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from .bound import lower_bound
from .makers import MAKERS
from .measure import POLICIES, as_json, measure
from .trace import read_trace, write_trace


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.placement", description=__doc__)
    parser.add_argument("--make", choices=MAKERS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--trace", type=Path)
    parser.add_argument("--policy", default="all", choices=[*POLICIES, "all"])
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    if asked.make:
        write_trace(MAKERS[asked.make](asked.seed), asked.out or Path(f"{asked.make}-{asked.seed}.json"))
    if asked.trace:
        trace = read_trace(asked.trace)
        bound_s = lower_bound(trace)
        names = list(POLICIES) if asked.policy == "all" else [asked.policy]
        found = as_json({name: measure(trace, name, bound_s) for name in names})
        text = json.dumps(found, indent=2)
        if asked.json:
            asked.json.write_text(text + "\n", "utf-8")
        print(text)


if __name__ == "__main__":
    main()
