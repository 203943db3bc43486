"""A benchmark here beside the same benchmark at another commit: python benchmarks/beside.py COMMIT latency

Both run in turn, five times each, on one machine in one run; for each figure they print, the ratio of the two
medians is told. What follows ``--`` goes to the benchmark. At most 1.05 counts as "no worse".
"""

from __future__ import annotations

import argparse
import itertools
import re
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
ROUNDS = 5
_NUMBER = re.compile(r"(?<![\w.-])-?\d+(?:\.\d+)?")


class Figure(NamedTuple):
    """Where a number stands in a benchmark's output: the line without its numbers, how many lines alike
    came before it, and the number's place in it."""

    line: str
    nth: int
    column: int


def figures(output: str) -> dict[Figure, float]:
    """Every number that a benchmark printed."""
    found: dict[Figure, float] = {}
    seen: Counter[str] = Counter()
    for line in output.splitlines():
        shape = " ".join(_NUMBER.sub("#", line).split())
        for column, number in enumerate(_NUMBER.findall(line)):
            found[Figure(shape, seen[shape], column)] = float(number)
        seen[shape] += 1
    return found


def medians(runs: Sequence[dict[Figure, float]]) -> dict[Figure, float]:
    """Of the figures that every run printed."""
    shared = [figure for figure in runs[0] if all(figure in run for run in runs)]
    return {figure: statistics.median(run[figure] for run in runs) for figure in shared}


def table(there: dict[Figure, float], here: dict[Figure, float]) -> Iterable[str]:
    """A line for each figure that is not the same constant in both."""
    yield f"{'there':>12} {'here':>12} {'ratio':>7}  figure"
    for figure, before in there.items():
        after = here.get(figure)
        if after is None or before == after:
            continue
        ratio = f"{after / before:.3f}" if before else "-"
        where = f"number {figure.column + 1} of: {figure.line}" + f" ({figure.nth + 1})" * bool(figure.nth)
        yield f"{before:>12.3f} {after:>12.3f} {ratio:>7}  {where}"


def run_once(tree: Path, benchmark: str, arguments: Sequence[str]) -> dict[Figure, float]:
    command = [sys.executable, str(tree / "benchmarks" / f"{benchmark}.py"), *arguments]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{benchmark} in {tree} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    return figures(done.stdout)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("commit")
    parser.add_argument("benchmark", choices=("latency", "makespan", "throughput", "fleet"))
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    own = list(itertools.takewhile(lambda word: word != "--", sys.argv[1:]))
    asked, for_it = parser.parse_args(own), sys.argv[len(own) + 2 :]
    git = ("git", "-C", str(ROOT))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        other = Path(folder) / "other"
        subprocess.run([*git, "worktree", "add", "--detach", "--quiet", str(other), asked.commit], check=True)
        runs: dict[Path, list[dict[Figure, float]]] = {other: [], ROOT: []}
        try:
            for turn in range(asked.rounds):
                for tree in (other, ROOT) if turn % 2 else (ROOT, other):
                    runs[tree].append(run_once(tree, asked.benchmark, for_it))
                print(f"round {turn + 1} of {asked.rounds}", file=sys.stderr, flush=True)
        finally:
            subprocess.run([*git, "worktree", "remove", "--force", str(other)], check=False)
    for line in table(medians(runs[other]), medians(runs[ROOT])):
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
