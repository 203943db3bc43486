"""Workflows inside sound, video and model files, written by the libraries ComfyUI writes them with."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orchestrator.commands.embedded.document import read_document
from orchestrator.errors import WorkflowError

av = pytest.importorskip("av")

WORKFLOW = {"nodes": [], "links": [], "extra": {"note": "Zoë 猫", "long": "x" * 200_000}}
PROMPT = {"3": {"class_type": "KSampler", "inputs": {"seed": 2**64 - 1}}}
BOTH = {"prompt": json.dumps(PROMPT), "workflow": json.dumps(WORKFLOW, ensure_ascii=False)}
SOUND = {"flac": ("flac", "s16"), "opus": ("libopus", "flt"), "mp3": ("libmp3lame", "s16p")}
VIDEO = {"mp4": "libx264", "mov": "libx264", "webm": "libvpx-vp9", "mkv": "libx264"}


def sound(kind: str, metadata: Mapping[str, str]) -> io.BytesIO:
    codec, layout = SOUND[kind]
    file = io.BytesIO()
    with av.open(file, "w", format=kind) as container:
        container.metadata.update(metadata)
        stream = container.add_stream(codec, rate=48_000, layout="mono")
        shape = (1, 4_800)
        samples = np.zeros(shape, dtype=np.float32 if layout == "flt" else np.int16)
        frame = av.AudioFrame.from_ndarray(samples, format=layout, layout="mono")
        frame.sample_rate = 48_000
        frame.pts = 0
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    return file


def video(kind: str, metadata: Mapping[str, str], **options: str) -> io.BytesIO:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"clip.{kind}"
        with av.open(path, "w", options=options) as container:
            container.metadata.update(metadata)
            stream = container.add_stream(VIDEO[kind], rate=Fraction(8))
            stream.width = stream.height = 64
            stream.pix_fmt = "yuv420p"
            for _ in range(3):
                frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return io.BytesIO(path.read_bytes())


def test_a_flac_file_gives_its_workflow() -> None:
    assert read_document(sound("flac", BOTH)).workflow == WORKFLOW


@pytest.mark.parametrize("kind", ["opus", "mp3"])
def test_compressed_sound_gives_its_workflow(kind: str) -> None:
    assert read_document(sound(kind, BOTH)).workflow == WORKFLOW
    assert read_document(sound(kind, {"prompt": BOTH["prompt"]})).prompt == PROMPT


@pytest.mark.parametrize("kind", ["mp4", "mov"])
@pytest.mark.parametrize("flags", ["use_metadata_tags", "use_metadata_tags+faststart"])
def test_an_mp4_gives_its_workflow_before_and_after_the_pictures(kind: str, flags: str) -> None:
    assert read_document(video(kind, BOTH, movflags=flags)).workflow == WORKFLOW


@pytest.mark.parametrize("kind", ["webm", "mkv"])
def test_a_webm_gives_its_workflow(kind: str) -> None:
    assert read_document(video(kind, BOTH)).workflow == WORKFLOW


@pytest.mark.parametrize("kind", ["mp4", "webm"])
def test_a_comment_that_holds_both_is_understood_and_any_other_passed_over(kind: str) -> None:
    comment = json.dumps({"prompt": BOTH["prompt"], "workflow": WORKFLOW})
    assert read_document(video(kind, {"comment": comment})).workflow == WORKFLOW
    with pytest.raises(WorkflowError, match="carries no workflow"):
        read_document(video(kind, {"comment": "{made in Berlin}"}))


@pytest.mark.parametrize(
    "file",
    [
        lambda: sound("flac", {}),
        lambda: sound("opus", {}),
        lambda: sound("mp3", {}),
        lambda: video("mp4", {}),
    ],
    ids=["flac", "opus", "mp3", "mp4"],
)
def test_a_file_without_a_workflow_says_so(file: Any) -> None:
    with pytest.raises(WorkflowError, match=r"carries no workflow|no workflow that can be read"):
        read_document(file())


def test_a_latent_gives_its_workflow(tmp_path: Path) -> None:
    torch_free = pytest.importorskip("safetensors.numpy")
    path = tmp_path / "a.latent"
    torch_free.save_file({"latent_tensor": np.zeros((1, 4, 2, 2), np.float32)}, path, metadata=BOTH)
    with path.open("rb") as file:
        assert read_document(file).workflow == WORKFLOW


@pytest.mark.parametrize("kind", ["flac", "opus", "mp3", "mp4", "webm"])
def test_a_file_cut_anywhere_or_bent_anywhere_is_read_or_refused_in_words(kind: str) -> None:
    short = {"workflow": json.dumps({"nodes": [], "links": []})}
    file = sound(kind, short) if kind in SOUND else video(kind, short)
    data = file.getvalue()
    places = range(0, min(len(data), 4_000), 7)
    damaged = [data[:at] for at in places]
    damaged += [data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :] for at in places]
    for each in damaged:
        try:
            read_document(io.BytesIO(each))
        except WorkflowError as exc:
            assert str(exc)
