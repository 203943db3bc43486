"""What a node's error means, by the words of the libraries that raise it."""

from __future__ import annotations

import pytest

from orchestrator.core.workflow.execution_errors import WORDINGS, execution_error, fault_of, looked_for
from orchestrator.errors import (
    GraphExecutionError,
    PeerBrokenError,
    PeerDiskFullError,
    PeerExecutionError,
    PeerNotPermittedError,
    PeerOutOfMemoryError,
)

RUNTIME = "RuntimeError"


def error_of(exception_type: str, message: str) -> PeerExecutionError:
    details = {"node_id": "7", "node_type": "KSampler", "exception_type": exception_type}
    return execution_error({**details, "exception_message": message}, "gpu", {"7": "Sample it"})


@pytest.mark.parametrize(
    ("exception_type", "message"),
    [
        (
            "torch.OutOfMemoryError",
            "Allocation on device \nThis error means you ran out of memory.",
        ),
        ("torch.cuda.OutOfMemoryError", "CUDA out of memory. Tried to allocate 2.00 GiB."),
        (RUNTIME, "MPS backend out of memory (MPS allocated: 18.1 GB, max allowed: 18.1 GB)."),
        (RUNTIME, "HIP out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 7.98 GiB"),
        (RUNTIME, "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
        ("torch.AcceleratorError", "HIP error: out of memory"),
        (RUNTIME, "Sampling failed: CUDA out of memory. Tried to allocate 1.5 GiB"),
        (RUNTIME, "XPU out of memory. Tried to allocate 5.12 GiB (GPU 0; 15.11 GiB total capacity)"),
        (RUNTIME, "level_zero backend failed with error: 39 (UR_RESULT_ERROR_OUT_OF_DEVICE_MEMORY)"),
        (RUNTIME, "Native API failed. Native API returns: -5 (PI_ERROR_OUT_OF_RESOURCES)"),
        (RUNTIME, "Could not allocate tensor with 530841600 bytes. There is not enough GPU video memory"),
        (RUNTIME, "Allocation on device 0 would exceed allowed memory. (out of memory)"),
        (RUNTIME, "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        (RUNTIME, "cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        (RUNTIME, "HIPBLAS_STATUS_ALLOC_FAILED"),
        (RUNTIME, "Invalid buffer size: 38.26 GB"),
        (
            RUNTIME,
            "Not enough memory, use lower resolution (max approx. 640x640). Need: 4.3GB free",
        ),
        (RUNTIME, "Insufficient Memory (00000008:kIOGPUCommandBufferCallbackErrorOutOfMemory)"),
        ("onnxruntime.RuntimeException", "Failed to allocate memory for requested buffer of size 1048576"),
    ],
)
def test_too_little_memory_of_the_device_is_known_in_everybodys_words(
    exception_type: str, message: str
) -> None:
    error = error_of(exception_type, message)
    assert isinstance(error, PeerOutOfMemoryError) and not error.is_system
    assert str(error).startswith('gpu ran out of memory at "Sample it" (KSampler, node 7). Make its pictures')


@pytest.mark.parametrize(
    ("exception_type", "message"),
    [
        ("MemoryError", ""),
        (
            "numpy._core._exceptions._ArrayMemoryError",
            "Unable to allocate 24.0 GiB for an array",
        ),
        ("numpy.core._exceptions.MemoryError", "Unable to allocate 512. MiB for an array with shape (4096,)"),
        ("Exception", "Unable to allocate 7.21 GiB for an array with shape (1, 2) and data type float64"),
        (
            RUNTIME,
            "[enforce fail at alloc_cpu.cpp:117] . DefaultCPUAllocator: can't allocate memory: ",
        ),
        (
            RUNTIME,
            "[enforce fail] data. DefaultCPUAllocator: not enough memory: ",
        ),
        ("OSError", "The paging file is too small for this operation to complete. (os error 1455)"),
        ("OSError", "[WinError 1455] Die Auslagerungsdatei ist zu klein"),
        ("OSError", "[Errno 12] Cannot allocate memory"),
        (RUNTIME, "std::bad_alloc"),
        (
            "cv2.error",
            "(-4:Insufficient memory) Failed to allocate 42949672 bytes in function 'OutOfMemory'",
        ),
    ],
)
def test_too_little_memory_of_the_machine_says_so(exception_type: str, message: str) -> None:
    error = error_of(exception_type, message)
    assert isinstance(error, PeerOutOfMemoryError) and error.is_system
    assert "the machine's own" in str(error) and "paging file" in str(error)


@pytest.mark.parametrize(
    ("exception_type", "message"),
    [
        ("ModuleNotFoundError", "No module named 'sageattention'"),
        (RUNTIME, "No module named 'sageattention'"),
        ("ImportError", "DLL load failed while importing onnxruntime_pybind11_state"),
        ("ImportError", "libcudart.so.12: cannot open shared object file: No such file or directory"),
        ("OSError", "/usr/lib/libtorch_cuda.so: undefined symbol: ncclCommRegister"),
        ("OSError", "[WinError 126] The specified module could not be found"),
        (RUNTIME, "CUDA error: no kernel image is available for execution on the device"),
        ("torch.AcceleratorError", "CUDA error: an illegal memory access was encountered"),
        ("AssertionError", "Torch not compiled with CUDA enabled"),
        (RUNTIME, "The NVIDIA driver on your system is too old (found version 11040)."),
        (RUNTIME, "Found no NVIDIA driver on your system."),
        (RUNTIME, "No CUDA GPUs are available"),
        (RUNTIME, "cuDNN error: CUDNN_STATUS_NOT_INITIALIZED"),
        (RUNTIME, "rocblas_status_internal_error"),
        (RUNTIME, "miopenStatusInternalError"),
        ("EOFError", "Ran out of input"),
        (RUNTIME, "nvrtc: error: invalid value for --gpu-architecture (-arch)"),
        ("safetensors_rust.SafetensorError", "Error while deserializing header: HeaderTooLarge"),
        ("Exception", "incomplete metadata, file not fully covered"),
        (RUNTIME, "PytorchStreamReader failed reading zip archive: failed finding central directory"),
        ("_pickle.UnpicklingError", "invalid load key, '<'."),
        ("PermissionError", "[Errno 13] Permission denied: '/models/cache'"),
        ("OSError", "[Errno 30] Read-only file system"),
        ("requests.exceptions.ConnectionError", "Max retries exceeded with url: /api/models"),
        ("urllib.error.URLError", "<urlopen error [Errno -3] Temporary failure in name resolution>"),
    ],
)
def test_a_broken_machine_is_known_by_what_it_says(exception_type: str, message: str) -> None:
    error = error_of(exception_type, message)
    assert type(error) is PeerBrokenError
    assert '"Sample it" (KSampler, node 7) failed on gpu' in str(error)
    assert str(error).endswith("It looks like a fault of that machine: see the log of its ComfyUI.")


@pytest.mark.parametrize(
    ("exception_type", "message"),
    [
        ("ValueError", 'The prompt "a lost cat, CUDA out of memory" is too long'),
        ("ValueError", "Choose a smaller batch to avoid CUDA out of memory errors: at most 8 are allowed"),
        ("ValueError", "memory must be between 1 and 8"),
        ("KeyError", "'out of memory'"),
        ("Exception", "No such style: 'No module named x'"),
        ("google.api_core.exceptions.ResourceExhausted", "429 RESOURCE_EXHAUSTED. You exceeded your quota"),
        (RUNTIME, "ffmpeg ended with error code 8"),
        ("OSError", "image file is truncated (28 bytes not processed)"),
        ("AttributeError", "the answer has no current_status_code"),
        ("ValueError", "Ran out of input prompts after 3 of 5"),
        (RUNTIME, "This film was not built with sound"),
        ("AttributeError", "'NoneType' object has no attribute 'shape'"),
        ("FileNotFoundError", "[Errno 2] No such file or directory: '/home/me/frames'"),
        (RUNTIME, "it broke"),
        ("", ""),
    ],
)
def test_ordinary_sentences_blame_nobody(exception_type: str, message: str) -> None:
    assert fault_of(exception_type, message) is None
    assert type(error_of(exception_type, message)) is PeerExecutionError


@pytest.mark.parametrize(
    "message",
    [
        "mat1 and mat2 shapes cannot be multiplied (77x768 and 1024x320)",
        "Sizes of tensors must match except in dimension 1. Expected size 64 but got size 32",
        "operands could not be broadcast together with shapes (64,64,3) (32,32,3)",
        "Given groups=1, weight of size [320, 4, 3, 3], expected input[2, 16, 64, 64] to have 4 channels",
        "ERROR: VAE is invalid: None\n\nYour checkpoint does not contain one.",
    ],
)
def test_what_every_machine_would_say_is_the_graphs_fault(message: str) -> None:
    assert type(error_of(RUNTIME, message)) is GraphExecutionError


def test_what_a_peer_may_not_use_and_what_it_has_no_room_for_are_told_apart() -> None:
    denied = error_of("gateway.errors.ModelNotPermittedError", "flux-pro is not allowed for this key")
    assert type(denied) is PeerNotPermittedError and "may not run" in str(denied)
    denied = error_of(RUNTIME, "ModelNotPermittedError: flux-pro")
    assert type(denied) is PeerNotPermittedError
    assert type(error_of("OSError", "[Errno 28] No space left on device")) is PeerDiskFullError


def test_an_error_that_names_its_node_already_is_not_prefixed_again() -> None:
    said = "KSampler (node 7) failed on far-away: it broke"
    assert str(error_of(RUNTIME, said)) == said


def test_what_an_error_tells_of_a_picture_that_went_in_is_kept_whole() -> None:
    tensor = "0.1234, " * 700  # torch writes 5 400 characters of a picture of any size
    told = {"exception_message": "no", "current_inputs": {"image": [tensor]}}
    assert execution_error(told, "far-away", {}).details["current_inputs"] == {"image": [tensor]}


WORKFLOW = {"nodes": [{"id": 2, "type": "EmptyImage", "title": "Size"}, None, {"id": 7, "type": "Math"}]}


def test_a_node_that_looked_for_one_that_stayed_behind_is_told_of_it() -> None:
    told = looked_for(error_of("KeyError", "'2'\n"), {"7": {}}, WORKFLOW)
    assert isinstance(told, GraphExecutionError)
    assert 'It looked for "Size" (EmptyImage, node 2), which did not go along' in str(told)


@pytest.mark.parametrize(
    ("exception_type", "message", "sent", "workflow"),
    [
        ("KeyError", "'2'", {"2": {}}, WORKFLOW),
        ("KeyError", "'9'", {}, WORKFLOW),
        ("ValueError", "'2'", {}, WORKFLOW),
        ("KeyError", "'2'", {}, {"nodes": "none"}),
        ("KeyError", "'2'", {}, None),
    ],
)
def test_any_other_missing_key_stays_as_it_was_told(
    exception_type: str, message: str, sent: dict[str, object], workflow: object
) -> None:
    error = error_of(exception_type, message)
    assert looked_for(error, sent, workflow) is error


def test_every_wording_names_who_says_it() -> None:
    assert all(row.source and row.pattern for row in WORDINGS)
