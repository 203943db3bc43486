"""KJNodes: savers that write more than they tell, constants, batches, previews."""

from __future__ import annotations

from ..cases import SHARED, Case, Drawn, node, pictures, sampled, saved, shown

SHAPE = {
    "shape": "circle", "frames": 1, "location_x": 32, "location_y": 32, "grow": 0,
    "frame_width": 64, "frame_height": 64, "shape_width": 24, "shape_height": 24,
}  # fmt: skip

CASES = (
    Case("SaveImageKJ with captions", {
        "1": pictures(1, batch=2),
        "2": node("SaveImageKJ", images=["1", 0], filename_prefix="kj", output_folder="output",
                  caption_file_extension=".txt", caption="a lighthouse"),
    }),
    Case("SaveImageKJ into a folder", {
        "1": pictures(2),
        "2": node("SaveImageKJ", images=["1", 0], filename_prefix="set/kj", output_folder="output"),
    }),
    Case("SaveImageWithAlpha", {
        "1": pictures(3),
        "2": node("CreateShapeMask", **SHAPE),
        "3": node("SaveImageWithAlpha", images=["1", 0], mask=["2", 0], filename_prefix="alpha"),
    }),
    Case("SaveStringKJ", {
        "1": node("SaveStringKJ", string="a lighthouse", filename_prefix="text", output_folder="output",
                  file_extension=".txt"),
    }),
    Case("constants joined", {
        "1": node("StringConstant", string="an old"),
        "2": node("StringConstantMultiline", string="light\nhouse", strip_newlines=True),
        "3": node("JoinStringMulti", inputcount=2, string_1=["1", 0], string_2=["2", 0], delimiter=" ",
                  return_list=False),
        "4": shown("3"),
    }, value=("4", "source")),
    Case("a batch of many, counted", {
        "1": pictures(4),
        "2": pictures(5),
        "3": node("ImageBatchMulti", inputcount=2, image_1=["1", 0], image_2=["2", 0]),
        "4": node("GetImageSizeAndCount", image=["3", 0]),
        "5": saved("4"),
        "6": shown("4", 3),
    }, value=("5", "images")),
    Case("VRAM_Debug between sampler and saver", {
        **sampled(1),
        "7": node("VRAM_Debug", empty_cache=True, gc_collect=True, unload_all_models=False,
                  image_pass=["6", 0]),
        "8": saved("7", 1),
    }, unstable=True),
    Case("previews: picture with mask, animation", {
        "1": pictures(6, batch=3),
        "2": node("CreateShapeMask", **{**SHAPE, "frames": 3}),
        "3": node("ImageAndMaskPreview", mask_opacity=0.5, mask_color="255, 0, 0", pass_through=False,
                  image=["1", 0], mask=["2", 0]),
        "4": node("PreviewAnimation", fps=8.0, images=["1", 0]),
    }),
    Case("WidgetToString reads the prompt", {
        "1": pictures(77),
        "2": node("WidgetToString", id=1, widget_name="seed", return_all=False, any_input=["1", 0]),
        "3": shown("2"),
        "4": saved("1"),
    }, value=("3", "source")),
    Case("resized and labelled", {
        "1": pictures(8),
        "2": node("ImageResizeKJv2", image=["1", 0], width=96, height=64, upscale_method="nearest-exact",
                  keep_proportion="stretch", pad_color="0, 0, 0", crop_position="center", divisible_by=2),
        "3": node("AddLabel", image=["2", 0], text_x=2, text_y=2, height=24, font_size=12,
                  font_color="white", label_color="black", font="FreeMono.ttf", text="one", direction="up"),
        "4": saved("3"),
    }, value=("4", "images")),
    Case("a file of the input, loaded and resized", {
        "1": node("LoadAndResizeImage", image="portrait.png", resize=True, width=32, height=32, repeat=2,
                  keep_proportion=False, divisible_by=2, mask_channel="red", background_color=""),
        "2": saved("1"),
        "3": shown("1", 4),
    }, value=("2", "images")),
    Case("FastPreview: pictures by event", {
        "1": pictures(9),
        "2": node("FastPreview", image=["1", 0], format="PNG", max_size=128),
        "3": saved("1"),
    }),
    Case("a folder by its path", {
        "1": node("LoadImagesFromFolderKJ", folder=f"{SHARED}/frames_b", width=64, height=64,
                  keep_aspect_ratio="stretch", image_load_cap=0, start_index=0, include_subfolders=False),
        "2": saved("1"),
    }, value=("2", "images")),
    Case("a lazy switch", {
        "1": pictures(10),
        "2": pictures(11),
        "3": node("LazySwitchKJ", switch=True, on_false=["1", 0], on_true=["2", 0]),
        "4": saved("3"),
    }, value=("4", "images")),
    Case("Set and Get", {**sampled(1), "7": saved("6")},
         drawn=Drawn(named=(("4", "model"), ("4", "positive"), ("6", "vae"), ("7", "images")))),
    Case("a batch counted, by Set and Get", {
        "1": pictures(12, batch=2),
        "2": node("GetImageSizeAndCount", image=["1", 0]),
        "3": saved("2"),
        "4": shown("2", 3),
    }, drawn=Drawn(named=(("2", "image"), ("4", "source")))),
)  # fmt: skip
