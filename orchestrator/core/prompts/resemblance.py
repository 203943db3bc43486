"""Names that may be meant, where a name is not known: what a message offers beside its "no"."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from heapq import nlargest
from itertools import islice

_NAMES_MAX = 2_000  #: looked at of a list
_COMPARED_MAX = 16  #: and of these compared letter by letter, which takes about 100 µs for each
_LENGTH_MAX = 200  #: characters; longer texts are hardly names, and comparing takes the square of it


def resembling(wanted: str, names: Iterable[str], count: int, at_least: float) -> list[str]:
    """Up to `count` of `names` that are like `wanted`, the nearest first.

    ``at_least`` is how much of both has to be the same, from 0 to 1, as ``difflib`` counts. Whatever the
    list, it takes a few milliseconds: only names that share most of their three-letter pieces are compared.
    """
    if len(wanted) > _LENGTH_MAX:
        return []
    folded = wanted.casefold()
    pieces = {folded[i : i + 3] for i in range(max(1, len(folded) - 2))}
    known = [name for name in islice(names, _NAMES_MAX) if len(name) <= _LENGTH_MAX]
    shared = {name: sum(map(name.casefold().__contains__, pieces)) for name in known}
    likely = nlargest(_COMPARED_MAX, shared, key=shared.__getitem__)
    return difflib.get_close_matches(wanted, likely, count, at_least)
