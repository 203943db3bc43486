"""python -m orchestrator peers: list, add, drain, remove and test the machines of a fleet."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from .fleet import PeerDetails
from .options import DONE, EXIT_CODES, FAILED, Commands, common, exit_code_of, fleet_of
from .sources import unusable
from .terminal import as_json, shortened, shown, table

if TYPE_CHECKING:
    from ..host.api.answers import PeerView

#: A verb, what it changes, and how that is said
CHANGES: tuple[tuple[str, PeerDetails, str, str], ...] = (
    ("drain", {"draining": True}, "draining", "give them no new jobs; they finish what they have"),
    ("resume", {"draining": False}, "taking jobs again", "let them take jobs again"),
    ("disable", {"enabled": False}, "switched off", "switch them off: neither asked nor given jobs"),
    ("enable", {"enabled": True}, "switched on", "switch them on again"),
)
_DETAIL_WIDTH = 60


VERBS = ("list", "add", "drain", "resume", "disable", "enable", "remove", "test")


def add_command(commands: Commands) -> None:
    group = commands.add_parser(
        "peers", help="list, add, drain, remove and test peers", parents=[common()], epilog=EXIT_CODES
    )
    group.set_defaults(run=show_all, code_of=exit_code_of)
    verbs = group.add_subparsers(metavar="|".join(VERBS))
    inner = common(is_inner=True)
    verbs.add_parser("list", help="all peers (the default)", parents=[inner]).set_defaults(run=show_all)
    _add_adding(verbs.add_parser("add", help="add a peer and ask it", parents=[inner]))
    for verb, changes, said, told in CHANGES:
        changing = verbs.add_parser(verb, help=told, parents=[inner])
        changing.set_defaults(run=change, changes=changes, said=said)
        _add_names(changing)
    removing = verbs.add_parser("remove", help="forget them and their keys", parents=[inner])
    removing.set_defaults(run=remove)
    _add_names(removing)
    testing = verbs.add_parser("test", help="run a tiny graph on them", parents=[inner])
    testing.set_defaults(run=test)
    testing.add_argument("names", nargs="*", metavar="NAME", help="a peer's name or id; none for all")


def show_all(options: argparse.Namespace) -> int:
    peers = fleet_of(options).peers()
    if options.json:
        print(as_json(peers))
        return DONE
    rows = [(p["name"], state_of(p), p["url"], ", ".join(p["tags"]), _detail(p)) for p in peers]
    for line in table([("PEER", "STATE", "ADDRESS", "TAGS", ""), *rows]):
        print(line)
    return DONE


def add(options: argparse.Namespace) -> int:
    details: PeerDetails = {"name": options.name, "tags": options.tag, "enabled": not options.disabled}
    if options.credentials is not None:
        details["credentials"] = _credentials(options.credentials)
    return _told([fleet_of(options).add_peer(options.url, **details)], options)


def change(options: argparse.Namespace) -> int:
    fleet = fleet_of(options)
    known = [fleet.peer(name) for name in options.names]  # a wrong name among them changes nothing
    return _told([fleet.change_peer(peer["id"], **options.changes) for peer in known], options, options.said)


def remove(options: argparse.Namespace) -> int:
    fleet = fleet_of(options)
    known = [fleet.peer(name) for name in options.names]
    for peer in known:
        fleet.remove_peer(peer["id"])
    return _told(known, options, "removed")


def test(options: argparse.Namespace) -> int:
    fleet = fleet_of(options)
    known = [fleet.peer(name) for name in options.names] if options.names else fleet.peers()
    found = []
    for peer in known:
        result = fleet.test_peer(peer["id"])
        found.append({"peer": peer["name"], **result})
        if not options.json:
            print(shown(f"{peer['name']}: {result['message']}"), flush=True)
    if options.json:
        print(as_json(found))
    return DONE if all(result["ok"] for result in found) else FAILED


def state_of(peer: PeerView) -> str:
    """In a word or two: what it does, or why it takes no jobs."""
    if not peer["enabled"]:
        return "off"
    if peer["health"] != "up":
        return peer["health"].replace("_", " ")
    running = peer["running"]
    doing = "idle" if running is None else "busy" if running["whose"] == "ours" else "someone else's job"
    return f"{doing}, draining" if peer["draining"] else doing


def _detail(peer: PeerView) -> str:
    running = peer["running"]
    if peer["health"] != "up" or running is None:
        return shortened(peer["reason"], _DETAIL_WIDTH)
    words = (running["title"], running["node"])
    return shortened(": ".join(filter(None, words)), _DETAIL_WIDTH)


def _told(peers: Sequence[PeerView], options: argparse.Namespace, said: str = "") -> int:
    if options.json:
        print(as_json(peers))
    for peer in () if options.json else peers:
        words = said or ", ".join(filter(None, (state_of(peer), peer["reason"])))
        print(shown(f"{peer['name']}: {words}"))
    return DONE


def _credentials(path: str) -> dict[str, Any]:
    """
    Raises:
        ConfigError: it cannot be read, or is no JSON object. Nothing of it is in the message.
    """
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text("utf-8")
        found = json.loads(text)
    except OSError as exc:
        raise unusable(Path(path), exc) from exc
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ConfigError('The credentials have to be a JSON object, like {"bearer": "…"}.')
    return found


def _add_adding(command: argparse.ArgumentParser) -> None:
    command.set_defaults(run=add)
    command.add_argument("url", metavar="URL", help="its address, like http://192.168.1.20:8188")
    command.add_argument("--name", default="", help="what it is called; by default as its address")
    command.add_argument("--tag", action="append", default=[], help="a tag of it; several are possible")
    command.add_argument("--disabled", action="store_true", help="add it switched off")
    command.add_argument(
        "--credentials",
        metavar="FILE",
        help='its key, as JSON like {"bearer": "…"} (see docs/api.md); - reads it from standard input',
    )


def _add_names(command: argparse.ArgumentParser) -> None:
    command.add_argument("names", nargs="+", metavar="NAME", help="a peer's name or id")
