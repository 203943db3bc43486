"""ComfyUI essentials: batches, sums, shown values."""

from __future__ import annotations

from ..cases import Case, node, pictures, sampled, saved, shown

CASES = (
    Case("batches made, stretched and cut", {
        "1": pictures(1),
        "2": pictures(2),
        "3": node("ImageBatchMultiple+", image_1=["1", 0], image_2=["2", 0], method="lanczos"),
        "4": node("ImageExpandBatch+", image=["3", 0], size=5, method="repeat all"),
        "5": node("ImageFromBatch+", image=["4", 0], start=1, length=3),
        "6": saved("5"),
    }, value=("6", "images")),
    Case("a batch as a list", {
        "1": pictures(3, batch=3),
        "2": node("ImageBatchToList+", image=["1", 0]),
        "3": saved("2", prefix="each"),
        "4": node("ImageListToBatch+", image=["2", 0]),
        "5": saved("4", prefix="all"),
    }, value=("5", "images")),
    Case("ConsoleDebug and the shape of a tensor", {
        "1": pictures(4),
        "2": node("ConsoleDebug+", value=["1", 0], prefix="Value:"),
        "3": node("DebugTensorShape+", tensor=["1", 0]),
        "4": saved("1"),
    }),
    Case("DisplayAny", {
        "1": pictures(5),
        "2": node("DisplayAny", input=["1", 0], mode="tensor shape"),
        "3": node("SimpleMath+", value="a * 3", a=7),
        "4": node("DisplayAny", input=["3", 0], mode="raw value"),
    }),
    Case("a text drawn, a mask shown", {
        "1": node("DrawText+", text="Hello", font="ShareTechMono-Regular.ttf", size=20, color="#FFFFFF",
                  background_color="#000000FF", shadow_distance=0, shadow_blur=0, shadow_color="#000000",
                  horizontal_align="left", vertical_align="top", offset_x=0, offset_y=0, direction="ltr"),
        "2": saved("1"),
        "3": node("MaskPreview+", mask=["1", 1]),
    }, value=("2", "images")),
    Case("conditions and sizes", {
        "1": pictures(6),
        "2": node("GetImageSize+", image=["1", 0]),
        "3": node("SimpleComparison+", a=["2", 0], b=10, comparison=">"),
        "4": node("SimpleCondition+", evaluate=["3", 0], on_true=["1", 0]),
        "5": saved("4"),
        "6": shown("2", 0),
    }, value=("5", "images")),
    Case("a preview of a latent", {
        **sampled(1),
        "7": node("ImagePreviewFromLatent+", latent=["4", 0], vae=["5", 0], tile_size=0, image="none"),
    }),
)  # fmt: skip
