"""Prompt handlers of other packs run once for each prompt, and see it before anything is cut out of it."""

from __future__ import annotations

import pytest

from orchestrator.host.fleet.prompt_handlers import Body, PromptHandlers
from tests.fakes.prompt_queue import PromptHandling


def without_upstream(body: Body) -> Body:
    return {**body, "prompt": {key: node for key, node in body["prompt"].items() if key != "upstream"}}


def counted(body: Body) -> Body:
    return {**body, "seen": [*body.get("seen", ()), sorted(body["prompt"])]}


BODY: Body = {"prompt": {"upstream": {}, "node": {}}}


def test_a_pack_that_came_later_sees_the_whole_prompt() -> None:
    server = PromptHandling()
    PromptHandlers(server, without_upstream)
    server.add_on_prompt_handler(counted)
    handled = server.trigger_on_prompt(BODY)
    assert handled == {"prompt": {"node": {}}, "seen": [["node", "upstream"]]}


def test_what_the_host_goes_on_with_is_not_handled_twice() -> None:
    server = PromptHandling()
    handlers = PromptHandlers(server, without_upstream)
    server.add_on_prompt_handler(counted)
    handled = handlers.apply(BODY)
    assert server.trigger_on_prompt(BODY) is handled
    handlers.forget()
    assert len(server.trigger_on_prompt(BODY)["seen"]) == 1


def test_a_prompt_that_cannot_be_cut_goes_on_whole(caplog: pytest.LogCaptureFixture) -> None:
    def fail(body: Body) -> Body:
        raise KeyError("a prompt of a shape that nobody knows")

    server = PromptHandling()
    PromptHandlers(server, fail)
    server.add_on_prompt_handler(counted)
    assert server.trigger_on_prompt(BODY)["prompt"] == BODY["prompt"]
    assert "left a prompt as it is" in caplog.text
