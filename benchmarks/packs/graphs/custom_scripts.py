"""Custom-Scripts: texts shown, saved and loaded, sums, sounds."""

from __future__ import annotations

from ..cases import Case, node, pictures, saved, shown

CASES = (
    Case("SaveText into the output", {
        "1": node("SaveText|pysssss", root_dir="output", file="notes.txt", append="overwrite", insert=True,
                  text="a lighthouse"),
    }),
    Case("SaveText into a folder, and appended", {
        "1": node("SaveText|pysssss", root_dir="output", file="day/notes.txt", append="append", insert=True,
                  text="a lighthouse"),
    }),
    Case("LoadText of the input", {
        "1": node("LoadText|pysssss", root_dir="input", file="story.txt"),
        "2": node("ShowText|pysssss", text=["1", 0]),
    }),
    Case("ShowText of a list", {
        "1": node("Repeater|pysssss", source="again", repeats=3, output="multi", node_mode="reuse"),
        "2": node("ShowText|pysssss", text=["1", 0]),
    }),
    Case("MathExpression", {
        "1": node("MathExpression|pysssss", expression="a * 2 + 1", a=["2", 0]),
        "2": node("MathExpression|pysssss", expression="20"),
        "3": node("EmptyImage", width=["1", 0], height=64, batch_size=1, color=255),
        "4": saved("3"),
    }, value=("4", "images")),
    Case("MathExpression that reads a widget", {
        "1": node("MathExpression|pysssss", expression="TestStamp.width * 2"),
        "2": pictures(2),
        "3": saved("2"),
        "4": shown("1"),
    }, value=("4", "source")),
    Case("PlaySound and a notification", {
        "1": pictures(3),
        "2": node("PlaySound|pysssss", any=["1", 0], mode="always", volume=0.5, file="notify.mp3"),
        "3": node("SystemNotification|pysssss", message="done", any=["1", 0], mode="always"),
        "4": saved("1"),
    }),
    Case("texts by StringFunction", {
        "1": node("StringFunction|pysssss", action="append", tidy_tags="yes", text_a="red", text_b="house",
                  text_c=""),
        "2": node("ShowText|pysssss", text=["1", 0]),
        "3": shown("1"),
    }, value=("3", "source")),
    Case("a picture repeated", {
        "1": pictures(4),
        "2": node("Repeater|pysssss", source=["1", 0], repeats=2, output="single", node_mode="reuse"),
        "3": saved("2"),
    }),
    Case("pictures constrained, one by one", {
        "1": pictures(5, batch=2),
        "2": node("ConstrainImage|pysssss", images=["1", 0], max_width=32, max_height=32, min_width=0,
                  min_height=0, crop_if_required="no"),
        "3": saved("2"),
    }, value=("3", "images")),
)  # fmt: skip
