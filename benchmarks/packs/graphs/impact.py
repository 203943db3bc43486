"""Impact Pack: senders and receivers, bridges, switches, wildcards, triggers."""

from __future__ import annotations

from ..cases import Case, node, pictures, sampled, saved, shown

CASES = (
    Case("ImageSender", {
        "1": pictures(1, batch=2),
        "2": node("ImageSender", images=["1", 0], filename_prefix="ImgSender", link_id=0),
    }),
    Case("ImageReceiver", {
        "1": node("ImageReceiver", image="portrait.png", link_id=0, save_to_workflow=False, image_data="",
                  trigger_always=False),
        "2": saved("1"),
    }),
    Case("LatentSender", {
        **sampled(1),
        "7": node("LatentSender", samples=["4", 0], filename_prefix="latents/LatentSender", link_id=0,
                  preview_method="Latent2RGB-SD15"),
    }),
    Case("PreviewBridge", {
        "1": pictures(2),
        "2": node("PreviewBridge", images=["1", 0], image="", block=False, restore_mask="never"),
        "3": saved("2"),
    }),
    Case("a wildcard", {
        "1": node("ImpactWildcardProcessor", wildcard_text="a {red|green|blue} house", populated_text="",
                  mode=True, seed=5, **{"Select to add Wildcard": "Select the Wildcard to add to the text"}),
        "2": shown("1"),
    }, value=("2", "source")),
    Case("switches", {
        "1": pictures(3),
        "2": pictures(4),
        "3": node("ImpactSwitch", select=2, sel_mode=False, input1=["1", 0], input2=["2", 0]),
        "4": node("ImpactInversedSwitch", select=1, input=["3", 0], sel_mode=False),
        "5": saved("4"),
    }, value=("5", "images")),
    Case("ImpactQueueTrigger", {
        "1": pictures(5),
        "2": node("ImpactQueueTrigger", signal=["1", 0], mode=True),
        "3": saved("2"),
    }),
    Case("a countdown", {
        "1": pictures(6),
        "2": node("ImpactQueueTriggerCountdown", count=0, total=3, mode=True, signal=["1", 0]),
        "3": saved("2"),
    }),
    Case("a list of pictures, and back", {
        "1": pictures(7, batch=3),
        "2": node("ImpactImageBatchToImageList", image=["1", 0]),
        "3": node("ImageListToImageBatch", images=["2", 0]),
        "4": saved("2", prefix="each"),
        "5": saved("3", prefix="together"),
    }, value=("5", "images")),
    Case("a string chosen", {
        "1": node("ImpactStringSelector", strings="one\ntwo\nthree", multiline=False, select=1),
        "2": shown("1"),
    }, value=("2", "source")),
    Case("logic, branches and numbers", {
        "1": node("ImpactInt", value=5),
        "2": node("ImpactCompare", cmp="a > b", a=["1", 0], b=3),
        "3": pictures(8),
        "4": pictures(9),
        "5": node("ImpactConditionalBranch", cond=["2", 0], tt_value=["3", 0], ff_value=["4", 0]),
        "6": saved("5"),
        "7": node("ImpactImageInfo", value=["5", 0]),
        "8": shown("7", 2),
    }, value=("6", "images")),
    Case("ImpactValueSender and a logger", {
        "1": node("ImpactInt", value=5),
        "2": node("ImpactValueSender", value=["1", 0], link_id=1),
        "3": node("ImpactLogger", data=["1", 0], text=""),
        "4": pictures(10),
        "5": saved("4"),
    }),
    Case("SEGS of a mask, previewed", {
        "1": pictures(11),
        "2": node("SolidMask", value=1.0, width=64, height=64),
        "3": node("MaskToSEGS", mask=["2", 0], combined=False, crop_factor=1.5, bbox_fill=False, drop_size=1,
                  contour_fill=False),
        "4": node("SEGSPreview", segs=["3", 0], alpha_mode=True, min_alpha=0.2, fallback_image_opt=["1", 0]),
        "5": node("SegsToCombinedMask", segs=["3", 0]),
        "6": node("MaskPreview", mask=["5", 0]),
    }),
    Case("a control bridge", {
        "1": pictures(12),
        "2": node("ImpactControlBridge", value=["1", 0], mode=True, behavior="Stop"),
        "3": saved("2"),
    }),
    Case("a widget set on the page", {
        "1": pictures(13),
        "2": node("ImpactSetWidgetValue", signal=["1", 0], node_id=3, widget_name="filename_prefix",
                  string_value="next"),
        "3": saved("1"),
    }),
    Case("an execution order, and a pause", {
        "1": pictures(14),
        "2": node("ImpactSleep", signal=["1", 0], seconds=0.2),
        "3": node("ImpactExecutionOrderController", signal=["2", 0], value=["1", 0]),
        "4": saved("3", 1),
    }),
)  # fmt: skip
