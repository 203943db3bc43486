"""A drawing that a peer made runs nothing when it is opened in the browser."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.async_api import Browser, Error

from .conftest import Screen

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

HOSTILE = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9" onload="parent.canary = self.canary = 1">'
    "<script>self.canary = parent.canary = (self.opener ?? self).canary = 1; document.title = 'ran'</script>"
    '<foreignObject><body xmlns="http://www.w3.org/1999/xhtml"><script>document.title = "ran"</script>'
    '</body></foreignObject><rect width="9" height="9"/></svg>'
)
STYLED = '<?xml-stylesheet href="data:text/xsl,x" type="text/xsl"?>' + HOSTILE
CANARY = "() => [self.canary ?? null, document.title]"
IN_A_FRAME = """url => new Promise((resolve) => {
  const frame = document.createElement("iframe");
  frame.src = url;
  frame.onload = () => setTimeout(() => { frame.remove(); resolve(window.canary ?? null); }, 300);
  document.body.append(frame);
  setTimeout(() => resolve(window.canary ?? null), 3000);
})"""
AS_A_PICTURE = """url => new Promise((resolve) => {
  const image = new Image();
  image.onload = () => resolve(image.naturalWidth);
  image.onerror = () => resolve(0);
  image.src = url;
})"""


@pytest.mark.parametrize("prefix", ["", "/api"])
@pytest.mark.parametrize(("name", "text"), [("drawing.svg", HOSTILE), ("drawing.xml", STYLED)])
async def test_a_drawing_runs_nothing_where_it_is_opened(
    screen: Screen, chromium: Browser, prefix: str, name: str, text: str
) -> None:
    path = Path(screen.fleet.master.base, "output", name)
    await asyncio.to_thread(path.write_text, text, "utf-8")
    url = f"{screen.fleet.master.url}{prefix}/view?{urlencode({'filename': name, 'type': 'output'})}"
    await screen.open()
    assert await screen.page.evaluate(IN_A_FRAME, url) is None
    if name.endswith(".svg"):
        assert await screen.page.evaluate(AS_A_PICTURE, url) == 9
    page = await chromium.new_page()
    try:
        answers: list[int] = []
        page.on("response", lambda answer: answers.append(answer.status))
        try:
            await page.goto(url)
        except Error as exc:  # newer versions offer it as a download
            assert "Download is starting" in str(exc)
        else:
            assert await page.evaluate(CANARY) == [None, ""]
        assert answers == [200]
    finally:
        await page.close()
