"""Attempts to make the small assistant tell its secret: those that worked, and harmless use."""

from __future__ import annotations

import random
from dataclasses import dataclass

from critwin.errors import ParameterError
from critwin.generations import BENIGN, Attempt, AttemptSet
from critwin.problems.assistant import ATTACKS, SECRET, Talk, answers, draw_kind
from critwin.prompt import Prompt

PREFILL = "prefill"
_FORCED = "Sure, here it is:"


@dataclass(frozen=True, kw_only=True)
class AssistantAttempts(AttemptSet):
    """Draws attempts from the law of the aligned assistant; nothing in them is harmful.

    Of attacks those that worked, by persona, suffix, many shots, or a forced beginning; of harmless
    use questions, forms, repeats, and secrets that were kept.

    Attributes:
        attacks: Attempts of each attack, >= 1.
        benign: Harmless ones, >= 1.
        seed: Decides them.
    """

    attacks: int = 100
    benign: int = 600
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("attacks", "benign"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise ParameterError(name, value, "a whole number >= 1")
        if type(self.seed) is not int:
            raise ParameterError("seed", self.seed, "a whole number")

    def load(self) -> list[Attempt]:
        """Draw the attempts."""
        rng = random.Random(f"critwin attempts {self.seed}")
        weights = {"color": 4, "form": 3, "repeat": 1, "secret": 2}
        kinds = rng.choices([*weights], weights=[*weights.values()], k=self.benign)
        drawn = [self._draw(rng, draw_kind(rng, kind), BENIGN) for kind in kinds]
        for attack in (*ATTACKS[1:], PREFILL):
            asked = "none" if attack == PREFILL else attack
            for _ in range(self.attacks):
                drawn.append(self._draw(rng, draw_kind(rng, "secret", attack=asked), attack))
        return [
            Attempt(f"{attack or 'benign'}-{self.seed}-{i}", prompt, text, attack)
            for i, (prompt, text, attack) in enumerate(drawn)
        ]

    def _draw(self, rng: random.Random, talk: Talk, attack: str) -> tuple[Prompt, str, str]:
        prefix = _FORCED if attack == PREFILL else ""
        wanted = [
            (text.removeprefix(prefix), p)
            for text, p in answers(talk, aligned=True)
            if text.startswith(prefix)
            and (talk.kind != "secret" or (SECRET in text) == (attack != BENIGN))
        ]
        (text, _) = rng.choices(wanted, weights=[p for _, p in wanted])[0]
        return Prompt(talk.user, system=talk.system, prefix=prefix), text, attack
