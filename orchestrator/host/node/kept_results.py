"""Results that nodes were given, to be given again: of many pieces only those run that changed.

The host remembers the last value of a node, of a list all items or none, and newer ones forget sooner.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from pathlib import Path

from ...core.models.job import AttemptResult, JobRequest

KEPT_BYTES = 4 << 30
KEPT_MOST = 10_000


def key_of(request: JobRequest, fingerprint: str) -> str:
    """The same for requests that would bring the same. `fingerprint` stands for what the graph alone does not
    tell: the bytes of its files, and what its classes say of themselves."""
    told = (
        request.prompt,
        dict(request.changes),
        request.result and [request.result.node_id, request.result.slot],
        request.exact,
        sorted(request.drop_classes),
        request.peer,
        request.tags,
        fingerprint,
    )
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


class KeptResults:
    """The files stay where they are, in the temp folder; who used none of them for longest is forgotten
    first. Belongs to the loop that runs the nodes: it looks at files."""

    def __init__(self, most_bytes: int = KEPT_BYTES, most: int = KEPT_MOST) -> None:
        self._most_bytes, self._most = most_bytes, most
        self._kept: OrderedDict[str, tuple[AttemptResult, int]] = OrderedDict()
        self._bytes = 0

    def get(self, key: str) -> AttemptResult | None:
        """None also where a file of it is gone."""
        if key not in self._kept:
            return None
        result, _ = self._kept[key]
        if all(Path(file.path).is_file() for file in result.outputs):
            self._kept.move_to_end(key)
            return result
        self._forget(key)
        return None

    def put(self, key: str, result: AttemptResult) -> None:
        if key in self._kept:
            self._forget(key)
        try:
            size = sum(Path(file.path).stat().st_size for file in result.outputs)
        except OSError:
            return
        if size > self._most_bytes:
            return
        self._kept[key] = (result, size)
        self._bytes += size
        while self._bytes > self._most_bytes or len(self._kept) > self._most:
            self._forget(next(iter(self._kept)))

    def _forget(self, key: str) -> None:
        self._bytes -= self._kept.pop(key)[1]
