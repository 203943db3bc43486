"""The commands of this repository, for a machine with nothing but Python 3.10 or later.

python dev.py demo [--once]      a master and two peers on this machine, one picture made remotely
python dev.py test [ARGUMENTS]   all checks and tests; ARGUMENTS go to pytest, --fast leaves out ComfyUI,
                                 --all adds what takes minutes
python dev.py codemap            writes the lines of docs/CODEMAP.md again, from what each file says of itself
python dev.py chaos [--minutes N --seed S]    a fleet in which something breaks every half minute
"""

from __future__ import annotations

import argparse
import signal
import sys


def main() -> int:
    if sys.version_info < (3, 10):  # noqa: UP036 - with an older one, this says why
        print(f"Python 3.10 or later is needed; this is {sys.version.split()[0]}.")
        return 2
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser("demo", help="see it work on this machine")
    demo.add_argument("--once", action="store_true", help="end after the first picture")
    test = commands.add_parser(
        "test", help="run all checks and tests", epilog="All else goes to pytest.", allow_abbrev=False
    )
    test.add_argument("--fast", action="store_true", help="leave out what needs ComfyUI")
    test.add_argument("--all", action="store_true", help="add what takes minutes")
    commands.add_parser("codemap", help="write the lines of docs/CODEMAP.md again")
    commands.add_parser("chaos", help="a random soak", add_help=False)
    options, rest = parser.parse_known_args()
    if rest and options.command in ("demo", "codemap"):
        parser.error(f"unknown: {' '.join(rest)}")

    from tests.rig import code_map, suite
    from tests.rig import demo as demo_command
    from tests.rig.environment import RigError

    # A plain kill ends what was started, as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        if options.command == "demo":
            demo_command.run(once=options.once)
            return 0
        if options.command == "codemap":
            code_map.write()
            return 0
        if options.command == "chaos":
            return suite.chaos(rest)
        return suite.run(rest, fast=options.fast, long=options.all)
    except RigError as exc:
        print(f"\n{exc}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped.")
        return 130


if __name__ == "__main__":
    sys.exit(main())
