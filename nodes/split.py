"""Remote Split and Remote Gather: what stands between them runs once for each piece, where a peer is free."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io  # type: ignore[import-not-found]

from ..orchestrator.core.workflow.runs_here import GATHER_CLASS, SPLIT_CLASS
from . import pieces

_PLAN = io.Custom("REMOTE_PIECES")


class RemoteSplit(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id=SPLIT_CLASS,
            display_name="Remote Split",
            category="remote dispatch",
            description=(
                "Cuts pictures, masks or latents into pieces. What follows runs once for each; with Remote "
                "Dispatch behind it, the pieces run on all your computers at the same time. Remote Gather "
                "makes the whole again."
            ),
            inputs=[
                io.AnyType.Input("value", tooltip="Pictures, masks, latents, or a list."),
                io.Int.Input(
                    "size",
                    default=8,
                    min=0,
                    max=65_536,
                    tooltip="How many pictures a piece has. 0: a list as it is.",
                ),
                io.Int.Input(
                    "overlap",
                    default=0,
                    min=0,
                    max=65_535,
                    tooltip="How many of them it shares with the piece before, for what looks at neighbours.",
                ),
            ],
            outputs=[
                io.AnyType.Output("piece", is_output_list=True),
                _PLAN.Output("pieces"),
                io.Int.Output("index", is_output_list=True),
            ],
            is_input_list=True,
        )

    @classmethod
    def execute(cls, value: list[Any], size: list[int], overlap: list[int]) -> io.NodeOutput:
        if size[0] == 0:
            found, plan = pieces.of_list(value)
        else:
            found, plan = pieces.cut(pieces.joined_list(value), size[0], overlap[0])
        return io.NodeOutput(found, plan, [span.start for span in plan.spans])


class RemoteGather(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id=GATHER_CLASS,
            display_name="Remote Gather",
            category="remote dispatch",
            description="Makes the whole again of the pieces that Remote Split cut.",
            inputs=[
                io.AnyType.Input("value", tooltip="What became of the pieces."),
                _PLAN.Input("pieces", tooltip="From the same Remote Split."),
                io.Int.Input(
                    "blend",
                    default=pieces.HALF,
                    min=pieces.HALF,
                    max=65_535,
                    tooltip=(
                        "Over how many pictures of an overlap one piece goes over into the next. -1: half "
                        "of it; 0: it is parted in the middle."
                    ),
                ),
            ],
            outputs=[io.AnyType.Output("whole")],
            is_input_list=True,
        )

    @classmethod
    def execute(cls, value: list[Any], blend: list[int], **plan: list[pieces.PiecePlan]) -> io.NodeOutput:
        return io.NodeOutput(pieces.join(value, plan["pieces"][0], blend[0]))
