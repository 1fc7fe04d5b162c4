"""How likely texts are under a language model, token by token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from critwin.prompt import Prompt
from critwin.sampler import Floats
from critwin.samplers.language import LanguageSampler


@dataclass(frozen=True)
class TextLikelihood:
    """Log-likelihood of a prompt and of what follows it.

    Attributes:
        prompt: Of each token of the prompt but the first, in nats, <= 0.
        text: Of each token of the text, in nats, <= 0.
    """

    prompt: Floats
    text: Floats


def text_likelihoods(
    sampler: LanguageSampler, prompts: Sequence[Prompt], texts: Sequence[str]
) -> list[TextLikelihood]:
    """Give the log-likelihoods of texts by one teacher-forced pass each, at temperature 1.

    Nothing is truncated, whatever the sampler's own parameters are: what a model would not draw is
    unlikely, not impossible. The end token is not counted.

    Args:
        sampler: The model.
        prompts: What the texts answer; rendered as for drawing.
        texts: The texts, none empty, as many as prompts.
    """
    whole = replace(
        sampler, temperature=1.0, top_k=None, top_p=1.0, min_p=0.0, repetition_penalty=1.0
    )
    tokenizer = whole.loaded.tokenizer
    asked = [start.prompt_ids for start in whole.start(prompts)]
    said = [tuple(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts]
    found = whole.surprisals([(p[:1], p[1:] + t) for p, t in zip(asked, said, strict=True)])
    return [
        TextLikelihood(-nats[: len(p) - 1], -nats[len(p) - 1 :])
        for p, nats in zip(asked, found, strict=True)
    ]
