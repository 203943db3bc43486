"""What a person does with peers and jobs in the Fleet tab, on both frontends; the peers are scripted ones."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from playwright.async_api import Locator

from tests.e2e.session import Session, until
from tests.fakes.answers import answer
from tests.fakes.comfyui import PNG, FakeComfyUI
from tests.fakes.graphs import picture, stock_classes
from tests.fakes.untrusted import untrusted_server

from .conftest import SOON_MS, Screen, choose

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

TELL = """job => window.app.api.dispatchEvent(
  new CustomEvent("orchestrator.jobs", { detail: { jobs: [job] } }))"""
SILENCE = "VAEDecode (node 8) has shown no sign of work on gpu-slow for 3 min: it may be slow"


@asynccontextmanager
async def scripted(master: Session, name: str, **wishes: Any) -> AsyncIterator[FakeComfyUI]:
    """A registered peer that does what it is told."""
    async with FakeComfyUI() as fake:
        fake.object_info = stock_classes()
        await master.post("/orchestrator/peers", {"name": name, "url": fake.url, **wishes}, status=201)
        yield fake


async def submit(master: Session, title: str, **wishes: Any) -> str:
    body = {"prompt": picture(), "title": title, **wishes}
    return str((await master.post("/orchestrator/jobs", body, status=202))["job_id"])


async def reaches(master: Session, job_id: str, state: str) -> dict[str, Any]:
    async def there() -> Any:
        job = await master.get(f"/orchestrator/jobs/{job_id}")
        return job if job["state"] == state else None

    found = await until(there, f"the job is {state}")
    assert isinstance(found, dict)
    return found


async def open_tab(screen: Screen, palette: str = "dark") -> None:
    await screen.open(palette)
    await screen.open_fleet_tab()


def job_row(screen: Screen, title: str) -> Locator:
    return screen.page.locator(".orc-windowed > .orc-row", has_text=title)


def peer_row(screen: Screen, name: str) -> Locator:
    return screen.page.locator(".orc-peers > .orc-row", has_text=name)


async def test_a_peer_that_is_added_wrong_in_five_ways_gets_five_messages(
    screen: Screen, lone_master: Session
) -> None:
    await open_tab(screen)
    page = screen.page
    await (
        page.get_by_role("button", name="Add a peer")
        .or_(page.get_by_role("button", name="Add peer"))
        .first.click()
    )
    form = page.get_by_role("form", name="Add a peer")
    said = form.get_by_role("alert")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{probe.getsockname()[1]}"
    locked, other = FakeComfyUI(key=("Authorization", "Bearer x")), FakeComfyUI()
    other.answers["*"] = answer("Not found", status=404, content_type="text/plain")
    async with locked, other, untrusted_server() as https_url:
        ways = (
            (screen.fleet.master.url, "is this ComfyUI itself"),
            (nobody, "refused the connection. Is ComfyUI running there with --listen?"),
            (other.url, "is not ComfyUI"),
            (https_url, "shows a certificate that is not valid"),
            (locked.url, "needs an API key"),
        )
        for address, words in ways:
            await form.get_by_label("Address").fill(address)
            await (
                form.get_by_role("button", name="Add", exact=True)
                .or_(form.get_by_role("button", name="Try again"))
                .click()
            )
            await said.get_by_text(words).or_(said.filter(has_text=words)).first.wait_for(timeout=SOON_MS)
        await screen.picture("Fleet tab peer that needs a key")
        locked.object_info = stock_classes()
        await form.get_by_label("Key", exact=True).fill("Bearer x")
        await form.get_by_role("button", name="Try again").click()
        await form.wait_for(state="detached", timeout=SOON_MS)
        (peer,) = (await lone_master.peers()).values()
        assert (peer["url"], peer["has_credentials"]) == (locked.url, True)


async def test_a_failed_job_is_retried_and_a_finished_one_run_again_from_the_tab(
    screen: Screen, lone_master: Session
) -> None:
    async with scripted(lone_master, "gpu-bad") as bad, scripted(lone_master, "gpu-good"):
        bad.on_prompt = "fail"
        failed = await submit(lone_master, "a cat", peer="gpu-bad")
        await reaches(lone_master, failed, "failed")
        await screen.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        await open_tab(screen)
        page = screen.page
        row = job_row(screen, "a cat")
        await row.get_by_text(f"Job {failed[:8]}").wait_for(timeout=SOON_MS)
        await row.locator(".orc-error").get_by_text("it broke").wait_for()
        await row.get_by_text("Error details").click()
        await row.locator("pre", has_text="RuntimeError: it broke").wait_for()
        await row.get_by_role("button", name="Copy report").click()
        await page.get_by_text("The report is copied.").wait_for(state="attached")
        report = json.loads(await page.evaluate("navigator.clipboard.readText()"))
        assert report["job"]["error"]["exception_message"] == "it broke"
        assert [peer["id"] for peer in report["peers"]] == [(await lone_master.peers())["gpu-bad"]["id"]]
        assert bad.url not in json.dumps(report) and "class_type" not in json.dumps(report)
        await screen.picture("Fleet tab failed job")
        await choose(row.get_by_label("Retry on"), "gpu-good")
        new = await repeated(lone_master, failed)
        assert (await reaches(lone_master, new["job_id"], "done"))["peer"] == "gpu-good"
        await (
            job_row(screen, f"Job {new['job_id'][:8]}")
            .get_by_text("done · gpu-good")
            .wait_for(timeout=SOON_MS)
        )
        await row.first.wait_for()
        await peer_row(screen, "gpu-good").locator(".orc-row-head").click()
        await peer_row(screen, "gpu-good").get_by_text("a cat · done").first.wait_for(timeout=SOON_MS)
        done = job_row(screen, f"Job {new['job_id'][:8]}")
        await done.get_by_role("button", name="Run again: a cat").click()
        second = await repeated(lone_master, new["job_id"])
        await choose(done.get_by_label("Run again on: a cat"), "gpu-good")
        third = await repeated(lone_master, new["job_id"], second["job_id"])
        for again in (second, third):
            assert (await reaches(lone_master, again["job_id"], "done"))["peer"] == "gpu-good"
        usual = peer_row(screen, "gpu-good").get_by_text(re.compile(r"usually \d+\.\d s a job \(last 3\)"))
        await usual.wait_for(timeout=SOON_MS)
        await screen.picture("Fleet tab finished job")


async def repeated(master: Session, first: str, *known: str) -> dict[str, Any]:
    """The new job that repeats this one."""

    async def found() -> Any:
        jobs = [job for job in await master.jobs() if job["retry_of"] == first and job["job_id"] not in known]
        return jobs[0] if jobs else None

    job = await until(found, "the new job is there")
    assert isinstance(job, dict)
    return job


async def test_waiting_jobs_are_dragged_to_another_place(screen: Screen, lone_master: Session) -> None:
    await lone_master.patch("/orchestrator/settings", {"paused": True})
    async with scripted(lone_master, "gpu-1"):
        for title in ("alpha", "beta", "gamma"):
            await submit(lone_master, title)
        await screen.open("dark")
        button = screen.page.locator(".orc-fleet-toggle[aria-label*='3 waiting']")
        await button.wait_for(timeout=SOON_MS)  # before anybody opened the tab
        await screen.open_fleet_tab()
        names = screen.page.locator(".orc-windowed > .orc-row:has(.orc-places:visible) .orc-name")

        async def line(*wanted: str) -> None:
            async def shown() -> bool:
                return await names.all_inner_texts() == list(wanted)

            await until(shown, f"the line is {wanted}")

        await line("alpha", "beta", "gamma")
        for title, over, spot in (("gamma", "alpha", 4), ("gamma", "beta", 50)):
            grip = job_row(screen, title).locator(".orc-grip")
            await grip.drag_to(job_row(screen, over), target_position={"x": 100, "y": spot})
            await line(*(("gamma", "alpha", "beta") if over == "alpha" else ("alpha", "beta", "gamma")))
        told = (await lone_master.get("/orchestrator/jobs"))["line"]
        titles = {job["job_id"]: job["title"] for job in await lone_master.jobs()}
        assert [titles[job_id] for job_id in told] == ["alpha", "beta", "gamma"]


async def test_all_waiting_jobs_are_cancelled_also_the_one_that_a_peer_has_in_its_queue(
    screen: Screen, lone_master: Session
) -> None:
    async with scripted(lone_master, "gpu-1") as peer:
        peer.on_prompt = "hold"
        jobs = [await submit(lone_master, title) for title in ("it runs", "handed over", "in the queue")]

        async def prefetched() -> bool:
            return len(peer.pending) == 1

        await until(prefetched, "one is in the peer's queue")
        await open_tab(screen)
        command = "window.app.extensionManager.command.execute('RemoteDispatch.CancelWaiting')"
        await screen.page.evaluate(f"void {command}")
        await screen.page.get_by_text("2 waiting jobs will be cancelled").wait_for(timeout=SOON_MS)
        await screen.page.get_by_role("button", name="Cancel 2 jobs").click()
        for job_id in jobs[1:]:
            await reaches(lone_master, job_id, "cancelled")
        assert (await reaches(lone_master, jobs[0], "running"))["begun_at"]
        assert not peer.pending
        await lone_master.post(f"/orchestrator/jobs/{jobs[0]}/cancel", {})


async def test_jobs_are_filtered_by_state_and_searched_by_words(screen: Screen, lone_master: Session) -> None:
    async with scripted(lone_master, "gpu-1") as peer:
        await reaches(lone_master, await submit(lone_master, "a red house"), "done")
        peer.on_prompt = "fail"
        await reaches(lone_master, await submit(lone_master, "a blue house"), "failed")
        await lone_master.patch("/orchestrator/settings", {"paused": True})
        await submit(lone_master, "a green tree")
        await open_tab(screen, "light")
        page = screen.page
        names = page.locator(".orc-windowed > .orc-row .orc-name")

        for title in ("a green tree", "a blue house", "a red house"):
            await names.get_by_text(title, exact=True).wait_for(timeout=SOON_MS)
        search = page.get_by_role("searchbox", name="Search jobs")
        await search.fill("house red")

        async def only(*wanted: str) -> None:
            async def shown() -> bool:
                return await names.all_inner_texts() == list(wanted)

            await until(shown, f"only {wanted} are listed")

        await only("a red house")
        await search.fill("HOUSE")
        await only("a blue house", "a red house")
        await page.get_by_role("button", name="Failed", exact=True).click()
        await only("a blue house")
        await page.get_by_role("button", name="Waiting", exact=True).click()
        await page.get_by_text("No matching jobs.").wait_for()
        await search.fill("")
        await only("a green tree")
        await screen.picture("Fleet tab filtered light")


async def test_a_peer_tells_what_runs_there_and_toasts_what_needs_a_person(
    screen: Screen, lone_master: Session
) -> None:
    async with scripted(lone_master, "gpu-1", tags=["fast"]) as peer:
        await open_tab(screen)
        row = peer_row(screen, "gpu-1")
        await row.locator(".orc-row-head").click()
        await row.get_by_role("button", name="Test", exact=True).click()
        await row.locator(".orc-found", has_text="Works (").wait_for(timeout=SOON_MS)
        await row.get_by_role("button", name="Free memory").click()
        await row.get_by_text("24 of 24 GB free").wait_for(timeout=SOON_MS)
        peer.on_prompt = "hold"
        job_id = await submit(lone_master, "a long one")
        await reaches(lone_master, job_id, "running")
        running = str(await until(lambda: _running(peer), "it runs"))
        await peer.send(running, "progress", node="1", value=3, max=20)
        await peer.send_preview(running, "1", PNG)
        await row.get_by_text("a long one").first.wait_for(timeout=SOON_MS)
        await row.get_by_text("yours", exact=True).wait_for()
        preview = row.locator(".orc-preview")
        await preview.wait_for(timeout=SOON_MS)
        assert await preview.evaluate("image => image.decode().then(() => image.naturalWidth)") == 1
        await screen.picture("Fleet tab what runs now")
        await row.get_by_role("button", name="Interrupt").click()
        await reaches(lone_master, job_id, "cancelled")
        async with lone_master.http.post(
            f"{peer.url}/prompt", json={"prompt": picture(), "client_id": "x"}
        ) as sent:
            theirs = (await sent.json())["prompt_id"]
        await row.get_by_role("button", name="Check now").click()
        await row.get_by_text("another user's job", exact=True).wait_for(timeout=SOON_MS)
        await row.get_by_role("button", name="Interrupt").click()
        assert peer.running == theirs
        await row.get_by_role("button", name="Stop it").click()
        await row.get_by_text("another user's job", exact=True).wait_for(state="hidden", timeout=SOON_MS)
        assert peer.running is None
        await toasts_tell_what_needs_a_person(screen, lone_master, peer)


async def toasts_tell_what_needs_a_person(screen: Screen, lone_master: Session, peer: FakeComfyUI) -> None:
    check = peer_row(screen, "gpu-1").get_by_role("button", name="Check now")

    async def checked_until(health: str) -> None:
        async def there() -> bool:
            await check.click()
            return (await lone_master.peers())["gpu-1"]["health"] == health

        await until(there, f"gpu-1 is {health}")

    async def told(summary: str, detail: str) -> None:
        toast = screen.page.locator(".p-toast-message, [data-toast-kind]", has_text=summary)
        await toast.filter(has_text=detail).wait_for(timeout=SOON_MS)

    peer.on_prompt = "fail"
    await reaches(lone_master, await submit(lone_master, "a broken one"), "failed")
    await told("a broken one failed", "it broke. Details are")
    peer.key = ("Authorization", "Bearer x")
    await checked_until("needs_key")
    await told("gpu-1 needs a key", "press Edit")
    peer.key = None
    await checked_until("up")
    peer.on_prompt = "hold"
    await reaches(lone_master, await submit(lone_master, "one that is lost"), "running")
    await peer.go_down()
    await checked_until("down")
    await told("gpu-1 went offline while running 1 job of yours", "Check whether that computer is still on.")
    await screen.picture("Fleet tab toasts")


async def test_silent_work_is_told_in_full_and_its_second_copy_is_asked_for_with_a_button(
    screen: Screen, lone_master: Session
) -> None:
    async with scripted(lone_master, "gpu-slow") as slow, scripted(lone_master, "gpu-free") as free:
        slow.on_prompt = "hold"
        job_id = await submit(lone_master, "a long film", peer="gpu-slow")
        silent = {
            **await reaches(lone_master, job_id, "running"),
            "is_silent": True,
            "progress_text": SILENCE,
        }
        await until(lambda: _running(slow), "it runs")
        await open_tab(screen)
        row = job_row(screen, "a long film")
        copy = row.get_by_role("button", name="Run a second copy")
        await row.get_by_role("button", name="Cancel").wait_for(timeout=SOON_MS)
        assert not await copy.is_visible()

        async def is_offered() -> bool:
            # It takes minutes until the master says so.
            await screen.page.evaluate(TELL, silent)
            return await copy.is_visible()

        await until(is_offered, "a second copy is offered")
        assert await row.get_by_text(SILENCE).evaluate("text => text.scrollWidth <= text.clientWidth")
        await screen.picture("Fleet tab silent job")
        await copy.click()
        done = await reaches(lone_master, job_id, "done")
        assert done["peer"] == "gpu-free" and len(free.asked("/prompt")) == 1
        await copy.wait_for(state="hidden", timeout=SOON_MS)


async def test_whether_a_peers_packs_may_talk_to_the_page_is_a_switch_in_its_form(
    screen: Screen, lone_master: Session
) -> None:
    async with scripted(lone_master, "gpu-1"):
        await open_tab(screen)
        row = peer_row(screen, "gpu-1")
        await row.locator(".orc-row-head").click()
        for allowed in (False, True):
            await row.get_by_role("button", name="Edit").click()
            await row.get_by_text("Node packs", exact=True).click()
            switch = row.get_by_label("Let its node packs talk to this page")
            assert await switch.is_checked() is not allowed  # this one is in the user's own network
            await switch.set_checked(allowed)
            await row.get_by_role("button", name="Save").click()
            await row.get_by_role("form").wait_for(state="hidden", timeout=SOON_MS)
            assert (await lone_master.peers())["gpu-1"]["relay_events"] is allowed


async def test_a_form_follows_a_peer_that_answers_late(screen: Screen, lone_master: Session) -> None:
    page = screen.page
    async with FakeComfyUI() as first, FakeComfyUI() as second:
        await first.go_down()
        await second.go_down()
        await open_tab(screen)
        lesson = page.locator(".orc-lesson")
        await lesson.get_by_label("Address").fill(first.url)
        await lesson.get_by_label("Address").press("Enter")
        await lesson.get_by_role("alert").get_by_text("refused the connection").wait_for(timeout=SOON_MS)
        await first.come_back()
        await lesson.get_by_text("answers: ComfyUI").wait_for(timeout=SOON_MS)
        assert await lesson.get_by_role("alert").filter(visible=True).count() == 0
        await page.get_by_role("button", name="Add peer").click()
        form = page.get_by_role("form", name="Add a peer")
        await form.get_by_label("Address").fill(second.url)
        await form.get_by_role("button", name="Add", exact=True).click()
        await form.get_by_role("alert").get_by_text("refused the connection").wait_for(timeout=SOON_MS)
        await second.come_back()
        await form.wait_for(state="hidden", timeout=SOON_MS)


async def _running(peer: FakeComfyUI) -> str | None:
    return peer.running
