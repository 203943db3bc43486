"""Which classes run on the master alone."""

from __future__ import annotations

from typing import Any

from orchestrator.backends.manager import BackendManager
from orchestrator.core.models.backend import BackendConfig, BackendStatus, Health
from orchestrator.core.models.job import JobRequest, Prompt
from orchestrator.core.workflow.boundaries import loop_side, loops_of
from orchestrator.core.workflow.object_info import ObjectInfo
from orchestrator.core.workflow.runs_here import HereClasses, Why, in_words, known_classes
from orchestrator.dispatch.queue.prompt_variants import PromptVariants
from orchestrator.dispatch.queue.queued_job import QueuedJob


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def nobody(class_type: str) -> bool:
    return False


def test_a_partner_node_runs_here_whatever_the_lists_say() -> None:
    classes = HereClasses(released=frozenset({"Partner"}))
    assert classes.why("Partner", is_partner=True) is Why.PARTNER


def test_the_user_adds_to_the_known_ones_and_takes_out_of_them() -> None:
    classes = HereClasses(added=frozenset({"Mine"}), released=frozenset({"PreviewBridge"}))
    assert classes.why("Mine", is_partner=False) is Why.LISTED
    assert classes.why("PreviewBridge", is_partner=False) is None
    assert classes.why("ETN_LoadImageCache", is_partner=False) is Why.KNOWN
    assert classes.why("KSampler", is_partner=False) is None


def test_choosers_and_readers_of_a_servers_memory_are_known() -> None:
    assert {"PreviewBridge", "ETN_SaveImageCache", "easy imageChooser", "Image Filter"} <= known_classes()


def test_only_what_is_needed_counts() -> None:
    prompt = {"1": node("Mine"), "2": node("Mine"), "3": node("SaveImage", images=["2", 0]), "4": None}
    found = HereClasses(frozenset({"Mine"})).nodes(prompt, ["3"], nobody)
    assert [each.node_id for each in found] == ["2"]


def test_a_sentence_names_class_node_and_reason_and_does_not_grow_without_end() -> None:
    prompt = {str(n): node("Mine") for n in range(9)}
    said = in_words(HereClasses(frozenset({"Mine"})).nodes(prompt, prompt, nobody))
    assert said.startswith("Mine (node 0) runs on this computer only: it is on your list")
    assert said.endswith("; and 4 more.") and len(said) < 700


def test_loops_are_paired_the_inner_one_first() -> None:
    prompt = {
        "a": node("StartLoop"),
        "b": node("StartLoop", parent_iteration=["a", 0]),
        "c": node("Work", value=["b", 4]),
        "d": node("EndLoop", output_value=["c", 0]),
        "e": node("EndLoop", output_value=["d", 0], termination0=["a", 0]),
    }
    inner, outer = loops_of(prompt, loop_side)
    assert (inner.start, inner.end) == ("b", "d") and inner.nodes == {"b", "c", "d"}
    assert (outer.start, outer.end) == ("a", "e") and outer.nodes == set(prompt)


def test_half_a_loop_is_none() -> None:
    assert loops_of({"a": node("StartLoop"), "b": node("Work", value=["a", 0])}, loop_side) == ()
    assert loops_of({"a": node("EndLoop", value=["gone", 0])}, loop_side) == ()


def saves(source: str) -> Prompt:
    return {"1": node("Mine"), "2": node("Paid"), "3": node("SaveImage", images=[source, 0])}


def peer_with(*, paid: bool) -> BackendManager:
    """One peer that has all of these classes, and says whether one of them is a partner node."""
    manager = BackendManager()
    manager.register(BackendConfig("p", "gpu-1", host="127.0.0.1", port=9000))
    manager.set_status("p", BackendStatus(Health.UP))
    picture = {"input": {"required": {}}, "output": ["IMAGE"], "python_module": "custom_nodes.pack"}
    saver = {"input": {"required": {"images": ["IMAGE"]}}, "output": [], "output_node": True}
    info = {"Mine": picture, "Paid": {**picture, "api_node": paid}, "SaveImage": saver}
    manager.set_object_info("p", ObjectInfo(info), manager.get_status("p").generation)
    return manager


async def unmet(preparing: PromptVariants, ticket: QueuedJob) -> tuple[str, ...]:
    await preparing.prepare(ticket)
    return preparing.need(ticket).unmet["p"]


async def test_no_peer_is_given_a_partner_node_whatever_the_way_a_job_came() -> None:
    preparing = PromptVariants(peer_with(paid=True))
    [reason] = await unmet(preparing, QueuedJob(JobRequest(prompt=saves("2"))))
    assert "Paid (node 2) runs on this computer only" in reason
    assert await unmet(preparing, QueuedJob(JobRequest(prompt=saves("1")))) == ()
    assert await unmet(PromptVariants(peer_with(paid=False)), QueuedJob(JobRequest(prompt=saves("2")))) == ()


async def test_a_waiting_job_hears_of_a_class_that_is_put_on_the_list_and_taken_off_again() -> None:
    manager = peer_with(paid=False)
    preparing, ticket = PromptVariants(manager), QueuedJob(JobRequest(prompt=saves("1")))
    assert await unmet(preparing, ticket) == ()
    manager.here_classes = HereClasses(added=frozenset({"Mine"}))
    preparing.look()
    assert preparing.is_due(ticket)
    [reason] = await unmet(preparing, ticket)
    assert "Mine (node 1)" in reason
    manager.here_classes = HereClasses()
    assert await unmet(preparing, ticket) == ()
