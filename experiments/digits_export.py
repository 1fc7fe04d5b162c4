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
from experiments.digits_training import DigitsTraining

ORIGINALS = 60
"""Held-out digits that are noised and denoised for the card."""

LEVELS = 10
"""Evenly spread levels at which they are."""


def export_pipeline(training: DigitsTraining, folder: Path) -> None:
    """Write the trained model as a pipeline of diffusers, its weights as halves."""
    import torch
    from diffusers import DDPMPipeline
    from diffusers.utils import logging

    logging.set_verbosity_error()  # a cast to halves is warned about, though no part forbids it
    kept = {name: value.clone() for name, value in training.model.state_dict().items()}
    model = training.model.to(torch.float16)
    pipeline: Any = DDPMPipeline(unet=model, scheduler=training.scheduler)
    pipeline.save_pretrained(folder)
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
        "reverse_steps": steps,
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
    parts = ", ".join(f"{count} {name}" for name, count in card["parts"].items())
    same = measured["same_class"]
    table = _measured(measured)
    classes = ", ".join(str(n) for n in measured["classes_of_samples"].values())
    ended = "" if card["steps"] >= settings["steps"] else f" of {settings['steps']}, stopped early"
    return f"""# Handwritten digits: the embedded diffusion model

A small unconditional UNet2DModel of diffusers ({card["parameters"]:,} parameters, half
precision) on the 8 by 8 pictures of scikit-learn's `load_digits` (Alpaydin and Kaynak 1998, UCI, CC
BY 4.0): {settings["noise_steps"]} noise steps of a cosine schedule, and the velocity predicted.
For demonstrations and tests of critwin; it knows nothing but digits. The weights are under the
project's license.

Made again, from nothing, by

    python -m launch +exp=train_digits

whose `model/` this folder is. Training took {card["seconds"]:.0f} s of a CPU, {settings["threads"]}
threads ({card["steps"]} steps{ended}; best at {card["best_step"]}, validation loss
{card["validation_loss"]:.4f}).

The 1797 digits are cut into parts that do not overlap ({parts}; `critwin/digits.py`). The diffusion
model learned from `train` and stopped by `validation`; its judge, `classifier/`, learned from
`classifier` alone; `held_out` are the originals of experiments, and nobody learned from them.
The data do not tell who wrote a digit: a writer may be in several parts.

| measured | |
|---|---|
{table}

Samples take {measured["reverse_steps"]} reverse steps. Distances are root mean squares over pixels
in [0, 1]. Samples of the classes 0 to 9: {classes}.

Held-out digits noised to a timestep and denoised: the share that keeps its class ({ORIGINALS}
originals, one resample each).

| timestep | {" | ".join(f"{row['timestep']:.0f}" for row in same)} |
|---|{"---|" * len(same)}
| same class | {" | ".join(f"{row['same']:.2f}" for row in same)} |
"""


def _measured(measured: dict[str, Any]) -> str:
    """Give the rows of what was measured."""
    rows = [
        ("judge's accuracy on held-out digits", _ends(measured["judge_accuracy_held_out"])),
        ("judge's confidence on samples", f"{measured['judge_confidence_samples']:.3f}"),
        ("judge's confidence on held-out digits", f"{measured['judge_confidence_held_out']:.3f}"),
        (
            "samples that the judge cannot read",
            f"{measured['unscored_samples']} of {measured['samples']}",
        ),
        (
            "samples nearer to a training digit than 95 % of held-out digits are "
            f"({measured['near_expected']} without memorisation)",
            _ends(measured["near_training"]),
        ),
        (
            "samples nearer to a training digit than any held-out digit is",
            f"{measured['copies']} of {measured['samples']}",
        ),
        (
            "median distance of samples to the nearest training digit",
            f"{measured['nearest_samples_median']:.3f}",
        ),
        ("the same of held-out digits", f"{measured['nearest_held_out_median']:.3f}"),
    ]
    return "\n".join(f"| {name} | {value} |" for name, value in rows)


def _ends(values: list[float]) -> str:
    estimate, lower, upper = values
    return f"{estimate:.3f} [{lower:.3f}, {upper:.3f}]"
