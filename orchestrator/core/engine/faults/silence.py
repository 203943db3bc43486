"""A peer that answers and shows no sign of work: slow or dead, which nobody can tell from outside. Pure.

A long download, a language model or training says nothing for many minutes, and so does a prompt worker that
died; the peer's queue lists the prompt as running in both cases. So a silent job is never given up and never
repeated unasked: a person is told, and can ask for a second copy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...workflow.prompt import class_of, node_in_words, title_of

SILENT_AFTER_S = 180.0


@dataclass(frozen=True)
class SilencePolicy:
    """A job is silent when nothing was heard of it for `silent_s` seconds; looked for every `look_s`."""

    silent_s: float = SILENT_AFTER_S
    look_s: float = 5.0


def in_words(seconds: float) -> str:
    """A duration as people say it."""
    return f"{seconds // 60:.0f} min" if seconds >= 180 else f"{seconds:.0f} s"


def silent_peer(silent_s: float) -> str:
    """What the peer's row says."""
    return f"No sign of work for {in_words(silent_s)}. If none of its nodes is slow, restart ComfyUI there."


def silent_job(prompt: Mapping[str, Any], node_id: str, peer: str, silent_s: float) -> str:
    """What the job's row says; `node_id` is the node that the peer was at, "" where it did not say."""
    known = node_id if node_id in prompt else node_id.partition(".")[0]  # of a node that became several
    node = prompt.get(known)
    if not isinstance(node, Mapping):
        return f"no sign of work on {peer} for {in_words(silent_s)}: it may be slow, or have died there"
    where = node_in_words(known, class_of(node), title_of(node))
    return (
        f"{where} has shown no sign of work on {peer} for {in_words(silent_s)}: it may be slow, or waiting "
        "for an answer on that machine's page"
    )
