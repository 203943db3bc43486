"""What this computer computes on, read from a stand-in for ComfyUI's own module."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.core.models.backend import Device, Vitals
from orchestrator.host.fleet.own_devices import READ_EVERY_S, OwnDevices

GIB = 1 << 30


def management(free: int = 20 * GIB, kind: str = "cuda", **more: Any) -> SimpleNamespace:
    sizes = {"cpu": (64 * GIB, 50 * GIB), "cuda": (24 * GIB, free)}
    return SimpleNamespace(
        torch=SimpleNamespace(device=lambda kind: SimpleNamespace(type=kind)),
        get_torch_device=lambda: SimpleNamespace(type=kind),
        get_torch_device_name=lambda device: f"{device.type}:0 A card",
        get_total_memory=lambda device: sizes[device.type][0],
        get_free_memory=lambda device: sizes[device.type][1],
        **more,
    )


def test_its_card_and_memory_are_those_that_the_host_computes_with() -> None:
    assert OwnDevices(management()).vitals() == Vitals(
        ram_total_bytes=64 * GIB,
        ram_free_bytes=50 * GIB,
        devices=(Device("cuda:0 A card", "cuda", 24 * GIB, 20 * GIB),),
    )
    vitals = OwnDevices(management(kind="cpu")).vitals()
    assert vitals is not None
    assert vitals.devices == (Device("cpu:0 A card", "cpu", 64 * GIB, 50 * GIB),)


def test_it_is_read_again_now_and_then_only() -> None:
    now, host = [100.0], management()
    devices = OwnDevices(host, lambda: now[0])
    first = devices.vitals()
    host.get_free_memory = lambda device: GIB
    now[0] += READ_EVERY_S / 2
    assert devices.vitals() is first
    now[0] += READ_EVERY_S
    again = devices.vitals()
    assert again is not None
    assert again.devices[0].vram_free_bytes == GIB


@pytest.mark.parametrize("broken", [None, SimpleNamespace(), "driver"])
def test_where_the_host_does_not_tell_nothing_is_known(broken: Any) -> None:
    def fail(device: object) -> int:
        raise RuntimeError("no kernel image is available")

    if broken == "driver":
        broken = management()
        broken.get_free_memory = fail
    assert OwnDevices(broken).vitals() is None
