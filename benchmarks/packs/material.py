"""The files that the graphs read: videos, sounds, pictures, LoRAs. All made here, small."""

from __future__ import annotations

import wave
from fractions import Fraction
from pathlib import Path

import numpy as np

FRAMES, SIZE, RATE = 24, 64, 8


def fill_input(folder: Path) -> None:
    """What a user has in the input folder of the machine that they sit at."""
    _video(folder / "holiday.mp4", seed=1)
    _video(folder / "clips" / "beach.mp4", seed=2)
    _sound(folder / "voice.wav")
    for number in range(4):
        _picture(folder / "frames_b" / f"frame_{number:03}.png", seed=10 + number)
    _picture(folder / "portrait.png", seed=20)
    _picture(folder / "face (1).png", seed=21)
    (folder / "story.txt").write_text("once\nupon a time\nthe end\n", encoding="utf-8")


def fill_models(folder: Path) -> None:
    """LoRAs of the tiny model's last layer, each with a strength of its own: a picture shows which it had."""
    from safetensors.numpy import save_file

    names = ("styles/ink.safetensors", "people/anna.safetensors", "detail.safetensors")
    for number, name in enumerate(names, start=1):
        path = folder / "loras" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        key = "lora_unet_out_2"
        weights = {
            f"{key}.lora_down.weight": np.full((1, 320, 3, 3), 0.01 * number, np.float32),
            f"{key}.lora_up.weight": np.ones((4, 1, 1, 1), np.float32),
            f"{key}.alpha": np.ones((), np.float32),
        }
        save_file(weights, str(path))


def _frame(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)


def _picture(path: Path, seed: int) -> None:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(_frame(seed)).save(path)


def _video(path: Path, seed: int) -> None:
    """Three seconds with a sound."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width = stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        sound = container.add_stream("aac", rate=44_100)
        for number in range(FRAMES):
            picture = np.repeat(np.repeat(_frame(seed * 100 + number)[:8, :8], 8, 0), 8, 1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
        tone = (np.sin(np.arange(44_100 * FRAMES // RATE) * 0.05) * 0.5).astype(np.float32)
        for begin in range(0, len(tone), 1024):
            piece = av.AudioFrame.from_ndarray(tone[None, begin : begin + 1024], "fltp", "mono")
            piece.sample_rate, piece.pts, piece.time_base = 44_100, begin, Fraction(1, 44_100)
            container.mux(sound.encode(piece))
        container.mux(sound.encode())


def _sound(path: Path) -> None:
    tone = (np.sin(np.arange(44_100) * 0.03) * 20_000).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(44_100)
        file.writeframes(tone.tobytes())
