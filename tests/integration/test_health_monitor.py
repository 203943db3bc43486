"""Peers watched over real sockets: sweeps, transitions, node lists."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from orchestrator.backends.health_monitor import HealthMonitor
from orchestrator.backends.manager import BackendManager
from orchestrator.backends.pool import ClientPool
from orchestrator.core.engine.faults.health import HealthPolicy
from orchestrator.core.models.backend import BackendConfig, BackendStatus, Health
from orchestrator.errors import NotFoundError
from tests.fakes.answers import answer, silence
from tests.fakes.comfyui import FakeComfyUI
from tests.fakes.waiting import until

QUICK = HealthPolicy(poll_s=0.02)
CLASSES = {"KSampler": {"input": {"required": {"seed": ["INT", {}]}}}}


class Watch:
    """A manager, its monitor, and the story of health each peer has had so far."""

    def __init__(self, pool: ClientPool, policy: HealthPolicy) -> None:
        self.pool = pool
        self.manager = BackendManager()
        self.monitor = HealthMonitor(self.manager, pool, policy)
        self.story: dict[str, list[Health]] = {}
        self.manager.subscribe(self._note)

    def add(self, backend_id: str, url: str, **details: Any) -> None:
        self.manager.register(BackendConfig(backend_id, backend_id, url=url, **details))

    def status(self, backend_id: str) -> BackendStatus:
        return self.manager.get_status(backend_id)

    def is_now(self, backend_id: str, health: Health) -> Callable[[], bool]:
        return lambda: self.status(backend_id).health is health

    def is_ready(self, backend_id: str) -> bool:
        return self.manager.get_object_info(backend_id) is not None

    def _note(self, backend_id: str) -> None:
        if any(config.id == backend_id for config in self.manager.all()):
            story = self.story.setdefault(backend_id, [])
            health = self.status(backend_id).health
            if not story or story[-1] is not health:
                story.append(health)


@asynccontextmanager
async def watching(policy: HealthPolicy = QUICK, timeout_s: float = 5.0) -> AsyncIterator[Watch]:
    keys: dict[str, str] = {}
    pool = ClientPool(lambda backend_id: keys, timeout_s)
    watch = Watch(pool, policy)
    try:
        yield watch
    finally:
        await watch.monitor.aclose()
        await pool.aclose()


@pytest.fixture
async def watch() -> AsyncIterator[Watch]:
    async with watching() as watch:
        yield watch


@pytest.fixture
async def fake() -> AsyncIterator[FakeComfyUI]:
    async with FakeComfyUI() as fake:
        fake.object_info = CLASSES
        yield fake


# Sweeps


async def test_a_sweep_over_one_live_and_one_dead_peer_tells_them_apart(
    watch: Watch, fake: FakeComfyUI
) -> None:
    async with FakeComfyUI() as other:
        dead = other.url
    watch.add("live", fake.url)
    watch.add("dead", dead)
    await watch.monitor.run()
    live, gone = watch.status("live"), watch.status("dead")
    assert (live.health, live.reason) == (Health.UP, "")
    assert live.vitals is not None and live.vitals.comfyui_version == fake.version
    assert gone.health is Health.DOWN
    assert dead in gone.reason and "Is ComfyUI running there" in gone.reason


async def test_a_sweep_asks_all_peers_at_the_same_time(watch: Watch) -> None:
    async with FakeComfyUI() as one, FakeComfyUI() as two:
        for name, fake in (("one", one), ("two", two)):
            fake.freeze()
            watch.add(name, fake.url)
        sweep = asyncio.create_task(watch.monitor.run())
        await until(lambda: one.requests and two.requests, "both are asked, none has answered")
        one.thaw()
        two.thaw()
        await sweep
        assert watch.status("one").health is watch.status("two").health is Health.UP


async def test_a_sweep_leaves_out_who_is_disabled_and_reads_no_node_lists(
    watch: Watch, fake: FakeComfyUI
) -> None:
    watch.add("on", fake.url)
    watch.add("off", "http://127.0.0.1:9", enabled=False)
    await watch.monitor.run()
    assert watch.status("off").health is Health.UNKNOWN
    assert fake.asked("/object_info") == []


async def test_a_peer_that_is_removed_during_a_sweep_does_not_end_it(watch: Watch, fake: FakeComfyUI) -> None:
    async with FakeComfyUI() as other:
        other.freeze()
        watch.add("live", fake.url)
        watch.add("removed", other.url)
        sweep = asyncio.create_task(watch.monitor.run())
        await until(lambda: other.requests)
        watch.manager.remove("removed")
        other.thaw()
        await sweep
    assert watch.status("live").health is Health.UP


# One check


async def test_a_check_brings_health_and_node_list(watch: Watch, fake: FakeComfyUI) -> None:
    watch.add("a", fake.url)
    status = await watch.monitor.check("a")
    assert status.health is Health.UP
    info = watch.manager.get_object_info("a")
    assert info is not None and "KSampler" in info


async def test_with_its_nodes_a_peer_tells_which_old_ones_it_replaces(
    watch: Watch, fake: FakeComfyUI
) -> None:
    fake.replacements = {"Sampler": [{"new_node_id": "KSampler", "input_mapping": None}]}
    watch.add("a", fake.url)
    await watch.monitor.check("a")
    info = watch.manager.get_object_info("a")
    assert info is not None and info.replacements["Sampler"].class_type == "KSampler"


async def test_a_peer_that_cannot_tell_what_it_replaces_has_its_nodes_all_the_same(
    watch: Watch, fake: FakeComfyUI
) -> None:
    fake.answers["/node_replacements"] = answer(500)
    watch.add("a", fake.url)
    await watch.monitor.check("a")
    info = watch.manager.get_object_info("a")
    assert info is not None and not info.replacements


async def test_a_node_list_that_is_known_is_not_read_again(watch: Watch, fake: FakeComfyUI) -> None:
    watch.add("a", fake.url)
    for _ in range(3):
        await watch.monitor.check("a")
    assert len(fake.asked("/object_info")) == 1
    watch.manager.forget_object_info("a")
    await watch.monitor.check("a")
    assert len(fake.asked("/object_info")) == 2


async def test_an_update_of_a_peer_makes_its_node_list_stale(watch: Watch, fake: FakeComfyUI) -> None:
    watch.add("a", fake.url)
    await watch.monitor.check("a")
    fake.version, fake.object_info = "0.4.0", {"Newer": {}}
    await watch.monitor.check("a")
    info = watch.manager.get_object_info("a")
    assert info is not None and "Newer" in info


async def test_who_is_not_registered_cannot_be_checked(watch: Watch) -> None:
    with pytest.raises(NotFoundError):
        await watch.monitor.check("nobody")


async def test_checks_of_one_peer_that_come_together_ask_one_after_the_other(
    watch: Watch, fake: FakeComfyUI
) -> None:
    watch.add("a", fake.url)
    await asyncio.gather(*(watch.monitor.check("a") for _ in range(3)))
    looks = [seen.path for seen in fake.requests if seen.path in ("/system_stats", "/prompt")]
    assert looks == ["/system_stats", "/prompt"] * 3
    assert len(fake.asked("/object_info")) == 1


async def test_an_answer_of_the_old_address_says_nothing_about_the_new_one(
    watch: Watch, fake: FakeComfyUI
) -> None:
    watch.add("a", fake.url)
    fake.freeze()
    check = asyncio.create_task(watch.monitor.check("a"))
    await until(lambda: fake.requests)
    watch.manager.update("a", url="http://127.0.0.1:9")
    fake.thaw()
    assert (await check).health is Health.UNKNOWN


# Watching


async def test_a_watched_peer_goes_up_suspect_down_and_up_again(watch: Watch, fake: FakeComfyUI) -> None:
    watch.add("a", fake.url)
    watch.monitor.start()
    await until(lambda: watch.is_ready("a"))
    await fake.go_down()
    await until(watch.is_now("a", Health.DOWN))
    await fake.come_back()
    await until(watch.is_now("a", Health.UP))
    assert watch.story["a"] == [Health.UNKNOWN, Health.UP, Health.SUSPECT, Health.DOWN, Health.UP]
    await until(lambda: watch.is_ready("a"), "its node list is read again: it may be another process")
    assert len(fake.asked("/object_info")) == 2


async def test_going_down_and_recovery_are_logged_once_each(
    watch: Watch, fake: FakeComfyUI, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="orchestrator"):
        watch.add("a", fake.url)
        watch.monitor.start()
        await until(lambda: watch.is_ready("a"))
        await fake.go_down()
        await until(watch.is_now("a", Health.DOWN))
        misses = watch.status("a").misses
        await until(lambda: watch.status("a").misses > misses + 3)
        await fake.come_back()
        await until(watch.is_now("a", Health.UP))
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("orchestrator")]
    assert [line.split(" is ")[1][:4] for line in lines] == ["up", "down", "up"]


async def test_one_missed_poll_is_no_news_for_the_log(
    watch: Watch, fake: FakeComfyUI, caplog: pytest.LogCaptureFixture
) -> None:
    watch.add("a", fake.url)
    await watch.monitor.check("a")
    with caplog.at_level(logging.INFO, logger="orchestrator"):
        fake.answers["/system_stats"] = answer(status=500)
        assert (await watch.monitor.check("a")).health is Health.SUSPECT
        del fake.answers["/system_stats"]
        assert (await watch.monitor.check("a")).health is Health.UP
    assert caplog.text == ""


async def test_peers_that_are_added_enabled_or_moved_later_are_watched_too(
    watch: Watch, fake: FakeComfyUI
) -> None:
    watch.monitor.start()
    watch.add("a", fake.url, enabled=False)
    watch.manager.update("a", enabled=True)
    await until(watch.is_now("a", Health.UP))
    async with FakeComfyUI() as other:
        watch.manager.update("a", url=other.url)
        await until(watch.is_now("a", Health.UP))
        assert other.requests


async def test_a_peer_that_is_disabled_or_removed_is_left_alone(watch: Watch, fake: FakeComfyUI) -> None:
    async with FakeComfyUI() as other:
        watch.add("disabled", fake.url)
        watch.add("removed", other.url)
        watch.monitor.start()
        await until(lambda: watch.is_ready("disabled") and watch.is_ready("removed"))
        watch.manager.update("disabled", enabled=False)
        watch.manager.remove("removed")
        await until(lambda: not watch.monitor._tasks, "nobody watches any more")
        assert watch.status("disabled").health is Health.UNKNOWN


async def test_switching_a_peer_off_and_on_leaves_one_watcher(watch: Watch, fake: FakeComfyUI) -> None:
    watch.add("a", fake.url)
    watch.monitor.start()
    for _ in range(20):
        watch.manager.update("a", enabled=False)
        await asyncio.sleep(0)
        watch.manager.update("a", enabled=True)
    await until(watch.is_now("a", Health.UP))
    watchers = [task for task in asyncio.all_tasks() if task.get_name() == "remote-dispatch watch a"]
    assert len(watchers) == 1


async def test_a_slow_node_list_does_not_hold_up_the_health_of_its_peer(
    watch: Watch, fake: FakeComfyUI
) -> None:
    fake.answers["/object_info"] = silence()
    watch.add("a", fake.url)
    watch.monitor.start()
    await until(lambda: fake.asked("/object_info"))
    polls = len(fake.asked("/system_stats"))
    await until(lambda: len(fake.asked("/system_stats")) > polls + 3)
    assert watch.status("a").health is Health.UP
    assert len(fake.asked("/object_info")) == 1


async def test_the_node_list_of_an_address_that_was_left_is_not_waited_for(
    watch: Watch, fake: FakeComfyUI
) -> None:
    async with FakeComfyUI() as slow:
        slow.answers["/object_info"] = silence()
        watch.add("a", slow.url)
        watch.monitor.start()
        await until(lambda: slow.asked("/object_info"))
        watch.manager.update("a", url=fake.url)
        await until(lambda: watch.is_ready("a"))


async def test_a_node_list_that_cannot_be_read_is_complained_of_once_and_not_asked_for_at_every_poll(
    watch: Watch, fake: FakeComfyUI, caplog: pytest.LogCaptureFixture
) -> None:
    fake.answers["/object_info"] = answer("[]")
    watch.add("a", fake.url)
    watch.monitor.start()
    await until(lambda: len(fake.asked("/system_stats")) > 10)
    assert len(fake.asked("/object_info")) == 1
    await watch.monitor.check("a")
    assert len(fake.asked("/object_info")) == 2, "who asks for it gets it"
    assert caplog.text.count("could not be read") == 1


async def test_a_giving_up_check_leaves_the_node_list_to_those_who_still_wait(
    watch: Watch, fake: FakeComfyUI
) -> None:
    watch.add("a", fake.url)
    gate = asyncio.Event()

    async def wait(request: Any) -> Any:
        await gate.wait()
        return await fake._get_object_info(request)

    fake.answers["/object_info"] = wait
    impatient = asyncio.create_task(watch.monitor.check("a"))
    await until(lambda: fake.asked("/object_info"))
    impatient.cancel()
    await asyncio.wait([impatient])
    gate.set()
    await until(lambda: watch.is_ready("a"))


async def test_after_closing_nothing_is_left_and_nothing_is_asked(fake: FakeComfyUI) -> None:
    async with watching() as watch:
        fake.answers["/object_info"] = silence()
        watch.add("a", fake.url)
        watch.monitor.start()
        await until(lambda: fake.asked("/object_info"))
    assert not any(task.get_name().startswith("remote-dispatch") for task in asyncio.all_tasks())
    watch.add("later", "http://127.0.0.1:9")
    assert not any(task.get_name().startswith("remote-dispatch") for task in asyncio.all_tasks())


async def test_a_peer_that_wants_a_key_is_not_down_and_is_up_once_it_has_it() -> None:
    keys: dict[str, str] = {}
    async with FakeComfyUI(key=("Authorization", "Bearer k")) as fake:
        pool = ClientPool(lambda backend_id: keys)
        watch = Watch(pool, QUICK)
        watch.add("a", fake.url)
        watch.monitor.start()
        await until(watch.is_now("a", Health.NEEDS_KEY))
        keys["Authorization"] = "Bearer k"
        await until(watch.is_now("a", Health.UP))
        await watch.monitor.aclose()
        await pool.aclose()


async def test_a_peer_that_stands_still_is_suspected_before_it_is_down(fake: FakeComfyUI) -> None:
    async with watching(timeout_s=0.05) as watch:
        watch.add("a", fake.url)
        watch.monitor.start()
        await until(lambda: watch.is_ready("a"))
        fake.freeze()
        await until(watch.is_now("a", Health.SUSPECT))
        await until(watch.is_now("a", Health.DOWN))
        assert "did not answer in time" in watch.status("a").reason
        fake.thaw()
        await until(watch.is_now("a", Health.UP))


# How much is asked


async def test_a_peer_with_nothing_to_do_is_asked_for_its_memory_now_and_then_alone(
    watch: Watch, fake: FakeComfyUI
) -> None:
    def asked(path: str) -> int:
        return sum(seen.path == path for seen in fake.requests)

    watch.add("a", fake.url)
    watch.monitor.start()
    await until(lambda: watch.is_ready("a"))
    fake.requests.clear()
    await until(lambda: asked("/prompt") >= 30, "it was looked at often")
    assert asked("/prompt") / 4 <= asked("/system_stats") <= asked("/prompt") / 2
    fake.version = "0.4.0"
    await until(lambda: (vitals := watch.status("a").vitals) and vitals.comfyui_version == "0.4.0")
    before = asked("/system_stats")
    await watch.monitor.check("a")
    assert asked("/system_stats") > before, "who asks for it gets all of it"


async def test_a_peer_that_is_at_work_is_asked_for_its_memory_at_every_look(
    watch: Watch, fake: FakeComfyUI
) -> None:
    fake.on_prompt = "hold"
    watch.add("a", fake.url)
    await watch.pool(watch.manager.get("a")).submit({}, prompt_id="theirs", client_id="somebody")
    watch.monitor.start()
    await until(lambda: watch.is_ready("a"))
    fake.requests.clear()
    await until(lambda: sum(seen.path == "/prompt" for seen in fake.requests) >= 20)
    asked = [seen.path for seen in fake.requests if seen.path in ("/prompt", "/system_stats")]
    assert abs(asked.count("/prompt") - asked.count("/system_stats")) <= 1
