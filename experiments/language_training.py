"""The training loop of the embedded language models.

A small GPT-2 learns the texts of a corpus. Every batch is drawn anew from the seed and its own
number, so a run that was killed goes on from its checkpoint as if nothing had happened.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from critwin.corpus import Corpus, CorpusSample
from critwin.errors import ParameterError
from critwin.problems.word_tokens import BOS, EOS, PAD
from experiments.tracker import Progress, Tracker
from experiments.training import Report, Settings, Training

if TYPE_CHECKING:
    import torch
    from transformers import GPT2LMHeadModel

Keep = Callable[[int, "GPT2LMHeadModel"], None]

PRODUCTS_IN = ("bfloat16", "float32")

# Batches are cut from groups of this many, sorted by length, so that little is spent on padding.
_GROUP = 8


@dataclass(frozen=True, kw_only=True)
class TrainSettings(Settings):
    """What determines the trained model, beside what every training has.

    Attributes:
        n_layer: Layers, at least 1.
        n_head: Attention heads, a divisor of n_embd.
        n_embd: Width, at least 1.
        validation_problems: Samples that a validation reads.
        evaluate_problems: Test problems on which the result is sampled.
        evaluate_samples: Samples for each of them, at temperature 1.
        products_in: Number type of the products in a step, bfloat16 or float32; weights and updates
            are in single precision. On a CPU without instructions for bfloat16 it is 7 times as
            slow as float32, with them three times as fast.
    """

    steps: int = 4000
    learning_rate: float = 3e-3
    n_layer: int = 4
    n_head: int = 4
    n_embd: int = 128
    validation_problems: int = 512
    patience: int = 10
    evaluate_problems: int = 300
    evaluate_samples: int = 5
    products_in: str = "bfloat16"

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            ParameterError: One of them is not allowed.
        """
        super().__post_init__()
        if self.products_in not in PRODUCTS_IN:
            allowed = f"one of {', '.join(PRODUCTS_IN)}"
            raise ParameterError("products_in", self.products_in, allowed)
        if self.n_embd % self.n_head:
            raise ParameterError("n_head", self.n_head, f"a divisor of n_embd = {self.n_embd}")


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


class LanguageTraining(Training):
    """A training of a language model on a corpus.

    Attributes:
        entropy: Of the texts that are validated, in nats per token that is learned.
    """

    settings: TrainSettings

    def __init__(
        self, out: Path, settings: TrainSettings, corpus: Corpus, keep: Keep | None = None
    ) -> None:
        self.corpus, self.keep = corpus, keep
        self.pad = corpus.vocabulary()[PAD]
        self.samples = _Samples(settings, corpus)
        rng = random.Random(f"critwin {corpus.name} validation {settings.seed}")
        drawn = [corpus.draw(rng, "validation") for _ in range(settings.validation_problems)]
        drawn.sort(key=lambda sample: len(sample.ids))
        self.validation = [_tensors(drawn[i : i + 64], self.pad) for i in range(0, len(drawn), 64)]
        learned = sum(len(sample.ids) - sample.prompt for sample in drawn)
        self.entropy = sum(sample.entropy for sample in drawn) / learned
        super().__init__(out, settings, build_model(settings, corpus), copies=())

    def training_loss(self, index: int) -> torch.Tensor:
        """Give the loss of a step's texts, in nats per token that is learned."""
        import torch

        inputs, labels = _tensors(self.samples.batch(index), self.pad)
        # Weights and updates stay in single precision, whatever the products are in.
        with torch.autocast("cpu", torch.bfloat16, enabled=self.settings.products_in == "bfloat16"):
            return self._loss(inputs, labels)

    def stepped(self, index: int) -> None:
        """Let a step's weights be kept."""
        if self.keep is not None:
            self.keep(index + 1, self.model)

    def validation_loss(self) -> float:
        """Give the loss on the validation split."""
        import torch

        total, count = 0.0, 0
        with torch.inference_mode():
            for inputs, labels in self.validation:
                n = int((labels >= 0).sum())
                total += float(self._loss(inputs, labels)) * n
                count += n
        return total / count

    def told(self) -> dict[str, float]:
        """Give the entropy, which no loss can fall below."""
        return {"entropy": self.entropy}

    def _loss(self, inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        import torch

        # The rows are padded on the right, which a causal model cannot see from the left.
        logits = self.model(input_ids=inputs, attention_mask=torch.ones_like(inputs)).logits
        return torch.nn.functional.cross_entropy(
            logits[:, :-1].flatten(0, 1).float(), labels[:, 1:].flatten()
        )


def train(
    corpus: Corpus,
    *,
    out: Path,
    settings: TrainSettings,
    report: Report,
    keep: Keep | None = None,
) -> LanguageTraining:
    """Train; see `Training.carry_on`.

    Args:
        corpus: What is learned.
        out: Folder for the checkpoint; one that is there is gone on from.
        settings: What determines the model.
        report: Called after each step.
        keep: Called after each step with its number and the model as it is then, before the step's
            checkpoint is written: what it keeps of a step stands when a killed run goes on after
            that step.

    Returns:
        The run, its model holding the best weights.

    Raises:
        ParameterError: `out` holds a checkpoint of other settings.
    """
    run = LanguageTraining(out, settings, corpus, keep)
    run.carry_on(report)
    return run


def train_shown(
    corpus: Corpus,
    *,
    out: Path,
    settings: TrainSettings,
    tracker: Tracker,
    progress: Progress,
    keep: Keep | None = None,
) -> LanguageTraining:
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
