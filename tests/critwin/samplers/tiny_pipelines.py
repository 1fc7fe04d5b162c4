"""Tiny pipelines of diffusers in the real format, saved with save_pretrained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

TRAIN_STEPS = 4
BETAS = {"beta_start": 1e-4, "beta_end": 0.6, "beta_schedule": "linear"}


def unit_normal(folder: Path, *, size: int = 2) -> Path:
    """Save a DDPM that is exact for independent unit normal pixels, and give its folder.

    The velocity of such data is 0 at every time, and DDPM's step with the variance `fixed_large` is
    the exact conditional law of the forward chain: a real model of diffusers with a closed form.
    """
    import torch
    from diffusers import DDPMPipeline, DDPMScheduler

    made = folder / f"unit_normal_{size}"
    if not made.exists():
        unet = tiny_unet(size=size, channels=1)
        with torch.no_grad():
            unet.conv_out.weight.zero_()
            unet.conv_out.bias.zero_()
        scheduler = DDPMScheduler(
            num_train_timesteps=TRAIN_STEPS,
            prediction_type="v_prediction",
            variance_type="fixed_large",
            clip_sample=False,
            **BETAS,
        )
        DDPMPipeline(unet=unet, scheduler=scheduler).save_pretrained(made)
    return made


def tiny_unet(*, size: int, channels: int, seed: int = 0) -> Any:
    import torch
    from diffusers import UNet2DModel

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return UNet2DModel(
            sample_size=size,
            in_channels=channels,
            out_channels=channels,
            layers_per_block=1,
            block_out_channels=(8,),
            down_block_types=("DownBlock2D",),
            up_block_types=("UpBlock2D",),
            norm_num_groups=4,
        ).eval()


def random_ddpm(folder: Path, *, size: int = 8, channels: int = 1) -> Path:
    """Save an unconditional DDPM of random weights, a thousand steps as on the hub."""
    from diffusers import DDPMPipeline, DDPMScheduler

    made = folder / f"ddpm_{size}_{channels}"
    if not made.exists():
        unet = tiny_unet(size=size, channels=channels)
        DDPMPipeline(unet=unet, scheduler=DDPMScheduler()).save_pretrained(made)
    return made


def random_dit(folder: Path) -> Path:
    """Save a class-conditional DiT of random weights."""
    import torch
    from diffusers import DDIMScheduler, DiTPipeline, DiTTransformer2DModel

    made = folder / "dit"
    if not made.exists():
        with torch.random.fork_rng():
            torch.manual_seed(0)
            transformer = DiTTransformer2DModel(
                sample_size=8,
                num_layers=2,
                patch_size=2,
                attention_head_dim=4,
                num_attention_heads=2,
                in_channels=4,
                out_channels=8,
                attention_bias=True,
                activation_fn="gelu-approximate",
                num_embeds_ada_norm=1000,
                norm_type="ada_norm_zero",
                norm_elementwise_affine=False,
            )
            # random weights begin with gates of 0, which look at nothing
            for parameter in transformer.parameters():
                torch.nn.init.normal_(parameter, std=0.1)
            vae = tiny_vae()
        DiTPipeline(transformer=transformer, vae=vae, scheduler=DDIMScheduler()).save_pretrained(
            made
        )
    return made


def tiny_vae(**settings: Any) -> Any:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D", "DownEncoderBlock2D"),
        up_block_types=("UpDecoderBlock2D", "UpDecoderBlock2D"),
        block_out_channels=(8, 8),
        latent_channels=4,
        norm_num_groups=4,
        sample_size=16,
        **settings,
    )


def tiny_tokenizer(folder: Path) -> Any:
    """Write a CLIP tokenizer that knows letters, and load it."""
    from transformers import CLIPTokenizer

    folder.mkdir(parents=True, exist_ok=True)
    letters = "abcdefghijklmnopqrstuvwxyz0123456789,.'"
    names = ["<|startoftext|>", "<|endoftext|>"]
    tokens = [*names, *letters, *(f"{letter}</w>" for letter in letters)]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer(
        str(folder / "vocab.json"),
        str(folder / "merges.txt"),
        model_max_length=16,
        unk_token=names[1],
        bos_token=names[0],
        eos_token=names[1],
        pad_token=names[1],
    )


def tiny_text_encoder(vocabulary: int, *, projected: bool = False) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    kind = CLIPTextModelWithProjection if projected else CLIPTextModel
    return kind(
        CLIPTextConfig(
            vocab_size=vocabulary,
            hidden_size=8,
            intermediate_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=16,
            projection_dim=8,
            bos_token_id=0,
            eos_token_id=1,
            pad_token_id=1,
        )
    )


def tiny_conditional_unet(**settings: Any) -> Any:
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        layers_per_block=1,
        block_out_channels=(8,),
        down_block_types=("CrossAttnDownBlock2D",),
        up_block_types=("CrossAttnUpBlock2D",),
        mid_block_type="UNetMidBlock2DCrossAttn",
        attention_head_dim=2,
        norm_num_groups=4,
        **settings,
    )


def random_stable_diffusion_xl(folder: Path) -> Path:
    """Save a Stable Diffusion XL of random weights: two text encoders, sizes as conditions."""
    import torch
    from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline

    made = folder / "stable_diffusion_xl"
    if not made.exists():
        tokenizers = [tiny_tokenizer(folder / "letters") for _ in range(2)]
        with torch.random.fork_rng():
            torch.manual_seed(0)
            unet = tiny_conditional_unet(
                cross_attention_dim=16,
                addition_embed_type="text_time",
                addition_time_embed_dim=8,
                projection_class_embeddings_input_dim=6 * 8 + 8,
            )
            vae = tiny_vae()
            encoders = [tiny_text_encoder(len(tokenizers[0]), projected=p) for p in (False, True)]
        StableDiffusionXLPipeline(
            vae=vae,
            text_encoder=encoders[0],
            text_encoder_2=encoders[1],
            tokenizer=tokenizers[0],
            tokenizer_2=tokenizers[1],
            unet=unet,
            scheduler=EulerDiscreteScheduler(beta_schedule="scaled_linear"),
        ).save_pretrained(made)
    return made


def random_stable_diffusion_3(folder: Path) -> Path:
    """Save a Stable Diffusion 3 of random weights: a transformer that matches flows, without T5."""
    import torch
    from diffusers import (
        FlowMatchEulerDiscreteScheduler,
        SD3Transformer2DModel,
        StableDiffusion3Pipeline,
    )

    made = folder / "stable_diffusion_3"
    if not made.exists():
        tokenizers = [tiny_tokenizer(folder / "letters") for _ in range(2)]
        with torch.random.fork_rng():
            torch.manual_seed(0)
            transformer = SD3Transformer2DModel(
                sample_size=8,
                patch_size=2,
                in_channels=4,
                out_channels=4,
                num_layers=1,
                attention_head_dim=8,
                num_attention_heads=2,
                joint_attention_dim=32,
                caption_projection_dim=16,
                pooled_projection_dim=16,
                pos_embed_max_size=8,
            )
            vae = tiny_vae(shift_factor=0.06)
            encoders = [tiny_text_encoder(len(tokenizers[0]), projected=True) for _ in range(2)]
        StableDiffusion3Pipeline(
            transformer=transformer,
            scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
            vae=vae,
            text_encoder=encoders[0],
            tokenizer=tokenizers[0],
            text_encoder_2=encoders[1],
            tokenizer_2=tokenizers[1],
            text_encoder_3=None,
            tokenizer_3=None,
        ).save_pretrained(made)
    return made


def random_stable_diffusion(folder: Path) -> Path:
    """Save a Stable Diffusion of random weights: text encoder, UNet and VAE as on the hub."""
    import torch
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    made = folder / "stable_diffusion"
    if not made.exists():
        tokenizer = tiny_tokenizer(folder / "letters")
        with torch.random.fork_rng():
            torch.manual_seed(0)
            unet = tiny_conditional_unet(cross_attention_dim=8)
            vae, encoder = tiny_vae(), tiny_text_encoder(len(tokenizer))
        StableDiffusionPipeline(
            vae=vae,
            text_encoder=encoder,
            tokenizer=tokenizer,
            unet=unet,
            scheduler=DDIMScheduler(clip_sample=False, steps_offset=1, set_alpha_to_one=False),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        ).save_pretrained(made)
    return made


def random_clip(folder: Path) -> Path:
    """Save a CLIP of random weights with its tokenizer and image processor."""
    import torch
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

    made = folder / "clip"
    if not made.exists():
        tokenizer = tiny_tokenizer(folder / "clip_letters")
        tokenizer.save_pretrained(made)
        size = {"height": 8, "width": 8}
        CLIPImageProcessorPil(size={"shortest_edge": 8}, crop_size=size).save_pretrained(made)
        shape = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
        with torch.random.fork_rng():
            torch.manual_seed(0)
            config = CLIPConfig(
                text_config={
                    **shape,
                    "num_attention_heads": 2,
                    "vocab_size": len(tokenizer),
                    "max_position_embeddings": 16,
                    "bos_token_id": 0,
                    "eos_token_id": 1,
                    "pad_token_id": 1,
                },
                vision_config={
                    **shape,
                    "num_attention_heads": 2,
                    "image_size": 8,
                    "patch_size": 4,
                },
                projection_dim=8,
            )
            CLIPModel(config).save_pretrained(made)
    return made
