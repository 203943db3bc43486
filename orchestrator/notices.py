"""Sentences that every open page shows until the user dismisses them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from .signals import Signal


class Notices:
    """`told` gives those that others keep; "" is none. What is added stays until this process ends."""

    def __init__(self, told: Callable[[], Iterable[str]]) -> None:
        self._told = told
        self._added: list[str] = []
        self._changed = Signal[[]]("notices")

    def __iter__(self) -> Iterator[str]:
        return (notice for notice in (*self._told(), *self._added) if notice)

    def add(self, notice: str) -> None:
        self._added.append(notice)
        self.changed()

    def changed(self) -> None:
        self._changed.tell()

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Hear that there are others now; returns its undo."""
        return self._changed.subscribe(listener)
