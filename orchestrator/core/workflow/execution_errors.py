"""What a node's error on a peer means: read from ComfyUI's execution_error, by the words that libraries use.

One table, the first row that fits decides. What stands in quotation marks is somebody's text (a prompt, the
name of a file) and is not read. To teach it another wording, add a row with its source.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from ...errors import (
    GraphExecutionError,
    PeerBrokenError,
    PeerDiskFullError,
    PeerExecutionError,
    PeerNotPermittedError,
    PeerOutOfMemoryError,
)
from . import foreign
from .prompt import node_in_words

_READ_MAX = 4_000  #: characters of a message that are looked at
#: What is kept first of all that a peer says of an error.
_TELLING = ("node_id", "node_type", "exception_type", "exception_message", "executed", "traceback")


class Fault(Enum):
    """Whose fault an error is."""

    DEVICE_MEMORY = "the memory of its graphics card, or of what it computes on"
    SYSTEM_MEMORY = "the machine's own memory"
    DISK = "no room to write"
    PERMISSION = "it may not use something"
    MACHINE = "its installation, driver, network or a file there"
    GRAPH = "the graph: every machine would say the same"


@dataclass(frozen=True)
class Wording:
    """`pattern` is searched in "type: message", whatever the case. `source`: who says it so."""

    fault: Fault
    pattern: str
    source: str


_D, _S, _M, _G = Fault.DEVICE_MEMORY, Fault.SYSTEM_MEMORY, Fault.MACHINE, Fault.GRAPH
_BACKENDS = "CUDA|HIP|ROCm|XPU|NPU|MUSA|MLU|MPS|Metal|SYCL|Vulkan|GPU"
#: "Lower it to avoid CUDA out of memory errors" is advice, and no allocator speaks like that.
_NO_ADVICE = "".join(
    f"(?<!{word} )"
    for word in ("avoid", "avoids", "prevent", "prevents", "cause", "causes", "if", "a", "with")
)
_NO_TOPIC = r"(?! *(errors?|issues?|problems?|if|when)\b)"
_START = r"^[^:\n]*: *"  #: right after the exception's type

WORDINGS: tuple[Wording, ...] = (
    Wording(Fault.PERMISSION, r"\bModelNotPermitted(Error)?\b", "hosts that allow only some models"),
    # Memory of the device
    Wording(_D, r"^[\w.]*(OutOfMemoryError|OOM_EXCEPTION)\b", "torch, and ComfyUI's name for it"),
    Wording(
        _D,
        rf"{_NO_ADVICE}\b({_BACKENDS})( backend| error)?:? (is )?out of memory\b{_NO_TOPIC}",
        "torch, per backend",
    ),
    Wording(_D, r"\b(cudaErrorMemoryAllocation|CUDA_ERROR_OUT_OF_MEMORY|hipErrorOutOfMemory)\b", "CUDA, HIP"),
    Wording(
        _D, r"\b(CU|HIP|ROC|MIOPEN)\w*_?STATUS_?(ALLOC_?FAILED|MEMORY_ERROR)\b", "cuBLAS, cuDNN and the like"
    ),
    Wording(_D, r"_RESULT_ERROR_OUT_OF_(DEVICE|HOST)_MEMORY\b|\bPI_ERROR_OUT_OF_", "oneAPI (Intel XPU)"),
    Wording(_D, r"\bAllocation is out of device memory\b", "torch for XPU"),
    Wording(_D, _START + r"Allocation on device\b", "torch with cudaMallocAsync"),
    Wording(_D, r"\bCould not allocate tensor with \d+ bytes\b", "torch-directml"),
    Wording(_D, r"\bnot enough GPU (video )?memory\b", "torch-directml"),
    Wording(_D, r"\bE_OUTOFMEMORY\b|\b(0x)?8007000E\b", "Direct3D and DirectML"),
    Wording(_D, r"\bInvalid buffer size: [\d.]+ ?[KMGT]i?B\b", "torch on MPS: larger than Metal allows"),
    Wording(_D, r"kIOGPUCommandBufferCallbackErrorOutOfMemory", "Metal"),
    Wording(_D, r"\bNot enough memory, use lower resolution\b", "ComfyUI's split attention"),
    Wording(
        _D, r"\bRESOURCE_EXHAUSTED: *(OOM|Out of memory)\b|\bOOM when allocating tensor\b", "JAX, TensorFlow"
    ),
    Wording(_D, r"\bFailed to allocate memory for requested buffer\b", "ONNX Runtime"),
    Wording(_D, r"\b(buffer|alloc)\w*[^\n]* failed: out of memory\b", "ggml, llama.cpp"),
    Wording(_D, _START + r"out of memory\b", "Triton, bitsandbytes"),
    # Memory of the machine
    Wording(_S, r"^[\w.]*_?(Array)?MemoryError\b", "Python, numpy"),
    Wording(_S, r"\bDefaultCPUAllocator: (can't allocate|not enough) memory\b", "torch on Linux, on Windows"),
    Wording(_S, r"\bUnable to allocate [\d.]+ ?\w+ for an array\b", "numpy"),
    Wording(_S, r"\b(os error|error code:?) 1455\b|\bWinError (1455|8|14)\b", "Windows: paging file, memory"),
    Wording(_S, r"\bpaging file is too small\b", "Windows"),
    Wording(_S, r"\bCannot allocate memory\b|\bErrno 12\b|\bos error 12\b", "Linux, macOS, ffmpeg"),
    Wording(_S, r"\bstd::bad_alloc\b|" + _START + r"bad allocation\b", "C++"),
    Wording(_S, r"\bInsufficient memory\b[^\n]*\bFailed to allocate\b", "OpenCV"),
    # Disk
    Wording(Fault.DISK, r"\bNo space left on device\b|\bErrno 28\b|\bStorageFull\b", "Linux, macOS, Rust"),
    Wording(Fault.DISK, r"\bDisk quota exceeded\b", "a quota"),
    Wording(Fault.DISK, r"\bnot enough space on the disk\b|\b(WinError|os error) 112\b", "Windows"),
    # The machine: its Python
    Wording(_M, r"^[\w.]*(ModuleNotFoundError|ImportError)\b|" + _START + r"No module named\b", "Python"),
    Wording(_M, r"\bcannot import name\b|\bDLL load failed\b", "Python"),
    Wording(_M, r"\bcannot open shared object file\b|\bundefined symbol\b", "Linux' loader"),
    Wording(_M, r"\bversion [`']?(GLIBC|GLIBCXX|CXXABI)_|\bLibrary not loaded\b", "Linux' loader, macOS'"),
    Wording(_M, r"\bCould not (load|locate|find) (dynamic )?(library|module)\b", "TensorFlow, ONNX, ctypes"),
    Wording(_M, r"\bWinError (126|127|182|193|1114)\b", "Windows: a DLL is missing, wrong, or fails"),
    # The machine: its driver and card
    Wording(
        _M, r"\bno kernel image is available\b|\bhipErrorNoBinaryForGpu\b", "CUDA, HIP: card too new or old"
    ),
    Wording(
        _M,
        rf"\bnot (compiled|built|linked) with\b[^\n]*\b({_BACKENDS}|cuDNN|flash|support|enabled)\b",
        "torch, OpenCV: built for another machine",
    ),
    Wording(_M, r"\bdriver (on your system|version) is (too old|insufficient)\b", "CUDA"),
    Wording(_M, r"\bFound no NVIDIA driver\b|\bNo (CUDA|HIP|ROCm) GPUs are available\b", "torch"),
    Wording(_M, r"\bUnexpected error from cudaGetDeviceCount\b", "torch"),
    Wording(_M, r"\bCUDA driver initialization failed\b|\bCUDA unknown error\b", "torch"),
    Wording(
        _M, r"\b(CUDA|HIP|XPU|NPU|nvrtc)(:| runtime)? error\b", "CUDA, HIP and others: anything but memory"
    ),
    Wording(_M, r"\bdevice-side assert\b|\billegal memory access\b|\bunspecified launch failure\b", "CUDA"),
    Wording(
        _M,
        r"\b((cu|hip|roc)(blas|dnn|fft|rand|solver|sparse)(lt)?|miopen)_?STATUS_?\w+",
        "cuBLAS, cuDNN and the like",
    ),
    Wording(_M, r"\bcuDNN error\b|\buncorrectable ECC error\b|\bGPU is lost\b", "cuDNN, NVIDIA"),
    Wording(
        _M, r"\bDXGI_ERROR_DEVICE_\w+|\bGPU (device instance )?(has been suspended|was removed)", "DirectX"
    ),
    Wording(_M, r"\bFailed to find (C compiler|CUDA)|\bworking triton installation\b", "Triton"),
    Wording(_M, r"\b(InductorError|BackendCompilerFailed|PTXASError)\b|\bptxas\b", "torch.compile, Triton"),
    Wording(_M, r"\b(Torch|Triton|xformers|flash.?attn|sageattention)\b[^\n]* not installed\b", "packs"),
    # The machine: a file, a program or a network that it lacks
    Wording(_M, r"^[\w.]*SafetensorError\b|\bError while deserializing header\b", "safetensors"),
    Wording(
        _M, r"\b(HeaderTooLarge|HeaderTooSmall|InvalidHeader\w*|MetadataIncompleteBuffer)\b", "safetensors"
    ),
    Wording(_M, r"\bincomplete metadata, file not fully covered\b", "safetensors"),
    Wording(_M, r"\bPytorchStreamReader failed\b|\bfailed finding central directory\b", "torch.load"),
    Wording(_M, r"\binvalid load key\b|\bpickle data was truncated\b|\bRan out of input\b(?! +\w)", "pickle"),
    # Not Pillow's "image file is truncated": that is a picture of the user's.
    Wording(_M, r"\bunexpected end of file\b|(?<!image )\bfile is truncated\b|\bBadZipFile\b", "zip, GGUF"),
    Wording(_M, r"^[\w.]*PermissionError\b", "Python"),
    Wording(_M, r"\b(Errno|os error) (5|13|23|24|30|116)\b|\bWinError (5|32|1392)\b", "files, by number"),
    Wording(_M, r"\bRead-only file system\b|\bInput/output error\b|\bPermission denied\b", "Linux, macOS"),
    Wording(_M, r"\bToo many open files\b|\bStale file handle\b", "Linux, macOS"),
    Wording(_M, r"\bffmpeg\b[^\n]*\b(not found|could not be found|not installed|is required)\b", "packs"),
    Wording(
        _M, r"\b(LocalEntryNotFoundError|OfflineModeIsEnabled)\b|\bcouldn't connect to\b", "Hugging Face"
    ),
    Wording(_M, r"\bname resolution\b|\bgetaddrinfo failed\b|\bMax retries exceeded\b", "requests, urllib3"),
    # The graph
    Wording(_G, r"^ExecutionBlocked\b", "ComfyUI: a node said so"),
    Wording(_G, r"\bshapes cannot be multiplied\b|\bSizes of tensors must match\b", "torch"),
    Wording(_G, r"\bThe size of tensor a \(\d+\) must match\b|\b(can)?not be broadcast\b", "torch, numpy"),
    Wording(_G, r"\bGiven groups=\d+|\bto have \d+ channels\b|\bis invalid for input of size\b", "torch"),
    Wording(_G, r"\bsize mismatch for\b|\bKernel size can't be greater than\b", "torch"),
    Wording(_G, r"\b(clip|VAE|CLIP) (input )?is invalid: None\b", "ComfyUI: the file holds no such part"),
)

_ROWS = tuple((row, re.compile(row.pattern, re.IGNORECASE)) for row in WORDINGS)
_QUOTED = re.compile(r"\"[^\"\n]*\"|(?<!\w)'[^'\n]*'(?!\w)|“[^”\n]*”|`[^`\n]*`")


def fault_of(exception_type: str, message: str) -> Fault | None:
    """Whose fault an exception is; None where its words do not tell."""
    said = f"{exception_type}: {_QUOTED.sub('…', message[:_READ_MAX]).strip()}"
    return next((row.fault for row, pattern in _ROWS if pattern.search(said)), None)


def execution_error(details: Mapping[str, Any], peer: str, titles: Mapping[str, str]) -> PeerExecutionError:
    """The error for a peer's ``execution_error`` message, in the peer's own words, and where it happened.

    `titles` are the names of the prompt's nodes.
    """
    details = foreign.details({**{key: details[key] for key in _TELLING if key in details}, **details})
    kind = str(details.get("exception_type") or "")
    said = foreign.message(str(details.get("exception_message") or kind or "no message").strip())
    node_type, node_id = str(details.get("node_type") or "A node"), str(details.get("node_id", "?"))
    plain = node_in_words(node_id, node_type, node_type)
    where = node_in_words(node_id, node_type, titles.get(node_id, node_type))
    failed = (
        said
        if said.startswith((f"{plain} failed on", f"{where} failed on"))
        else f"{where} failed on {peer}: {said}"
    )
    fault = fault_of(kind, said)
    if fault is Fault.DEVICE_MEMORY:
        return PeerOutOfMemoryError(
            f"{peer} ran out of memory at {where}. Make its pictures or batches smaller, use a smaller "
            "model, or add a peer with more memory.",
            details,
        )
    if fault is Fault.SYSTEM_MEMORY:
        return PeerOutOfMemoryError(
            f"{peer} ran out of memory at {where}: the machine's own, not its graphics card's. Close other "
            "programs there, enlarge its swap or paging file, or use a smaller model.",
            details,
            is_system=True,
        )
    if fault is Fault.DISK:
        return PeerDiskFullError(
            f"The disk of {peer} is full: {where} could not write its files. Make room there.", details
        )
    if fault is Fault.PERMISSION:
        return PeerNotPermittedError(
            f"{peer} may not run {where}: {_ended(said)} Choose another model, or have it allowed there.",
            details,
        )
    if fault is Fault.MACHINE:
        return PeerBrokenError(
            f"{_ended(failed)} It looks like a fault of that machine: see the log of its ComfyUI.", details
        )
    return (GraphExecutionError if fault is Fault.GRAPH else PeerExecutionError)(failed, details)


def looked_for(exc: PeerExecutionError, prompt: Mapping[str, Any], workflow: object) -> PeerExecutionError:
    """`exc`, or where its node looked for one of the page that stayed behind, an error that says so.

    Some nodes read others by their ids, from the hidden input PROMPT. Of a part of a graph only `prompt`,
    what leads to its end, is sent; Python then names the key and no more. `workflow`: as the page saved it.
    """
    kind, key = str(exc.details.get("exception_type") or ""), str(exc.details.get("exception_message") or "")
    node_id = key.strip().strip("'\"")
    listed = workflow.get("nodes") if isinstance(workflow, Mapping) else None
    nodes = [node for node in listed if isinstance(node, Mapping)] if isinstance(listed, list) else []
    node = next((node for node in nodes if str(node.get("id")) == node_id), None)
    if kind.rpartition(".")[2] != "KeyError" or node is None or node_id in prompt:
        return exc
    node_type = str(node.get("type") or "A node")
    where = foreign.message(node_in_words(node_id, node_type, str(node.get("title") or node_type)))
    return GraphExecutionError(
        f"{_ended(str(exc))} It looked for {where}, which did not go along: only what leads to the Remote "
        "Dispatch node is sent. Connect that node to it, or enter the value itself.",
        exc.details,
    )


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith((".", "!", "?")) else f"{sentence}."
