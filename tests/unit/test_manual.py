"""README, manual and help: their links lead somewhere, and what they say twice is the same."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("web/docs/*"), *ROOT.glob("tests/rig/*.md")]
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)|(?:href|src)=\"([^\"]+)\"")
README_LINES_MAX = 90


def links(text: str) -> Iterator[str]:
    """What a page links to or shows, but for other sites."""
    for found in LINK.finditer(FENCE.sub("", text)):
        target = found[1] or found[2]
        if not re.match(r"[a-z]+:", target):
            yield target


def anchors(text: str) -> set[str]:
    """The names that its headings get on GitHub and in the site."""
    titles = re.findall(r"^#+ +(.+)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def dead(page: Path, text: str) -> Iterator[str]:
    for target in links(text):
        name, _, anchor = unquote(target).partition("#")
        file = page.parent / name
        if name and not file.exists():
            yield target
        elif anchor:
            there = file.read_text("utf-8") if name else text
            if anchor not in anchors(there):
                yield target


def test_every_link_of_the_manual_leads_somewhere() -> None:
    pages = [page for page in PAGES if page.suffix in (".md", ".html")]
    assert len(pages) > 20
    found = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in pages
        for target in dead(page, page.read_text("utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize("line", ["[x](nowhere.md)", "![x](images/nothing.png)", "[x](#no-such-heading)"])
def test_a_dead_link_is_found(line: str) -> None:
    assert list(dead(ROOT / "docs" / "x.md", f"# Title\n{line}")) != []


def test_a_heading_on_another_page_is_found() -> None:
    assert list(dead(ROOT / "docs" / "x.md", "[x](glossary.md#glossary) [y](#two-words)\n# Two words!")) == []


def test_the_readme_stays_a_door() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= README_LINES_MAX


def test_every_page_of_the_manual_is_in_its_index_and_in_the_site() -> None:
    names = {page.name for page in ROOT.glob("docs/*.md")} - {"index.md"}
    assert {name for name in links((ROOT / "docs/index.md").read_text("utf-8")) if "#" not in name} == names
    assert (
        set(re.findall(r"- (\S+\.md)$", (ROOT / "mkdocs.yml").read_text("utf-8"), re.M)) - {"index.md"}
        == names
    )


def test_every_picture_of_the_manual_is_shown() -> None:
    shown = {
        unquote(target).rpartition("/")[2]
        for page in (
            ROOT / "README.md",
            *ROOT.glob("docs/*.md"),
            ROOT / "mkdocs.yml",
            ROOT / "pyproject.toml",
        )
        for target in [*links(page.read_text("utf-8")), *re.findall(r"[\w/.-]+", page.read_text("utf-8"))]
    }
    sources = {"banner.svg"}  #: banner.png is made from it
    assert {file.name for file in ROOT.glob("docs/images/*")} - sources <= shown


def test_the_newest_change_is_of_this_version() -> None:
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text("utf-8"), re.M)
    newest = re.search(r"^## (\S+)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M)
    assert version and newest and version[1] == newest[1]


def test_nothing_that_the_plugin_needs_is_left_out_of_its_archive() -> None:
    lines = (ROOT / ".comfyignore").read_text("utf-8").splitlines()
    left_out = {line.strip("/") for line in lines if line and not line.startswith("#")}
    assert all((ROOT / path).exists() for path in left_out)
    needed = {"__init__.py", "nodes", "orchestrator", "web", "locales", "example_workflows", "pyproject.toml"}
    assert not needed & left_out
    assert {"README.md", "LICENSE", "requirements.txt", "CHANGELOG.md"} & left_out == set()
