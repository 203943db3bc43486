"""What is said of a peer and a job of which nothing is heard any more."""

from __future__ import annotations

import pytest

from orchestrator.core.engine.faults.silence import in_words, silent_job, silent_peer

PROMPT = {
    "2": {"class_type": "ReportChooser", "inputs": {}, "_meta": {"title": "Choose one"}},
    "9": {"class_type": "ReportLoop", "inputs": {}},
}


@pytest.mark.parametrize(
    ("seconds", "words"), [(2, "2 s"), (150, "150 s"), (180, "3 min"), (239, "3 min"), (3600, "60 min")]
)
def test_a_duration_is_said_in_minutes_from_three_on(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


def test_a_silent_peer_may_be_slow_or_dead() -> None:
    expected = "No sign of work for 3 min. If none of its nodes is slow, restart ComfyUI there."
    assert silent_peer(180.0) == expected


@pytest.mark.parametrize(
    ("node_id", "begins"),
    [
        (
            "2",
            '"Choose one" (ReportChooser, node 2) has shown no sign of work on gpu for 3 min: it may be',
        ),
        ("9", "ReportLoop (node 9) has shown no sign of work on gpu"),
        ("9.0.0.7", "ReportLoop (node 9) has shown no sign of work on gpu"),
        ("", "no sign of work on gpu for 3 min"),
        ("77", "no sign of work on gpu for 3 min"),
    ],
)
def test_a_silent_job_names_the_node_that_it_is_at(node_id: str, begins: str) -> None:
    assert silent_job(PROMPT, node_id, "gpu", 180.0).startswith(begins)
