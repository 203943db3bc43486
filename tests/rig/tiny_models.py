"""Makes random models small enough for a CPU. Run by the environment's Python: tree, target folder.

The UNet is SD2-shaped (35 M parameters, half precision), the decoder pair is TAESD's. Pictures made with
them are noise; steps, previews and model loading are real.
"""

from __future__ import annotations

import sys
from pathlib import Path

UNET = "diffusion_models/tiny-random-unet.safetensors"
SEED = 7


def main(tree: Path, models: Path) -> None:
    sys.path[0] = str(tree)
    from comfy.cli_args import args  # type: ignore[import-not-found]

    args.cpu = True  # before comfy looks for a device

    import comfy.ops  # type: ignore[import-not-found]
    import torch  # type: ignore[import-not-found]
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel  # type: ignore[import-not-found]
    from comfy.taesd.taesd import Decoder, Encoder  # type: ignore[import-not-found]
    from safetensors.torch import save_file

    torch.manual_seed(SEED)
    unet = UNetModel(
        image_size=32,
        in_channels=4,
        out_channels=4,
        model_channels=320,
        num_res_blocks=[1, 1],
        channel_mult=[1, 1],
        transformer_depth=[1, 0],
        transformer_depth_output=[1, 1, 0, 0],
        transformer_depth_middle=0,
        context_dim=1024,
        use_linear_in_transformer=True,
        use_spatial_transformer=True,
        num_head_channels=64,
        legacy=False,
        dtype=torch.float32,
        operations=comfy.ops.disable_weight_init,
    )
    _fill(unet)
    for path in (UNET, "vae_approx/x"):
        (models / path).parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.half().contiguous() for name, tensor in unet.state_dict().items()}, models / UNET)
    for name, half in (("encoder", Encoder()), ("decoder", Decoder())):
        _fill(half)
        weights = {key: tensor.contiguous() for key, tensor in half.state_dict().items()}
        save_file(weights, models / f"vae_approx/taesd_{name}.safetensors")


def _fill(module: object) -> None:
    import torch

    for parameter in module.parameters():  # type: ignore[attr-defined]
        if parameter.ndim > 1:
            torch.nn.init.xavier_uniform_(parameter)
        else:
            torch.nn.init.normal_(parameter, std=0.02)


if __name__ == "__main__":
    from launcher import define_missing_operators

    define_missing_operators()
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
