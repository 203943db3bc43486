"""VideoHelperSuite: films in, films out."""

from __future__ import annotations

from typing import Any

from ..cases import SHARED, Case, Node, node, pictures, sampled, saved, shown


def film(images: list[Any], kind: str, prefix: str = "clip", **more: Any) -> Node:
    basic = {"frame_rate": 8, "loop_count": 0, "pingpong": False, "save_output": True}
    return node("VHS_VideoCombine", images=images, filename_prefix=prefix, format=kind, **{**basic, **more})


H264 = {"pix_fmt": "yuv420p", "crf": 19, "save_metadata": True, "trim_to_audio": False}
WHOLE = {
    "force_rate": 0,
    "custom_width": 0,
    "custom_height": 0,
    "frame_load_cap": 16,
    "skip_first_frames": 0,
    "select_every_nth": 1,
}


def loaded(name: str = "holiday.mp4", **more: Any) -> Node:
    return node("VHS_LoadVideo", video=name, **WHOLE, format="AnimateDiff", **more)


CASES = (
    Case("a film in and out, with its sound", {
        "1": loaded(),
        "2": film(["1", 0], "video/h264-mp4", audio=["1", 2], **H264),
    }),
    Case("a film from a folder of the input", {
        "1": loaded("clips/beach.mp4"),
        "2": saved("1", prefix="beach"),
    }, value=("2", "images")),
    Case("gif and webp", {
        "1": pictures(3, batch=5),
        "2": film(["1", 0], "image/gif", "loops/gif"),
        "3": film(["1", 0], "image/webp", "loops/webp", lossless=True),
        "4": film(["1", 0], "video/ffmpeg-gif", "loops/dithered", dither="sierra2_4a"),
    }),
    Case("a sequence of 8-bit PNG", {
        "1": loaded(),
        "2": film(["1", 0], "video/8bit-png", "seq"),
    }),
    Case("a sequence of 16-bit PNG in a subfolder", {
        "1": pictures(4, batch=3),
        "2": film(["1", 0], "video/16bit-png", "seq/deep"),
    }),
    Case("webm, ProRes and ffv1", {
        "1": pictures(5, batch=4),
        "2": film(["1", 0], "video/webm", "a", pix_fmt="yuv420p", crf=20, save_metadata=True,
                  trim_to_audio=False),
        "3": film(["1", 0], "video/ProRes", "b", profile="hq"),
        "4": film(["1", 0], "video/ffv1-mkv", "c", level="3", coder="1", context="1", gop_size=1,
                  slices="16", slicecrc="1", pix_fmt="yuv444p", save_metadata=True, trim_to_audio=False),
    }),
    Case("not saved: a preview in the temp folder", {
        "1": pictures(6, batch=4),
        "2": film(["1", 0], "video/h264-mp4", save_output=False, **H264),
    }),
    Case("without metadata, ping-pong", {
        "1": pictures(7, batch=4),
        "2": film(["1", 0], "video/h264-mp4", **{**H264, "save_metadata": False}, pingpong=True),
    }),
    Case("a sound on its own, and one put under a film", {
        "1": node("VHS_LoadAudioUpload", audio="voice.wav", start_time=0, duration=0),
        "2": pictures(8, batch=8),
        "3": film(["2", 0], "video/h264-mp4", "spoken", audio=["1", 0], **H264),
        "4": node("SaveAudio", audio=["1", 0], filename_prefix="voice"),
    }),
    Case("meta batch: a prompt that queues itself again", {
        "1": loaded(meta_batch=["3", 0]),
        "2": film(["1", 0], "video/h264-mp4", "batched", audio=["1", 2], meta_batch=["3", 0], **H264),
        "3": node("VHS_BatchManager", frames_per_batch=4),
    }),
    Case("what a film is, in numbers", {
        "1": loaded(),
        "2": node("VHS_VideoInfo", video_info=["1", 3]),
        "3": shown("2", 0),
        "4": shown("2", 1),
        "5": shown("1", 1),
    }, value=("5", "source")),
    Case("latents split, merged and doubled", {
        **sampled(1),
        "7": node("VHS_DuplicateLatents", latents=["4", 0], multiply_by=3),
        "8": node("VHS_SplitLatents", latents=["7", 0], split_index=1),
        "9": node("SaveLatent", samples=["8", 2], filename_prefix="latents/rest"),
        "10": node("VHS_GetLatentCount", latents=["8", 2]),
        "11": shown("10"),
    }),
    Case("pictures chosen of a batch", {
        "1": pictures(9, batch=6),
        "2": node("VHS_SelectEveryNthImage", images=["1", 0], select_every_nth=2, skip_first_images=1),
        "3": node("VHS_SelectImages", image=["2", 0], indexes="-1,0", err_if_missing=True, err_if_empty=True),
        "4": saved("3"),
    }, value=("4", "images")),
    Case("the name of the film that was made", {
        "1": pictures(10, batch=4),
        "2": film(["1", 0], "video/h264-mp4", "named", **H264),
        "3": node("VHS_SelectFilename", filenames=["2", 0], index=-1),
        "4": shown("3"),
    }),
    Case("companions pruned", {
        "1": pictures(11, batch=4),
        "2": film(["1", 0], "video/h264-mp4", "pruned", **H264),
        "3": node("VHS_PruneOutputs", filenames=["2", 0], options="Intermediate"),
    }),
    Case("latents decoded by the film's own node", {
        **sampled(1),
        "7": node("VHS_DuplicateLatents", latents=["4", 0], multiply_by=3),
        "8": film(["7", 0], "video/h264-mp4", "decoded", vae=["5", 0], **H264),
    }),
    Case("a folder of the input", {
        "1": node("VHS_LoadImages", directory="frames_b", image_load_cap=0, skip_first_images=0,
                  select_every_nth=1),
        "2": saved("1"),
    }, value=("2", "images"), may_say="frames_b"),
    Case("a film by its path", {
        "1": node("VHS_LoadVideoPath", video=f"{SHARED}/holiday.mp4", **WHOLE, format="AnimateDiff"),
        "2": saved("1"),
    }, value=("2", "images")),
    Case("a folder by its path, and a sound", {
        "1": node("VHS_LoadImagesPath", directory=f"{SHARED}/frames_b", image_load_cap=0,
                  skip_first_images=0, select_every_nth=1),
        "2": node("VHS_LoadAudio", audio_file=f"{SHARED}/voice.wav", seek_seconds=0, duration=0),
        "3": film(["1", 0], "video/h264-mp4", "by_path", audio=["2", 0], **H264),
        "4": node("VHS_LoadImagePath", image=f"{SHARED}/portrait.png", custom_width=0, custom_height=0),
        "5": saved("4"),
    }, value=("5", "images")),
)  # fmt: skip
