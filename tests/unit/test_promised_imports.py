"""What outside callers import works where only four packages are installed, and their needs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = (
    "orchestrator.backends.manager",
    "orchestrator.backends.health_monitor",
    "orchestrator.backends.client",
    "orchestrator.core.models.backend",
    "orchestrator.core.workflow.parser",
    "orchestrator.core.workflow.converter",
    "orchestrator.core.workflow.inspector",
    "orchestrator.core.engine.parameter_patcher",
    "orchestrator.core.engine.scheduler",
)
CONTRACT = (
    "tests/integration/test_backend_flow.py",
    "tests/integration/test_workflow_roundtrip.py",
    "tests/unit/test_error_handling.py",
)
BARE = """
import sys
from importlib import metadata
from importlib.machinery import PathFinder
from packaging.requirements import Requirement

allowed, queue = set(), ["aiohttp", "requests", "pytest", "pytest-aiohttp"]
while queue:
    name = queue.pop().lower().replace("_", "-")
    if name not in allowed:
        allowed.add(name)
        needs = map(Requirement, metadata.requires(name) or ())
        queue += [n.name for n in needs if n.marker is None or n.marker.evaluate({"extra": ""})]
owners = metadata.packages_distributions()

class Bare(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        top = name.split(".")[0]
        theirs = {owner.lower().replace("_", "-") for owner in owners.get(top, ())}
        if theirs and not theirs & allowed and top not in sys.stdlib_module_names:
            return None
        return super().find_spec(name, path, target)

sys.meta_path[:] = [Bare if finder is PathFinder else finder for finder in sys.meta_path]
"""


def run_bare(code: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""}
    command = [sys.executable, "-c", BARE + code]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_the_bare_interpreter_of_these_tests_really_lacks_numpy() -> None:
    assert "No module named 'numpy'" in run_bare("import numpy").stderr


@pytest.mark.parametrize("module", MODULES)
def test_a_promised_module_needs_no_other_package(module: str) -> None:
    done = run_bare(f"import {module}")
    assert done.returncode == 0, done.stderr


def test_the_three_contract_tests_need_no_other_package() -> None:
    plugins = ["-p", "pytest_asyncio.plugin", "-p", "pytest_aiohttp"]
    done = run_bare(f"import pytest; sys.exit(pytest.main({[*plugins, '-q', *CONTRACT]!r}))")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout
