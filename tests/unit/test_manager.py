"""The registry of peers: what it refuses, forgets and tells."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone

import pytest

from orchestrator.backends.manager import BackendManager
from orchestrator.core.models.backend import BackendConfig, BackendStatus, Device, Health, Vitals
from orchestrator.core.workflow.object_info import ObjectInfo
from orchestrator.errors import ConfigError, NotFoundError

UP = BackendStatus(Health.UP, vitals=Vitals("0.3.75"))
INFO = ObjectInfo({"KSampler": ["seed"]})


@pytest.fixture
def manager() -> BackendManager:
    manager = BackendManager()
    manager.register(BackendConfig("a", "Alpha", host="10.0.0.1"))
    manager.register(BackendConfig("b", "Beta", host="10.0.0.2"))
    return manager


@pytest.fixture
def told(manager: BackendManager) -> list[str]:
    told: list[str] = []
    manager.subscribe(told.append)
    return told


def test_peers_stand_in_the_order_they_came(manager: BackendManager) -> None:
    assert [config.name for config in manager.all()] == ["Alpha", "Beta"]


@pytest.mark.parametrize(
    "twin",
    [
        BackendConfig("a", "Gamma", host="10.0.0.3"),
        BackendConfig("c", "ALPHA", host="10.0.0.3"),
        BackendConfig("c", "Gamma", url="http://10.0.0.1:8188/"),
    ],
    ids=["id", "name", "address"],
)
def test_an_id_a_name_and_an_address_belong_to_one_peer_only(
    manager: BackendManager, twin: BackendConfig
) -> None:
    with pytest.raises(ConfigError):
        manager.register(twin)
    assert len(manager.all()) == 2


def test_an_edited_peer_may_keep_its_own_name_but_not_take_anothers(manager: BackendManager) -> None:
    assert manager.update("a", name="alpha").name == "alpha"
    with pytest.raises(ConfigError):
        manager.update("a", name="beta")
    assert manager.get("a").name == "alpha"


def test_a_peer_is_found_by_id_and_by_name_in_any_case(manager: BackendManager) -> None:
    assert manager.find("a") == manager.find("Alpha") == manager.find("ALPHA") == manager.get("a")
    assert manager.find("nobody") is None


def test_a_part_of_the_address_can_be_changed_alone(manager: BackendManager) -> None:
    assert manager.update("a", port=9000).url == "http://10.0.0.1:9000"
    assert manager.update("a", url="https://gpu/comfy").url == "https://gpu:443/comfy"


def test_a_peer_keeps_its_id(manager: BackendManager) -> None:
    with pytest.raises(ConfigError):
        manager.update("a", id="z", name="Zeta", port=9000)
    assert manager.get("a").name == "Alpha"


def test_at_a_new_address_everything_measured_is_forgotten(manager: BackendManager) -> None:
    manager.set_status("a", UP)
    manager.set_object_info("a", INFO, UP.generation)
    manager.update("a", tags=("fast",))
    assert (manager.get_status("a"), manager.get_object_info("a")) == (UP, INFO)
    manager.update("a", port=9000)
    assert manager.get_status("a").health is Health.UNKNOWN
    assert manager.get_object_info("a") is None


def test_a_node_list_of_the_old_address_comes_too_late(manager: BackendManager) -> None:
    asked_in = manager.get_status("a").generation
    manager.update("a", port=9000)
    manager.set_object_info("a", INFO, asked_in)
    assert manager.get_object_info("a") is None
    newer = ObjectInfo({})
    manager.set_object_info("a", newer, manager.get_status("a").generation)
    manager.set_object_info("a", INFO, asked_in)
    assert manager.get_object_info("a") is newer


def test_a_node_list_is_good_until_the_peer_may_have_restarted(manager: BackendManager) -> None:
    manager.set_status("a", UP)
    manager.set_object_info("a", INFO, UP.generation)
    assert manager.get_object_info("a") is INFO
    manager.set_status("a", replace(UP, generation=1))
    assert manager.get_object_info("a") is None


def test_a_node_list_that_was_wrong_counts_as_unread(manager: BackendManager) -> None:
    manager.set_object_info("a", INFO, 0)
    manager.forget_object_info("a")
    assert manager.get_object_info("a") is None


def test_every_change_is_told_with_the_peers_id(manager: BackendManager, told: list[str]) -> None:
    manager.register(BackendConfig("c", host="10.0.0.3"))
    manager.update("a", name="Aleph")
    manager.set_status("b", UP)
    manager.set_object_info("b", INFO, 0)
    manager.forget_object_info("b")
    manager.remove("c")
    assert told == ["c", "a", "b", "b", "b", "c"]


def test_the_same_measurement_at_a_later_moment_is_no_news(manager: BackendManager, told: list[str]) -> None:
    manager.set_status("a", UP)
    manager.set_status("a", replace(UP, goods=2, checked_at=datetime(2026, 11, 1, tzinfo=timezone.utc)))
    assert told == ["a"]
    assert manager.get_status("a").goods == 2


def test_free_memory_is_news_when_it_changed_by_much(manager: BackendManager, told: list[str]) -> None:
    for free in (8 << 30, (8 << 30) + (1 << 20), 7 << 30):
        device = Device("gpu", "cuda", 24 << 30, free)
        manager.set_status("a", replace(UP, vitals=Vitals("0.3.75", devices=(device,))))
    assert told == ["a", "a"]
    vitals = manager.get_status("a").vitals
    assert vitals is not None and vitals.devices[0].vram_free_bytes == 7 << 30


def test_who_stopped_listening_hears_nothing_and_may_stop_twice(manager: BackendManager) -> None:
    told: list[str] = []
    stop = manager.subscribe(told.append)
    stop()
    stop()
    manager.remove("a")
    assert told == []


def test_a_listener_that_fails_hurts_no_other_and_not_the_change(
    manager: BackendManager, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(backend_id: str) -> None:
        raise KeyError(backend_id)

    told: list[str] = []
    manager.subscribe(fail)
    manager.subscribe(told.append)
    manager.remove("a")
    assert told == ["a"]
    assert "A listener of the peers failed" in caplog.text


def test_who_is_not_registered_is_not_found(manager: BackendManager) -> None:
    manager.remove("a")
    for ask in (manager.get, manager.get_status, manager.get_object_info, manager.remove):
        with pytest.raises(NotFoundError):
            ask("a")
    with pytest.raises(NotFoundError):
        manager.set_status("a", UP)
