"""A graph of a pack, and how it is run in each way."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

Prompt = dict[str, Any]
Node = dict[str, Any]
Place = tuple[str, str]  #: a node and one of its inputs

SHARED = "{shared}"
DISPATCHER = "900"  #: the id of the Remote Dispatch node


@dataclass(frozen=True)
class Drawn:
    """How the page shows some links: `everywhere` ones come from nodes of Use Everywhere and are written down
    in ``extra.ue_links`` alone; `named` ones go through a pair of KJNodes' Set and Get."""

    everywhere: tuple[Place, ...] = ()
    named: tuple[Place, ...] = ()


@dataclass(frozen=True)
class Case:
    """One graph in API format.

    SHARED in a text is a folder that all machines see, as a network drive; SHARED/made is empty before each
    run.
    ``value``: the node and its input whose link a Remote Dispatch node is put into.
    ``alike``: what the plain ComfyUI runs in its place, where a fleet does more: it finds a file in spite of
    another system's separators.
    ``may_say``: the sentence that is right in fleet mode and the node where the graph cannot run alike.
    ``drawn``: how its workflow file shows some of its links; None where no file is tried.
    ``unstable``: what it makes differs from run to run; names, counts and sizes are compared, not content.
    """

    name: str
    prompt: Prompt
    value: Place | None = None
    alike: Prompt = field(default_factory=dict)
    may_say: str = ""
    unstable: bool = False
    drawn: Drawn | None = None

    def placed(self, shared: Path) -> Case:
        """With the path of the folder that all machines see, where its texts say SHARED."""
        text = json.dumps(self.prompt).replace(SHARED, json.dumps(shared.as_posix())[1:-1])
        return replace(self, prompt=json.loads(text))

    def whole(self) -> Prompt:
        """All of it through a node with nothing linked."""
        return {**self.prompt, DISPATCHER: node("RemoteDispatch")}

    def through(self) -> Prompt:
        """The chosen link through a node."""
        assert self.value is not None
        sink, name = self.value
        inputs = self.prompt[sink]["inputs"]
        return {
            **self.prompt,
            DISPATCHER: node("RemoteDispatch", value=inputs[name]),
            sink: {**self.prompt[sink], "inputs": {**inputs, name: [DISPATCHER, 0]}},
        }

    def workflow(self) -> dict[str, Any]:
        """A workflow file beside the prompt, as a page sends one: its nodes in a row."""
        nodes = [
            {
                "id": int(node_id),
                "type": entry["class_type"],
                "pos": [300 * place, 0],
                "size": [200, 100],
                "flags": {},
                "order": place,
                "mode": 0,
                "inputs": [],
                "outputs": [],
                "properties": {"Node name for S&R": entry["class_type"]},
                "widgets_values": [],
            }
            for place, (node_id, entry) in enumerate(self.prompt.items())
        ]
        return {
            "id": "5c1f1f0e-6f5a-4b59-9f0b-2f0c5b0f7a11",
            "revision": 0,
            "last_node_id": max(int(node_id) for node_id in self.prompt),
            "last_link_id": 0,
            "nodes": nodes,
            "links": [],
            "groups": [],
            "config": {},
            "extra": {},
            "version": 0.4,
        }


def node(class_type: str, **inputs: Any) -> Node:
    return {"class_type": class_type, "inputs": inputs}


def pictures(seed: int = 1, *, size: int = 64, batch: int = 1) -> Node:
    """Pictures of the peers' own test class: 8 bits hold them exactly."""
    return node("TestStamp", width=size, height=size, batch=batch, seed=seed)


def sampled(first: int, seed: int = 1) -> Prompt:
    """A latent (node `first` + 3) and its picture (node `first` + 5) by the rig's random model."""
    model, positive, empty, sampler, vae, picture = (str(first + step) for step in range(6))
    return {
        model: node("UNETLoader", unet_name="tiny-random-unet.safetensors", weight_dtype="default"),
        positive: node("LotusConditioning"),
        empty: node("EmptyLatentImage", width=64, height=64, batch_size=1),
        sampler: node(
            "KSampler",
            **{"model": [model, 0], "positive": [positive, 0], "negative": [positive, 0]},
            **{"latent_image": [empty, 0], "seed": seed, "steps": 2, "cfg": 1.0, "denoise": 1.0},
            **{"sampler_name": "euler", "scheduler": "simple"},
        ),
        vae: node("VAELoader", vae_name="taesd"),
        picture: node("VAEDecode", samples=[sampler, 0], vae=[vae, 0]),
    }


def shown(node_id: str, slot: int = 0) -> Node:
    """A value as text in the history."""
    return node("PreviewAny", source=[node_id, slot])


def saved(node_id: str, slot: int = 0, prefix: str = "saved") -> Node:
    return node("SaveImage", images=[node_id, slot], filename_prefix=prefix)
