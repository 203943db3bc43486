"""Parameter changes as people type them: one ``target = value`` a line."""

from __future__ import annotations

import json
from typing import Any

from ...errors import ParameterError
from ..workflow.parser import check_value

MAX_LINES = 2_000
_EXAMPLE = 'for example  KSampler.seed = 42  or  12.text = "a cat"'


def parse_overrides(text: str) -> dict[str, Any]:
    """Read changes from `text`: target → value, in order; a later line for the same target wins.

    Values are JSON; bare words that are not JSON are taken as text. Blank lines and lines that start
    with ``#`` are skipped, and so is a ``#`` comment after a JSON value. A title may stand in double
    quotes: ``"My prompt".text = hello``. Raises ParameterError naming the line.
    """
    lines = text.splitlines()
    if len(lines) > MAX_LINES:
        raise ParameterError(f"The overrides have {len(lines)} lines; at most {MAX_LINES} are read.")
    changes: dict[str, Any] = {}
    for number, line in enumerate(lines, start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        target, rest = _split(stripped, number)
        changes[target] = _value(rest, number)
    return changes


def _split(line: str, number: int) -> tuple[str, str]:
    if line.startswith('"'):
        title, rest = _quoted(line, number)
        name, equals, value = rest.partition("=")
        target = title + name.rstrip()
    else:
        name, equals, value = line.partition("=")
        target = name.strip()
    if not equals or not target:
        raise ParameterError(f"Line {number} of the overrides must read  target = value, {_EXAMPLE}.")
    if not value.strip():
        raise ParameterError(
            f'Line {number} of the overrides gives no value for {target!r}. Write "" for an empty text.'
        )
    return target, value.strip()


def _quoted(line: str, number: int) -> tuple[str, str]:
    try:
        title, end = json.JSONDecoder().raw_decode(line)
    except ValueError:
        raise ParameterError(
            f"Line {number} of the overrides starts with a quote that is never closed, {_EXAMPLE}."
        ) from None
    return str(title), line[end:]


def _value(text: str, number: int) -> Any:
    try:
        value, end = json.JSONDecoder().raw_decode(text)
    except RecursionError:
        raise ParameterError(f"The value in line {number} of the overrides is nested too deep.") from None
    except ValueError:
        if text[0] in '"[{':
            raise ParameterError(
                f"The value in line {number} of the overrides is not complete JSON: {text[:60]}"
            ) from None
        return text
    rest = text[end:].strip()
    if rest and not rest.startswith("#"):
        return text
    check_value(value, f"line {number} of the overrides")
    return value
