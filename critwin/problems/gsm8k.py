"""GSM8K: grade school word problems.

Source: Cobbe et al. (2021), arXiv:2110.14168; github.com/openai/grade-school-math.
"""

from __future__ import annotations

import codecs
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from critwin.errors import ParameterError, ProblemError
from critwin.problem import Problem, ProblemSet
from critwin.seeds import fold_in


@dataclass(frozen=True, kw_only=True)
class Gsm8k(ProblemSet):
    """Reads the upstream file, one record `{"question", "answer"}` per line.

    The reference answer is what follows `####`, thousands commas taken out. A subset is chosen by
    content: the same seed and limit give the same problems from any file that holds them.

    Attributes:
        path: The file.
        limit: Number of problems taken; None takes all.
        seed: Order of the problems, and so the subset.
    """

    path: str
    limit: int | None = None
    seed: int = 0

    execution = frozenset({"path"})

    licence = "mit"  # github.com/openai/grade-school-math, LICENSE

    def __post_init__(self) -> None:
        if not Path(self.path).expanduser().is_file():
            raise ParameterError("path", self.path, "a file of GSM8K in its upstream JSON lines")
        if self.limit is not None and (type(self.limit) is not int or self.limit < 1):
            raise ParameterError("limit", self.limit, "null or a whole number >= 1")

    def load(self) -> list[Problem]:
        """Read the file and give the chosen problems.

        Raises:
            ProblemError: The file is empty, or a line is no record; the message names the line.
        """
        problems = list(self._read())
        if not problems:
            raise ProblemError(f"{self.path} holds no problem; allowed: one JSON record per line")
        problems.sort(key=lambda p: fold_in(self.seed, p.question))
        return problems[: self.limit]

    def fingerprint(self) -> str:
        """Hash the problems that are taken."""
        lines = [json.dumps([p.question, p.truth]) for p in self.load()]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def _read(self) -> Iterator[Problem]:
        seen: set[str] = set()
        with Path(self.path).expanduser().open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.removeprefix(codecs.BOM_UTF8).strip():
                    continue
                question, truth = _parse_record(line, where=f"{self.path}, line {number}")
                name = f"gsm8k-{hashlib.sha256(question.encode()).hexdigest()[:12]}"
                if name not in seen:
                    seen.add(name)
                    yield Problem(problem_id=name, question=question, truth=truth)


def _parse_record(line: bytes, *, where: str) -> tuple[str, str]:
    try:
        record = json.loads(line.decode("utf-8-sig"))
        question, answer = record["question"], record["answer"]
        (question + answer).encode()  # half of a surrogate pair is no text
        _, mark, truth = answer.rpartition("####")
    except (UnicodeError, json.JSONDecodeError, KeyError, TypeError, AttributeError):
        mark = ""
    if not mark or not isinstance(question, str) or not truth.strip():
        raise ProblemError(
            f'{where}: allowed is {{"question": text, "answer": text ending in "#### number"}}'
        )
    return question.strip(), truth.strip().replace(",", "")
