"""Several jobs of one node, as their one box and line of text tell of them."""

from __future__ import annotations

from datetime import datetime, timezone

from orchestrator.core.models.job import Job, JobRequest, JobState
from orchestrator.errors import JobCancelledError, PeerExecutionError
from orchestrator.host.node.fan import BoxState, Fan, Fans


def job(job_id: str, peer: str = "") -> Job:
    waiting = Job(job_id, JobRequest(), datetime.now(timezone.utc))
    return waiting.to(JobState.RUNNING, backend_id=peer) if peer else waiting


def test_a_single_piece_is_as_it_is() -> None:
    fan = Fan()
    piece = fan.join()
    piece.boxes["3"] = BoxState("running", 4, 20)
    assert fan.merged({"3": BoxState("running", 4, 20)}) == {"3": BoxState("running", 4, 20)}
    assert fan.text(str) == ""


def test_a_box_is_as_far_as_all_pieces_are_together_and_ends_with_the_last() -> None:
    fan = Fan()
    pieces = [fan.join() for _ in range(4)]
    pieces[0].boxes["3"] = BoxState("finished", 1, 1)
    pieces[1].boxes["3"] = BoxState("running", 10, 20)
    assert fan.merged(pieces[1].boxes) == {"3": BoxState("running", 1.5, 4)}
    for piece in pieces:
        piece.boxes["3"] = BoxState("finished", 1, 1)
    assert fan.merged(pieces[3].boxes)["3"].kind == "finished"


def test_one_line_tells_how_many_are_done_and_where_the_others_are() -> None:
    fan = Fan()
    pieces = [fan.join() for _ in range(5)]
    for piece, peer in zip(pieces, ("a", "b", "a"), strict=False):
        piece.job = job("1", peer)
    assert fan.text(str.upper) == "0 of 5 pieces; A: 2, B: 1, 2 wait"
    pieces[1].job = job("1", "b").to(JobState.DONE)
    assert fan.text(str.upper) == "1 of 5 pieces; A: 2, 2 wait"


def test_a_piece_whose_result_was_kept_counts_as_done() -> None:
    fan = Fan()
    pieces = [fan.join() for _ in range(3)]
    pieces[0].is_kept = True
    pieces[1].job = job("1", "a")
    assert fan.text(str) == "1 of 3 pieces; a: 1, 1 waits"
    pieces[1].boxes["3"] = BoxState("running", 1, 2)
    assert fan.merged(pieces[1].boxes) == {"3": BoxState("running", 1.5, 3)}


def test_a_single_piece_says_at_once_what_is_urgent_and_all_else_now_and_then() -> None:
    fan = Fan()
    fan.join()
    assert fan.says("waits", 10.0, is_urgent=True)
    assert not fan.says("waits", 11.0, is_urgent=True)
    assert fan.says("step 1", 11.0, is_urgent=False)
    assert not fan.says("step 2", 11.1, is_urgent=False)
    assert fan.says("done", 11.1, is_urgent=True)


def test_of_several_pieces_only_the_end_of_the_last_is_urgent() -> None:
    fan = Fan()
    pieces = [fan.join() for _ in range(2)]
    assert fan.says("0 of 2", 10.0, is_urgent=True)
    pieces[0].job = job("1", "a").to(JobState.DONE)
    assert not fan.says("1 of 2", 10.1, is_urgent=True)
    assert fan.says("1 of 2", 10.5, is_urgent=False)
    pieces[1].is_kept = True
    assert fan.says("2 of 2", 10.6, is_urgent=True)


def test_the_first_piece_that_fails_ends_the_rest_and_speaks_for_all() -> None:
    ended: list[str] = []
    fan = Fan(ended.append)
    pieces = [fan.join() for _ in range(3)]
    for number, piece in enumerate(pieces):
        piece.job = job(f"job-{number}", "a")
    pieces[2].job = job("job-2", "a").to(JobState.DONE)
    first = PeerExecutionError("KSampler failed on a.", {})
    assert fan.fail(first, pieces[0]) is first
    assert ended == ["job-1"]
    assert fan.fail(JobCancelledError("cancelled"), pieces[1]) is first
    assert ended == ["job-1"]


def test_jobs_of_a_list_are_one_batch_in_their_order() -> None:
    fan = Fan()
    placed = [fan.placed(JobRequest(), item) for item in (0, 1)]
    assert [(p.batch_id, p.batch_index) for p in placed] == [(fan.id, 0), (fan.id, 1)]
    assert fan.placed(JobRequest(), None) == JobRequest()


class Registry:
    """One run of a prompt."""


def test_the_calls_of_one_node_in_one_run_share_a_fan_and_another_run_begins_anew() -> None:
    fans, run = Fans(lambda job_id: None), Registry()
    first = fans.of(run, "1")
    first.fail(JobCancelledError("cancelled"))
    assert fans.of(run, "1") is first and fans.of(run, "2") is not first
    assert fans.of(Registry(), "1").failure is None
