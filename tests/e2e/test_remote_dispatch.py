"""A graph with a Remote Dispatch node, on real ComfyUI processes: one master, two stock peers."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from tests.rig.fleet import Fleet

from .graphs import Graph, dispatched, node, sampled, sleep, stamp
from .session import PromptRejected, Session, until

pytestmark = pytest.mark.e2e


async def executions(peers: list[Session]) -> int:
    """How many prompts the peers have run in all, once none is left of an earlier test."""
    for peer in peers:
        await until(peer.is_idle, "the peers are idle")
    return sum([len(await peer.get("/history")) for peer in peers])


async def test_a_model_and_class_that_only_a_peer_has_make_a_picture_on_the_master(
    master: Session, peers: list[Session]
) -> None:
    classes = await master.own_nodes()
    assert "TestStamp" not in classes
    assert "tiny-random-unet.safetensors" not in str(classes["UNETLoader"])
    graph = sampled(seed=1)
    graph["7"] = node("TestSleep", value=["5", 0], seconds=0.1)
    done = await master.run(dispatched(graph, ["7", 0]))
    assert done.succeeded, done.entry["status"]
    assert (await master.picture(done.images("91")[0])).shape == (64, 64, 3)


async def test_what_a_graph_needs_of_memory_is_known_from_the_sizes_that_stock_peers_tell(
    fleet: Fleet, master: Session
) -> None:
    """The peers compute on the processor, where no run tells what it needs."""
    models = [peer.base / "models/diffusion_models/tiny-random-unet.safetensors" for peer in fleet.peers]
    weighs = {peer.name: model.stat().st_size for peer, model in zip(fleet.peers, models, strict=True)}
    graph = {**sampled(seed=2), "9": node("SaveImage", images=["5", 0], filename_prefix="sized")}

    async def are_known() -> bool:
        found = (await master.post("/orchestrator/explain", {"prompt": graph}, status=200))["peers"]
        told = {peer["name"]: peer["need_bytes"] for peer in found if peer["name"] in weighs}
        return told == weighs

    await until(are_known, "the size of the model is what both need")


async def test_the_pixels_are_those_of_a_direct_run_on_the_peer(
    master: Session, peers: list[Session]
) -> None:
    graph = stamp(seed=11, size=48, batch=3)
    direct = await peers[0].run({**graph, "9": node("SaveImage", images=["1", 0], filename_prefix="direct")})
    done = await master.run(dispatched(graph, ["1", 0]))
    assert len(done.images("91")) == 3
    for ours, theirs in zip(done.images("91"), direct.images("9"), strict=True):
        assert np.array_equal(await master.picture(ours), await peers[0].picture(theirs))


async def test_unchanged_upstream_is_not_sent_again_and_a_changed_seed_is(
    master: Session, peers: list[Session]
) -> None:
    await master.run(dispatched(stamp(seed=21), ["1", 0]))
    before = await executions(peers)
    await master.run(dispatched(stamp(seed=21), ["1", 0]))
    assert await executions(peers) == before
    await master.run(dispatched(stamp(seed=22), ["1", 0]))
    assert await executions(peers) == before + 1


async def test_other_packs_prompt_handlers_see_and_change_what_is_behind_the_node(master: Session) -> None:
    graph = dispatched(stamp(seed=23, size=32), ["1", 0])
    graph["2"] = node("ReportRemote", node_id="1", widget="width", value=48)
    done = await master.run(graph)
    assert done.succeeded, done.entry["status"]
    assert (await master.picture(done.images("91")[0])).shape == (32, 48, 3)


def png(colour: tuple[int, int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), colour).save(buffer, "PNG")
    return buffer.getvalue()


async def test_an_input_file_goes_along_and_its_new_bytes_under_the_same_name_too(
    master: Session, peers: list[Session]
) -> None:
    graph = dispatched({"1": node("LoadImage", image="photo.png")}, ["1", 0])
    await master.upload("photo.png", png((200, 10, 10)))
    first = await master.run(graph)
    assert (await master.picture(first.images("91")[0]))[0, 0].tolist() == [200, 10, 10]
    await master.upload("photo.png", png((10, 200, 10)))
    second = await master.run(graph)
    assert (await master.picture(second.images("91")[0]))[0, 0].tolist() == [10, 200, 10]
    before = await executions(peers)
    await master.run(graph)
    assert await executions(peers) == before


async def test_two_dispatchers_in_one_graph_overlap(master: Session) -> None:
    graph = {
        **sleep(31, 1.5, first="1"),
        **sleep(32, 1.5, first="2"),
        "80": node("RemoteDispatch", value=["10", 0]),
        "90": node("RemoteDispatch", value=["20", 0]),
        "91": node("SaveImage", images=["80", 0], filename_prefix="e2e"),
        "92": node("SaveImage", images=["90", 0], filename_prefix="e2e"),
    }
    done = await master.run(graph)
    assert done.succeeded
    second, first = (await master.jobs())[:2]
    assert {first["peer"], second["peer"]} == {"peer-1", "peer-2"}
    assert second["attempts"][0]["started_at"] < first["attempts"][0]["ended_at"]


async def test_a_dispatcher_behind_another_gets_its_value(master: Session) -> None:
    graph = {
        **stamp(seed=41, size=40),
        "80": node("RemoteDispatch", value=["1", 0], peer="peer-1"),
        "2": node("ImageScaleBy", image=["80", 0], upscale_method="nearest-exact", scale_by=2.0),
        "3": node("TestSleep", value=["2", 0], seconds=0.1),
        "90": node("RemoteDispatch", value=["3", 0], peer="peer-2"),
        "81": node("SaveImage", images=["80", 0], filename_prefix="e2e"),
        "91": node("SaveImage", images=["90", 0], filename_prefix="e2e"),
    }
    done = await master.run(graph)
    assert done.succeeded, done.entry["status"]
    small = await master.picture(done.images("81")[0])
    large = await master.picture(done.images("91")[0])
    assert np.array_equal(large, small.repeat(2, axis=0).repeat(2, axis=1))
    assert [job["peer"] for job in (await master.jobs())[:2]] == ["peer-2", "peer-1"]


async def test_upstream_shared_with_local_nodes_runs_here_too(master: Session) -> None:
    graph = {
        "1": node("EmptyImage", width=24, height=24, batch_size=1, color=255),
        "2": node("SaveImage", images=["1", 0], filename_prefix="e2e"),
        "3": node("TestSleep", value=["1", 0], seconds=0.1),
        "90": node("RemoteDispatch", value=["3", 0]),
        "91": node("SaveImage", images=["90", 0], filename_prefix="e2e"),
    }
    done = await master.run(graph)
    assert done.succeeded
    local, remote = done.images("2")[0], done.images("91")[0]
    assert np.array_equal(await master.picture(local), await master.picture(remote))


async def test_overrides_change_what_is_sent(master: Session) -> None:
    changed = dispatched(stamp(seed=51), ["1", 0], overrides="TestStamp.seed = 52\n# a comment\n1.width = 20")
    done = await master.run(changed)
    wanted = await master.run(
        dispatched({"1": node("TestStamp", width=20, height=32, batch=1, seed=52)}, ["1", 0])
    )
    ours, theirs = [await master.picture(run.images("91")[0]) for run in (done, wanted)]
    assert ours.shape == (32, 20, 3)
    assert np.array_equal(ours, theirs)


async def test_an_override_of_nothing_names_what_there_is(master: Session) -> None:
    done = await master.run(dispatched(stamp(seed=53), ["1", 0], overrides="sede = 1"))
    assert not done.succeeded
    assert "seed" in done.error["exception_message"]


async def test_an_interrupt_stops_the_peer_too(master: Session, peers: list[Session]) -> None:
    prompt_id = await master.queue(dispatched(sleep(61, 60.0), ["10", 0]))

    async def a_peer_works() -> bool:
        return any([not await peer.is_idle() for peer in peers])

    async def peers_are_idle() -> bool:
        return all([await peer.is_idle() for peer in peers])

    await until(a_peer_works, "a peer runs the job")
    await master.post("/interrupt", {"prompt_id": prompt_id})
    done = await master.finished(prompt_id)
    assert any(kind == "execution_interrupted" for kind, _ in done.entry["status"]["messages"])
    await until(peers_are_idle, "the peers are idle")
    assert (await master.jobs())[0]["state"] == "cancelled"


async def test_a_peers_error_lands_on_the_node_that_caused_it(master: Session) -> None:
    graph = {**stamp(seed=71), "2": node("TestError", value=["1", 0], text="the peer's own words")}
    async with master.listening() as (client_id, heard):
        prompt_id = await master.queue(dispatched(graph, ["2", 0]), client_id=client_id)
        done = await master.finished(prompt_id)
        assert done.error["node_id"] == "2"
        assert done.error["node_type"] == "TestError"
        assert "the peer's own words" in done.error["exception_message"]
        assert "peer-" in done.error["exception_message"]

        async def told() -> list[dict]:
            return [e["data"] for e in heard if e["type"] == "execution_error"]

        events = await until(told, "the page hears of the error")
    assert [event["node_id"] for event in events] == ["2"]


async def test_what_a_peer_refuses_lands_on_the_node_that_caused_it(master: Session) -> None:
    graph = {"1": node("TestStamp", width=-5, height=32, batch=1, seed=1)}
    done = await master.run(dispatched(graph, ["1", 0]))
    assert done.error["node_id"] == "1"
    assert "min" in done.error["exception_message"]


async def test_no_peer_can_run_it_and_the_reason_is_given_for_each(master: Session) -> None:
    done = await master.run(dispatched({"1": node("NobodyHasThis")}, ["1", 0]))
    message = done.error["exception_message"]
    assert "peer-1, peer-2: it lacks the node NobodyHasThis" in message


async def test_run_here_lets_the_master_do_it_when_no_peer_can(master: Session) -> None:
    graph = {"1": node("EmptyImage", width=24, height=24, batch_size=1, color=0x0000FF)}
    done = await master.run(dispatched(graph, ["1", 0], peer="nobody", if_no_peer="run here"))
    assert done.succeeded, done.entry["status"]
    assert (await master.picture(done.images("91")[0]))[0, 0].tolist() == [0, 0, 255]


async def test_run_here_makes_the_changes_of_the_overrides_too(master: Session) -> None:
    graph = {"1": node("EmptyImage", width=24, height=24, batch_size=1, color=0x0000FF)}
    own = {"peer": "nobody", "if_no_peer": "run here", "overrides": f"EmptyImage.color = {0x00FF00}"}
    done = await master.run(dispatched(graph, ["1", 0], **own))
    assert done.succeeded, done.entry["status"]
    assert (await master.picture(done.images("91")[0]))[0, 0].tolist() == [0, 255, 0]


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        (node("PrimitiveInt", value=2**53 + 1), str(2**53 + 1)),
        (node("PrimitiveFloat", value=0.1), "0.1"),
        (node("PrimitiveString", value="häh? \u2603"), "häh? \u2603"),
        (node("PrimitiveBoolean", value=True), "True"),
    ],
)
async def test_texts_and_numbers_come_back_exactly(master: Session, source: dict, shown: str) -> None:
    graph = {
        "1": source,
        "90": node("RemoteDispatch", value=["1", 0]),
        "91": node("PreviewAny", source=["90", 0]),
    }
    done = await master.run(graph)
    assert done.succeeded, done.entry["status"]
    assert done.entry["outputs"]["91"]["text"] == [shown]


async def test_a_mask_and_a_latent_come_back(master: Session) -> None:
    graph = {
        "1": node("SolidMask", value=1.0, width=24, height=16),
        "2": node("EmptyLatentImage", width=64, height=64, batch_size=2),
        "80": node("RemoteDispatch", value=["1", 0]),
        "90": node("RemoteDispatch", value=["2", 0]),
        "3": node("MaskToImage", mask=["80", 0]),
        "4": node("SaveImage", images=["3", 0], filename_prefix="e2e"),
        "5": node("SaveLatent", samples=["90", 0], filename_prefix="e2e"),
    }
    done = await master.run(graph)
    assert done.succeeded, done.entry["status"]
    mask = await master.picture(done.images("4")[0])
    assert mask.shape == (16, 24, 3)
    assert mask.min() == 255


async def test_a_type_that_cannot_travel_is_refused_in_words(master: Session) -> None:
    graph = {"1": node("UNETLoader", unet_name="tiny-random-unet.safetensors", weight_dtype="default")}
    done = await master.run(
        {**graph, "90": node("RemoteDispatch", value=["1", 0]), "91": node("PreviewAny", source=["90", 0])}
    )
    assert "cannot bring back MODEL" in done.error["exception_message"]
    assert "Link" in done.error["exception_message"]


async def test_with_nothing_linked_the_whole_graph_runs_on_a_peer(
    master: Session, peers: list[Session]
) -> None:
    graph = {
        **stamp(seed=81, size=40, batch=2),
        "2": node("SaveImage", images=["1", 0], filename_prefix="whole/graph"),
        "90": node("RemoteDispatch"),
        "91": node("SaveImage", images=["90", 0], filename_prefix="e2e"),
    }
    done = await master.run(graph)
    assert done.succeeded, done.entry["status"]
    assert len(done.images("91")) == 2
    outputs = (await master.jobs())[0]["outputs"]
    assert [(o["subfolder"], o["type"]) for o in outputs] == [("whole", "output")] * 2
    assert all(o["filename"].startswith("graph_") for o in outputs)
    before = await executions(peers)
    await master.run(graph)
    assert await executions(peers) == before
    graph["1"]["inputs"]["seed"] = 82
    await master.run(graph)
    assert await executions(peers) == before + 1


def whole_graph(made_by: str) -> Graph:
    return {
        "1": node(made_by, width=16, height=16, batch=1, seed=85),
        "2": node("SaveImage", images=["1", 0], filename_prefix="whole/kinds"),
        "90": node("RemoteDispatch"),
    }


async def test_pictures_of_two_sizes_are_saved_all_the_same(master: Session) -> None:
    done = await master.run(whole_graph("TestSizes"))
    assert done.succeeded, done.entry["status"]
    assert len((await master.jobs())[0]["outputs"]) == 2
    graph = {**whole_graph("TestSizes"), "91": node("SaveImage", images=["90", 0], filename_prefix="e2e")}
    graph["1"]["inputs"]["seed"] = 86
    wanted = await master.run(graph)
    assert "16x16, 24x16" in wanted.error["exception_message"]


async def test_a_picture_with_alpha_and_one_without_make_a_batch(master: Session) -> None:
    graph = {**whole_graph("TestAlpha"), "91": node("SaveImage", images=["90", 0], filename_prefix="e2e")}
    done = await master.run(graph)
    assert done.succeeded, done.entry["status"]
    first, second = [await master.picture(image) for image in done.images("91")]
    assert first.shape == (16, 16, 3)
    assert (first == second).all()


async def test_progress_and_previews_reach_the_page_for_the_nodes_that_were_sent_away(
    master: Session,
) -> None:
    async with master.listening() as (client_id, heard):
        prompt_id = await master.queue(dispatched(sampled(seed=91, steps=6), ["5", 0]), client_id=client_id)
        done = await master.finished(prompt_id)
        assert done.succeeded, done.entry["status"]

        def steps() -> list[int]:
            maps = [e["data"] for e in heard if e["type"] == "progress_state"]
            mine = [m["nodes"]["4"] for m in maps if m["prompt_id"] == prompt_id and "4" in m["nodes"]]
            return [int(n["value"]) for n in mine if n["max"] == 6]

        async def complete() -> bool:
            previews = [e for e in heard if e["type"] == "binary" and e["event"] == 4]
            return bool(previews) and 6 in steps()

        await until(complete, "steps and previews of the sampler")
        assert steps() == sorted(steps())
        status = [e["data"] for e in heard if e["type"] == "binary" and e["event"] == 3]
        assert any(b"on peer-" in text for text in status)


async def test_a_prompt_that_is_wrong_on_the_master_is_still_refused_there(master: Session) -> None:
    with pytest.raises(PromptRejected):
        await master.queue({"1": node("SaveImage", images=["2", 0], filename_prefix="x")})
