"""The plugin as ComfyUI imports it: one package, in which our modules find each other."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

_ROOT = Path(__file__).parents[2]
_NAME = "plugin"


def node_module(name: str) -> Any:
    """``nodes/<name>.py``, of those that need nothing of ComfyUI's."""
    for package, folder in ((_NAME, _ROOT), (f"{_NAME}.nodes", _ROOT / "nodes")):
        if package not in sys.modules:
            module = ModuleType(package)
            module.__path__ = [str(folder)]
            sys.modules[package] = module
    return importlib.import_module(f"{_NAME}.nodes.{name}")
