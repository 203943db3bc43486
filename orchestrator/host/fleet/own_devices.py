"""What this computer computes on, as its own ComfyUI knows it: what a peer tells in /system_stats."""

from __future__ import annotations

import importlib
import logging
import time
from collections.abc import Callable
from typing import Any

from ...core.models.backend import Device, Vitals

log = logging.getLogger(__name__)

READ_EVERY_S = 10.0  #: a driver may take its time to tell what is free


def host_management() -> Any:
    """ComfyUI's module that knows; None where there is none of that name."""
    try:
        return importlib.import_module("comfy.model_management")
    except ImportError:
        return None


class OwnDevices:
    """`management`: see ``host_management``; `clock` in seconds."""

    def __init__(self, management: Any, clock: Callable[[], float] = time.monotonic) -> None:
        self._management = management
        self._clock = clock
        self._known: Vitals | None = None
        self._until_s = float("-inf")

    def vitals(self) -> Vitals | None:
        """The device that graphs run on, and memory; None where the host does not tell."""
        now_s = self._clock()
        if now_s >= self._until_s:
            self._until_s = now_s + READ_EVERY_S
            try:
                self._known = _read(self._management)
            except Exception as exc:  # whatever a driver or another edition of the host comes up with
                log.debug("This computer's devices cannot be read: %r", exc)
                self._known = None
        return self._known


def _read(management: Any) -> Vitals:
    device, ram = management.get_torch_device(), management.torch.device("cpu")
    return Vitals(
        ram_total_bytes=int(management.get_total_memory(ram)),
        ram_free_bytes=int(management.get_free_memory(ram)),
        devices=(
            Device(
                str(management.get_torch_device_name(device)),
                str(device.type),
                int(management.get_total_memory(device)),
                int(management.get_free_memory(device)),
            ),
        ),
    )
