"""ComfyUI's messages and answers are parsed, and nonsense is left out."""

from __future__ import annotations

import json
import math
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.backends import wire
from orchestrator.backends.wire import PeerEvent, PreviewFrame, RawFrame
from orchestrator.core.models.backend import Device, QueueState, Vitals
from orchestrator.errors import PeerProtocolError

STATS = {
    "system": {"os": "nt", "ram_total": 64, "ram_free": 32, "comfyui_version": "0.3.75", "argv": ["main.py"]},
    "devices": [
        {"name": "cuda:0 RTX", "type": "cuda", "index": 0, "vram_total": 24, "vram_free": 20},
        {"name": "cpu", "type": "cpu", "index": None},
    ],
}
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def shaped(*keys: str) -> st.SearchStrategy[Any]:
    """Anything, but often with the keys a reader looks at."""
    return anything | st.dictionaries(st.sampled_from(keys), anything)


def test_vitals_are_read_from_what_comfyui_says() -> None:
    queue = QueueState(("a",), ("b", "c"))
    devices = (Device("cuda:0 RTX", "cuda", 24, 20), Device("cpu", "cpu", 0, 0))
    assert wire.vitals(STATS, queue) == Vitals("0.3.75", "nt", 64, 32, devices, queue)


def test_a_page_of_something_else_is_no_comfyui() -> None:
    for body in (None, [], "hello", {"status": "ok"}, {"system": "linux"}):
        with pytest.raises(PeerProtocolError):
            wire.vitals(body, QueueState())


def test_sizes_that_are_none_count_as_unknown() -> None:
    for size in (None, "24", -1, True, math.nan, math.inf, 1 << 70, [24]):
        stats = {"system": {"ram_total": size}, "devices": [{"name": "gpu", "vram_total": size}]}
        read = wire.vitals(stats, QueueState())
        assert (read.ram_total_bytes, read.devices[0].vram_total_bytes) == (0, 0), size


def test_the_queue_counts_everybodys_prompts() -> None:
    body = {"queue_running": [[0, "a", {}, {}, []]], "queue_pending": [[1, "b"], [2, "c"]]}
    queue = wire.queue_state(body)
    assert (queue.running, queue.pending, queue.length) == (("a",), ("b", "c"), 3)


def test_entries_without_an_id_are_left_out_of_the_queue() -> None:
    body = {"queue_running": [[0], "x", [0, 7], None, [0, "a"]], "queue_pending": []}
    assert wire.queue_state(body).running == ("a",)


@given(shaped("system", "devices"))
def test_any_answer_is_vitals_or_a_protocol_error(body: Any) -> None:
    try:
        assert isinstance(wire.vitals(body, QueueState()), Vitals)
    except PeerProtocolError:
        pass


@given(shaped("queue_running", "queue_pending"))
def test_any_answer_is_a_queue_or_a_protocol_error(body: Any) -> None:
    try:
        assert isinstance(wire.queue_state(body), QueueState)
    except PeerProtocolError:
        pass


@given(shaped("max_upload_size"))
def test_an_upload_limit_is_positive_or_unknown(body: Any) -> None:
    limit = wire.upload_limit(body)
    assert limit is None or limit > 0


def test_an_upload_limit_is_read() -> None:
    assert wire.upload_limit({"max_upload_size": 1024}) == 1024
    assert wire.upload_limit({"max_upload_size": math.inf}) is None


@given(st.one_of(shaped("name", "size"), st.lists(shaped("name", "size"))))
def test_any_answer_about_models_gives_names_and_sizes_that_can_be_used(body: Any) -> None:
    assert all(0 < len(name) <= wire.TEXT_MAX for name in wire.model_folders(body))
    for name, size in wire.model_sizes(body).items():
        assert 0 < len(name) <= wire.FILE_NAME_MAX and type(size) is int and size > 0


def test_sizes_of_models_are_read_and_the_first_place_of_a_name_counts() -> None:
    files = [("sub\\a.safetensors", 7), ("b.safetensors", 5), ("sub/a.safetensors", 9), ("b.safetensors", 4)]
    body: list[Any] = [{"name": name, "size": size, "pathIndex": 0} for name, size in files]
    wrong = (True, -1, 0, math.nan, math.inf, 1 << 70, "9", None, [1])
    body += [{"name": f"x{n}", "size": size} for n, size in enumerate(wrong)]
    body += [{"name": name, "size": 1} for name in (None, 3, "", "x" * 501, ["a"])] + ["text", None, []]
    assert wire.model_sizes(body) == {"sub/a.safetensors": 7, "b.safetensors": 5}
    assert len(wire.model_sizes([{"name": f"f{n}", "size": 1} for n in range(wire.MAX_FILES + 5)])) == (
        wire.MAX_FILES
    )
    folders = [{"name": "loras", "folders": ["/m"]}, {"name": 3}, "x", {}, {"name": "loras"}, {"name": "vae"}]
    assert wire.model_folders(folders) == ("loras", "vae")


def test_names_of_models_with_half_a_surrogate_pair_are_left_out() -> None:
    names = ("\ud800", "sub/\udfffx", "ein Käse 🧀")
    assert wire.model_folders([{"name": name} for name in names]) == ("ein Käse 🧀",)
    assert wire.model_sizes([{"name": name, "size": 5} for name in names]) == {"ein Käse 🧀": 5}


def test_nan_is_parsed_as_comfyui_writes_it() -> None:
    assert math.isnan(wire.parse_json('{"loss": NaN}')["loss"])


@pytest.mark.parametrize(
    "body", ["", "<html>", "{", b"\xff\xfe\xfa", "[" * 200_000, '{"a":' * 200_000, "1" * 5_000]
)
def test_what_is_no_json_or_nested_without_end_is_a_protocol_error(body: str | bytes) -> None:
    with pytest.raises(PeerProtocolError):
        wire.parse_json(body)


def test_a_text_frame_is_an_event_with_its_prompt() -> None:
    event = wire.text_message('{"type": "progress", "data": {"prompt_id": "p", "value": 1}}')
    assert event == PeerEvent("progress", {"prompt_id": "p", "value": 1})
    assert event.prompt_id == "p"


@pytest.mark.parametrize("prompt_id", [None, 7, ["p"], {"p": 1}])
def test_a_prompt_id_that_is_no_text_is_nobodys(prompt_id: Any) -> None:
    event = wire.text_message(json.dumps({"type": "progress", "data": {"prompt_id": prompt_id}}))
    assert event is not None and event.prompt_id == ""


@given(shaped("type", "data"))
def test_any_text_frame_is_an_event_or_nothing(body: Any) -> None:
    event = wire.text_message(json.dumps(body))
    assert event is None or (isinstance(event.type, str) and isinstance(event.prompt_id, str))


def frame(kind: int, second: int, rest: bytes) -> bytes:
    return struct.pack(">II", kind, second) + rest


def test_a_preview_with_metadata_says_whose_it_is() -> None:
    said = {"prompt_id": "p", "node_id": "3", "display_node_id": "4", "image_type": "image/png"}
    meta = json.dumps(said).encode()
    assert wire.binary_message(frame(4, len(meta), meta + b"pixels")) == PreviewFrame(
        "p", "3", "4", "image/png", b"pixels", said
    )


def test_a_preview_of_an_old_peer_has_a_picture_only() -> None:
    found = wire.binary_message(frame(1, 2, b"pixels"))
    assert found == PreviewFrame("", "", "", "image/png", b"pixels", format=2)


def test_frames_of_another_kind_stay_as_they_are() -> None:
    assert wire.binary_message(frame(3, 1, b"5text")) == RawFrame("", 3, b"\0\0\0\x015text")


def test_cut_frames_are_nothing() -> None:
    for data in (b"", b"\0\0\0\4", frame(4, 99, b"{}"), frame(4, 2, b"[]")):
        assert wire.binary_message(data) is None


@given(st.binary(max_size=40) | st.binary(max_size=30).map(lambda rest: frame(4, len(rest) // 2, rest)))
def test_any_binary_frame_is_a_preview_nothing_or_a_protocol_error(data: bytes) -> None:
    try:
        found = wire.binary_message(data)
    except PeerProtocolError:
        return
    assert found is None or isinstance(found, (PreviewFrame, RawFrame))
