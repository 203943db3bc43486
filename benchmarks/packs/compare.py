"""Whether a run elsewhere brought what the plain ComfyUI wrote and told, or said what it did not bring."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any

from .cases import Case
from .content import Content
from .runs import Seen

EQUAL, SAID, DIFFERS = "equal", "said", "DIFFERS"


@dataclass(frozen=True)
class Verdict:
    word: str
    differences: tuple[str, ...] = ()


def verdict(case: Case, plain: Seen, there: Seen, *, by_node: bool = False, by_file: bool = False) -> Verdict:
    """`by_node`: the host's history tells of the node alone, so files and texts are compared. `by_file`:
    the same, and it was sent with a workflow of its own."""
    if by_file:
        plain, there = _of_any_workflow(plain), _of_any_workflow(there)
    if there.failed or plain.failed:
        return _of_failures(case, plain, there)
    found = [*_files(case, plain, there)]
    if by_node or by_file:
        found += _listed(case, plain, there)
        missing = Counter() if case.unstable else Counter(plain.texts) - Counter(there.texts)
        found += [f"text missing: {text[:80]!r}" for text in missing]
    else:
        found += _outputs(case, plain.outputs, there.outputs)
        unheard = Counter(plain.events) - Counter(there.events)
        found += [f"event missing: {kind} x{n}" for kind, n in unheard.items()]
    if not found:
        return Verdict(EQUAL, tuple(there.said))
    if all(_is_said(difference, there.said) for difference in found):
        return Verdict(SAID, (*found, *there.said))
    return Verdict(DIFFERS, (*found, *(f"note: {note}" for note in there.said)))


def _of_failures(case: Case, plain: Seen, there: Seen) -> Verdict:
    both = f"plain: {plain.failed or 'done'}; there: {there.failed or 'done'}"
    if case.may_say and case.may_say in there.failed:
        return Verdict(SAID, (there.failed,))
    if plain.failed and there.failed.endswith(plain.failed.partition(": ")[2]):
        return Verdict(EQUAL, (f"fails alike: {plain.failed}",))
    return Verdict(DIFFERS, (both,))


def _files(case: Case, plain: Seen, there: Seen) -> Iterator[str]:
    for name, content in plain.written.items():
        other = there.written.get(name)
        if other is None:
            extra = there.written.keys() - plain.written.keys()
            same = [other for other in sorted(extra) if there.written[other].digest == content.digest]
            if not same:
                yield f"{name} is not here ({content})"
            elif _unnumbered(same[0]) != _unnumbered(name):
                yield f"{name} is here as {same[0]}"
        elif _unlike(case, content, other):
            yield f"{name}: {content} became {other}"
    for name in there.written.keys() - plain.written.keys():
        if not any(c.digest == there.written[name].digest for c in plain.written.values()):
            yield f"{name} is here only ({there.written[name]})"


def _unnumbered(name: str) -> str:
    """The master goes on counting when files are taken away, as this benchmark does before each run."""
    return re.sub(r"\d+", "#", name)


def _listed(case: Case, plain: Seen, there: Seen) -> Iterator[str]:
    wanted = Counter(_key(case, item) for item in plain.listed)
    wanted -= Counter(_key(case, item) for item in there.listed)
    for item in wanted:
        yield f"listed file missing: {item}"


def _outputs(case: Case, plain: Any, there: Any, where: str = "history") -> Iterator[str]:
    if isinstance(plain, dict) and isinstance(there, dict):
        for key in plain.keys() | there.keys():
            if key not in there:
                yield f"{where}.{key} is not here: {str(plain[key])[:120]}"
            elif key not in plain:
                yield f"{where}.{key} is here only: {str(there[key])[:120]}"
            else:
                yield from _outputs(case, plain[key], there[key], f"{where}.{key}")
    elif isinstance(plain, list) and isinstance(there, list) and len(plain) == len(there):
        for number, (one, other) in enumerate(zip(plain, there, strict=True)):
            yield from _outputs(case, one, other, f"{where}[{number}]")
    elif isinstance(plain, Content) and isinstance(there, Content):
        if _unlike(case, plain, there):
            yield f"{where}: {plain} became {there}"
    elif plain != there and not (case.unstable and isinstance(plain, type(there))):
        yield f"{where}: {str(plain)[:160]!r} became {str(there)[:160]!r}"


def _unlike(case: Case, one: Content, other: Content) -> bool:
    return _key(case, one) != _key(case, other)


def _of_any_workflow(seen: Seen) -> Seen:
    listed = [item.of_any_workflow() if isinstance(item, Content) else item for item in seen.listed]
    written = {name: content.of_any_workflow() for name, content in seen.written.items()}
    return replace(seen, listed=listed, written=written)


def _key(case: Case, item: Content | str) -> Content | str:
    return item.without_digest() if case.unstable and isinstance(item, Content) else item


def _is_said(difference: str, notes: list[str]) -> bool:
    """A note names the file; or, for one that no history names, that files were written."""
    name = PurePath(difference.split(" ")[0].rstrip(":")).name
    is_unlisted = " is not here (" in difference
    return any(name in note or (is_unlisted and "wrote files" in note) for note in notes)
