"""Names of results on this computer, made of what a peer says: harmless, and close to its own."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from unicodedata import category

_HARMFUL = frozenset('<>:"/\\|?*')  #: refused by some file system, or a path's own
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Cn", "Zl", "Zp"})  #: kinds of characters that only deceive
_NAME_BYTES, _FOLDER_BYTES = 200, 120  #: in UTF-8; file systems take 255, and a number is added
_RESERVED = re.compile(r"^(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)
_ENDING = re.compile(r"[A-Za-z0-9_]{1,16}")
#: Files that run, or are unpickled, by whatever opens them where they lie.
_DANGEROUS_ENDINGS = frozenset(
    {"html", "htm", "xhtml", "xht", "shtml", "mht", "mhtml", "hta", "js", "mjs", "cjs", "jse", "css"}  # pages
    | {"py", "pyc", "pyo", "pyw", "pyd", "pyz", "php", "pl", "rb"}
    | {"exe", "com", "scr", "msi", "bat", "cmd", "ps1", "psm1", "vbs", "vbe", "wsf", "wsh", "reg", "cpl"}
    | {"sh", "bash", "zsh", "command", "app", "run", "appimage", "apk", "jar", "class", "dll", "so", "dylib"}
    | {"lnk", "url", "desktop", "webloc", "scf", "inf"}
    | {"ckpt", "pt", "pt2", "pth", "pkl", "pickle", "joblib"}
)


def safe_name(name: str) -> str:
    """A harmless file name made of a peer's: one component, no dot in front, its ending unless that runs."""
    last = re.split(r"[\\/]", name)[-1]
    stem, dot, ending = last.rpartition(".")
    if not dot:
        stem, ending = last, ""
    stem = _readable(stem)[-_NAME_BYTES:]
    stem = stem.encode()[-_NAME_BYTES:].decode(errors="ignore").strip(" .") or "result"
    if _RESERVED.match(stem):
        stem = f"_{stem}"
    ending = ending.lower() if _ENDING.fullmatch(ending) else "bin"
    return f"{stem}.bin" if ending in _DANGEROUS_ENDINGS else f"{stem}.{ending}"


def safe_folder(subfolder: str) -> PurePosixPath:
    """A subfolder as a peer names it; never leads outside."""
    parts = [part for part in re.split(r"[\\/]+", subfolder) if part not in ("", ".", "..")]
    clean = (
        _readable(part).encode()[:_FOLDER_BYTES].decode(errors="ignore").strip(" .") for part in parts[:8]
    )
    return PurePosixPath(*[f"_{part}" if _RESERVED.match(part) else part for part in clean if part])


def _readable(text: str) -> str:
    """In any alphabet; what no file system takes or nobody can see becomes "_"."""
    return "".join("_" if c in _HARMFUL or category(c) in _INVISIBLE else c for c in text)
