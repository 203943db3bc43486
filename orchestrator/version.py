"""Which version of Remote Dispatch this is."""

from __future__ import annotations

import re
from pathlib import Path

UNKNOWN = "unknown"
_PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"


def version() -> str:
    """As pyproject.toml says, which lies beside this package; UNKNOWN where it does not. Reads the disk."""
    try:
        found = re.search(r'^version = "(.+)"', _PYPROJECT.read_text("utf-8"), re.MULTILINE)
    except (OSError, UnicodeDecodeError):
        return UNKNOWN
    return found[1] if found else UNKNOWN
