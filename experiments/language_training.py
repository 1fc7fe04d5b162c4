"""The training loop of the embedded language models.

A small GPT-2 learns the texts of a corpus. Every batch is drawn anew from the seed and its own
number, so a run that was killed goes on from its checkpoint as if nothing had happened.
"""

from __future__ import annotations

import json
import math
import os
import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING

from critwin.corpus import Corpus, CorpusSample
from critwin.errors import ParameterError
from critwin.problems.word_tokens import BOS, EOS, PAD
from experiments.tracker import Progress, Tracker
from experiments.training_schedule import TrainingState, learning_rate

if TYPE_CHECKING:
    import torch
    from transformers import GPT2LMHeadModel

Report = Callable[[dict[str, float]], None]
Keep = Callable[[int, "GPT2LMHeadModel"], None]

PRODUCTS_IN = ("bfloat16", "float32")

# Batches are cut from groups of this many, sorted by length, so that little is spent on padding.
_GROUP = 8


@dataclass(frozen=True)
class TrainSettings:
    """What determines the trained model.

    Attributes:
        seed: Decides the weights at the start and all problems; not negative.
        steps: Optimizer steps of the whole schedule, at least 1.
        batch_size: Samples in a step, at least 1.
        learning_rate: At the end of the warm-up, above 0.
        warmup_steps: Steps of linear warm-up; a cosine to a twentieth follows.
        weight_decay: Of AdamW, not negative.
        n_layer: Layers, at least 1.
        n_head: Attention heads, a divisor of n_embd.
        n_embd: Width, at least 1.
        seconds_at_most: Training stops after so many seconds, those before a kill included.
        validate_every: Steps between two validations, each followed by a checkpoint.
        validation_problems: Samples that a validation reads.
        patience: Validations without a new best loss after which training stops.
        evaluate_problems: Test problems on which the result is sampled.
        evaluate_samples: Samples for each of them, at temperature 1.
        threads: Threads of torch, at least 1.
        products_in: Number type of the products in a step, bfloat16 or float32; weights and updates
            are in single precision. On a CPU without instructions for bfloat16 it is 7 times as
            slow as float32, with them three times as fast.
    """

    seed: int = 0
    steps: int = 4000
    batch_size: int = 64
    learning_rate: float = 3e-3
    warmup_steps: int = 100
    weight_decay: float = 0.01
    n_layer: int = 4
    n_head: int = 4
    n_embd: int = 128
    seconds_at_most: float = 3600.0
    validate_every: int = 100
    validation_problems: int = 512
    patience: int = 10
    evaluate_problems: int = 300
    evaluate_samples: int = 5
    threads: int = 2
    products_in: str = "bfloat16"

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            ParameterError: One of them is not allowed.
        """
        for name in (setting.name for setting in fields(TrainSettings)):
            value = getattr(self, name)
            if name in ("learning_rate", "seconds_at_most"):
                if not value > 0 or not math.isfinite(value):
                    raise ParameterError(name, value, "a number above 0")
            elif name == "products_in":
                if value not in PRODUCTS_IN:
                    raise ParameterError(name, value, f"one of {', '.join(PRODUCTS_IN)}")
            elif name == "weight_decay":
                if not value >= 0 or not math.isfinite(value):
                    raise ParameterError(name, value, "a number, at least 0")
            else:
                least = 0 if name in ("seed", "warmup_steps") else 1
                if not isinstance(value, int) or value < least:
                    raise ParameterError(name, value, f"an integer, at least {least}")
        if self.n_embd % self.n_head:
            raise ParameterError("n_head", self.n_head, f"a divisor of n_embd = {self.n_embd}")

    def rate(self, step: int) -> float:
        """Give the learning rate of a step, counted from 0."""
        return learning_rate(
            step, steps=self.steps, peak=self.learning_rate, warmup=self.warmup_steps
        )


@dataclass
class _Samples:
    """Draws training batches; batch `index` depends on the seed and the index alone."""

    settings: TrainSettings
    corpus: Corpus
    group: int = -1
    batches: list[list[CorpusSample]] = field(default_factory=list)

    def batch(self, index: int) -> list[CorpusSample]:
        group, within = divmod(index, _GROUP)
        if group != self.group:
            size = self.settings.batch_size
            rng = random.Random(f"critwin {self.corpus.name} batches {self.settings.seed} {group}")
            drawn = [self.corpus.draw(rng, "train") for _ in range(size * _GROUP)]
            drawn.sort(key=lambda sample: len(sample.ids))
            self.batches = [drawn[start : start + size] for start in range(0, len(drawn), size)]
            rng.shuffle(self.batches)
            self.group = group
        return self.batches[within]


def _tensors(batch: list[CorpusSample], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    import torch

    longest = max(len(sample.ids) for sample in batch)
    inputs = torch.full((len(batch), longest), pad)
    labels = torch.full((len(batch), longest), -100)
    for row, sample in enumerate(batch):
        inputs[row, : len(sample.ids)] = torch.tensor(sample.ids)
        labels[row, sample.prompt : len(sample.ids)] = torch.tensor(sample.ids[sample.prompt :])
    return inputs, labels


def build_model(settings: TrainSettings, corpus: Corpus) -> GPT2LMHeadModel:
    """Build the model with weights drawn from the seed."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    known = corpus.vocabulary()
    torch.manual_seed(settings.seed)
    config = GPT2Config(
        vocab_size=len(known),
        n_positions=corpus.longest,
        n_embd=settings.n_embd,
        n_layer=settings.n_layer,
        n_head=settings.n_head,
        # The same function as the default gelu_new, as one fused kernel: a third faster here.
        activation_function="gelu_pytorch_tanh",
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=known[BOS],
        eos_token_id=known[EOS],
        pad_token_id=known[PAD],
    )
    model = GPT2LMHeadModel(config)
    # On a CPU in bfloat16, the backward pass of the fused attention takes twice as long.
    model.set_attn_implementation("eager")
    return model


class Training:
    """One training run: the model, its optimizer, and the file from which it goes on."""

    def __init__(self, out: Path, settings: TrainSettings, corpus: Corpus) -> None:
        import torch

        self.settings, self.corpus = settings, corpus
        self.pad = corpus.vocabulary()[PAD]
        self.file = out / "checkpoint.safetensors"
        self.state = TrainingState()
        self.model = build_model(settings, corpus)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.parameters = dict(self.model.named_parameters())
        self.best = {name: p.detach().clone() for name, p in self.parameters.items()}
        rng = random.Random(f"critwin {corpus.name} validation {settings.seed}")
        drawn = [corpus.draw(rng, "validation") for _ in range(settings.validation_problems)]
        drawn.sort(key=lambda sample: len(sample.ids))
        self.validation = [_tensors(drawn[i : i + 64], self.pad) for i in range(0, len(drawn), 64)]
        learned = sum(len(sample.ids) - sample.prompt for sample in drawn)
        self.entropy = sum(sample.entropy for sample in drawn) / learned
        if self.file.exists():
            self._load()

    def step(self, samples: _Samples) -> float:
        """Take one optimizer step and return its loss, in nats per token that is learned."""
        import torch

        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.rate(self.state.step)
        inputs, labels = _tensors(samples.batch(self.state.step), self.pad)
        # Weights and updates stay in single precision, whatever the products are in.
        with torch.autocast("cpu", torch.bfloat16, enabled=self.settings.products_in == "bfloat16"):
            loss = self._loss(inputs, labels)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.state.step += 1
        return float(loss.detach())

    def _loss(self, inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        import torch

        # The rows are padded on the right, which a causal model cannot see from the left.
        logits = self.model(input_ids=inputs, attention_mask=torch.ones_like(inputs)).logits
        return torch.nn.functional.cross_entropy(
            logits[:, :-1].flatten(0, 1).float(), labels[:, 1:].flatten()
        )

    def validate(self) -> float:
        """Return the loss on the validation split; keep the weights if they are the best so far."""
        import torch

        total, count = 0.0, 0
        with torch.inference_mode():
            for inputs, labels in self.validation:
                n = int((labels >= 0).sum())
                total += float(self._loss(inputs, labels)) * n
                count += n
        loss = total / count
        if loss < self.state.best_loss:
            self.state.best_loss, self.state.best_step, self.state.stale = loss, self.state.step, 0
            self.best = {name: p.detach().clone() for name, p in self.parameters.items()}
        else:
            self.state.stale += 1
        return loss

    def save(self) -> None:
        """Write everything into one file, whole or not at all."""
        from safetensors.torch import save_file

        tensors: dict[str, torch.Tensor] = {}
        for name, parameter in self.parameters.items():
            kept = self.optimizer.state[parameter]
            tensors[f"model/{name}"] = parameter.detach()
            tensors[f"best/{name}"] = self.best[name]
            tensors.update({f"optimizer/{key}/{name}": value for key, value in kept.items()})
        metadata = {
            "state": json.dumps(asdict(self.state)),
            "settings": json.dumps(asdict(self.settings)),
        }
        partial = self.file.with_suffix(".partial")
        save_file(tensors, partial, metadata=metadata)
        os.replace(partial, self.file)

    def _load(self) -> None:
        import torch
        from safetensors import safe_open
        from safetensors.torch import load_file

        with safe_open(self.file, framework="pt") as stored:
            metadata = stored.metadata()
            stored_for = json.loads(metadata["settings"])
            if stored_for | {"threads": 0} != asdict(self.settings) | {"threads": 0}:
                raise ParameterError(
                    "out", str(self.file.parent), "a folder without a run of other settings"
                )
        self.state = TrainingState(**json.loads(metadata["state"]))
        tensors = load_file(self.file)
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(tensors[f"model/{name}"])
                self.best[name] = tensors[f"best/{name}"]
                self.optimizer.state[parameter] = {
                    key: tensors[f"optimizer/{key}/{name}"]
                    for key in ("step", "exp_avg", "exp_avg_sq")
                }


def train(
    corpus: Corpus,
    *,
    out: Path,
    settings: TrainSettings,
    report: Report,
    keep: Keep | None = None,
) -> Training:
    """Train until the schedule ends, validation stops improving, or the time is up.

    Args:
        corpus: What is learned.
        out: Folder for the checkpoint; one that is there is gone on from.
        settings: What determines the model.
        report: Called with `step`, `loss`, `seconds` and, at a validation, `validation_loss`.
        keep: Called after each step with its number and the model as it is then, before the step's
            checkpoint is written: what it keeps of a step stands when a killed run goes on after
            that step.

    Returns:
        The run, its model holding the best weights.

    Raises:
        ParameterError: `out` holds a checkpoint of other settings.
    """
    import torch

    torch.set_num_threads(settings.threads)
    out.mkdir(parents=True, exist_ok=True)
    run = Training(out, settings, corpus)
    state, samples = run.state, _Samples(settings, corpus)
    started = time.monotonic() - state.seconds
    while not state.finished:
        row = {"loss": run.step(samples), "step": float(state.step)}
        if keep is not None:
            keep(state.step, run.model)
        state.seconds = time.monotonic() - started
        ended = state.step >= settings.steps or state.seconds >= settings.seconds_at_most
        if ended or state.step % settings.validate_every == 0:
            row |= {"validation_loss": run.validate(), "entropy": run.entropy}
            state.finished = ended or state.stale >= settings.patience
            run.save()
        report(row | {"seconds": state.seconds})
    with torch.no_grad():
        for name, parameter in run.parameters.items():
            parameter.copy_(run.best[name])
    return run


def train_shown(
    corpus: Corpus,
    *,
    out: Path,
    settings: TrainSettings,
    tracker: Tracker,
    progress: Progress,
    keep: Keep | None = None,
) -> Training:
    """Train as `train` does, telling tracker and progress."""
    begun = False

    def report(row: dict[str, float]) -> None:
        nonlocal begun
        step = int(row["step"])
        if not begun:
            progress.begin("training", settings.steps, unit="steps", done=step - 1)
            begun = True
        if "validation_loss" in row:
            tracker.log(row)
        shown = {k: v for k, v in row.items() if k in ("loss", "validation_loss")}
        progress.advance(1, **shown)

    training = train(corpus, out=out, settings=settings, report=report, keep=keep)
    progress.end()
    return training
