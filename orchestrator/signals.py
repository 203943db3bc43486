"""Tells what happens to those that listen."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Generic, ParamSpec

log = logging.getLogger(__name__)

P = ParamSpec("P")


class Signal(Generic[P]):
    """`of`: what it tells of, for the log. Belongs to one event loop."""

    def __init__(self, of: str) -> None:
        self._of = of
        self._listeners: dict[object, Callable[P, object]] = {}

    def subscribe(self, listener: Callable[P, object]) -> Callable[[], None]:
        """Hear of it from now on; returns the way to stop that, which does no harm when it is used again."""
        key = object()
        self._listeners[key] = listener

        def undo() -> None:
            self._listeners.pop(key, None)

        return undo

    def tell(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """A listener that fails is logged; the others hear it all the same."""
        for listener in tuple(self._listeners.values()):
            try:
                listener(*args, **kwargs)
            except Exception:
                log.exception("A listener of %s failed", self._of)
