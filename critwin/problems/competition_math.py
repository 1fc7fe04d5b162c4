r"""MATH (competition_math), and MATH-500: competition problems with answers in LaTeX.

Source: Hendrycks et al. (2021), arXiv:2103.03874; MATH-500: Lightman et al. (2023),
arXiv:2305.20050, github.com/openai/prm800k.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from critwin.features.math_text import last_boxed
from critwin.problem import Problem
from critwin.problems.benchmark import Benchmark, text_of
from critwin.problems.reading import Row, json_document, json_lines


@dataclass(frozen=True, kw_only=True)
class CompetitionMath(Benchmark):
    r"""Reads records `{"problem", "solution", ...}`, with `answer` (MATH-500) or without (MATH).

    Without one, the reference answer is what the last `\boxed{...}` of the solution holds, braces
    balanced however deep. Locally: JSON lines, or upstream's folder of one JSON file per problem.
    """

    hub: str = "HuggingFaceH4/MATH-500"
    licence: str = "MIT"

    prefix: ClassVar[str] = "math"
    upstream: ClassVar[str] = "JSON lines of MATH, or the folder of its JSON files"

    def _from_file(self, path: Path) -> Iterator[Problem]:
        if path.is_dir():
            for file in sorted(path.rglob("*.json")):
                value = json_document(file)
                yield self._from_hub(Row(str(file), value if isinstance(value, dict) else {}))
        else:
            yield from map(self._from_hub, json_lines(path))

    def _from_hub(self, row: Row) -> Problem:
        allowed = r'{"problem": text, "solution": text with \boxed{...}} or with "answer": text'
        question = text_of(row, "problem", allowed)
        if row.values.get("answer") is not None:
            truth = text_of(row, "answer", allowed)
        else:
            found = last_boxed(text_of(row, "solution", allowed))
            if found is None or not found.strip():
                raise row.refuse(allowed)
            truth = found
        category = row.values.get("type") or row.values.get("subject")
        return self._problem(question, truth.strip(), category=category)
