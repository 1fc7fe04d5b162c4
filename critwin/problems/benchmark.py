"""What all benchmarks share: hub or file, order and subset by content, names by content.

A benchmark gives the same problems, with the same names in the same order, from the hub and from
files in the form in which its authors publish it, whatever the order of the rows there.
"""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from critwin.errors import ParameterError, ProblemError
from critwin.problem import LETTERS, Problem, ProblemSet
from critwin.problems.hub import hub_rows
from critwin.problems.reading import Row
from critwin.protocol import check_whole
from critwin.seeds import fold_in


@dataclass(frozen=True, kw_only=True)
class Benchmark(ProblemSet):
    """A published set of problems.

    Where the problems come from does not enter a run's identity, their content does.

    Attributes:
        path: Local file (or folder, where upstream publishes many files) in upstream's form; None
            reads the hub.
        hub: Name on the hub, or a local folder in its layout.
        config: Config on the hub; several are read one after the other; None is the default one.
        split: Split on the hub.
        revision: Branch, tag or commit on the hub; None for the newest.
        limit: Number of problems taken; None takes all.
        seed: Order of the problems, and so the subset.
        licence: Licence of the problems, for the record.
    """

    path: str | None = None
    hub: str = ""
    config: str | tuple[str, ...] | None = None
    split: str = "test"
    revision: str | None = None
    limit: int | None = None
    seed: int = 0
    licence: str = "unknown"

    execution = frozenset({"path", "hub", "config", "split", "revision", "licence"})

    prefix: ClassVar[str]
    """Beginning of the names of its problems."""

    upstream: ClassVar[str]
    """What a local file looks like, for messages."""

    def __post_init__(self) -> None:
        if self.path is not None and not Path(self.path).expanduser().exists():
            raise ParameterError("path", self.path, f"null (the hub) or {self.upstream}")
        if self.path is None and not self.hub:
            raise ParameterError("hub", self.hub, "a name on the hub, where path is null")
        if not self.split:
            raise ParameterError("split", self.split, "a split of the hub's data set")
        check_whole("limit", self.limit, low=1)
        if type(self.seed) is not int:
            raise ParameterError("seed", self.seed, "a whole number")

    def load(self) -> list[Problem]:
        """Read the source and give the chosen problems; a repeated one counts once.

        Raises:
            ProblemError: The source is empty, or a record is malformed; the message names it.
        """
        return list(self._loaded)

    def fingerprint(self) -> str:
        """Hash the problems that are taken."""
        lines = [json.dumps([p.question, p.truth, p.options]) for p in self._loaded]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    @cached_property
    def _loaded(self) -> tuple[Problem, ...]:
        """The chosen problems, read once."""
        by_id: dict[str, Problem] = {}
        for problem in self._read():
            known = by_id.get(problem.problem_id)
            # the same question with two answers: which one counts must not depend on the order
            if known is None or (problem.truth or "") < (known.truth or ""):
                by_id[problem.problem_id] = problem
        if not by_id:
            raise ProblemError(f"{self.path or self.hub} holds no problem; allowed: one or more")
        problems = sorted(
            by_id.values(), key=lambda p: (fold_in(self.seed, p.question, *p.options), p.problem_id)
        )
        return tuple(problems[: self.limit])

    def _read(self) -> Iterator[Problem]:
        if self.path is not None:
            yield from self._from_file(Path(self.path).expanduser())
            return
        configs = self.config if isinstance(self.config, tuple) else (self.config,)
        for row in hub_rows(self.hub, configs=configs, split=self.split, revision=self.revision):
            yield self._from_hub(row)

    @abstractmethod
    def _from_file(self, path: Path) -> Iterator[Problem]:
        """Give the problems of a file in upstream's form."""

    @abstractmethod
    def _from_hub(self, row: Row) -> Problem:
        """Give the problem of a row of the hub."""

    def _problem(
        self,
        question: str,
        truth: str | None,
        *,
        options: tuple[str, ...] = (),
        category: str | None = None,
    ) -> Problem:
        """Make a problem whose name is a hash of its question and options."""
        question = question.strip()
        options = tuple(option.strip() for option in options)
        content = question if not options else json.dumps([question, *options])
        name = f"{self.prefix}-{hashlib.sha256(content.encode()).hexdigest()[:12]}"
        return Problem(name, question, truth, options=options, category=category)


def letter_of(index: int, options: int, row: Row) -> str:
    """Give the letter of the option at a place counted from 0.

    Raises:
        ProblemError: There is no such option, or there are more than letters.
    """
    if not 2 <= options <= len(LETTERS):
        raise row.refuse(f"2 to {len(LETTERS)} options (found {options})")
    if not 0 <= index < options:
        raise row.refuse(f"an answer that is one of its {options} options (found {index + 1})")
    return LETTERS[index]


def text_of(row: Row, key: str, allowed: str) -> str:
    """Give a field that has to be a text which is not blank."""
    value = row.values.get(key)
    if not isinstance(value, str) or not value.strip():
        raise row.refuse(f"{allowed} (found {key}: {value!r:.60})")
    return value


def texts_of(row: Row, key: str, allowed: str) -> tuple[str, ...]:
    """Give a field that has to be a list of texts."""
    value = row.values.get(key)
    if not isinstance(value, list | tuple) or not all(isinstance(text, str) for text in value):
        raise row.refuse(f"{allowed} (found {key}: {value!r:.60})")
    return tuple(value)


def whole_of(row: Row, key: str, allowed: str) -> int:
    """Give a field that has to be a whole number."""
    value = row.values.get(key)
    if isinstance(value, bool) or not isinstance(value, int):
        raise row.refuse(f"{allowed} (found {key}: {value!r:.60})")
    return value
