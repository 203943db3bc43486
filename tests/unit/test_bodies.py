"""What callers may send us."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from orchestrator.core.models.job import JobRequest, ResultLink, Source
from orchestrator.errors import ConfigError, ParameterError
from orchestrator.host.api import answers
from orchestrator.host.api.bodies import DEPTH_MAX, parse_object, read
from orchestrator.host.api.job_bodies import Explained, JobBody, JobRequests, Move, Retry
from orchestrator.host.api.openapi import OPENAPI
from orchestrator.host.api.peer_bodies import Interruption, NewPeer, PeerChanges
from orchestrator.host.api.variation_bodies import Axes

PROMPT = {"1": {"class_type": "KSampler", "inputs": {"seed": 2**64 - 1}}}


def job_request_of(body: dict[str, Any]) -> JobRequest:
    return read(JobBody, body).request()


def explained_request_of(body: dict[str, Any]) -> JobRequest:
    return read(Explained, body).request()


def new_peer_of(body: dict[str, Any]) -> dict[str, Any]:
    return read(NewPeer, body).given()


def peer_changes_of(body: dict[str, Any]) -> dict[str, Any]:
    return read(PeerChanges, body).given()


def nested(depth: int) -> bytes:
    return b'{"a":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


@pytest.mark.parametrize("raw", [b"{", b"[]", b'"text"', b"null", b"\xff", b"{'a': 1}", b"1"])
def test_a_body_that_is_no_json_object_is_refused(raw: bytes) -> None:
    with pytest.raises(ConfigError, match="JSON"):
        parse_object(raw)


def test_a_body_may_be_nested_so_deep_and_no_deeper() -> None:
    parse_object(nested(DEPTH_MAX))
    for depth in (DEPTH_MAX + 1, 200_000):
        with pytest.raises(ConfigError):
            parse_object(nested(depth))


def test_large_integers_arrive_exactly() -> None:
    assert parse_object(json.dumps({"seed": 2**64 - 1}).encode()) == {"seed": 2**64 - 1}


def test_a_prompt_is_unwrapped_and_what_is_no_node_becomes_a_note() -> None:
    made = job_request_of({"prompt": {"prompt": {**PROMPT, "_comment": "by me"}}})
    assert made.prompt == PROMPT
    assert made.notes == ("Left out what is not a node: _comment.",)


def test_a_job_needs_only_a_prompt_or_a_workflow() -> None:
    assert job_request_of({"prompt": PROMPT}) == JobRequest(
        prompt=PROMPT, drop_classes=frozenset({"RemoteDispatch"}), source=Source.HTTP
    )
    workflow = {"nodes": [], "links": []}
    assert job_request_of({"workflow": workflow}).workflow == workflow


def test_a_job_is_read_with_all_its_fields() -> None:
    body = {
        "prompt": PROMPT,
        "parameters": {"KSampler.seed": 1},
        "peer": "gpu-2",
        "tags": ["fast"],
        "title": "Cat",
    }
    request = job_request_of(body)
    assert request.changes == {"KSampler.seed": 1}
    assert (request.peer, request.tags, request.title) == ("gpu-2", ("fast",), "Cat")


def test_null_is_as_good_as_leaving_a_field_out() -> None:
    nothing = dict.fromkeys(("workflow", "parameters", "peer", "tags", "title"))
    assert job_request_of({"prompt": PROMPT, **nothing}) == job_request_of({"prompt": PROMPT})


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "prompt"),
        ({"prompt": {}}, "workflow"),
        ({"prompt": []}, "prompt"),
        ({"prompt": "x"}, "prompt"),
        ({"prompt": {"1": None}}, "'1'"),
        ({"prompt": {"7": {"inputs": {}}}}, "'7'"),
        ({"prompt": {"7": {"class_type": 5, "inputs": {}}}}, "'7'"),
        ({"prompt": {"7": {"class_type": "A", "inputs": []}}}, "'7'"),
        ({"prompt": {"nodes": [], "links": []}}, "workflow"),
        ({"prompt": PROMPT, "workflow": []}, "workflow"),
        ({"prompt": PROMPT, "parameters": [1]}, "parameters"),
        ({"prompt": PROMPT, "peer": 5}, "peer"),
        ({"prompt": PROMPT, "tags": "fast"}, "tags"),
        ({"prompt": PROMPT, "tags": [1]}, "tags"),
        ({"prompt": PROMPT, "title": "x" * 3000}, "title"),
        ({"prompt": PROMPT, "promt": {}, "zzz": 1}, "'promt', 'zzz'"),
        ({"prompt": PROMPT, "extra_data": {"api_key_comfy_org": "x"}}, "extra_data"),
    ],
)
def test_a_job_that_is_wrong_is_refused_by_the_name_of_the_field(body: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        job_request_of(body)


def test_what_is_explained_may_be_the_value_that_a_node_wants_back() -> None:
    asked = explained_request_of({"prompt": PROMPT, "peer": "gpu-2", "result": ["1", 0]})
    assert asked.result == ResultLink("1", 0)
    assert replace(asked, result=None) == job_request_of({"prompt": PROMPT, "peer": "gpu-2"})
    assert explained_request_of({"prompt": PROMPT, "result": None}) == job_request_of({"prompt": PROMPT})


def test_what_is_explained_is_the_graph_with_the_changes_that_a_node_makes_in_it() -> None:
    overrides = "# larger\nKSampler.steps = 40\n"
    asked = explained_request_of({"prompt": PROMPT, "parameters": {"a.b": 1}, "overrides": overrides})
    assert asked.changes == {"a.b": 1, "KSampler.steps": 40}
    assert explained_request_of({"prompt": PROMPT, "overrides": ""}) == job_request_of({"prompt": PROMPT})
    with pytest.raises(ParameterError, match="Line 1 of the overrides"):
        explained_request_of({"prompt": PROMPT, "overrides": "steps 40"})
    with pytest.raises(ConfigError, match="overrides"):
        explained_request_of({"prompt": PROMPT, "overrides": ["KSampler.steps = 40"]})


@pytest.mark.parametrize("link", ["1", [], ["1"], ["1", "0"], ["1", True], ["1", -1], ["2", 0], [[], 0], {}])
def test_a_wanted_value_that_no_node_has_is_refused(link: object) -> None:
    with pytest.raises(ConfigError, match="result"):
        explained_request_of({"prompt": PROMPT, "result": link})


def test_a_job_that_is_sent_brings_files_back_and_no_value() -> None:
    with pytest.raises(ConfigError, match="Unknown field 'result'"):
        job_request_of({"prompt": PROMPT, "result": ["1", 0]})


def test_a_new_peer_needs_only_its_address() -> None:
    assert new_peer_of({"url": "gpu-2:8188"}) == {"name": "", "url": "gpu-2:8188"}
    assert new_peer_of({"url": "gpu-2:8188", "draining": False}) == {"name": "", "url": "gpu-2:8188"}


def test_a_peer_is_read_with_all_its_fields() -> None:
    body = {
        "name": "GPU 2",
        "url": "gpu-2",
        "tags": ["a", "b"],
        "enabled": False,
        "draining": True,
        "credentials": {"header": "X-Api-Key", "value": "k"},
    }
    assert peer_changes_of(body) == {**body, "tags": ("a", "b")}
    assert peer_changes_of({"credentials": None}) == {"credentials": None}
    assert peer_changes_of({}) == {}


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"name": 5}, "name"),
        ({"url": None}, "url"),
        ({"enabled": 1}, "enabled"),
        ({"draining": "yes"}, "draining"),
        ({"tags": {"a": 1}}, "tags"),
        ({"tags": ["x"] * 65}, "tags"),
        ({"credentials": "Bearer k"}, "credentials"),
        ({"credentials": {"value": 5}}, "credentials"),
        ({"credentials": {"value": "k", "user": "me"}}, "user"),
        ({"id": "b1"}, "'id'"),
        ({"has_credentials": True}, "has_credentials"),
    ],
)
def test_a_peer_that_is_wrong_is_refused_by_the_name_of_the_field(body: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        peer_changes_of(body)


@pytest.mark.parametrize("body", [{}, {"name": "GPU 2"}, {"url": "gpu-2", "draining": True}])
def test_a_new_peer_has_an_address_and_is_not_draining(body: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        new_peer_of(body)


def test_no_refusal_repeats_a_key() -> None:
    for body in ({"credentials": ["s3cr3t"]}, {"credentials": {"value": "s3cr3t", "x": "s3cr3t"}}):
        with pytest.raises(ConfigError) as caught:
            peer_changes_of(body)
        assert "s3cr3t" not in str(caught.value)


WRONG: tuple[tuple[Any, dict[str, Any], str], ...] = (
    (JobBody, {"prompt": 5}, '"prompt" must be a JSON object.'),
    (JobBody, {"peer": 5}, '"peer" must be text of at most 2048 characters.'),
    (JobBody, {"tags": [1]}, '"tags" must be a list of at most 64 texts.'),
    (JobBody, {"priority": True}, '"priority" must be a number up to 1000000; a higher one goes first.'),
    (JobBody, {"priority": float("nan")}, '"priority" must be a number up to'),
    (JobRequests, {"count": 0}, '"count" must be a whole number from 1 to 1000.'),
    (JobRequests, {"count": 2.0}, '"count" must be a whole number from 1 to 1000.'),
    (JobRequests, {"variations": [7]}, '"variations" must be a list of 1 to 1000 objects like {"seed": 7}.'),
    (JobRequests, {"metadata": {"places": {}}}, '"metadata" must be like {"workflow": {…}, "places":'),
    (Move, {"before": None}, '"before" must be text'),
    (Retry, {"when": 1}, "Unknown field 'when'. Known are: peer, priority, client_id."),
    (Interruption, {"foreign": "yes"}, '"foreign" must be true or false.'),
    (NewPeer, {"name": "GPU 2"}, 'Give "url": the address of the peer, like http://192.168.1.20:8188.'),
    (PeerChanges, {"tls": 5}, '"tls" must be text: a CA file'),
    (Axes, {}, 'Give "axes": a list of {"address": "3.seed", …}'),
    (Axes, {"axes": [{"address": "3.seed", "seeds": True}]}, '3.seed: "seeds" must be a whole number'),
    (Axes, {"axes": [{"address": "3.cfg", "from": "1", "to": 2}]}, '3.cfg: "from" must be a number.'),
    (Axes, {"axes": [{"address": 5}]}, '"address" must be text'),
    (Axes, {"axes": [{"address": "a", "values": [1]}], "combine": 1}, '"combine" must be "grid" (every'),
)


@pytest.mark.parametrize(("model", "body", "said"), WRONG, ids=[said for *_, said in WRONG])
def test_a_refusal_says_what_the_field_must_be(model: Any, body: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(model, body)
    assert said in str(caught.value)


def test_an_axis_keeps_whole_numbers_whole() -> None:
    axes = [{"address": "3.seed", "from": 1, "to": 3, "step": 1}, {"address": "3.cfg", "values": [2**64 - 1]}]
    (first, *_) = read(Axes, {"axes": axes}).changes()
    assert first == {"3.seed": 1, "3.cfg": 2**64 - 1}
    assert type(first["3.seed"]) is int


def test_a_wish_to_move_that_says_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match='Give "before"'):
        read(Move, {}).asked()
    assert read(Move, {"before": ""}).asked() == ("", None)
    assert read(Move, {"peer": "gpu"}).asked() == (None, "gpu")


def test_the_description_has_every_shape_that_it_names() -> None:
    text = json.dumps(OPENAPI)
    named = set(re.findall(r"#/components/schemas/(\w+)", text))
    assert named <= set(OPENAPI["components"]["schemas"])
    kinds = [kind for name, kind in vars(answers).items() if name.endswith("View")]
    assert set(OPENAPI["components"]["schemas"]) >= {kind.__name__.removesuffix("View") for kind in kinds}
    graph = OPENAPI["components"]["schemas"]["JobGraph"]  # an answer and a body of one name would hide one
    assert graph["required"] == ["prompt", "workflow"]
    assert {"Job", "Peer", "NewPeer", "JobRequests", "Settings", "SettingsChanges", "Error"} <= named
