"""What a peer says of an error, made small enough to be kept: cut with a word, never dropped without one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MESSAGE_MAX = 4096  #: characters of a sentence for people
TEXT_MAX = 1 << 14  #: of one text among the details; an error tells 5 400 of a picture
DETAILS_MAX = 100_000  #: characters of all that belongs together
LEFT_OUT = "… further parts were not kept"
_DEPTH_MAX = 20
_KEY_MAX = 200
_VALUE = 8  #: what a number counts


def message(text: str, most: int = MESSAGE_MAX) -> str:
    """As much of a text as is kept."""
    return text if len(text) <= most else f"{text[:most]}… ({len(text):,} characters in all)"


def details(value: Any, most: int = DETAILS_MAX) -> Any:
    """JSON data with each text cut, and nothing behind the first `most` characters."""
    return _Reader(most).kept(value)


class _Reader:
    def __init__(self, most: int) -> None:
        self._left, self._text_max = most, min(most, TEXT_MAX)

    def kept(self, value: Any, depth: int = 0) -> Any:
        if isinstance(value, str):
            text = message(value, self._text_max)
            self._left -= len(text)
            return text
        if isinstance(value, Mapping):
            found: dict[str, Any] = {}
            for key, item in value.items():
                if self._is_enough(depth):
                    return {**found, "…": LEFT_OUT}
                self._left -= min(len(str(key)), _KEY_MAX)
                found[str(key)[:_KEY_MAX]] = self.kept(item, depth + 1)
            return found
        if isinstance(value, (list, tuple)):
            items: list[Any] = []
            for item in value:
                if self._is_enough(depth):
                    return [*items, LEFT_OUT]
                items.append(self.kept(item, depth + 1))
            return items
        self._left -= _VALUE
        return value

    def _is_enough(self, depth: int) -> bool:
        return self._left <= 0 or depth >= _DEPTH_MAX
