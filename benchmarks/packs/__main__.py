"""The command: see the package's docstring."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import benchmarks.packs as package  # noqa: E402
from tests.rig.environment import Setup  # noqa: E402

WAYS = "fleet,node,value,file"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=package.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--packs", type=Path, required=True, metavar="DIR", help="the checkouts")
    parser.add_argument("--only", default="", metavar="TEXT", help="graphs whose pack or name holds it")
    parser.add_argument("--ways", default=WAYS, help="some of %(default)s")
    parser.add_argument("--base", type=Path, metavar="DIR", help="keep all files of the processes there")
    parser.add_argument("--in-environment", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    setup = Setup()
    if not options.in_environment:  # aiohttp and av are in the rig's environment
        command = [str(setup.tools()), "-m", "benchmarks.packs", *(arguments or sys.argv[1:])]
        return subprocess.run([*command, "--in-environment"], cwd=ROOT, check=False).returncode
    from benchmarks.packs.table import print_table

    return print_table(setup, options.packs, options.only, options.ways.split(","), options.base)


if __name__ == "__main__":
    sys.exit(main())
