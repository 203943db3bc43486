"""Nodes that behave as nodes of popular packs were reported to; the master of the tests has them too."""

from __future__ import annotations

import random
import time

import comfy.model_management
import torch
from aiohttp import web
from server import PromptServer

from .values import NODE_CLASS_MAPPINGS as VALUES


class Chooser:
    """Asks the page that runs the prompt which picture to take, and waits for its answer by a route."""

    answer: int | None = None

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"images": ("IMAGE",)}}

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "choose"
    CATEGORY = "reports"

    @classmethod
    def IS_CHANGED(cls, **_):
        return float("nan")

    def choose(self, images):
        Chooser.answer = None
        server = PromptServer.instance
        server.send_sync("reports-choose", {"count": len(images)}, server.client_id)
        while Chooser.answer is None:
            comfy.model_management.throw_exception_if_processing_interrupted()
            time.sleep(0.05)
        return (images[Chooser.answer : Chooser.answer + 1],)


@PromptServer.instance.routes.post("/reports/choose")
async def choose(request):
    Chooser.answer = int((await request.json()).get("index", 0))
    return web.json_response({})


class Random:
    """Says itself that it is never the same."""

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "low": ("INT", {"default": 0, "min": 0, "max": 1 << 31}),
                "high": ("INT", {"default": 1 << 30, "min": 0, "max": 1 << 31}),
            }
        }

    RETURN_TYPES = ("INT",)
    FUNCTION = "draw"
    CATEGORY = "reports"

    @classmethod
    def IS_CHANGED(cls, **_):
        return float("nan")

    def draw(self, low, high):
        return (random.randint(low, high),)


class BrokenCheck(Random):
    """The same, but its check raises."""

    @classmethod
    def IS_CHANGED(cls, **_):
        raise RuntimeError("a check that fails")


class SteadyCheck(Random):
    """Draws a number, and says that nothing changed as long as its inputs are the same."""

    @classmethod
    def IS_CHANGED(cls, low, high):
        return f"{low} {high}"


class Partner:
    """A paid partner node that reaches nobody: tells which key it was given, and makes a picture."""

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {"prompt": ("STRING", {"default": ""})},
            "hidden": {"token": "AUTH_TOKEN_COMFY_ORG", "key": "API_KEY_COMFY_ORG"},
        }

    RETURN_TYPES = ("IMAGE", "STRING", "REPORT_SESSION")
    FUNCTION = "ask"
    CATEGORY = "reports"
    API_NODE = True

    def ask(self, prompt, token=None, key=None):
        return (torch.zeros((1, 16, 16, 3)), f"{prompt} {token} {key}", object())


class UseSession:
    """Takes a value that cannot travel."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"session": ("REPORT_SESSION",)}}

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "use"
    CATEGORY = "reports"

    def use(self, session):
        return (torch.zeros((1, 16, 16, 3)),)


class LoopEnd:
    """One end of a loop by its name; hands its value on."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("IMAGE",)}}

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "pass_on"
    CATEGORY = "reports"

    def pass_on(self, value):
        return (value,)


class Remote:
    """Sets a widget of another node of its prompt, before the prompt runs."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"node_id": ("STRING",), "widget": ("STRING",), "value": ("INT",)}}

    RETURN_TYPES = ()
    FUNCTION = "rest"
    OUTPUT_NODE = True
    CATEGORY = "reports"

    def rest(self, **_):
        return {}


def set_widgets(json_data):
    prompt = json_data["prompt"]
    for node in prompt.values():
        if node.get("class_type") == "ReportRemote":
            told = node["inputs"]
            prompt[told["node_id"]]["inputs"][told["widget"]] = told["value"]
    return json_data


async def join_handlers(app):
    PromptServer.instance.add_on_prompt_handler(set_widgets)


# As late as a pack can, so that it is behind those of all packs that do it while they are loaded.
PromptServer.instance.app.on_startup.append(join_handlers)


NODE_CLASS_MAPPINGS = {
    "ReportRemote": Remote,
    "ReportChooser": Chooser,
    "ReportRandom": Random,
    "ReportBrokenCheck": BrokenCheck,
    "ReportSteadyCheck": SteadyCheck,
    "ReportPartner": Partner,
    "ReportUseSession": UseSession,
    "StartLoop": LoopEnd,
    "EndLoop": LoopEnd,
    **VALUES,
}
