"""Node classes that only the peers of the tests have."""

from __future__ import annotations

import os
import time

import comfy.model_management
import comfy.utils
import torch
from comfy_execution.graph_utils import GraphBuilder
from server import PromptServer


class TestStamp:
    """A picture that depends on its inputs alone; every value is k/255, so 8 bits hold it exactly."""

    @classmethod
    def INPUT_TYPES(cls):
        size = ("INT", {"default": 32, "min": 1, "max": 4096})
        return {
            "required": {
                "width": size,
                "height": size,
                "batch": ("INT", {"default": 1, "min": 1, "max": 256}),
                "seed": ("INT", {"default": 0, "min": 0, "max": 2**64 - 1}),
            }
        }

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "make"
    CATEGORY = "test"

    def make(self, width, height, batch, seed):
        generator = torch.Generator().manual_seed(seed % 2**63)
        picture = torch.randint(0, 256, (batch, height, width, 3), generator=generator)
        return (picture.float() / 255.0,)


class TestSizes(TestStamp):
    """A list of pictures: one as asked for, and one that is larger and has an alpha channel."""

    OUTPUT_IS_LIST = (True,)

    def make(self, width, height, batch, seed):
        (picture,) = super().make(width, height, batch, seed)
        return ([picture, torch.nn.functional.pad(picture, (0, 1, 0, 8), value=1.0)],)


class TestAlpha(TestStamp):
    """A list of two pictures of one size, of which the second has an alpha channel."""

    OUTPUT_IS_LIST = (True,)

    def make(self, width, height, batch, seed):
        (picture,) = super().make(width, height, batch, seed)
        return ([picture, torch.nn.functional.pad(picture, (0, 1), value=1.0)],)


# A machine that is slower than others, for benchmarks: every sleep takes so many times as long.
SLOWNESS = float(os.environ.get("TEST_NODES_SLOWNESS", "1"))


class TestSleep:
    """Hands its value on after some seconds, with progress; can be interrupted."""

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "value": ("IMAGE",),
                "seconds": ("FLOAT", {"default": 1.0, "min": 0.0, "max": 3600.0}),
            },
            "optional": {"steps": ("INT", {"default": 0, "min": 0, "max": 10_000})},
        }

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "sleep"
    CATEGORY = "test"
    STEP_S = 0.05

    def sleep(self, value, seconds, steps=0):
        seconds *= SLOWNESS
        steps = steps or max(round(seconds / self.STEP_S), 1)
        bar = comfy.utils.ProgressBar(steps)
        for _ in range(steps):
            comfy.model_management.throw_exception_if_processing_interrupted()
            time.sleep(seconds / steps)
            bar.update(1)
        return (value,)


class TestModel:
    """Hands its value on once its model is in memory: one at a time fits, and a change takes seconds."""

    LOAD_S = 3.0
    loaded = ""

    @classmethod
    def INPUT_TYPES(cls):
        names = ["first.safetensors", "second.safetensors"]
        return {"required": {"value": ("IMAGE",), "model_name": (names,)}}

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "use"
    CATEGORY = "test"

    def use(self, value, model_name):
        if TestModel.loaded != model_name:
            time.sleep(self.LOAD_S)
            TestModel.loaded = model_name
            print(f"TestModel loaded {model_name}", flush=True)
        return (value,)


class TestError:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("IMAGE",), "text": ("STRING", {"default": "an error"})}}

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "fail"
    CATEGORY = "test"

    def fail(self, value, text):
        raise RuntimeError(text)


class TestNeedsFile:
    """After a while it fails on a picture that is redder than `most`, as long as a file is not there."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("IMAGE",), "path": ("STRING",), "most": ("FLOAT",)}}

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "need"
    CATEGORY = "test"
    AFTER_S = 2.0

    def need(self, value, path, most):
        if value[..., 0].max() > most and not os.path.exists(path):
            time.sleep(self.AFTER_S)
            raise RuntimeError(f"{path} is not there")
        return (value,)


class TestExit:
    """Takes its whole ComfyUI down, as a driver crash would."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("IMAGE",)}}

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "leave"
    CATEGORY = "test"

    def leave(self, value):
        os._exit(1)


class TestExitOnce:
    """Takes its ComfyUI down the first time; `mark` is a file that says it has done so."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("IMAGE",), "mark": ("STRING", {"default": ""})}}

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "leave"
    CATEGORY = "test"

    def leave(self, value, mark):
        try:
            open(mark, "x").close()
        except FileExistsError:
            return (value,)
        os._exit(1)


class TestDeaf(TestSleep):
    """As slow, and no interrupt reaches it, as in a library that computes on its own."""

    def sleep(self, value, seconds):
        time.sleep(seconds)
        return (value,)


class TestOutOfMemory:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("IMAGE",)}}

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "ask_for_more"
    CATEGORY = "test"

    def ask_for_more(self, value):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")


class TestWorkerDies:
    """Ends the thread that runs prompts; the server answers on, and nothing is run any more."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("IMAGE",)}}

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "die"
    CATEGORY = "test"

    def die(self, value):
        raise SystemExit


class TestExpand:
    """Grows, while it runs, into nodes that make a picture and save it."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"seed": ("INT", {"default": 0, "min": 0, "max": 2**64 - 1})}}

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "expand"
    CATEGORY = "test"

    def expand(self, seed):
        graph = GraphBuilder()
        stamp = graph.node("TestStamp", width=16, height=16, batch=1, seed=seed)
        graph.node("SaveImage", images=stamp.out(0), filename_prefix="grown")
        return {"result": (stamp.out(0),), "expand": graph.finalize()}


class TestTells:
    """Tells its client something in ways of its own: a text at the node, and an event of this pack."""

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {"value": ("IMAGE",), "text": ("STRING", {"default": ""})},
            "hidden": {"node_id": "UNIQUE_ID"},
        }

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "tell"
    CATEGORY = "test"

    def tell(self, value, text, node_id):
        server = PromptServer.instance
        server.send_progress_text(text, node_id, server.client_id)
        server.send_sync("test-tells", {"text": text, "node": node_id}, server.client_id)
        return (value,)


_CLASSES = (
    *(TestStamp, TestSizes, TestAlpha, TestSleep, TestModel, TestError),
    *(TestExpand, TestTells),
    *(TestNeedsFile, TestExit, TestExitOnce, TestDeaf, TestOutOfMemory, TestWorkerDies),
)
NODE_CLASS_MAPPINGS = {cls.__name__: cls for cls in _CLASSES}
