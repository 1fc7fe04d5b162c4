"""Finished generations of attacks and of harmless use: what detectors are tried on."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from critwin.errors import ParameterError, ProblemError
from critwin.problems.hub import hub_rows
from critwin.prompt import Prompt
from critwin.protocol import check_whole
from critwin.seeds import fold_in

BENIGN = ""
"""Attack of a generation that is none."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One generation with its prompt.

    Attributes:
        attempt_id: Name that stays the same between runs and machines.
        prompt: What was asked, with the beginning that was forced upon the model.
        text: What followed.
        attack: Kind of the attack that succeeded; `BENIGN` for harmless use.
    """

    attempt_id: str
    prompt: Prompt
    text: str
    attack: str


class AttemptSet(ABC):
    """A source of attempts. Subclasses are frozen dataclasses with cheap constructors."""

    @abstractmethod
    def load(self) -> list[Attempt]:
        """Give the attempts, in an order that depends on the parameters alone.

        Raises:
            ProblemError: The source is missing, empty or malformed; the message names file, line.
        """

    def fingerprint(self) -> str:
        """Hash the attempts that are taken."""
        rows = [asdict(attempt) for attempt in self.load()]
        for row in rows:
            if not row["prompt"]["rendered"]:
                del row["prompt"]["rendered"]  # most are not: ids of runs stay what they were
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class AttemptFile(AttemptSet):
    """Reads attempts from JSON lines: `{"prompt", "text", "attack"}`, `system`, `prefix` optional.

    `attack` is null or empty for harmless use. Lists of attacks are not shipped: the file is the
    user's.

    Attributes:
        path: The file.
        limit: Attempts taken of each kind of attack, and of harmless ones; None takes all.
        seed: Which are taken; by content, so that the file's order does not matter.
    """

    path: str
    limit: int | None = None
    seed: int = 0

    execution = frozenset({"path"})

    def __post_init__(self) -> None:
        if not isinstance(self.path, str) or not Path(self.path).expanduser().is_file():
            raise ParameterError("path", self.path, "a file of attempts in JSON lines")
        if self.limit is not None and (type(self.limit) is not int or self.limit < 1):
            raise ParameterError("limit", self.limit, "null or a whole number >= 1")

    def load(self) -> list[Attempt]:
        """Read the file and give the chosen attempts, kinds of attack in alphabetical order."""
        found: dict[str, Attempt] = {}
        with Path(self.path).expanduser().open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    attempt = _parse(line, where=f"{self.path}, line {number}")
                    found.setdefault(attempt.attempt_id, attempt)
        if not found:
            raise ProblemError(f"{self.path} holds no attempt; allowed: one JSON object per line")
        return _chosen([*found.values()], self.limit, self.seed)


@dataclass(frozen=True, kw_only=True)
class AttemptHub(AttemptSet):
    """Reads attempts from the hub, where each kind of attack has a split of its own.

    Attributes:
        hub: Name on the hub, or a local folder in its layout.
        attacks: Kind of attack and its split.
        benign: Split of harmless use.
        prompt_column: Column of the prompt.
        text_column: Column of what the model said; a row without it is no attempt.
        rendered: Whether prompts stand there as they were sent, special tokens and all.
        revision: Branch, tag or commit; None for the newest.
        limit: Attempts taken of each kind of attack, and of harmless ones; None takes all.
        seed: Which are taken; by content.
    """

    hub: str
    attacks: Mapping[str, str] = field(hash=False)
    benign: str
    prompt_column: str = "prompt"
    text_column: str = "completion"
    rendered: bool = True
    revision: str | None = None
    limit: int | None = None
    seed: int = 0

    execution = frozenset({"hub", "revision", "attacks", "benign", "prompt_column", "text_column"})

    def __post_init__(self) -> None:
        if not isinstance(self.hub, str) or not self.hub:
            raise ParameterError("hub", self.hub, "a name on the hub, or a folder in its layout")
        if not isinstance(self.attacks, Mapping) or not self.attacks or BENIGN in self.attacks:
            raise ParameterError("attacks", self.attacks, "kinds of attack, each with its split")
        check_whole("limit", self.limit, low=1)

    def load(self) -> list[Attempt]:
        """Read the splits and give the chosen attempts, kinds of attack in alphabetical order."""
        return list(self._loaded)

    @cached_property
    def _loaded(self) -> tuple[Attempt, ...]:
        found: dict[str, Attempt] = {}
        for attack, split in [(BENIGN, self.benign), *self.attacks.items()]:
            for row in hub_rows(self.hub, configs=(None,), split=split, revision=self.revision):
                values = [row.values.get(key) for key in (self.prompt_column, self.text_column)]
                if not isinstance(values[0], str) or not isinstance(values[1] or "", str):
                    columns = f"{self.prompt_column} and {self.text_column}"
                    raise row.refuse(f"texts in {columns}; it has {', '.join(row.values)}")
                if values[1]:
                    prompt = Prompt(values[0], rendered=self.rendered)
                    attempt = _named(prompt, values[1], attack)
                    found.setdefault(attempt.attempt_id, attempt)
        if not found:
            raise ProblemError(f"{self.hub} holds no attempt; allowed: rows with a text")
        return tuple(_chosen([*found.values()], self.limit, self.seed))


def _named(prompt: Prompt, text: str, attack: str) -> Attempt:
    """Give an attempt a name that is a hash of what it holds."""
    texts = [prompt.user, text, attack, prompt.system or "", prompt.prefix]
    digest = hashlib.sha256(json.dumps(texts).encode()).hexdigest()[:12]
    return Attempt(f"attempt-{digest}", prompt, text, attack)


def _chosen(attempts: Sequence[Attempt], limit: int | None, seed: int) -> list[Attempt]:
    shuffled = sorted(attempts, key=lambda attempt: fold_in(seed, attempt.attempt_id))
    kinds = sorted({attempt.attack for attempt in attempts})
    return [a for kind in kinds for a in [a for a in shuffled if a.attack == kind][:limit]]


def _parse(line: str, *, where: str) -> Attempt:
    allowed = (
        'allowed: {"prompt": text, "text": text, "attack": text or null}, with "system" and '
        '"prefix" where there are any'
    )
    try:
        record: dict[str, Any] = json.loads(line)
        texts = [record["prompt"], record["text"]]
        texts += [record.get(key) or "" for key in ("attack", "system", "prefix")]
    except (json.JSONDecodeError, KeyError, AttributeError, TypeError):
        raise ProblemError(f"{where}: {allowed}") from None
    if not all(isinstance(text, str) for text in texts) or not texts[1]:
        raise ProblemError(f"{where}: {allowed}")
    user, text, attack, system, prefix = texts
    return _named(Prompt(user, system=system or None, prefix=prefix), text, attack)
