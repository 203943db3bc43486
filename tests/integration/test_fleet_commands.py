"""The commands ``peers``, ``jobs`` and ``submit`` as a person runs them: processes, against a real engine."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from orchestrator.version import version
from tests.fakes.answers import answer
from tests.fakes.api import Host
from tests.fakes.comfyui import PNG, FakeComfyUI
from tests.fakes.graphs import picture
from tests.fakes.waiting import until

from .test_command_line import ROOT, Ended


@pytest.fixture
async def peer(host: Host, peer: FakeComfyUI) -> FakeComfyUI:
    """It is up, and has told its nodes."""
    _, added = await host.ask("POST", "/orchestrator/peers", {"name": "gpu", "url": peer.url})
    await until(lambda: host.runtime.manager.get_object_info(added["id"]), "its nodes are known")
    return peer


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    path = tmp_path / "graph.json"
    path.write_text(json.dumps(picture()), encoding="utf-8")
    return path


async def at(url: str, *arguments: object, token: str = "", typed: str = "", **environment: str) -> Ended:
    """Of a command, with the server and the token in its environment, as is usual for daily work."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "orchestrator", *map(str, arguments)),
        cwd=ROOT,
        env={"ORCHESTRATOR_SERVER": url, "ORCHESTRATOR_TOKEN": token, "PATH": "", **environment},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate(typed.encode())
    return Ended(process.returncode, out.decode(environment.get("PYTHONIOENCODING", "utf-8")), err.decode())


async def run(host: Host, *arguments: object, **more: str) -> Ended:
    return await at(host.url, *arguments, **{"token": host.guard.token, **more})


async def array(host: Host, *arguments: object) -> list[Any]:
    """What a program reads of a command that is done."""
    ended = await run(host, *arguments, "--json")
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)
    assert isinstance(found, list)
    return found


async def done(host: Host, **body: Any) -> str:
    """The id of a job that has ended."""
    _, told = await host.ask("POST", "/orchestrator/jobs", {"prompt": picture(), **body})
    job_id = str(told["job_id"])
    await until(lambda: (job := host.runtime.jobs.find(job_id)) and job.state.is_final, "it ends")
    return job_id


# Peers


async def test_peers_are_listed_with_what_they_do_in_words(
    host: Host, peer: FakeComfyUI, dead_url: str
) -> None:
    await host.ask("POST", "/orchestrator/peers", {"name": "old", "url": dead_url, "enabled": False})
    ended = await run(host, "peers")
    heads, gpu, old = ended.out.splitlines()
    assert (ended.code, heads.split()) == (0, ["PEER", "STATE", "ADDRESS", "TAGS"])
    assert gpu.split() == ["gpu", "idle", peer.url] and old.split()[:2] == ["old", "off"]
    assert [found["name"] for found in await array(host, "peers", "list")] == ["gpu", "old"]


async def test_a_peer_is_added_drained_resumed_tested_and_removed(host: Host, peer: FakeComfyUI) -> None:
    async with FakeComfyUI() as other:
        other.object_info = peer.object_info
        key = '{"bearer": "s3cr3t"}'
        options = ("--name", "gpu 2", "--tag", "fast", "--credentials", "-")
        added = await run(host, "peers", "add", other.url, *options, typed=key)
        assert (added.code, added.out.startswith("gpu 2: ")) == (0, True), added.err
        assert "s3cr3t" not in added.out + added.err
        config = host.runtime.manager.find("gpu 2")
        assert config is not None and config.tags == ("fast",) and config.has_credentials
        for verb, said in (
            *(("drain", "draining"), ("resume", "taking jobs again")),
            *(("disable", "switched off"), ("enable", "switched on")),
        ):
            assert (await run(host, "peers", verb, "GPU 2", "gpu")).out == f"gpu 2: {said}\ngpu: {said}\n"
            now = host.runtime.manager.all()
            assert {peer.draining for peer in now} == {verb == "drain"}
            assert {peer.enabled for peer in now} == {verb != "disable"}
        (tested,) = await array(host, "peers", "test", "gpu 2")
        assert (tested["peer"], tested["ok"]) == ("gpu 2", True)
        (removed,) = await array(host, "peers", "remove", "gpu 2")
    assert removed["name"] == "gpu 2" and host.runtime.manager.find("gpu 2") is None


async def test_a_wrong_name_among_several_changes_nothing_and_names_the_nearest(
    host: Host, peer: FakeComfyUI
) -> None:
    await host.add_peer(name="gpu-22", url="gpu-22")
    ended = await run(host, "peers", "drain", "gpu", "gpu-2")
    assert (ended.code, ended.err) == (2, "peers: There is no peer gpu-2. Did you mean gpu-22, gpu?\n")
    assert not any(config.draining for config in host.runtime.manager.all())


async def test_a_test_that_fails_is_one_and_says_why(host: Host, peer: FakeComfyUI) -> None:
    peer.on_prompt = "fail"
    ended = await run(host, "peers", "test")
    assert ended.code == 1 and ended.out.startswith("gpu: ")


@pytest.mark.parametrize("typed", ["no json s3cr3t", '"s3cr3t"'])
async def test_credentials_that_are_none_are_refused_without_a_word_of_them(host: Host, typed: str) -> None:
    ended = await run(host, "peers", "add", "gpu-2", "--credentials", "-", typed=typed)
    assert ended.code == 2 and "JSON object" in ended.err and "s3cr3t" not in ended.err


# Jobs


async def test_jobs_are_listed_shown_and_found_by_the_beginning_of_their_ids(
    host: Host, peer: FakeComfyUI
) -> None:
    job_id = await done(host, title="Cat")
    peer.on_prompt = "fail"
    failed = await done(host, title="Dog")
    ended = await run(host, "jobs")
    lines = [line.split() for line in ended.out.splitlines()]
    assert ended.code == 0
    assert [line[:4] for line in lines[1:]] == [
        [failed[:8], "failed", "gpu", "Dog"],
        [job_id[:8], "done", "gpu", "Cat"],
    ]
    listed = await array(host, "jobs", "list", "--state", "done", "--peer", "gpu")
    assert [job["job_id"] for job in listed] == [job_id]
    shown = await run(host, "jobs", "show", job_id[:8])
    assert f"job:         {job_id}\ntitle:       Cat\nstate:       done\npeer:        gpu\n" in shown.out
    (told,) = await array(host, "jobs", "show", job_id)
    assert told["job_id"] == job_id and told["outputs"]


async def test_what_happened_to_a_job_is_told_in_order_with_its_traceback(
    host: Host, peer: FakeComfyUI
) -> None:
    peer.on_prompt = "fail"
    job_id = await done(host, title="Dog")
    ended = await run(host, "jobs", "logs", job_id)
    texts = [line.split("  ")[-1] for line in ended.out.splitlines()]
    assert texts[:2] == ["accepted: Dog", "sent"]
    assert any(text.startswith("failed: ") for text in texts)
    lines = await array(host, "jobs", "logs", job_id)
    assert {"job_id", "at", "peer", "text"} == set(lines[0])


async def test_a_job_is_cancelled_and_one_that_has_ended_stays_as_it_is(
    host: Host, peer: FakeComfyUI
) -> None:
    over = await done(host)
    peer.on_prompt = "hold"
    _, told = await host.ask("POST", "/orchestrator/jobs", {"prompt": picture(), "count": 2})
    ended = await run(host, "jobs", "cancel", told["job_id"], over)
    assert ended.code == 0
    first, second = ended.out.splitlines()
    assert first.startswith(f"{told['job_id'][:8]}  EmptyImage") or "cancelled" in first
    assert second.endswith("(it had ended before)")
    batch = (await array(host, "jobs", "show", told["job_id"]))[0]["batch"]["id"]
    found = await array(host, "jobs", "cancel", "--batch", batch)
    assert {job["state"] for job in found} == {"cancelled"} and len(found) == 2


async def test_a_failed_job_is_done_again_and_waited_for_with_its_files(
    host: Host, peer: FakeComfyUI, tmp_path: Path
) -> None:
    peer.on_prompt = "fail"
    job_id = await done(host)
    peer.on_prompt = "run"
    (again,) = await array(host, "jobs", "retry", job_id, "--peer", "gpu", "--priority", "3")
    out = tmp_path / "results"
    ended = await run(host, "jobs", "wait", again, "--out", out)
    assert ended.code == 0 and "done on gpu" in ended.out, ended.err
    assert [path.read_bytes() for path in sorted(out.iterdir())] == [PNG]
    assert (await run(host, "jobs", "wait", job_id)).code == 1
    not_over = await run(host, "jobs", "retry", "nobody")
    assert (not_over.code, not_over.err) == (2, "jobs: There is no job nobody.\n")


@pytest.mark.parametrize("verb", ["show", "cancel", "retry", "wait", "logs"])
async def test_jobs_have_to_be_named_in_one_way(host: Host, verb: str) -> None:
    neither, both = await asyncio.gather(
        run(host, "jobs", verb), run(host, "jobs", verb, "a-job", "--batch", "a-batch")
    )
    assert neither.code == both.code == 2 and "Name the jobs" in neither.err


async def test_jobs_alone_lists_them_with_the_options_of_a_list(host: Host, peer: FakeComfyUI) -> None:
    short = await run(host, "jobs", "--limit", "0", "--json")
    long = await run(host, "jobs", "list", "--limit", "0", "--json")
    assert (short.code, short.out) == (long.code, long.out) == (0, "[]\n")


async def test_a_state_that_is_none_is_told_with_those_there_are(host: Host) -> None:
    ended = await run(host, "jobs", "list", "--state", "finished")
    assert ended.code == 2 and 'There is no state "finished". There are waiting, running' in ended.err


# Submit


async def test_a_wrong_parameter_is_two_before_anything_is_queued_with_the_nearest_names_only(
    host: Host, peer: FakeComfyUI, graph: Path
) -> None:
    near, none = await asyncio.gather(
        run(host, "submit", graph, "--set", "EmptyImage.colour=1"),
        run(host, "submit", graph, "--set", "Foo.bar=1"),
    )
    assert (near.code, none.code, near.out, none.out) == (2, 2, "", "")
    assert near.err.endswith("Did you mean 1.color (EmptyImage)?\n")
    assert none.err.endswith("and none with a similar name.\n")
    assert host.runtime.jobs.all() == ()


async def test_a_peer_that_is_not_there_is_four_at_once(host: Host, peer: FakeComfyUI, graph: Path) -> None:
    ended = await run(host, "submit", graph, "--peer", "gpu-9")
    assert ended.code == 4 and "the job is pinned to gpu-9" in ended.err


async def test_a_dry_run_says_what_would_become_of_it(host: Host, peer: FakeComfyUI, graph: Path) -> None:
    ended = await run(host, "submit", graph, "--set", "1.color=1", "2", "--dry-run")
    assert (ended.code, ended.out) == (0, "2 jobs would run.\n")
    (found,) = await array(host, "submit", graph, "--set", "1.color=5", "--dry-run")
    assert found["prompt"]["1"]["inputs"]["color"] == 5
    assert (await run(host, "submit", graph, "--set", "1.colour=5", "--dry-run")).code == 2
    assert host.runtime.jobs.all() == ()


async def test_title_and_priority_are_the_jobs(host: Host, graph: Path) -> None:
    ended = await run(host, "submit", graph, "--title", "Cat", "--priority", "2.5")
    (job,) = host.runtime.jobs.all()
    assert ended.out.split() == [job.id]
    assert (job.request.title, job.request.priority) == ("Cat", 2.5)


# Server, token and login


async def test_a_wrong_token_is_told_in_words_for_a_script(host: Host, graph: Path) -> None:
    wrong, none = await asyncio.gather(
        run(host, "submit", graph, token="wr0ng"), run(host, "submit", graph, token="")
    )
    assert (wrong.code, none.code) == (3, 3)
    assert "refuses the token" in wrong.err and "wants its token. Set ORCHESTRATOR_TOKEN" in none.err
    assert "reload" not in wrong.err + none.err and "wr0ng" not in wrong.err


async def test_a_login_before_the_master_gets_its_headers_from_option_and_environment(
    peer: FakeComfyUI,
) -> None:
    """The fake stands in for a proxy with a login, and a master behind it."""
    seen: list[dict[str, str]] = []

    async def behind_a_login(request: web.Request) -> web.Response:
        seen.append(dict(request.headers))
        if request.headers.get("Authorization") != "Basic bWU6a2V5":
            return web.Response(status=401, text="who are you?")
        return web.json_response({"peers": [], "notices": []})

    peer.answers["/orchestrator/peers"] = behind_a_login
    refused = await at(peer.url, "peers", token="t")
    assert refused.code == 3 and "--header NAME=VALUE" in refused.err
    known = {"ORCHESTRATOR_HEADERS": "Authorization=Basic bWU6a2V5\nX-Team=a=b"}
    by_variable, by_option = await asyncio.gather(
        at(peer.url, "peers", **known),
        at(peer.url, "peers", "list", "--header", "authorization=Basic bWU6a2V5", "--header", "X-Team=c"),
    )
    assert (by_variable.code, by_option.code) == (0, 0), by_variable.err + by_option.err
    assert {headers.get("X-Team") for headers in seen} == {None, "a=b", "c"}


@pytest.mark.parametrize("given", ["s3cr3t", "na me=s3cr3t", "X-Key=s3cr3t\u4e00"])
async def test_a_header_that_cannot_be_one_is_two_and_its_value_is_not_printed(
    dead_url: str, given: str
) -> None:
    ended = await at(dead_url, "peers", "--header", given)
    assert ended.code == 2 and "header" in ended.err.lower() and "s3cr3t" not in ended.err


async def test_the_option_leads_over_the_environment(host: Host, dead_url: str) -> None:
    server = ("--server", host.url)
    before, after = await asyncio.gather(
        at(dead_url, "peers", *server, "list"), at(dead_url, "peers", "list", *server)
    )
    assert (before.code, after.code) == (0, 0), before.err + after.err
    nowhere = await at(dead_url, "jobs")
    assert nowhere.code == 3 and "cannot be reached" in nowhere.err


async def test_a_headers_variable_goes_to_no_other_server(
    peer: FakeComfyUI, graph: Path, dead_url: str
) -> None:
    secret = {"ORCHESTRATOR_HEADERS": "X-Key=s3cr3t"}
    elsewhere = await at(dead_url, "convert", graph, "--server", peer.url, **secret)
    assert elsewhere.code == 0, elsewhere.err
    assert all("X-Key" not in request.headers for request in peer.requests)
    by_variable = await at(peer.url, "convert", graph, **secret)
    assert by_variable.code == 0, by_variable.err
    assert peer.requests[-1].headers["X-Key"] == "s3cr3t"


async def test_the_version_is_told(dead_url: str) -> None:
    ended = await at(dead_url, "--version")
    assert (ended.code, ended.out) == (0, f"Remote Dispatch {version()}\n")


# Consoles


async def test_odd_names_neither_crash_a_windows_console_nor_steer_it(host: Host, peer: FakeComfyUI) -> None:
    await host.add_peer(name="猫 \U0001f600", url="gpu-3")
    odd = "snow \u2603 \x1b[31m \u202e"
    job_id = await done(host, title=odd)
    for arguments in (("peers",), ("jobs",), ("jobs", "show", job_id), ("jobs", "logs", job_id)):
        ended = await run(host, *arguments, PYTHONIOENCODING="cp1252")
        assert ended.code == 0, ended.err
        assert "\x1b" not in ended.out
    assert "snow \\u2603" in ended.out
    (told,) = [job for job in await array(host, "jobs") if job["job_id"] == job_id]
    assert told["title"].startswith("snow \u2603")


async def test_what_a_peer_says_cannot_steer_a_terminal(host: Host, peer: FakeComfyUI) -> None:
    peer.answers["/prompt"] = answer(json.dumps({"error": {"message": "\x1b[2Jgone\rover"}}), status=400)
    job_id = await done(host)
    ended = await run(host, "jobs", "show", job_id)
    assert "\x1b" not in ended.out and "\r" not in ended.out
