"""The rules of the house that a machine can check. Each one is also shown a source that breaks it."""

from __future__ import annotations

import ast
import builtins
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator import errors
from tests.rig import code_map

ROOT = Path(__file__).parents[2]
PRODUCT = ("__init__.py", "nodes", "orchestrator")
PYTHON_LINES_MAX, JAVASCRIPT_LINES_MAX = 400, 250

#: A module imports from its own rank or a lower one. The longest name that fits decides.
RANKS = {
    "orchestrator": 0,
    "orchestrator.errors": 0,
    "orchestrator.background": 0,
    "orchestrator.clock": 0,
    "orchestrator.notices": 0,
    "orchestrator.signals": 0,
    "orchestrator.version": 0,
    "orchestrator.core": 1,
    "orchestrator.core.models": 1,
    "orchestrator.core.models.settings": 2,
    "orchestrator.core.workflow": 2,
    "orchestrator.core.prompts": 3,
    "orchestrator.core.engine.parameter_patcher": 3,
    "orchestrator.core.engine.faults": 3,
    "orchestrator.core.engine.estimates": 4,
    "orchestrator.core.engine.placement": 5,
    "orchestrator.core.engine": 6,
    "orchestrator.backends": 7,
    "orchestrator.journal": 7,
    **{
        f"orchestrator.dispatch.attempts.{name}": 7
        for name in ("transport", "contents", "free_names", "result_names", "expected_file", "results")
    },
    **{f"orchestrator.dispatch.{name}": 8 for name in ("interfaces", "sent_prompts")},
    "orchestrator.dispatch.queue": 9,
    "orchestrator.dispatch.attempts": 10,
    "orchestrator.dispatch.learning": 11,
    "orchestrator.dispatch": 12,
    "orchestrator.runtime": 13,
    "orchestrator.host.api.answers": 14,
    "orchestrator.commands": 14,
    "orchestrator.__main__": 14,
    **{f"orchestrator.host.{name}": 14 for name in ("comfy", "host_queue", "sanitise")},
    "orchestrator.host.doors": 15,
    "orchestrator.host.page": 16,
    "orchestrator.host.api": 17,
    "orchestrator.host.node": 18,
    "orchestrator.host.fleet": 19,
    "orchestrator.host.current": 20,
    "orchestrator.host": 21,
    "nodes": 22,
    "": 23,
}
DEPENDENCIES = {"aiohttp", "requests", "sqlalchemy", "PIL", "numpy", "pydantic", "typing_extensions", "av"}
COMFYUI = {
    "comfy", "comfy_api", "comfy_execution", "execution", "folder_paths", "latent_preview", "nodes", "server",
}  # fmt: skip
STOCK_OF_COMFYUI = {"torch", "safetensors"}
IMPURE = {
    "aiohttp", "asyncio", "concurrent", "requests", "socket", "sqlalchemy", "sqlite3", "subprocess",
    "threading", "time", "urllib.request",
}  # fmt: skip
CLOCK_CALLS = {"now", "utcnow", "today"}


@dataclass(frozen=True)
class Source:
    """A Python file of the product. ``path`` is relative to the root, with forward slashes."""

    path: str
    text: str

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)

    @property
    def module(self) -> str:
        """The dotted name below the root; the root's own ``__init__`` is the empty one."""
        return ".".join(self.path.removesuffix(".py").split("/")).removesuffix("__init__").removesuffix(".")

    @property
    def package(self) -> list[str]:
        return self.path.split("/")[:-1]

    def is_in(self, *places: str) -> bool:
        return any(self.path == place or self.path.startswith(f"{place}/") for place in places)


Rule = Callable[[Source], Iterator[str]]


def imports(source: Source) -> Iterator[tuple[int, str, bool]]:
    """Line, dotted name and whether it is relative, for each name that is imported, wherever it stands."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name, False
        elif isinstance(node, ast.ImportFrom):
            base = source.package[: len(source.package) - node.level + 1] if node.level else []
            prefix = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield node.lineno, f"{prefix}.{alias.name}" if prefix else alias.name, bool(node.level)


def rank(module: str) -> int:
    parts = module.split(".") if module else []
    for length in range(len(parts), 0, -1):
        name = ".".join(parts[:length])
        if name in RANKS:
            return RANKS[name]
    return RANKS[""]


def no_import_points_up(source: Source) -> Iterator[str]:
    for line, name, is_relative in imports(source):
        if is_relative and rank(name) > rank(source.module):
            yield f"{line}: {name} is of a higher rank than {source.module}"


def core_imports_core_only(source: Source) -> Iterator[str]:
    if source.is_in("orchestrator/core"):
        for line, name, is_relative in imports(source):
            if is_relative and not name.startswith(("orchestrator.core", "orchestrator.errors")):
                yield f"{line}: {name}"


def our_own_modules_are_imported_relatively(source: Source) -> Iterator[str]:
    """Under ComfyUI the package's name is its path, and ``nodes`` is ComfyUI's own."""
    for line, name, is_relative in imports(source):
        if not is_relative and name.split(".")[0] == "orchestrator":
            yield f"{line}: {name}"


def only_the_edge_knows_comfyui(source: Source) -> Iterator[str]:
    """And nothing is imported that a stock ComfyUI does not have."""
    known = set(sys.stdlib_module_names) | DEPENDENCIES
    if source.is_in("__init__.py", "nodes", "orchestrator/host"):
        known |= COMFYUI | STOCK_OF_COMFYUI
    for line, name, is_relative in imports(source):
        if not is_relative and name.split(".")[0] not in known:
            yield f"{line}: {name}"


def only_the_journal_knows_sql(source: Source) -> Iterator[str]:
    if not source.is_in("orchestrator/journal"):
        for line, name, _ in imports(source):
            if name.split(".")[0] in ("sqlalchemy", "sqlite3"):
                yield f"{line}: {name}"


def only_the_command_line_waits_for_http(source: Source) -> Iterator[str]:
    if not source.is_in("orchestrator/__main__.py", "orchestrator/commands"):
        for line, name, _ in imports(source):
            if name.split(".")[0] == "requests" or name in ("urllib.request", "http.client", "time.sleep"):
                yield f"{line}: {name}"
        for call in calls(source):
            if ast.unparse(call.func) == "time.sleep":
                yield f"{call.lineno}: time.sleep"


def core_is_pure(source: Source) -> Iterator[str]:
    if not source.is_in("orchestrator/core"):
        return
    for line, name, is_relative in imports(source):
        if not is_relative and (name in IMPURE or name.split(".")[0] in IMPURE):
            yield f"{line}: {name}"
    for call in calls(source):
        if isinstance(call.func, ast.Attribute) and call.func.attr in CLOCK_CALLS:
            yield f"{call.lineno}: {ast.unparse(call)} asks the clock"


def every_task_has_a_name(source: Source) -> Iterator[str]:
    for call in calls(source):
        function, named = ast.unparse(call.func), {keyword.arg for keyword in call.keywords}
        if function.endswith("ensure_future") or (function.endswith("create_task") and "name" not in named):
            yield f"{call.lineno}: {ast.unparse(call)}"


def no_exception_disappears(source: Source) -> Iterator[str]:
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.ExceptHandler):
            continue
        caught = ast.unparse(node.type) if node.type else "everything"
        if re.search(r"\b(BaseException|CancelledError|everything)\b", caught):
            if not any(isinstance(inner, ast.Raise) for inner in ast.walk(node)):
                yield f"{node.lineno}: {caught} is not raised again"
        elif re.search(r"\bException\b", caught):
            silent = (ast.Pass, ast.Continue, ast.Break)
            if all(isinstance(step, silent) or is_docstring(step) for step in node.body):
                yield f"{node.lineno}: {caught} is silenced"


def every_exception_class_is_of_the_family(source: Source) -> Iterator[str]:
    if source.is_in("orchestrator/errors.py"):
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ClassDef):
            for base in map(ast.unparse, node.bases):
                if is_builtin_exception(base) or base.endswith(("Error", "Exception")):
                    yield f"{node.lineno}: {node.name} belongs into errors.py"


def no_file_is_longer_than_it_may_be(source: Source) -> Iterator[str]:
    lines = len(source.text.splitlines())
    if lines > PYTHON_LINES_MAX:
        yield f"{lines} lines"


def calls(source: Source) -> Iterator[ast.Call]:
    return (node for node in ast.walk(source.tree) if isinstance(node, ast.Call))


def is_docstring(step: ast.stmt) -> bool:
    return isinstance(step, ast.Expr) and isinstance(step.value, ast.Constant)


def is_builtin_exception(name: str) -> bool:
    found = getattr(builtins, name, None)
    return isinstance(found, type) and issubclass(found, BaseException)


def product_sources() -> list[Source]:
    places = [ROOT / place for place in PRODUCT]
    files = [file for place in places for file in ([place] if place.is_file() else place.rglob("*.py"))]
    return [Source(file.relative_to(ROOT).as_posix(), file.read_text("utf-8")) for file in sorted(files)]


BROKEN: list[tuple[Rule, str, str]] = [
    (no_import_points_up, "orchestrator/journal/store.py", "from ..runtime import Runtime"),
    (
        no_import_points_up,
        "orchestrator/dispatch/attempts/transport.py",
        "from ..dispatcher import Dispatcher",
    ),
    (no_import_points_up, "orchestrator/backends/client.py", "from .. import runtime"),
    (no_import_points_up, "orchestrator/dispatch/queue/registry.py", "from ..attempts import attempt"),
    (no_import_points_up, "orchestrator/runtime.py", "def f():\n    from .host.guard import Guard"),
    (no_import_points_up, "orchestrator/core/engine/faults/retry.py", "from ....journal.store import Store"),
    (
        core_imports_core_only,
        "orchestrator/core/engine/faults/retry.py",
        "from ....journal.quarantine import move_aside",
    ),
    (our_own_modules_are_imported_relatively, "nodes/media.py", "import orchestrator.errors"),
    (our_own_modules_are_imported_relatively, "__init__.py", "from orchestrator import errors"),
    (only_the_edge_knows_comfyui, "orchestrator/runtime.py", "import folder_paths"),
    (only_the_edge_knows_comfyui, "orchestrator/backends/client.py", "from comfy.cli_args import args"),
    (only_the_edge_knows_comfyui, "orchestrator/host/doors/guard.py", "import psutil"),
    (only_the_journal_knows_sql, "orchestrator/runtime.py", "import sqlalchemy as sa"),
    (only_the_journal_knows_sql, "orchestrator/backends/credentials.py", "from sqlite3 import connect"),
    (only_the_command_line_waits_for_http, "orchestrator/runtime.py", "import requests"),
    (only_the_command_line_waits_for_http, "nodes/media.py", "import time\ntime.sleep(1)"),
    (core_is_pure, "orchestrator/core/engine/faults/retry.py", "import asyncio"),
    (core_is_pure, "orchestrator/core/engine/faults/retry.py", "from time import monotonic"),
    (core_is_pure, "orchestrator/core/engine/faults/retry.py", "x = datetime.now(timezone.utc)"),
    (every_task_has_a_name, "orchestrator/runtime.py", "asyncio.create_task(work())"),
    (every_task_has_a_name, "orchestrator/runtime.py", "loop.create_task(work(), context=None)"),
    (every_task_has_a_name, "orchestrator/runtime.py", "asyncio.ensure_future(work())"),
    (no_exception_disappears, "orchestrator/runtime.py", "try: f()\nexcept Exception: pass"),
    (
        no_exception_disappears,
        "orchestrator/runtime.py",
        "try: f()\nexcept (ValueError, Exception):\n    ...",
    ),
    (no_exception_disappears, "orchestrator/runtime.py", "try: f()\nexcept: log.error('x')"),
    (no_exception_disappears, "nodes/media.py", "try: f()\nexcept asyncio.CancelledError: return"),
    (every_exception_class_is_of_the_family, "orchestrator/runtime.py", "class Oops(Exception): pass"),
    (every_exception_class_is_of_the_family, "orchestrator/runtime.py", "class Oops(PeerError): pass"),
    (every_exception_class_is_of_the_family, "nodes/media.py", "class Oops(KeyboardInterrupt): pass"),
    (no_file_is_longer_than_it_may_be, "nodes/media.py", "x = 1\n" * (PYTHON_LINES_MAX + 1)),
]
RULES = list(dict.fromkeys(rule for rule, _, _ in BROKEN))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_whole_product_keeps(rule: Rule) -> None:
    broken = [f"{source.path}:{finding}" for source in product_sources() for finding in rule(source)]
    assert broken == []


@pytest.mark.parametrize(("rule", "path", "text"), BROKEN, ids=lambda part: getattr(part, "__name__", ""))
def test_a_source_that_breaks_it_is_found_by(rule: Rule, path: str, text: str) -> None:
    assert list(rule(Source(path, text)))


def test_every_room_has_a_rank() -> None:
    rooms = {".".join(source.module.split(".")[:2]) for source in product_sources() if source.module}
    assert {room for room in rooms if room.startswith("orchestrator")} <= set(RANKS)


# Tests

FAKED = re.compile(
    r"unittest\.mock|import mock|monkeypatch\.setattr|\bmocker\b|time\.sleep\(|asyncio\.sleep\((?!0\))"
)


def test_tests_neither_patch_our_code_nor_sleep() -> None:
    files = [file for room in ("unit", "integration") for file in (ROOT / "tests" / room).rglob("*.py")]
    others = [file for file in files if file != Path(__file__)]
    assert [file.name for file in others if FAKED.search(file.read_text("utf-8"))] == []


def test_a_test_that_patches_or_sleeps_would_be_found() -> None:
    for line in (
        "from unittest.mock import Mock",
        "monkeypatch.setattr(x, 'y', 1)",
        "await asyncio.sleep(0.1)",
    ):
        assert FAKED.search(line)
    assert not FAKED.search("await asyncio.sleep(0)  # only lets others run")


# The page


def page_sources() -> list[Path]:
    return sorted(file for ending in ("js", "mjs") for file in (ROOT / "web").rglob(f"*.{ending}"))


MARKUP = re.compile(r"\b(innerHTML|outerHTML|insertAdjacentHTML|document\.write|srcdoc|eval)\b")
IMPORT = re.compile(
    r"""(?:^\s*import\s(?:[^"';]*?\sfrom\s)?|\bimport\(\s*|\sfrom\s)["']([^"']+)["']""", re.MULTILINE
)
STATIC_IMPORT = re.compile(r"""^(?:import|\}|export)[^;"]*?from\s*"([^"]+)";""", re.MULTILINE)
#: A room of the page imports from itself and from those of a lower rank; panel.js and the entry from all.
PAGE_RANKS = {
    "data": 0, "ui": 1, "outlook": 2, "peers": 2, "timeline": 2, "variations": 2, "jobs": 3, "host_page": 4,
    "monitor": 4,
}  # fmt: skip
HOST_MODULES = {"../../scripts/app.js", "../../scripts/api.js"}


def test_the_page_never_reads_text_as_markup() -> None:
    assert [file.name for file in page_sources() if MARKUP.search(file.read_text("utf-8"))] == []


def test_markup_would_be_found() -> None:
    assert MARKUP.search("element.innerHTML = peer.name;")


def test_the_page_imports_its_own_files_and_two_of_the_host() -> None:
    for file in page_sources():
        for name in IMPORT.findall(file.read_text("utf-8")):
            of_the_host = name in HOST_MODULES and file.parent == ROOT / "web"
            assert of_the_host or (file.parent / name).is_file(), f"{file.name} imports {name}"


def page_rank(file: Path) -> int:
    parts = file.relative_to(ROOT / "web").parts
    return PAGE_RANKS[parts[1]] if parts[0] == "fleet" and len(parts) > 2 else max(PAGE_RANKS.values()) + 1


def pointing_up(file: Path, text: str) -> list[str]:
    """What the module imports from a higher room; types alone, in comments, may come from anywhere."""
    found = (file.parent / name for name in STATIC_IMPORT.findall(text) if name not in HOST_MODULES)
    return [other.name for other in found if page_rank(other.resolve()) > page_rank(file)]


def test_the_rooms_of_the_page_import_downwards() -> None:
    for file in page_sources():
        assert pointing_up(file, file.read_text("utf-8")) == [], file.name


def test_an_import_from_a_higher_room_would_be_found() -> None:
    text = 'import { t } from "../data/i18n.js";\nimport {\n  row,\n} from "../jobs/job_row.js";'
    assert pointing_up(ROOT / "web" / "fleet" / "peers" / "peers.js", text) == ["job_row.js"]


def test_an_import_would_be_found() -> None:
    text = 'import { a } from "../x.js";\nimport "y.js";\nawait import("./z.js");\nexport * from "./w.js";'
    assert IMPORT.findall(text) == ["../x.js", "y.js", "./z.js", "./w.js"]


def test_no_file_of_the_page_is_longer_than_it_may_be() -> None:
    lengths = {file.name: len(file.read_text("utf-8").splitlines()) for file in page_sources()}
    assert {name: lines for name, lines in lengths.items() if lines > JAVASCRIPT_LINES_MAX} == {}


# The exception tree


def error_classes() -> dict[str, type[Exception]]:
    found = {name: value for name, value in vars(errors).items() if isinstance(value, type)}
    return {name: value for name, value in found.items() if issubclass(value, Exception)}


def documented_tree(text: str) -> dict[str, tuple[str, str]]:
    """Class → its parent and, from the brackets, its builtin base, as the tree in the docstring has them."""
    tree: dict[str, tuple[str, str]] = {}
    branch: list[str] = []
    for match in re.finditer(r"^([│├└─ ]*)(\w+Error)\b(?: \((\w+)\))?", text, re.MULTILINE):
        depth = len(match[1]) // 4
        branch[depth:] = [match[2]]
        tree[match[2]] = (branch[depth - 1] if depth else "Exception", match[3] or "")
    return tree


def test_the_docstring_draws_the_exception_tree_as_it_is() -> None:
    actual = {
        name: (kind.__bases__[0].__name__, kind.__bases__[1].__name__ if len(kind.__bases__) > 1 else "")
        for name, kind in error_classes().items()
    }
    assert documented_tree(errors.__doc__ or "") == actual


def test_every_error_is_of_the_family_with_a_word_of_its_own_and_a_docstring() -> None:
    kinds = error_classes()
    assert all(issubclass(kind, errors.OrchestratorError) for kind in kinds.values())
    assert len({kind.code for kind in kinds.values() if issubclass(kind, errors.OrchestratorError)}) == len(
        kinds
    )
    assert all(kind.__doc__ for kind in kinds.values())


# What is written down beside the code


def test_the_two_lists_of_dependencies_are_one() -> None:
    block = re.search(r"^dependencies = \[(.*?)\]", (ROOT / "pyproject.toml").read_text("utf-8"), re.M | re.S)
    assert block is not None
    assert re.findall(r'"([^"]+)"', block[1]) == (ROOT / "requirements.txt").read_text("utf-8").split()


def test_no_public_name_means_two_things() -> None:
    defined: dict[str, set[str]] = {}
    for source in product_sources():
        for node in source.tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                defined.setdefault(node.name, set()).add(source.path)
    assert {name: sorted(places) for name, places in defined.items() if len(places) > 1} == {}


def test_the_code_map_has_the_first_sentence_of_every_source_file() -> None:
    try:
        expected = code_map.up_to_date()
    except subprocess.CalledProcessError:
        pytest.skip("not a git work tree")
    assert code_map.PAGE.read_text("utf-8") == expected, "run: python dev.py codemap"


def test_every_source_file_says_what_it_is_for() -> None:
    try:
        silent = [
            path for path in code_map.sources() if not code_map.owns(path, (ROOT / path).read_text("utf-8"))
        ]
    except subprocess.CalledProcessError:
        pytest.skip("not a git work tree")
    assert silent == []


def test_every_room_of_the_product_has_a_word_in_the_code_map() -> None:
    rooms = re.findall(r"^## (.+)\n\n(.*)", code_map.PAGE.read_text("utf-8"), re.MULTILINE)
    assert [room for room, first in rooms if first.startswith("|")] == []
