"""A host whose queue another node pack has replaced or changed: what is not shown there is said."""

from __future__ import annotations

import threading
from typing import Any

from orchestrator.host.fleet.native_queue import NativeQueue
from orchestrator.host.host_queue import CurrentQueue, can_run_prompts, pack_behind
from tests.fakes.prompt_queue import Item, PromptQueue


class Replaced(PromptQueue):
    """Another pack's, which does all that ComfyUI's does."""

    __module__ = "/comfy/custom_nodes/queue-painter.queue"


class Keeper(Replaced):
    """Another pack's, with a history of its own."""

    def get_history(self, prompt_id: str | None = None) -> dict[str, Any]:
        return {}


class Stranger:
    """Another pack's, unlike ComfyUI's in everything."""

    __slots__ = ()
    __module__ = "custom_nodes.strange_queue"


class Server:
    def __init__(self, queue: Any) -> None:
        self.prompt_queue, self.number = queue, 0


def notice_of(queue: Any) -> str:
    return NativeQueue(Server(queue)).install()


def test_comfyuis_own_queue_needs_no_words_and_keeps_nothing_of_the_look_at_it() -> None:
    queue = PromptQueue()
    assert notice_of(queue) == ""
    assert (queue.history, queue.get_current_queue_volatile()) == ({}, ([], []))
    assert queue.get_tasks_remaining() == 0


def test_another_packs_queue_is_named_even_where_it_shows_all() -> None:
    native = NativeQueue(Server(Replaced()))
    assert native.install() == (
        "The node pack queue-painter has replaced ComfyUI's own queue. Should jobs of the fleet be missing "
        "there, you find them in the Fleet tab."
    )
    assert native.keeps_history


def test_a_history_that_does_not_keep_what_the_fleet_made_is_said_and_not_written_to() -> None:
    native = NativeQueue(Server(Keeper()))
    notice = native.install()
    assert "cannot be put into ComfyUI's history" in notice and "this computer only" in notice
    assert not native.keeps_history


def test_a_queue_with_a_lock_that_nobody_takes_twice_is_looked_at_all_the_same() -> None:
    class Plain(Replaced):
        def __init__(self) -> None:
            super().__init__()
            self.mutex: Any = threading.Lock()

        def get_history(self, prompt_id: str | None = None) -> dict[str, Any]:
            if not self.mutex.acquire(blocking=False):
                raise RuntimeError("it would wait for itself")
            self.mutex.release()
            return super().get_history(prompt_id)

    native = NativeQueue(Server(Plain()))
    native.install()
    assert native.keeps_history


def test_a_queue_that_was_changed_so_that_it_hides_the_fleet_is_said() -> None:
    queue = PromptQueue()
    vars(queue)["queue"] = None

    class Fixed:
        """Reads what another pack has put there, whatever is set on it."""

        __module__ = "custom_nodes.fixed_queue"

        def __init__(self) -> None:
            self.mutex, self.history = queue.mutex, queue.history
            self.get_history = queue.get_history

        def __setattr__(self, name: str, value: Any) -> None:
            if name not in vars(self):
                vars(self)[name] = value
            if name == "get_current_queue_volatile":
                vars(self)[name] = lambda: ([], [])

        def get_current_queue_volatile(self) -> tuple[list[Item], list[Item]]:
            return [], []

    native = NativeQueue(Server(Fixed()))
    assert "does not show what the fleet runs" in native.install()
    assert native.keeps_history


def test_a_queue_that_is_none_of_comfyuis_stops_nothing() -> None:
    server = Server(Stranger())
    assert "The node pack strange_queue has replaced" in NativeQueue(server).install()
    assert CurrentQueue(server).get_current_queue_volatile() == ([], [])
    assert (can_run_prompts(PromptQueue()), can_run_prompts(Stranger())) == (True, False)


def test_a_method_that_another_pack_has_put_into_comfyuis_own_queue_is_found() -> None:
    queue: Any = PromptQueue()

    def patched() -> tuple[list[Item], list[Item]]:
        return [], []

    patched.__module__ = "/comfy/custom_nodes/counter_x_1"
    queue.get_current_queue_volatile = patched
    assert pack_behind(queue) == "counter_x_1"
    assert notice_of(queue) == ""  # ours is shown all the same
