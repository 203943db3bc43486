"""JSON that is too large to be read at once: taken in as it comes, and only what is wanted of it is kept.

Values that lie in one piece are left to the json module; only containers that go beyond it are opened here.
So no call holds the interpreter for longer than a piece takes, whatever a peer sends.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from json.scanner import make_scanner
from typing import Any

from ..errors import PeerProtocolError

PIECE_BYTES = 1 << 18  #: what is taken in at a time
DEPTH_MAX = 64  #: of containers in each other; honest answers have a dozen
_HOOKED = 4  #: containers nested no deeper than this are worth asking about
_RUN_MIN = 4_096  #: characters; fewer are read one by one
_TOKEN_MAX = 64  #: characters of a number or a word
_KEY_MAX = 1 << 19  #: characters of a name
_SPACE = re.compile(r"[ \t\n\r]*")
_REST_OF_TEXT = re.compile(r'[^"\\]*(?:\\.[^"\\]*)*', re.DOTALL)
_AFTER_VALUE = frozenset(" \t\n\r,]}")
_AT_END = _AFTER_VALUE | {""}
_SCAN: Callable[[str, int], tuple[Any, int]] = make_scanner(json.JSONDecoder())  # type: ignore[arg-type]

Path = tuple["str | int", ...]


class LongText(Enum):
    """What becomes of a text that is longer than a piece."""

    KEPT = "kept"
    EMPTIED = "emptied"
    REFUSED = "refused"


def _skip_nothing(path: Path) -> bool:
    return False


def _as_it_is(path: Path, value: Any) -> Any:
    return value


@dataclass(frozen=True)
class Wanted:
    """``skips(path)``: whether a value is passed over. ``reduced(path, value)``: what is kept of one that is
    complete. Both are asked only about what was opened, down to a depth of four."""

    skips: Callable[[Path], bool] = _skip_nothing
    reduced: Callable[[Path, Any], Any] = _as_it_is
    long_text: LongText = LongText.KEPT


@dataclass(slots=True)
class _Open:
    """A container whose end has not come. ``items`` is None for one that is passed over."""

    path: Path
    is_object: bool
    items: Any
    key: str | int = ""
    wants_comma: bool = False
    needs_item: bool = False  #: a comma was read
    is_mixed: bool = False  #: a list of more than texts


@dataclass
class JsonStream:
    """``feed`` each block, then ``close`` gives the value.

    Raises:
        PeerProtocolError: it is no JSON, nested without end, or has a text that is refused.
    """

    wanted: Wanted = field(default_factory=Wanted)
    _text: str = ""
    _at: int = 0
    _due: int = 0  #: characters needed before another try is worth it
    _in_text: bool = False  #: within one that is emptied
    _value: Any = None
    _is_done: bool = False

    def __post_init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("strict")
        self._stack: list[_Open] = []

    def feed(self, block: bytes) -> None:
        self._take(block, final=False)

    def close(self) -> Any:
        self._take(b"", final=True)
        if not self._is_done or self._text[self._at :].strip(" \t\n\r"):
            raise _no_json()
        return self._value

    def _take(self, block: bytes, *, final: bool) -> None:
        try:
            self._text = self._text[self._at :] + self._decoder.decode(block, final)
            self._at = 0
            if final or len(self._text) >= self._due:
                self._due = 0
                self._advance(final)
        except EOFError:
            if final:
                raise _no_json() from None
        except (ValueError, RecursionError) as exc:
            raise _no_json() from exc

    def _advance(self, final: bool) -> None:
        """
        Raises:
            EOFError: the next piece is needed to go on.
        """
        while not self._is_done:
            self._skip_space()
            if self._in_text:
                self._pass_text()
                continue
            if self._stack and self._between_items():
                continue
            self._item(final)

    def _between_items(self) -> bool:
        """Read what comes before the next item; True when it was the container's end instead."""
        top = self._stack[-1]
        char = self._char()
        if char == ("}" if top.is_object else "]") and not top.needs_item:
            self._at += 1
            self._stack.pop()
            self._put(top.items, top.path, is_kept=top.items is not None)
            return True
        if top.wants_comma:
            if char != ",":
                raise _no_json()
            self._at += 1
            top.wants_comma, top.needs_item = False, True
            self._skip_space()
        if top.is_object and top.key == "":
            top.key = self._key()
        return False

    def _key(self) -> str:
        start = self._at
        if self._char() != '"':
            raise _no_json()
        end = _REST_OF_TEXT.match(self._text, start + 1).end()  # type: ignore[union-attr]
        rest = _SPACE.match(self._text, end + 1).end()  # type: ignore[union-attr]
        if not self._text.startswith('"', end) or rest >= len(self._text):
            if len(self._text) - start > _KEY_MAX:
                raise _no_json()
            raise EOFError
        if self._text[rest] != ":":
            raise _no_json()
        key, _ = _SCAN(self._text, start)
        self._at = rest + 1
        self._skip_space()
        return f"{key}" or "\0"  # an empty name is one too

    def _item(self, final: bool) -> None:
        char = self._char()
        if char == '"' and self._run_of_texts():
            return
        path = self._path()
        try:
            value, end = _SCAN(self._text, self._at)
            # A number at the end of a piece may go on in the next one.
            if char in '"{[' or self._text[end : end + 1] in (_AFTER_VALUE if not final else _AT_END):
                self._at = end
                self._put(value, path, is_kept=not self._skips(path))
                return
        except (StopIteration, json.JSONDecodeError):
            pass
        if char in "{[":
            self._open(path, is_object=char == "{")
        elif char == '"':
            self._long_text(path)
        elif len(self._text) - self._at > _TOKEN_MAX or final:
            raise _no_json()
        else:
            raise EOFError

    def _run_of_texts(self) -> bool:
        """Take all texts of a list that follow each other here, at once: long lists are mostly of texts."""
        top = self._stack[-1] if self._stack else None
        if top is None or top.is_object or top.is_mixed or len(top.path) < _HOOKED - 1:
            return False
        end_of_list = self._text.find("]", self._at)
        end = self._text.rfind('",', self._at, None if end_of_list < 0 else end_of_list) + 1
        if end - self._at < _RUN_MIN:
            return False
        run = f"[{self._text[self._at : end]}]"
        try:
            found, length = _SCAN(run, 0)
        except (StopIteration, json.JSONDecodeError):
            length = 0
        if length < len(run):  # something else is between them
            top.is_mixed = True
            return False
        if top.items is not None:
            top.items.extend(found)
        top.wants_comma, top.needs_item = True, False
        top.key += len(found)  # type: ignore[operator]
        self._at = end
        return True

    def _open(self, path: Path, *, is_object: bool) -> None:
        if len(self._stack) >= DEPTH_MAX:
            raise _no_json()
        items: Any = {} if is_object else []
        self._stack.append(
            _Open(path, is_object, None if self._skips(path) else items, "" if is_object else 0)
        )
        self._at += 1

    def _long_text(self, path: Path) -> None:
        """One that does not end in what is there."""
        if len(self._text) - self._at < PIECE_BYTES // 2:
            raise EOFError  # it may end in the next piece
        how = self.wanted.long_text
        if self._skips(path) or how is LongText.EMPTIED:
            self._at += 1
            self._in_text = True
        elif how is LongText.REFUSED:
            raise PeerProtocolError("An answer holds a text without end, so it was not taken.")
        else:
            self._due = 2 * (len(self._text) - self._at)  # tried at each piece it would be read over and over
            raise EOFError

    def _pass_text(self) -> None:
        self._at = _REST_OF_TEXT.match(self._text, self._at).end()  # type: ignore[union-attr]
        if self._at >= len(self._text) or self._text[self._at] == "\\":
            raise EOFError
        self._at += 1
        self._in_text = False
        self._put("", self._path(), is_kept=True)

    def _put(self, value: Any, path: Path, *, is_kept: bool) -> None:
        if is_kept and 0 < len(path) < _HOOKED:
            value = self.wanted.reduced(path, value)
        if not self._stack:
            self._value, self._is_done = value, True
            return
        top = self._stack[-1]
        top.wants_comma, top.needs_item = True, False
        if top.is_object:
            if is_kept and top.items is not None:
                top.items["" if top.key == "\0" else top.key] = value
            top.key = ""
        else:
            if top.items is not None:
                top.items.append(value if is_kept else None)  # the others keep their places
            top.key += 1  # type: ignore[operator]

    def _skips(self, path: Path) -> bool:
        if self._stack and self._stack[-1].items is None:
            return True
        return 0 < len(path) <= _HOOKED and self.wanted.skips(path)

    def _path(self) -> Path:
        if not self._stack:
            return ()
        top = self._stack[-1]
        # Below the depth that anybody asks about it only has to be as long.
        return (*top.path, top.key) if len(top.path) < _HOOKED else (*top.path[:_HOOKED], "")

    def _char(self) -> str:
        if self._at >= len(self._text):
            raise EOFError
        return self._text[self._at]

    def _skip_space(self) -> None:
        if not self._in_text:
            self._at = _SPACE.match(self._text, self._at).end()  # type: ignore[union-attr]


def _no_json() -> PeerProtocolError:
    return PeerProtocolError("The answer is not JSON, or nested without end.")
