"""Remote Split, Remote Split Tiles, Remote Gather: what lies between runs for each piece, on any peer."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io  # type: ignore[import-not-found]

from ..orchestrator.core.workflow.runs_here import GATHER_CLASS, SPLIT_CLASS, TILES_CLASS
from ..orchestrator.errors import WorkflowError
from . import pieces, tiles

_PLAN = io.Custom("REMOTE_PIECES")


def _pieces_out() -> list[Any]:
    return [
        io.AnyType.Output("piece", display_name="piece", is_output_list=True),
        _PLAN.Output("pieces", display_name="pieces"),
        io.Int.Output("index", display_name="index", is_output_list=True),
    ]


class RemoteSplit(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id=SPLIT_CLASS,
            display_name="Remote Split",
            category="remote dispatch",
            description=(
                "Cuts pictures, masks, latents or sound into pieces. What follows runs once for each; with "
                "Remote Dispatch behind it, the pieces run on all your computers at the same time. Remote "
                "Gather makes the whole again."
            ),
            inputs=[
                io.AnyType.Input("value", tooltip="Pictures, masks, latents, sound, or a list."),
                io.Int.Input(
                    "size",
                    default=8,
                    min=0,
                    max=65_536,
                    tooltip="How many pictures a piece has, or seconds of sound. 0: a list as it is.",
                ),
                io.Int.Input(
                    "overlap",
                    default=0,
                    min=0,
                    max=65_535,
                    tooltip="How many of them it shares with the piece before, for what looks at neighbours.",
                ),
            ],
            outputs=_pieces_out(),
            is_input_list=True,
        )

    @classmethod
    def execute(cls, value: list[Any], size: list[int], overlap: list[int]) -> io.NodeOutput:
        if size[0] == 0:
            found, plan = pieces.of_list(value)
        else:
            found, plan = pieces.cut(pieces.joined_list(value), size[0], overlap[0])
        return io.NodeOutput(found, plan, [span.start for span in plan.spans])


class RemoteSplitTiles(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id=TILES_CLASS,
            display_name="Remote Split Tiles",
            category="remote dispatch",
            description=(
                "Cuts a picture, mask or latent into tiles of one size. What follows runs once for each; "
                "with Remote Dispatch behind it, the tiles run on all your computers at the same time. "
                "Remote Gather makes the whole again, without seams."
            ),
            inputs=[
                io.AnyType.Input("value", tooltip="Pictures, masks or latents; a batch is cut alike."),
                io.Int.Input(
                    "tile",
                    default=1024,
                    min=16,
                    max=16_384,
                    step=8,
                    tooltip="Width and height of a tile, in pixels of the value.",
                ),
                io.Int.Input(
                    "overlap",
                    default=128,
                    min=0,
                    max=8_192,
                    step=8,
                    tooltip=(
                        "How many pixels neighbours share at least: what a tile sees around its own part."
                    ),
                ),
                _PLAN.Input(
                    "like",
                    optional=True,
                    tooltip=(
                        "Of another Remote Split Tiles: a hint or a mask for it is cut at the same places."
                    ),
                ),
            ],
            outputs=_pieces_out(),
            is_input_list=True,
        )

    @classmethod
    def execute(
        cls, value: list[Any], tile: list[int], overlap: list[int], like: list[Any] | None = None
    ) -> io.NodeOutput:
        whole = pieces.joined_list(value)
        if not like:
            found, plan = tiles.cut(whole, tile[0], overlap[0])
        elif isinstance(like[0], tiles.TilePlan):
            found, plan = tiles.cut_like(whole, like[0]), like[0]
        else:
            raise WorkflowError("Link to 'like' what another Remote Split Tiles gives as 'pieces'.")
        return io.NodeOutput(found, plan, list(range(plan.count)))


class RemoteGather(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id=GATHER_CLASS,
            display_name="Remote Gather",
            category="remote dispatch",
            description="Makes the whole again of the pieces that Remote Split or Remote Split Tiles cut.",
            inputs=[
                io.AnyType.Input("value", tooltip="What became of the pieces."),
                _PLAN.Input("pieces", tooltip="From the same Remote Split or Remote Split Tiles."),
                io.Int.Input(
                    "blend",
                    default=pieces.HALF,
                    min=pieces.HALF,
                    max=65_535,
                    tooltip=(
                        "Over how many pictures or pixels of an overlap one piece goes over into the next. "
                        "-1: half of it; 0: it is parted in the middle."
                    ),
                ),
            ],
            outputs=[io.AnyType.Output("whole", display_name="whole")],
            is_input_list=True,
        )

    @classmethod
    def execute(
        cls, value: list[Any], blend: list[int], **linked: list[pieces.PiecePlan | tiles.TilePlan]
    ) -> io.NodeOutput:
        (plan,) = linked["pieces"]
        if isinstance(plan, tiles.TilePlan):
            return io.NodeOutput(tiles.join(value, plan, blend[0]))
        return io.NodeOutput(pieces.join(value, plan, blend[0]))
