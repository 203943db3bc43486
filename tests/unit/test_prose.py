"""Comments, docstrings, log lines, errors, the page and the docs are English as a native would write it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: Turns of phrase that a native engineer would not write, each with what to write in its place.
TRANSLATED = {
    r"so many": "at most this many, that many, a number of",
    r"so much": "this share, that much",
    r"by so much": "by this much",
    r"anew": "again",
    r"(is|are|was|were|be) through with": "finishes, has finished",
    r"whoever": "the client that, its sender, anybody who",
    r"had better": "should rather",
    r"hangs? on": "depends on",
    r"of ours": "our",
    r"is another(?! \w)": "has changed, differs",
    r"so long(?! as)": "that long, how long",
    r"reckon\w*": "compute, estimate, forecast",
    r"what is wrong is said": "the error says so",
}
#: Where one of them is right all the same: the file, the words, and why.
EXCEPTIONS: dict[tuple[str, str], str] = {}
PLACES = ("*.py", "*.md", "nodes/**/*.py", "orchestrator/**/*.py", "web/**/*.js", "web/docs/*", "docs/*.md")
_ALL = re.compile(rf"\b({'|'.join(TRANSLATED)})\b", re.IGNORECASE)


def translated(text: str) -> Iterator[tuple[int, str]]:
    """The line and the words of each."""
    for number, line in enumerate(text.splitlines(), 1):
        for found in _ALL.finditer(line):
            yield number, found[0]


def test_the_product_is_written_in_plain_english() -> None:
    files = sorted({file for place in PLACES for file in ROOT.glob(place) if file.is_file()})
    assert len(files) > 200
    found = [
        f"{name}:{number}: {words}"
        for name, file in ((file.relative_to(ROOT).as_posix(), file) for file in files)
        for number, words in translated(file.read_text("utf-8"))
        if (name, words) not in EXCEPTIONS
    ]
    assert found == []


@pytest.mark.parametrize(
    "line", ["So many starts", "read anew", "is through with it", "a job of ours", "what it hangs on"]
)
def test_a_translated_sentence_is_found(line: str) -> None:
    assert list(translated(f"plain\n{line}")) != []


@pytest.mark.parametrize("line", ["another peer", "as long as it runs", "who sent it", "through the proxy"])
def test_a_plain_sentence_is_not(line: str) -> None:
    assert list(translated(line)) == []
