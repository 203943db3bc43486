"""What a user switches on and off."""

from __future__ import annotations

import json

import pytest

from orchestrator.core.models.settings import Settings
from orchestrator.errors import ConfigError


def test_at_first_only_what_the_page_offers_is_more_than_the_hosts_own() -> None:
    assert [name for name, on in vars(Settings()).items() if on is True] == ["peer_nodes"]


def test_one_change_leaves_the_others() -> None:
    assert Settings(paused=True).changed({"fleet_mode": True}) == Settings(True, True)


@pytest.mark.parametrize(
    "changes",
    [
        {"fleet": True},
        {"fleet_mode": 1},
        {"fleet_mode": "yes"},
        {"": None},
        {"keep_days": 0},
        {"keep_jobs": True},
    ],
)
def test_a_wrong_change_is_refused_in_words(changes: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"Known are|must be (true or false|a whole number from)"):
        Settings().changed(changes)


def test_what_another_version_kept_is_taken_as_far_as_it_goes() -> None:
    record = {"fleet_mode": True, "paused": "perhaps", "colour": "red", "keep_days": 7, "keep_jobs": 10**9}
    assert Settings.of(record) == Settings(fleet_mode=True, keep_days=7)


def test_the_list_of_what_runs_here_is_kept_without_doubles() -> None:
    changed = Settings().changed({"runs_here": ["Chooser", "My Node", "Chooser"]})
    assert changed.runs_here == ("Chooser", "My Node")
    assert Settings.of(json.loads(json.dumps(vars(changed)))) == changed


@pytest.mark.parametrize("value", ["Chooser", [1], [""], ["x" * 201], ["a\nb"], {"Chooser": True}, None])
def test_a_wrong_list_is_refused_in_words(value: object) -> None:
    with pytest.raises(ConfigError, match="must be a list of at most"):
        Settings().changed({"runs_on_peers": value})
    assert Settings.of({"runs_here": value}) == Settings()
