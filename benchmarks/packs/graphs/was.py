"""WAS Node Suite: a saver with a mind of its own, texts, filters."""

from __future__ import annotations

from typing import Any

from ..cases import SHARED, Case, Node, node, pictures, sampled, saved, shown


def image_save(images: list[Any], **more: Any) -> Node:
    usual = {
        "output_path": "",
        "filename_prefix": "reports",
        "filename_delimiter": "_",
        "filename_number_padding": 4,
        "filename_number_start": "false",
        "extension": "png",
        "dpi": 300,
        "quality": 100,
        "optimize_image": "true",
        "lossless_webp": "false",
        "overwrite_mode": "false",
        "show_history": "false",
        "show_history_by_prefix": "true",
        "embed_workflow": "true",
        "show_previews": "true",
    }
    return node("Image Save", images=images, **{**usual, **more})


def text_file(text: object, **more: Any) -> Node:
    usual = {
        "path": f"{SHARED}/made/texts",
        "filename_prefix": "notes",
        "filename_delimiter": "_",
        "filename_number_padding": 4,
        "file_extension": ".txt",
        "encoding": "utf-8",
        "filename_suffix": "",
    }
    return node("Save Text File", text=text, **{**usual, **more})


CASES = (
    Case("Image Save", {"1": pictures(1, batch=2), "2": image_save(["1", 0])}),
    Case("Image Save of something sampled", {**sampled(1), "7": image_save(["6", 0])}),
    Case("Image Save without previews", {
        "1": pictures(2, batch=2),
        "2": image_save(["1", 0], show_previews="false"),
    }),
    Case("Image Save into a folder of the output", {
        "1": pictures(3),
        "2": image_save(["1", 0], output_path="portraits/anna"),
    }),
    Case("Image Save into a folder by the date", {
        "1": pictures(4),
        "2": image_save(["1", 0], output_path="[time(%Y-%m-%d)]"),
    }),
    Case("Image Save with a folder in the prefix", {
        "1": pictures(5),
        "2": image_save(["1", 0], filename_prefix="anna/reports"),
    }, alike={  # the pack makes no folder of a prefix, and loses the picture
        "1": pictures(5),
        "2": image_save(["1", 0], output_path="anna"),
    }),
    Case("Image Save as jpg, webp, bmp, tiff, gif", {
        "1": pictures(6),
        "2": image_save(["1", 0], extension="jpg", filename_prefix="a", quality=90),
        "3": image_save(["1", 0], extension="webp", filename_prefix="b", lossless_webp="true"),
        "4": image_save(["1", 0], extension="bmp", filename_prefix="c"),
        "5": image_save(["1", 0], extension="tiff", filename_prefix="d"),
        "6": image_save(["1", 0], extension="gif", filename_prefix="e"),
    }),
    Case("Image Save under one name, nothing embedded", {
        "1": pictures(7),
        "2": image_save(["1", 0], overwrite_mode="prefix_as_filename", embed_workflow="false"),
    }),
    Case("Image Save, number first", {
        "1": pictures(8, batch=2),
        "2": image_save(["1", 0], filename_number_start="true", filename_delimiter="-"),
    }),
    Case("Image Save with its history shown", {
        "1": pictures(9),
        "2": image_save(["1", 0], show_history="true"),
    }),
    Case("two Image Save of one prefix", {
        "1": pictures(10),
        "2": pictures(11),
        "3": image_save(["1", 0]),
        "4": image_save(["2", 0]),
    }),
    Case("Image Save hands its names on", {
        "1": pictures(12),
        "2": image_save(["1", 0]),
        "3": shown("2", 1),
        "4": saved("2", prefix="after"),
    }),
    Case("Image Save into a folder that all machines see", {
        "1": pictures(12),
        "2": image_save(["1", 0], output_path=f"{SHARED}/made/pictures"),
    }),
    Case("Save Text File", {"1": text_file("an old lighthouse")}),
    Case("Save Text File into a folder, as json", {
        "1": node("Text Multiline", text="a\nb"),
        "2": text_file(["1", 0], path=f"{SHARED}/made/texts/day", file_extension=".json",
                       filename_suffix="x"),
    }),
    Case("texts joined, replaced and counted", {
        "1": node("Text String", text="red", text_b="green", text_c="", text_d=""),
        "2": node("Text Concatenate", delimiter=", ", clean_whitespace="true", text_a=["1", 0],
                  text_b=["1", 1]),
        "3": node("Text Find and Replace", text=["2", 0], find="red", replace="blue"),
        "4": node("Text to Console", text=["3", 0], label="colours"),
        "5": shown("3"),
    }, value=("5", "source")),
    Case("a random line by its seed", {
        "1": node("Text Random Line", text="one\ntwo\nthree\nfour", seed=7),
        "2": shown("1"),
    }, value=("2", "source")),
    Case("filters, blended and resized", {
        "1": pictures(13),
        "2": node("Image Filter Adjustments", image=["1", 0], brightness=0.1, contrast=1.1, saturation=1.2,
                  sharpness=1.0, blur=1, gaussian_blur=0.0, edge_enhance=0.0, detail_enhance="false"),
        "3": node("Image Blending Mode", image_a=["1", 0], image_b=["2", 0], mode="multiply",
                  blend_percentage=0.5),
        "4": node("Image Resize", image=["3", 0], mode="resize", supersample="false", resampling="lanczos",
                  rescale_factor=2, resize_width=96, resize_height=96),
        "5": saved("4", prefix="filtered"),
    }, value=("5", "images")),
    Case("Cache Node", {
        **sampled(1),
        "7": node("Cache Node", latent_suffix="l_cache", image_suffix="i_cache",
                  conditioning_suffix="c_cache", output_path="", latent=["4", 0], image=["6", 0]),
        "8": saved("6", prefix="cached"),
    }),
    Case("a gif written by Write to GIF", {
        "1": pictures(14),
        "2": node("Write to GIF", image=["1", 0], transition_frames=3, image_delay_ms=100.0, duration_ms=0.1,
                  loops=0, max_size=128, output_path=f"{SHARED}/made/gifs", filename="writer"),
        "3": shown("2", 2),
        "4": saved("2"),
    }),
    Case("Image Load by a path", {
        "1": node("Image Load", image_path=f"{SHARED}/portrait.png", RGBA="false",
                  filename_text_extension="true"),
        "2": saved("1"),
    }, value=("2", "images")),
    Case("pictures of a folder by its path, one by one", {
        "1": node("Load Image Batch", mode="single_image", seed=0, index=2, label="Batch 001",
                  path=f"{SHARED}/frames_b", pattern="*", allow_RGBA_output="false",
                  filename_text_extension="true"),
        "2": saved("1"),
        "3": shown("1", 1),
    }, value=("2", "images")),
    Case("lines of a file by its path", {
        "1": node("Load Text File", file_path=f"{SHARED}/story.txt", dictionary_name="[filename]"),
        "2": node("Text Load Line From File", file_path=f"{SHARED}/story.txt", dictionary_name="[filename]",
                  label="TextBatch", mode="index", index=1),
        "3": shown("1"),
        "4": shown("2"),
    }, value=("4", "source")),
    Case("a prompt written by Export API", {
        "1": pictures(15),
        "2": saved("1"),
        "3": node("Export API", save_prompt_api="true", output_path=f"{SHARED}/made",
                  filename_prefix="prompt", filename_delimiter="_", filename_number_padding=4,
                  parse_text_tokens=False),
    }, unstable=True),
)  # fmt: skip
