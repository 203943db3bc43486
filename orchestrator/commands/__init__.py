"""The command line, and the same for scripts: ``from orchestrator.commands import Fleet``."""

from __future__ import annotations

from .fleet import Fleet

__all__ = ["Fleet"]
