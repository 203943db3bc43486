"""Stock nodes that make a value of this computer's on a peer, from files that go along. Pure.

Exactness, as measured on ComfyUI 0.3.75 and 0.33: a batch of 8-bit pictures survives as one animated PNG.
Three of them (the high, middle and low byte of 24 bits) make any value of 0..1 to within 6e-8. Latents and
sound are exact float32.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..models.job import Prompt, ResultLink

#: Values that become files on their way; all others that travel stand in the prompt itself.
CARRIED = ("IMAGE", "MASK", "LATENT", "AUDIO", "VIDEO")
SUPPORTED = (*CARRIED, "STRING", "INT", "FLOAT", "BOOLEAN")
TEXT_TYPES = frozenset({"STRING", "INT", "FLOAT", "BOOLEAN", "COMBO"})
ANY_TYPES = ("*", "COMFY_MATCHTYPE_V3")

#: How much the middle and the low byte of 24 bits add: ImageBlend gives a * (1 - f) + b * f.
_MIDDLE_SHARE = 1 / 257
_LOW_SHARE = 255 / (2**24 - 1)
#: LatentFromBatch of 0.3.75 takes no index above, and no length above one more.
_INDEX_MAX = 63


@dataclass(frozen=True)
class IndexRun:
    """Latents of a batch that follow each other in it: ``start`` is the number of the first, from 0."""

    start: int
    length: int

    @property
    def shift(self) -> int:
        """By how many places the latents have to be rolled forward in the file; see ``Loading.latents``."""
        return self.start % self.length


def runs_of(index: Sequence[int]) -> Iterator[IndexRun]:
    """The runs that such a ``batch_index`` has, each short enough for a stock peer."""
    start = 0
    for at in range(1, len(index) + 1):
        if at == len(index) or index[at] != index[at - 1] + 1 or at - start > _INDEX_MAX:
            yield IndexRun(index[start], at - start)
            start = at


class Loading:
    """Collects the nodes of one value. Their ids begin with `prefix`; names of files are as LoadImage takes
    them."""

    def __init__(self, prefix: str) -> None:
        self.nodes: Prompt = {}
        self._prefix = prefix

    def _add(self, class_type: str, **inputs: Any) -> list[Any]:
        node_id = f"{self._prefix}-{len(self.nodes)}"
        self.nodes[node_id] = {"class_type": class_type, "inputs": inputs}
        return [node_id, 0]

    def pictures(self, files: Sequence[Sequence[str]]) -> list[Any]:
        """A batch, of files one behind the other. Each part is one name, or three: its bytes from the high
        to the low one."""
        link = self._part(files[0])
        for names in files[1:]:
            link = self._add("ImageBatch", image1=link, image2=self._part(names))
        return link

    def _part(self, names: Sequence[str]) -> list[Any]:
        link = self._add("LoadImage", image=names[0])
        for name, share in zip(names[1:], (_MIDDLE_SHARE, _LOW_SHARE), strict=False):
            link = self._add(
                "ImageBlend",
                image1=link,
                image2=self._add("LoadImage", image=name),
                blend_factor=share,
                blend_mode="normal",
            )
        return link

    def mask(self, files: Sequence[Sequence[str]]) -> list[Any]:
        """Of grey pictures."""
        return self._add("ImageToMask", image=self.pictures(files), channel="red")

    def with_alpha(self, pictures: list[Any], transparency: list[Any]) -> list[Any]:
        """The node takes a mask of what is to be seen through, as LoadImage gives it."""
        return self._add("JoinImageWithAlpha", image=pictures, alpha=transparency)

    def latents(self, name: str, run: IndexRun | None = None) -> list[Any]:
        """With a run, the latents say which of a batch they are, so that each gets its own noise.

        Only LatentFromBatch says so, of what it takes out. So what is in the file is repeated until the batch
        is long enough, and taken out from the place of the first; the file has them rolled, so that this
        place holds the first. A place beyond the largest index is reached in steps.
        """
        link = self._add("LoadLatent", latent=name)
        left = run.start if run else -1
        while run and left >= 0:
            step = min(left, _INDEX_MAX)
            amount = -(-(step + run.length) // run.length)
            if amount > 1:
                link = self._add("RepeatLatentBatch", samples=link, amount=amount)
            link = self._add("LatentFromBatch", samples=link, batch_index=step, length=run.length)
            left = left - step or -1
        return link

    def joined_latents(self, one: list[Any], other: list[Any]) -> list[Any]:
        return self._add("LatentBatch", samples1=one, samples2=other)

    def with_noise_mask(self, latents: list[Any], mask: list[Any]) -> list[Any]:
        return self._add("SetLatentNoiseMask", samples=latents, mask=mask)

    def audio(self, name: str) -> list[Any]:
        return self._add("LoadAudio", audio=name)

    def video(self, name: str) -> list[Any]:
        return self._add("LoadVideo", file=name)


def can_travel(kind: str) -> bool:
    """Whether a value of the master's of this declared type may go to a peer; of an unknown one, perhaps."""
    return kind in SUPPORTED or kind in TEXT_TYPES or kind in ANY_TYPES or "," in kind


def cannot_travel(source: ResultLink, kind: str) -> str:
    """The sentence about a value of the master's that no stock node loads on a peer."""
    return (
        f"Node {source.node_id} runs on this computer, and its value ({kind}) cannot travel to a peer. "
        f"Only {', '.join(SUPPORTED)} can: end the part that runs here with one of these, "
        "or put Remote Dispatch before it."
    )
