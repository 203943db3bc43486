"""Puts one of our files aside that is damaged."""

from __future__ import annotations

from pathlib import Path

from ..clock import utc_now


def name_aside(path: Path) -> Path:
    """``<name>.damaged-<time>``: where it can lie while a new one is begun, so that nothing is lost."""
    stamp = utc_now().strftime("%Y%m%dT%H%M%S%fZ")
    return path.with_name(f"{path.name}.damaged-{stamp}")


def move_aside(path: Path) -> Path:
    """Rename the file like that; returns its new path."""
    return path.replace(name_aside(path))
