"""Values arrive as they were: from this computer at a peer, and from a peer here."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest

from .graphs import Graph, node
from .session import Session

pytestmark = pytest.mark.e2e

KINDS = {"IMAGE": 0, "MASK": 1, "LATENT": 2, "AUDIO": 3, "VIDEO": 4}
FLOAT = 1.2e-7  #: what a float of 0..1 may lose over three bytes
EIGHT_BITS = 1 / 255
SIXTEEN_BITS = 1 / 2**15


def made(where: str, **options: Any) -> Graph:
    return {"make": node(where, **{"seed": 5, "batch": 3, "channels": 3, **options})}


def up(slot: int, precision: str, **options: Any) -> Graph:
    """The peer tells what it was given."""
    return {
        **made("ReportOwnValues", **options),
        "told": node("ReportTell", value=["make", slot]),
        "rd": node("RemoteDispatch", value=["told", 0], precision=precision),
        "out": node("PreviewAny", source=["rd", 0]),
    }


def down(slot: int, precision: str, **options: Any) -> Graph:
    """This computer tells what the peer made."""
    return {
        **made("ReportValues", **options),
        "rd": node("RemoteDispatch", value=["make", slot], precision=precision),
        "out": node("ReportTell", value=["rd", 0]),
    }


def here(slot: int, **options: Any) -> Graph:
    return {**made("ReportValues", **options), "out": node("ReportTell", value=["make", slot])}


async def told(master: Session, graph: Graph) -> Any:
    done = await master.run(graph)
    assert done.succeeded, done.error["exception_message"]
    return json.loads(done.entry["outputs"]["out"]["text"][0])


def array(value: dict[str, Any]) -> Any:
    return np.frombuffer(base64.b64decode(value["data"]), np.float32).reshape(value["shape"])


def difference(one: dict[str, Any], other: dict[str, Any]) -> float:
    assert one["shape"] == other["shape"]
    return float(np.abs(array(one) - array(other)).max())


@pytest.mark.parametrize("way", [up, down])
@pytest.mark.parametrize(("precision", "most"), [("8 bit", EIGHT_BITS), ("exact", FLOAT)])
@pytest.mark.parametrize("kind", ["IMAGE", "MASK"])
async def test_pictures_and_masks_travel_as_exactly_as_asked(
    master: Session, kind: str, precision: str, most: float, way: Any
) -> None:
    slot = KINDS[kind]
    lost = difference(await told(master, way(slot, precision)), await told(master, here(slot)))
    assert lost <= (0.0 if way is down and precision == "exact" else most)


async def test_a_picture_keeps_its_transparency(master: Session) -> None:
    plain = await told(master, here(0, channels=4))
    assert difference(await told(master, up(0, "exact", channels=4)), plain) <= 2 * FLOAT
    assert difference(await told(master, down(0, "8 bit", channels=4)), plain) <= EIGHT_BITS


async def test_latents_arrive_with_their_mask_and_their_place_in_the_batch(master: Session) -> None:
    came, plain = await told(master, up(2, "exact")), await told(master, here(2))
    assert came["batch_index"] == plain["batch_index"] == [70, 71, 72]
    assert difference(came["samples"], plain["samples"]) == 0.0
    assert difference(came["noise_mask"], plain["noise_mask"]) <= FLOAT


async def test_latents_come_back_to_the_last_bit(master: Session) -> None:
    came, plain = await told(master, down(2, "8 bit")), await told(master, here(2))
    assert difference(came["samples"], plain["samples"]) == 0.0


async def test_sound_arrives_exactly_and_comes_back_with_16_bits(master: Session) -> None:
    plain = await told(master, here(3))
    for graph, most in ((up(3, "8 bit"), 0.0), (down(3, "8 bit"), SIXTEEN_BITS)):
        came = await told(master, graph)
        assert came["sample_rate"] == plain["sample_rate"]
        assert difference(came["waveform"], plain["waveform"]) <= most


@pytest.mark.parametrize("way", [up, down])
async def test_a_film_travels_with_its_frames_and_its_sound(master: Session, way: Any) -> None:
    came, plain = await told(master, way(4, "8 bit")), await told(master, here(4))
    assert (came["shape"], came["fps"]) == (plain["shape"], plain["fps"])
    assert came["sound"][:2] == plain["sound"][:2]
    assert np.abs(np.array(came["levels"]) - np.array(plain["levels"])).max() < 0.02


@pytest.mark.parametrize("kind", ["IMAGE", "LATENT", "AUDIO", "VIDEO"])
async def test_what_one_peer_made_goes_on_to_the_next(master: Session, kind: str) -> None:
    slot = KINDS[kind]
    chain: Graph = {
        **made("ReportValues"),
        "first": node("RemoteDispatch", value=["make", slot], precision="exact"),
        "told": node("ReportTell", value=["first", 0]),
        "rd": node("RemoteDispatch", value=["told", 0], precision="exact"),
        "out": node("PreviewAny", source=["rd", 0]),
    }
    came, plain = await told(master, chain), await told(master, here(slot))
    if kind == "VIDEO":
        assert (came["shape"], came["fps"]) == (plain["shape"], plain["fps"])
        assert np.abs(np.array(came["levels"]) - np.array(plain["levels"])).max() < 0.02
    else:
        part = {"IMAGE": "", "LATENT": "samples", "AUDIO": "waveform"}[kind]
        one, other = (value[part] if part else value for value in (came, plain))
        assert difference(one, other) <= {"IMAGE": FLOAT, "LATENT": 0.0, "AUDIO": SIXTEEN_BITS}[kind]


async def test_what_cannot_be_exact_is_refused_in_words(master: Session) -> None:
    done = await master.run(up(0, "exact", brightness=2.0))
    assert not done.succeeded
    assert "choose '8 bit'" in done.error["exception_message"]
