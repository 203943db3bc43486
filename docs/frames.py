"""Puts the shots of pictures.py together and saves them."""

from __future__ import annotations

import itertools
from pathlib import Path

from PIL import Image

Frame = tuple[float, Image.Image]


def beside(shots: list[Image.Image], height: int) -> Image.Image:
    """Their upper parts, on the ground that they have."""
    gap = 24
    width = sum(shot.width for shot in shots) + gap * (len(shots) - 1)
    whole = Image.new("RGB", (width, height), shots[0].getpixel((4, shots[0].height - 4)))
    for place, shot in enumerate(shots):
        whole.paste(shot, (place * (shot.width + gap), 0))
    return whole


def save(picture: Image.Image, path: Path, width: int) -> None:
    small = picture.resize((width, round(picture.height * width / picture.width)), Image.Resampling.LANCZOS)
    small.save(path, quality=88, optimize=True)


def animate(frames: list[Frame], path: Path) -> None:
    """Five times as fast as it was, at most four frames a second; the last one stands still for a while."""
    kept = [frames[0]]
    for frame in frames[1:]:
        if frame[0] - kept[-1][0] > 5 * 0.25:
            kept.append(frame)
    kept.append(frames[-1])
    durations = [round((after[0] - now[0]) * 1000 / 5) or 1 for now, after in itertools.pairwise(kept)]
    size = 960, round(frames[0][1].height * 960 / frames[0][1].width)
    first, *rest = [picture.resize(size, Image.Resampling.LANCZOS) for _, picture in kept]
    first.save(
        path, save_all=True, append_images=rest, duration=[*durations, 3000], loop=0, quality=70, method=4
    )
