"""Ship a trained model of digits: the pipeline, its judge, what they can do, and the card."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from critwin.digits import PARTS, digits_hash, load_digits
from critwin.feature import UNSCORED
from critwin.features.layer_classifier import LayerClassifier
from critwin.files import write_text
from critwin.forward_reverse import forward_reverse
from critwin.prompt import Prompt
from critwin.samplers.diffusion import DiffusionSampler
from critwin.samplers.pipeline import hash_pipeline
from critwin.seeds import fold_in
from critwin.statistics import clustered_share
from experiments.diffusion.memorisation import QUANTILE, memorisation
from experiments.digits_training import Training

ORIGINALS = 60
"""Held-out digits that are noised and denoised for the card."""

LEVELS = 10
"""Evenly spread levels at which they are."""


def export_pipeline(training: Training, folder: Path) -> None:
    """Write the trained model as a pipeline of diffusers, its weights as halves."""
    import torch
    from diffusers import DDPMPipeline

    kept = {name: value.clone() for name, value in training.model.state_dict().items()}
    model = training.model.to(torch.float16)
    DDPMPipeline(unet=model, scheduler=training.scheduler).save_pretrained(folder)
    training.model.to(torch.float32).load_state_dict(kept)


def evaluate(folder: Path, *, samples: int, steps: int, seed: int) -> dict[str, Any]:
    """Measure what an exported model and its judge do.

    Args:
        folder: The pipeline, its judge in `classifier/`.
        samples: Pictures drawn.
        steps: Reverse steps.
        seed: Decides the noise.
    """
    sampler = DiffusionSampler(path=str(folder), steps=steps)
    judge = LayerClassifier(path=str(folder / "classifier"))
    fresh, classes = load_digits("held_out")
    train, _ = load_digits("train")
    drawn = sampler.resample(
        sampler.start([Prompt("")]), seeds=[[fold_in(seed, "sample", i) for i in range(samples)]]
    )[0]
    images = sampler.images(drawn)
    shares, real = judge.probabilities(images), judge.probabilities(list(fresh))
    right = clustered_share((real.argmax(1) == classes).astype(int), np.ones(len(fresh), int))
    copies = memorisation(images, list(train), list(fresh))
    labels = Counter(judge.labels(images))
    assert right is not None
    return {
        "samples": samples,
        "judge_accuracy_held_out": [right.estimate, right.lower, right.upper],
        "judge_confidence_samples": float(shares.max(1).mean()),
        "judge_confidence_held_out": float(real.max(1).mean()),
        "unscored_samples": labels.pop(UNSCORED, 0),
        "classes_of_samples": {str(d): labels.get(str(d), 0) for d in range(10)},
        "near_training": [copies.near.estimate, copies.near.lower, copies.near.upper],
        "near_expected": QUANTILE,
        "copies": copies.copies,
        "nearest_samples_median": float(np.median(copies.pictures)),
        "nearest_held_out_median": float(np.median(copies.fresh)),
        "same_class": _same_class(sampler, judge, seed=seed),
    }


def _same_class(
    sampler: DiffusionSampler, judge: LayerClassifier, *, seed: int
) -> list[dict[str, float]]:
    """Give P(same class) of held-out digits at some levels."""
    images, classes = load_digits("held_out")
    originals = sampler.pictures(list(images[:ORIGINALS]), [""] * ORIGINALS)
    spread = np.linspace(0, sampler.last_level, LEVELS, endpoint=False)
    levels = sorted({int(level) for level in spread})
    seeds = [fold_in(seed, "same class", i) for i in range(ORIGINALS)]
    drawn = forward_reverse(sampler, originals, [levels] * ORIGINALS, draws=1, seeds=seeds)
    found = []
    for place, level in enumerate(levels):
        labels = judge.labels(sampler.images([own[place][0] for own in drawn]))
        same = [label == str(c) for label, c in zip(labels, classes, strict=False)]
        share = float(np.mean(same))
        found.append({"level": level, "timestep": sampler.timestep(level), "same": share})
    return found


def write_card(folder: Path, *, facts: dict[str, Any], measured: dict[str, Any]) -> dict[str, Any]:
    """Write `card.json` and `README.md` beside an exported model and give the card."""
    judge = hashlib.sha256((folder / "classifier" / "model.safetensors").read_bytes())
    card = {
        **facts,
        "parts": dict(PARTS),
        "digits_sha256": digits_hash(),
        "measured": measured,
        "sha256": hash_pipeline(folder),
        "classifier_sha256": judge.hexdigest(),
    }
    write_text(folder / "card.json", json.dumps(card, indent=2) + "\n")
    write_text(folder / "README.md", _readme(card))
    return card


def _readme(card: dict[str, Any]) -> str:
    measured, settings = card["measured"], card["settings"]
    accuracy, low, high = measured["judge_accuracy_held_out"]
    near, near_low, near_high = measured["near_training"]
    same = measured["same_class"]
    steps = " | ".join(f"{row['timestep']:.0f}" for row in same)
    shares = " | ".join(f"{row['same']:.2f}" for row in same)
    classes = " | ".join(str(n) for n in measured["classes_of_samples"].values())
    parts = ", ".join(f"{count} {name}" for name, count in card["parts"].items())
    return f"""# Handwritten digits: the embedded diffusion model

A small unconditional UNet2DModel of diffusers ({card["parameters"]:,} parameters, half precision) on the 8 by 8 pictures of
scikit-learn's `load_digits` (UCI, Alpaydin and Kaynak 1998, CC BY 4.0), {settings["noise_steps"]} noise steps of a cosine schedule that predicts
the velocity. For demonstrations and tests of critwin; it knows nothing but digits. The weights are under the project's license.

Made again, from nothing, by

    python -m launch +exp=train_digits

whose `model/` this folder is. It took {card["seconds"]:.0f} s of training here ({card["steps"]} steps, best at {card["best_step"]}, validation
loss {card["validation_loss"]:.4f}).

Parts of the 1797 digits that do not overlap ({parts}; `critwin/digits.py`): the diffusion model learned from `train` and stopped by
`validation`; `classifier/`, its judge, learned from `classifier` alone; `held_out` are the originals of experiments, and
nobody learned from them. Writers are not told apart by the data: one may be in several parts.

| measured | |
|---|---|
| judge's accuracy on held-out digits | {accuracy:.3f} [{low:.3f}, {high:.3f}] |
| judge's confidence on samples, on held-out digits | {measured["judge_confidence_samples"]:.3f}, {measured["judge_confidence_held_out"]:.3f} |
| samples that the judge cannot read | {measured["unscored_samples"]} of {measured["samples"]} |
| samples nearer to a training digit than 95 % of held-out digits are (.05 without memorisation) | {near:.3f} [{near_low:.3f}, {near_high:.3f}] |
| samples nearer than any held-out digit | {measured["copies"]} of {measured["samples"]} |
| median distance to the nearest training digit, samples and held-out (root mean square of pixels in [0, 1]) | {measured["nearest_samples_median"]:.3f}, {measured["nearest_held_out_median"]:.3f} |

Samples of each class 0 to 9: {classes}.

Held-out digits noised to a timestep and denoised, share that keeps its class ({ORIGINALS} originals, one resample each):

| timestep | {steps} |
|---|{"---|" * len(same)}
| same class | {shares} |
"""
