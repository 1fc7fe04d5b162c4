"""The judge that is shipped with the embedded diffusion model: a small net on digits of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from critwin.digits import load_digits
from critwin.features.layer_classifier import build_layers
from critwin.files import write_text
from critwin.seeds import fold_in

LAYERS: list[dict[str, Any]] = [
    {"kind": "conv", "in_channels": 1, "out_channels": 32, "kernel_size": 3, "padding": 1},
    {"kind": "relu"},
    {"kind": "conv", "in_channels": 32, "out_channels": 32, "kernel_size": 3, "padding": 1},
    {"kind": "relu"},
    {"kind": "max_pool", "kernel_size": 2},
    {"kind": "conv", "in_channels": 32, "out_channels": 64, "kernel_size": 3, "padding": 1},
    {"kind": "relu"},
    {"kind": "flatten"},
    {"kind": "dropout", "p": 0.4},
    {"kind": "linear", "in_features": 1024, "out_features": 10},
]

BATCH, RATE = 64, 2e-3

JITTER = 0.1
"""Standard deviation of the noise on training pixels in [-1, 1]: samples are never quite clean."""


def train_judge(folder: Path, *, steps: int, seed: int) -> None:
    """Train the judge on the part `classifier` and write it; pictures are moved by up to a pixel.

    Args:
        folder: Gets `config.json` and `model.safetensors`.
        steps: Optimizer steps, >= 1.
        seed: Decides weights, batches, moves and noise.
    """
    import torch
    from safetensors.torch import save_file

    images, classes = load_digits("classifier")
    rows = torch.tensor(images).permute(0, 3, 1, 2).float() / 127.5 - 1
    labels = torch.tensor(classes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(fold_in(seed, "judge"))
        net = build_layers(LAYERS)
        optimizer = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=0.02)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps + 1)
        for _ in range(steps):
            chosen = torch.randint(len(rows), (BATCH,))
            down, right = (int(torch.randint(-1, 2, ())) for _ in range(2))
            batch = torch.nn.functional.pad(rows[chosen], (1, 1, 1, 1), value=-1.0)
            batch = batch[:, :, 1 + down : 9 + down, 1 + right : 9 + right]
            batch = batch + JITTER * torch.randn(batch.shape)
            loss = torch.nn.functional.cross_entropy(
                net(batch), labels[chosen], label_smoothing=0.05
            )
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    folder.mkdir(parents=True, exist_ok=True)
    described = {"labels": [str(digit) for digit in range(10)], "layers": LAYERS}
    write_text(folder / "config.json", json.dumps(described, indent=2) + "\n")
    # weights beside the names that load_model looks for, as halves: they are small
    halves = {name: value.half().contiguous() for name, value in net.state_dict().items()}
    save_file(halves, folder / "model.safetensors", metadata={"format": "pt"})
