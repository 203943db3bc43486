"""Result files in the host's own asset database, where it has one (--enable-assets; 0.33 and later)."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Mapping
from typing import Any

log = logging.getLogger(__name__)

_MODULES = ("comfy_execution.asset_enrichment", "app.assets.services.ingest", "app.assets.manager")


def are_kept(server: Any) -> bool:
    """Whether this host has such a database, and uses it."""
    try:
        arguments = importlib.import_module("comfy.cli_args").args
    except ImportError:
        return False
    is_wanted = getattr(arguments, "enable_assets", False) or getattr(server, "asset_manager", None)
    functions = (_function(name) for name in ("enrich_output_with_assets", "register_executed_outputs"))
    return bool(is_wanted) and any(function is not None for function in functions)


def with_assets(server: Any, job_id: str, shown: Mapping[str, Any]) -> dict[str, Any]:
    """What nodes show, with the host's ids of its files, as after a run of its own; unchanged where that
    fails. Whole files are read for it: no work for an event loop."""
    try:
        enrich = _function("enrich_output_with_assets")  # 0.33: one node's output
        if enrich is not None:
            outputs = {node: enrich(output) for node, output in shown.items() if isinstance(output, dict)}
            return {**shown, **outputs}
        register = _function("register_executed_outputs")  # newer: all of a prompt
        manager = getattr(server, "asset_manager", None)
        if register is not None and manager is not None:
            registered = register(dict(shown), job_id, manager)
            return registered if isinstance(registered, dict) else dict(shown)
    except Exception:
        log.exception("The files of job %s could not be made known to ComfyUI's assets", job_id)
    return dict(shown)


def _function(name: str) -> Any:
    for module in _MODULES:
        try:
            found = getattr(importlib.import_module(module), name, None)
        except ImportError:
            continue
        if found is not None:
            return found
    return None
