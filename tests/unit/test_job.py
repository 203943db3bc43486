"""Which moves a job may make."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from orchestrator.core.models.job import NOTE_MAX, NOTES_MAX, Job, JobRequest, JobState
from orchestrator.core.models.job_error import error_view
from orchestrator.errors import (
    IllegalTransitionError,
    JobLostError,
    NoEligiblePeerError,
    PeerExecutionError,
    PromptRefusedError,
)

NOW = datetime(2026, 3, 1, tzinfo=timezone.utc)
FINAL = (JobState.DONE, JobState.FAILED, JobState.CANCELLED, JobState.SET_ASIDE)
ALLOWED = {
    JobState.WAITING: {JobState.RUNNING, JobState.FAILED, JobState.CANCELLED, JobState.SET_ASIDE},
    JobState.RUNNING: {JobState.WAITING, *FINAL},
}


def job(state: JobState) -> Job:
    return Job("j1", JobRequest(), NOW, state)


@pytest.mark.parametrize("before", JobState)
@pytest.mark.parametrize("after", JobState)
def test_only_the_moves_of_the_table_are_possible(before: JobState, after: JobState) -> None:
    if after in ALLOWED.get(before, set()):
        assert job(before).to(after).state is after
    else:
        with pytest.raises(
            IllegalTransitionError, match=f"is {before.value} and cannot become {after.value}"
        ):
            job(before).to(after)


def test_a_final_state_is_one_that_is_never_left() -> None:
    assert {state for state in JobState if state.is_final} == set(FINAL) == set(JobState) - set(ALLOWED)


def test_a_move_takes_details_along_and_leaves_the_old_record_as_it_was() -> None:
    waiting = job(JobState.WAITING)
    running = waiting.to(JobState.RUNNING, backend_id="b1")
    assert (running.backend_id, waiting.backend_id, waiting.state) == ("b1", "", JobState.WAITING)
    assert running.evolve(progress=0.5).state is JobState.RUNNING


def test_an_error_is_kept_with_its_word_its_sentence_and_the_peers_own_details() -> None:
    assert error_view(None) is None
    assert error_view(JobLostError("gone")) == {"code": "lost", "message": "gone"}
    refused = error_view(PromptRefusedError("no", {"type": "x"}, {"1": {"errors": []}}))
    assert refused is not None and refused["node_errors"] == {"1": {"errors": []}}
    raised = error_view(PeerExecutionError("broke", {"node_id": "7", "traceback": ["a"]}))
    assert raised is not None and (raised["node_id"], raised["code"]) == ("7", "execution_error")
    nobody = error_view(NoEligiblePeerError("none", {"gpu": "off"}))
    assert nobody is not None and nobody["reasons"] == {"gpu": "off"}


def test_a_peers_details_do_not_stand_in_for_our_own_words() -> None:
    view = error_view(PeerExecutionError("ours", {"message": "theirs", "code": "theirs"}))
    assert view == {"code": "execution_error", "message": "ours"}


def test_a_note_is_kept_once_and_bounded() -> None:
    told = job(JobState.RUNNING).noting("one file is missing", "one file is missing").noting("n" * 5_000)
    assert told.notes == ("one file is missing", "n" * NOTE_MAX)
    crowded = told.noting(*(f"note {number}" for number in range(NOTES_MAX)))
    assert len(crowded.notes) == NOTES_MAX
    assert crowded.notes[0] == "one file is missing"
    assert crowded.notes[-1] == "Further notes on this job were not kept."
