"""What happens to text on its way into a prompt: dynamic prompts and %placeholders%.

The rules are those of ComfyUI's frontend, so that a saved workflow means the same with and without it.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from datetime import datetime

_COMMENT = re.compile(r"/\*[\s\S]*?\*/|//[^\n\r\u2028\u2029]*")
_ESCAPED = re.compile(r"\\([{}|])")
_PLACEHOLDER = re.compile(r"%([^%]+)%")
_UNSAFE_IN_NAMES = re.compile(r'[/?<>\\:*|"\x00-\x1f\x7f]')
_DATE_PART = re.compile(r"dd?|MM?|hh?|mm?|ss?|yyy?y?")
MAX_NESTED_CHOICES = 50


def dynamic_prompt(text: str, choose: Callable[[list[str]], str] = random.choice, depth: int = 0) -> str:
    """Strip comments, replace each ``{a|b|c}`` by one of its options (nested allowed), undo escapes.

    Choices nested deeper than `MAX_NESTED_CHOICES` stay as they are.
    """
    text = _COMMENT.sub("", text)
    out: list[str] = []
    i = 0
    while i < len(text):
        char = text[i]
        if char == "\\":
            out.append(text[i : i + 2])
            i += 2
        elif char == "{" and depth < MAX_NESTED_CHOICES:
            options, i = _options(text, i + 1)
            out.append(dynamic_prompt(choose(options), choose, depth + 1))
        else:
            out.append(char)
            i += 1
    return _ESCAPED.sub(r"\1", "".join(out))


def _options(text: str, i: int) -> tuple[list[str], int]:
    """Read the options of a choice from after its ``{``; an unclosed choice ends with the text."""
    options: list[str] = []
    start, depth = i, 0
    while i < len(text):
        char = text[i]
        if char == "\\":
            i += 2
            continue
        if char == "{":
            depth += 1
        elif char == "}":
            if not depth:
                return [*options, text[start:i]], i + 1
            depth -= 1
        elif char == "|" and not depth:
            options.append(text[start:i])
            start = i + 1
        i += 1
    return [*options, text[start:]], i


def fill_placeholders(text: str, widget_text: Callable[[str, str], str | None], now: datetime | None) -> str:
    """Replace ``%Node.widget%`` and ``%date:yyyy-MM-dd%``; what cannot be resolved stays as it is.

    `widget_text` gives the value of a node's widget as text, or None; without `now`, dates stay.
    """

    def fill(match: re.Match[str]) -> str:
        inner = match[1]
        parts = inner.split(".")
        if len(parts) != 2:
            if parts[0].startswith("date:") and now is not None:
                return format_date(parts[0][5:], now)
            return match[0]
        value = widget_text(parts[0], parts[1])
        return match[0] if value is None else _UNSAFE_IN_NAMES.sub("_", value)

    return _PLACEHOLDER.sub(fill, text)


def format_date(pattern: str, now: datetime) -> str:
    """Format `now` by the letters d, M, h, m, s (repeat for leading zeros), yy and yyyy."""

    def part(match: re.Match[str]) -> str:
        letters = match[0]
        if letters == "yyyy":
            return f"{now.year:04d}"
        if letters == "yy":
            return f"{now.year % 100:02d}"
        numbers = {"d": now.day, "M": now.month, "h": now.hour, "m": now.minute, "s": now.second}
        number = numbers.get(letters[0])
        return letters if number is None else str(number).rjust(len(letters), "0")

    return _DATE_PART.sub(part, pattern)
