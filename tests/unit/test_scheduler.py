from __future__ import annotations

import pytest

from orchestrator.core.engine.need import Need
from orchestrator.core.engine.peers import SLOTS_PER_PEER, PeerSnapshot
from orchestrator.core.engine.scheduler import Scheduler
from orchestrator.core.models.backend import BackendConfig, BackendStatus, Device, Health, Vitals
from orchestrator.errors import NoEligiblePeerError

GIB = 2**30


def peer(
    name: str,
    *,
    health: Health = Health.UP,
    reason: str = "",
    ours: int = 0,
    foreign: int = 0,
    free_bytes: int = 8 * GIB,
    enabled: bool = True,
    draining: bool = False,
    tags: tuple[str, ...] = (),
) -> PeerSnapshot:
    config = BackendConfig(id=name, name=name, host=name, enabled=enabled, draining=draining, tags=tags)
    vitals = Vitals(devices=(Device("gpu", "cuda", 24 * GIB, free_bytes),))
    return PeerSnapshot(config, BackendStatus(health, reason, vitals), ours, foreign)


def chosen(need: Need, *peers: PeerSnapshot) -> str | None:
    placement = Scheduler().select_backend(need, peers)
    return placement.backend_id if placement else None


def can_run(*names: str) -> Need:
    return Need(unmet=dict.fromkeys(names, ()))


def test_the_shortest_queue_wins_and_other_peoples_prompts_count() -> None:
    assert chosen(can_run("a", "b"), peer("a", foreign=3), peer("b", ours=1)) == "b"


def test_with_equal_queues_the_most_free_memory_wins_then_the_name() -> None:
    assert chosen(can_run("a", "b"), peer("a", free_bytes=GIB), peer("b", free_bytes=9 * GIB)) == "b"
    assert chosen(can_run("a", "b"), peer("b"), peer("a")) == "a"


def test_when_all_slots_are_taken_the_job_waits() -> None:
    assert chosen(can_run("a"), peer("a", ours=SLOTS_PER_PEER)) is None


def test_a_pin_and_tags_leave_only_those_that_match() -> None:
    both = (peer("a"), peer("b", tags=("big",), foreign=5))
    assert chosen(Need(peer="b", unmet={"a": (), "b": ()}), *both) == "b"
    assert chosen(Need(tags=("big",), unmet={"a": (), "b": ()}), *both) == "b"


def test_the_decision_explains_itself_for_every_peer() -> None:
    placement = Scheduler().select_backend(
        can_run("a", "b"),
        (peer("a"), peer("b", foreign=2), peer("c", health=Health.DOWN, reason="off")),
    )
    assert placement is not None
    assert placement.explanation == (
        "on a because it has nothing in its queue, 8.0 GiB free (b: 2 in its queue, 8.0 GiB free; c: off)"
    )


@pytest.mark.parametrize(
    ("refused", "need", "reason"),
    [
        (peer("a", enabled=False), can_run("a"), "it is switched off in the Fleet tab"),
        (peer("a", draining=True), can_run("a"), "it is draining and takes no new jobs"),
        (peer("a", health=Health.UNKNOWN), can_run("a"), "it has not answered yet"),
        (peer("a", health=Health.DOWN, reason="refused"), can_run("a"), "refused"),
        (peer("a", health=Health.NEEDS_KEY, reason="wants a key"), can_run("a"), "wants a key"),
        (peer("a"), Need(), "its list of nodes is still being read"),
        (peer("a"), Need(unmet={"a": ("it lacks the node X", "and Y")}), "it lacks the node X; and Y"),
        (peer("a"), Need(unmet={"a": ()}, tried={"a": "it failed"}), "it failed"),
        (peer("a"), Need(peer="z", unmet={"a": ()}), "the job is pinned to z"),
        (peer("a"), Need(tags=("t",), unmet={"a": ()}), "it has no tag t"),
    ],
)
def test_a_refusal_names_the_peers_reason(refused: PeerSnapshot, need: Need, reason: str) -> None:
    with pytest.raises(NoEligiblePeerError, match="No peer can run this") as caught:
        Scheduler().select_backend(need, [refused])
    assert caught.value.reasons == {"a": reason}


def test_a_refusal_lists_every_peer_and_is_permanent_only_when_waiting_cannot_help() -> None:
    lacking = Need(unmet={"a": ("it lacks the node X",), "b": ("it lacks the node X",)})
    with pytest.raises(NoEligiblePeerError) as caught:
        Scheduler().select_backend(lacking, [peer("a"), peer("b")])
    assert caught.value.permanent
    assert set(caught.value.reasons) == {"a", "b"}
    with pytest.raises(NoEligiblePeerError) as caught:
        Scheduler().select_backend(lacking, [peer("a"), peer("b", health=Health.DOWN, reason="off")])
    assert not caught.value.permanent
