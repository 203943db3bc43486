"""Workflows inside pictures and other files, as far as Pillow and a few bytes can make them."""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from orchestrator.commands.embedded.document import DAMAGED_PROMPT, OWN_PROMPT, read_document
from orchestrator.commands.embedded.source import TEXT_MAX_BYTES
from orchestrator.core.workflow.cut import cut_prompt
from orchestrator.core.workflow.documents import Document
from orchestrator.errors import WorkflowError

WORKFLOW = {"nodes": [], "links": [], "extra": {"note": "Zoë 猫"}}
PROMPT = {"3": {"class_type": "KSampler", "inputs": {"seed": 2**64 - 1}}}


def opened(data: bytes) -> Document:
    return read_document(io.BytesIO(data))


def read(data: bytes) -> dict[str, Any] | None:
    """The workflow in a file, else the prompt."""
    found = opened(data)
    return found.workflow if found.workflow is not None else found.prompt


def picture(kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(file, kind, **options)
    return file.getvalue()


def png(fill: Callable[[PngInfo], object], **options: Any) -> bytes:
    info = PngInfo()
    fill(info)
    return picture("PNG", pnginfo=info, **options)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I4s", len(data), kind) + data + struct.pack(">I", zlib.crc32(kind + data))


def bare_png(*chunks: bytes, width: int = 8, height: int = 8) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + chunk(b"IEND", b"")


def exif(first: int = 0x010F, **texts: str) -> Image.Exif:
    """As ComfyUI's animated WebP: the prompt in field 0x0110, everything else from 0x010f downwards."""
    found = Image.Exif()
    for name, text in texts.items():
        if name == "prompt":
            found[0x0110] = f"prompt:{text}"
        else:
            found[first] = f"{name}:{text}"
            first -= 1
    return found


TEXT_KINDS: dict[str, Callable[[PngInfo], object]] = {
    "plain": lambda info: info.add_text("workflow", json.dumps(WORKFLOW)),
    "packed": lambda info: info.add_text("workflow", json.dumps(WORKFLOW), zip=True),
    "international": lambda info: info.add_itxt("workflow", json.dumps(WORKFLOW, ensure_ascii=False)),
    "international and packed": lambda info: info.add_itxt("workflow", json.dumps(WORKFLOW), zip=True),
    "after the picture, as in animated PNGs": lambda info: info.add(
        b"comf", b"workflow\0" + json.dumps(WORKFLOW).encode(), after_idat=True
    ),
}


@pytest.mark.parametrize("fill", TEXT_KINDS.values(), ids=TEXT_KINDS)
def test_a_png_gives_its_workflow(fill: Callable[[PngInfo], object]) -> None:
    assert read(png(fill)) == WORKFLOW


def with_texts(**texts: str) -> Callable[[PngInfo], object]:
    def fill(info: PngInfo) -> None:
        for name, text in texts.items():
            info.add_text(name, text)

    return fill


def test_the_prompt_that_was_sent_leads_and_the_workflow_stands_beside_it() -> None:
    both = opened(png(with_texts(prompt=json.dumps(PROMPT), workflow=json.dumps(WORKFLOW))))
    assert (both.prompt, both.workflow, both.graph) == (PROMPT, WORKFLOW, PROMPT)
    assert both.notes == (OWN_PROMPT,)

    alone = opened(png(with_texts(workflow=json.dumps(WORKFLOW), prompt="null")))
    assert (alone.prompt, alone.graph, alone.notes) == (None, WORKFLOW, ())

    assert opened(png(with_texts(prompt=json.dumps(PROMPT), workflow="null"))).graph == PROMPT


def test_a_damaged_prompt_gives_way_to_the_workflow_and_a_damaged_workflow_hurts_nobody() -> None:
    found = opened(png(with_texts(prompt="{oops", workflow=json.dumps(WORKFLOW))))
    assert (found.graph, found.notes) == (WORKFLOW, (DAMAGED_PROMPT,))
    assert opened(png(with_texts(prompt=json.dumps(PROMPT), workflow="{oops"))).graph == PROMPT


def test_a_prompt_that_was_cut_for_peers_is_whole_again() -> None:
    whole = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 8}},
        "2": {"class_type": "RemoteDispatch", "inputs": {"value": ["1", 0]}},
        "3": {"class_type": "ImageInvert", "inputs": {"image": ["2", 0]}},
        "4": {"class_type": "RemoteDispatch", "inputs": {"value": ["3", 0], "peer": "automatic"}},
        "5": {"class_type": "SaveImage", "inputs": {"images": ["4", 0]}},
    }
    cut = cut_prompt(whole, is_output=lambda kind: kind == "SaveImage")
    assert cut != whole
    assert opened(png(with_texts(prompt=json.dumps(cut)))).prompt == whole


def test_what_comfyui_left_in_a_prompt_it_ran_is_taken_out() -> None:
    ran = {"3": {**PROMPT["3"], "is_changed": [float("nan")]}}
    assert read(png(lambda info: info.add_text("prompt", json.dumps(ran)))) == PROMPT


@pytest.mark.parametrize("kind", ["WEBP", "JPEG"])
def test_webp_and_jpeg_give_the_workflow_of_their_exif_data(kind: str) -> None:
    data = picture(kind, exif=exif(prompt=json.dumps(PROMPT), workflow=json.dumps(WORKFLOW)))
    assert read(data) == WORKFLOW
    assert read(picture(kind, exif=exif(prompt=json.dumps(PROMPT)))) == PROMPT


def test_a_webp_chunk_of_odd_length_is_followed_by_a_filler() -> None:
    data = exif(workflow=json.dumps(WORKFLOW)).tobytes()
    parts = (b"ICCP", struct.pack("<I", 3), b"abc\0", b"EXIF", struct.pack("<I", len(data)), data)
    assert read(b"RIFF\0\0\0\0WEBP" + b"".join(parts)) == WORKFLOW


def test_an_animated_webp_gives_its_workflow() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    file = io.BytesIO()
    frames[0].save(
        file,
        "WEBP",
        save_all=True,
        append_images=frames[1:],
        exif=exif(prompt="{}", workflow=json.dumps(WORKFLOW)),
    )
    assert read(file.getvalue()) == WORKFLOW


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf", b"\n  "])
def test_json_is_read_with_and_without_a_byte_order_mark(mark: bytes) -> None:
    assert read(mark + json.dumps(WORKFLOW, ensure_ascii=False).encode()) == WORKFLOW


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig"])
def test_json_is_read_in_every_unicode_encoding(encoding: str) -> None:
    assert read(json.dumps(WORKFLOW, ensure_ascii=False).encode(encoding)) == WORKFLOW


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "JPEG"])
def test_a_picture_without_a_workflow_says_so(kind: str) -> None:
    with pytest.raises(WorkflowError, match="carries no workflow"):
        read(picture(kind))


REFUSED = {
    "a pickle called png": (b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00cbuiltins\nexec\n.", "no workflow"),
    "an empty file": (b"", "no workflow"),
    "a web page": (b"<!doctype html><title>login</title>", "no workflow"),
    "a list": (b"[1, 2]", "no workflow"),
    "JSON of something else": (b'{"name": "x", "extra": {"a": 1}}', "no ComfyUI workflow.*Export"),
    "brackets without end": (b"[" * 200_000, "without end|not JSON"),
    "braces without end": (b'{"a":' * 200_000, "without end|not JSON"),
    "broken JSON": (b'{"nodes": [}', "line 1 column"),
    "a number of 5000 digits": (b'{"a": ' + b"1" * 5000 + b"}", "not JSON"),
    "a PNG that was cut": (png(lambda info: None)[:-20], "ends early"),
    "a chunk that says it is 2 GB": (
        bare_png()[:33] + struct.pack(">I4s", 2**31, b"tEXt") + b"workflow\0{}",
        "more than 32 MiB",
    ),
    "a packed text that is none": (bare_png(chunk(b"zTXt", b"workflow\0\0junk")), "damaged"),
    "a workflow that is no JSON": (bare_png(chunk(b"tEXt", b"workflow\0{oops")), "The workflow in the file"),
    "Exif data that ends early": (
        b"RIFF\0\0\0\0WEBPEXIF" + struct.pack("<I", 10) + b"II*\0\x08\0\0\0\xff\xff",
        "ends early",
    ),
    "a box that says it is shorter than its own head": (
        struct.pack(">I4s", 8, b"ftyp") + struct.pack(">I4sQ", 1, b"free", 8),
        "The clip is damaged",
    ),
    "Exif data that is none": (b"RIFF\0\0\0\0WEBPEXIF\x04\0\0\0abcd", "damaged"),
}


@pytest.mark.parametrize(("data", "said"), REFUSED.values(), ids=REFUSED)
def test_a_file_is_refused_in_words(data: bytes, said: str) -> None:
    with pytest.raises(WorkflowError, match=said):
        read(data)


def test_a_text_that_would_unpack_without_end_is_refused() -> None:
    bomb = zlib.compress(b" " * (TEXT_MAX_BYTES + 2), 9)
    assert len(bomb) < TEXT_MAX_BYTES // 500
    with pytest.raises(WorkflowError, match="more than 32 MiB"):
        read(bare_png(chunk(b"zTXt", b"workflow\0\0" + bomb)))


def test_a_picture_that_would_unpack_to_gigabytes_is_read_without_unpacking() -> None:
    text = chunk(b"tEXt", b"workflow\0" + json.dumps(WORKFLOW).encode())
    assert read(bare_png(text, width=30_000, height=30_000)) == WORKFLOW
