"""F58 of the fault list: what a peer says holds its key, or is many MB long, or is asked for many times."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import pytest
from aiohttp import web

from orchestrator.backends.masking import STRUCK, Mask
from orchestrator.core.models.job import Job, JobState
from orchestrator.core.workflow.result_files import KEPT_TEXT_MAX, KEPT_TEXTS_MAX, kept
from orchestrator.host.api.announcer import peers_view
from orchestrator.host.api.report import keep_log_lines, report
from orchestrator.host.api.views import job_view
from tests.fakes.answers import answer, refusal_of
from tests.faults.rig import KEY, Rig

SAID = f"your request had X-Api-Key: {KEY[1]} and that is wrong"
MB = 1 << 20


async def everything_told(rig: Rig, job: Job) -> str:
    """By all ways to a person."""
    runtime = rig.master.runtime
    views = [job_view(rig.master.job(job), runtime.peers.name), peers_view(runtime)]
    views.append(dict(rig.master.job(job).error or {}))
    return json.dumps([*views, await report(runtime, "token")], ensure_ascii=False, default=str)


@pytest.mark.parametrize("how", ["error", "reason", "refusal", "page", "raised", "text", "listed", "poll"])
async def test_f58_a_peer_that_repeats_its_key_in_what_it_says_is_not_quoted(rig: Rig, how: str) -> None:
    keep_log_lines()
    node = {"errors": [{"message": SAID, "details": SAID}], "class_type": "SaveImage"}
    refusal = refusal_of("prompt_outputs_failed_validation", SAID, SAID, {"2": node})

    async def reason(_: web.Request) -> web.Response:
        return web.Response(status=500, reason=SAID)

    answers = {
        "error": answer(SAID, status=500, content_type="text/plain"),
        "reason": reason,
        "refusal": answer(json.dumps(refusal), status=400),
        "page": answer(json.dumps({"error": SAID}), status=400),
    }
    if how == "poll":
        rig.a.answers["/system_stats"] = answers["error"]
        await rig.master.runtime.peers.check(rig.ids["a"])
    if how in answers:
        rig.a.answers["/prompt"] = answers[how]
    job = await (rig.submit() if how in (*answers, "poll") else rig.submit_to(rig.a))
    if how == "raised":
        lines = [f"line of {KEY[1]}"] * 3
        await rig.a.fail(
            str(rig.a.running), exception_message=SAID, traceback=lines, current_inputs={"x": SAID}
        )
    elif how == "text":
        await rig.a.finish(str(rig.a.running), {"2": {"text": [SAID], KEY[1]: [SAID]}})
    elif how == "listed":
        files = [{"filename": f"{KEY[1]}.png", "subfolder": KEY[1], "type": "output"}]
        await rig.a.finish(str(rig.a.running), {"2": {"images": files}})
    done = await rig.end_of(job)
    told = await everything_told(rig, done)
    assert KEY[1] not in told
    if how in ("raised", "text"):
        assert STRUCK in told


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("Bearer abcdefgh-ijkl", "abcdefgh-ijkl"),
        (f"Basic {base64.b64encode(b'me:swordfish-42').decode()}", "swordfish-42"),
        ('Token "quoted/key"', json.dumps('Token "quoted/key"')[1:-1].replace("/", "\\/")),
    ],
)
def test_f58_a_key_is_known_without_its_word_unpacked_and_in_json(value: str, said: str) -> None:
    mask = Mask({"Authorization": value})
    assert mask.text(f"<{said}>") == f"<{STRUCK}>"
    assert mask.bytes(f"<{said}>".encode()) == f"<{STRUCK}>".encode()
    assert mask.text("an honest text") == "an honest text"


async def test_f58_an_error_of_many_mb_is_kept_as_far_as_it_can_be_read(rig: Rig) -> None:
    job = await rig.submit_to(rig.a)
    said: dict[str, Any] = {
        "exception_message": "It broke. " + "x" * (5 * MB),
        "traceback": ["line " * 100] * 10_000,
        "current_inputs": {str(number): ["y" * 1000] for number in range(2000)},
    }
    rig.b.on_prompt = "fail"
    rig.b.raises = said
    await rig.a.fail(str(rig.a.running), node_id="2", **said)
    done = await rig.end_of(job)
    assert done.state is JobState.FAILED and done.error is not None
    assert len(json.dumps(done.error)) < 130_000
    assert "It broke." in done.error["message"] and "characters in all" in done.error["message"]
    assert done.error["node_id"] in "12" and "not kept" in json.dumps(done.error)
    assert all(len(attempt.reason) < 5_000 for attempt in done.attempts)


async def test_f58_a_refusal_of_many_mb_is_kept_as_far_as_it_can_be_read(rig: Rig) -> None:
    choices = [f"model-{number}.safetensors" for number in range(20_000)]
    reason = {
        "message": "Value not in list",
        "details": "x" * 100_000,
        "extra_info": {"input_config": [choices]},
    }
    nodes = {str(number): {"errors": [reason], "class_type": "SaveImage"} for number in range(2, 12)}
    refusal = refusal_of("prompt_outputs_failed_validation", "no", "x" * MB, nodes)
    for peer in (rig.a, rig.b):
        peer.answers["/prompt"] = answer(json.dumps(refusal), status=400)
    done = await rig.run()
    assert done.state is JobState.FAILED and done.error is not None
    assert len(json.dumps(done.error)) < 130_000
    assert set(done.error["node_errors"]) == set(nodes)


async def test_f58_an_error_page_without_end_is_read_no_further_than_its_words(rig: Rig) -> None:
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        page = web.StreamResponse(status=500)
        await page.prepare(request)
        while True:
            await page.write(b"no " * 10_000)
            sent += 30_000

    rig.a.answers["/prompt"] = endless
    rig.b.on_prompt = "run"
    assert (await asyncio.wait_for(rig.run(), 30)).state is JobState.DONE
    assert sent < 16 * MB


async def test_f58_texts_that_are_too_long_are_cut_with_a_word_and_a_note(rig: Rig) -> None:
    job = await rig.submit_to(rig.a)
    await rig.a.finish(str(rig.a.running), {"2": {"text": ["short", "x" * 300_000]}})
    done = await rig.end_of(job)
    assert (done.state, done.texts[0]) == (JobState.DONE, "short")
    assert len(done.texts[1]) < KEPT_TEXT_MAX + 200 and "300,000 characters in all" in done.texts[1]
    assert any("too long to be kept" in note for note in done.notes)
    assert len(done.shown["2"]["text"][1]) == 300_000  # what the page shows is whole


def test_f58_many_texts_are_kept_as_far_as_they_fit() -> None:
    found = kept(["x" * KEPT_TEXT_MAX] * 100)
    assert sum(map(len, found)) < KEPT_TEXTS_MAX + 200
    assert kept(["a", "b"]) == ("a", "b")
