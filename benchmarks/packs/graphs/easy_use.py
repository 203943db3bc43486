"""Easy-Use: loops that expand, savers, shown values."""

from __future__ import annotations

from ..cases import Case, node, pictures, saved, shown

CASES = (
    Case("easy imageSave", {
        "1": pictures(1, batch=2),
        "2": node("easy imageSave", images=["1", 0], filename_prefix="easy", only_preview=False),
    }),
    Case("easy imageSave, preview only", {
        "1": pictures(2),
        "2": node("easy imageSave", images=["1", 0], filename_prefix="easy", only_preview=True),
    }),
    Case("a for loop", {
        "1": node("easy forLoopStart", total=3, initial_value1=["5", 0]),
        "2": node("easy mathInt", a=["1", 1], b=10, operation="add"),
        "3": node("ImageBatch", image1=["1", 2], image2=["5", 0]),
        "4": node("easy forLoopEnd", flow=["1", 0], initial_value1=["3", 0]),
        "5": pictures(3),
        "6": saved("4", prefix="loop"),
    }, value=("6", "images")),
    Case("a saver inside a for loop", {
        "1": node("easy forLoopStart", total=3, initial_value1=["5", 0]),
        "2": saved("1", 2, prefix="inside"),
        "3": node("ImageInvert", image=["1", 2]),
        "4": node("easy forLoopEnd", flow=["1", 0], initial_value1=["3", 0]),
        "5": pictures(4),
        "6": saved("4", prefix="after"),
    }),
    Case("lazy savers and texts inside a for loop", {
        "1": node("easy forLoopStart", total=3, initial_value1=["5", 0]),
        "2": node("easy saveImageLazy", images=["1", 2], filename_prefix="lazy", save_metadata=True),
        "3": node("ImageInvert", image=["2", 0]),
        "4": node("easy forLoopEnd", flow=["1", 0], initial_value1=["3", 0]),
        "5": pictures(5),
        "6": saved("4", prefix="end"),
    }),
    Case("showAnything", {
        "1": node("easy string", value="a lighthouse"),
        "2": node("easy showAnything", anything=["1", 0]),
        "3": shown("2"),
    }, value=("3", "source")),
    Case("numbers compared, a branch taken", {
        "1": node("easy int", value=4),
        "2": node("easy compare", a=["1", 0], b=3, comparison="a > b"),
        "3": pictures(6),
        "4": pictures(7),
        "5": node("easy ifElse", boolean=["2", 0], on_true=["3", 0], on_false=["4", 0]),
        "6": saved("5"),
    }, value=("6", "images")),
    Case("a line of prompts: one picture each", {
        "1": node("easy promptLine", prompt="one\ntwo\nthree", start_index=0, max_rows=10,
                  remove_empty_lines=True),
        "2": node("easy showAnything", anything=["1", 0]),
    }),
    Case("picture to text and back", {
        "1": pictures(8, size=16),
        "2": node("easy imageToBase64", image=["1", 0]),
        "3": node("easy loadImageBase64", base64_data=["2", 0], image_output="Save", save_prefix="back"),
    }),
    Case("caches cleared on the way", {
        "1": pictures(9),
        "2": node("easy clearCacheAll", anything=["1", 0]),
        "3": node("easy cleanGpuUsed", anything=["2", 0]),
        "4": saved("3"),
    }),
    Case("pictures joined, counted and measured", {
        "1": pictures(10),
        "2": pictures(11),
        "3": node("easy imageConcat", image1=["1", 0], image2=["2", 0], direction="right",
                  match_image_size=False),
        "4": node("easy imageSize", image=["3", 0]),
        "5": node("easy imageCount", images=["3", 0]),
        "6": shown("5"),
        "7": saved("3"),
    }, value=("7", "images")),
    Case("anything in a batch", {
        "1": node("easy batchAnything", any_1=["3", 0], any_2=["4", 0]),
        "2": node("easy indexAnything", any=["1", 0], index=1),
        "3": pictures(12),
        "4": pictures(13),
        "5": saved("2"),
    }, value=("5", "images")),
    Case("a while loop", {
        "1": node("easy whileLoopStart", condition=True, initial_value0=["6", 0], initial_value1=["5", 0]),
        "2": node("easy mathInt", a=["1", 1], b=1, operation="add"),
        "3": node("easy compare", a=["2", 0], b=3, comparison="a < b"),
        "4": node("easy whileLoopEnd", flow=["1", 0], condition=["3", 0], initial_value0=["2", 0],
                  initial_value1=["7", 0]),
        "5": pictures(14),
        "6": node("easy int", value=0),
        "7": node("ImageInvert", image=["1", 2]),
        "8": saved("4", 1, prefix="while"),
    }),
    Case("styles of a list", {
        "1": node("easy stylesSelector", styles="fooocus_styles", positive="a house", negative="",
                  select_styles="fooocus_enhance"),
        "2": node("easy showAnything", anything=["1", 0]),
    }),
)  # fmt: skip
