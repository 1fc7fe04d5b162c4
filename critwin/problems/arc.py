"""ARC, the AI2 Reasoning Challenge: science questions of school exams, Challenge and Easy.

Source: Clark et al. (2018), arXiv:1803.05457; allenai.org/data/arc.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from critwin.problem import Problem
from critwin.problems.benchmark import Benchmark, letter_of, text_of, texts_of
from critwin.problems.reading import Row, json_lines

ALLOWED = '{"question": ..., "choices": texts and labels, "answerKey": one of the labels}'


@dataclass(frozen=True, kw_only=True)
class Arc(Benchmark):
    """Reads upstream's `{"question": {"stem", "choices"}, "answerKey"}` and the hub's columns.

    Three to five choices, labelled A to E or 1 to 5. Options are lettered in the order in which
    they are printed: a key `2` is option B.
    """

    hub: str = "allenai/ai2_arc"
    config: str | tuple[str, ...] | None = "ARC-Challenge"
    licence: str = "CC BY-SA 4.0"

    prefix: ClassVar[str] = "arc"
    upstream: ClassVar[str] = "a file of ARC in its upstream JSON lines"

    def _from_file(self, path: Path) -> Iterator[Problem]:
        for row in json_lines(path):
            question = row.values.get("question")
            if not isinstance(question, Mapping):
                raise row.refuse(ALLOWED)
            choices = question.get("choices")
            if not isinstance(choices, list) or not all(isinstance(c, Mapping) for c in choices):
                raise row.refuse(ALLOWED)
            values: dict[str, Any] = {
                "question": question.get("stem"),
                "choices": {key: [c.get(key) for c in choices] for key in ("text", "label")},
                "answerKey": row.values.get("answerKey"),
            }
            yield self._from_hub(Row(row.where, values))

    def _from_hub(self, row: Row) -> Problem:
        choices = row.values.get("choices")
        inner = Row(row.where, choices if isinstance(choices, Mapping) else {})
        options, labels = (texts_of(inner, key, ALLOWED) for key in ("text", "label"))
        key = text_of(row, "answerKey", ALLOWED)
        if len(labels) != len(options) or labels.count(key) != 1:
            raise row.refuse(f"{ALLOWED} (found {key!r} of {', '.join(labels)})")
        truth = letter_of(labels.index(key), len(options), row)
        return self._problem(text_of(row, "question", ALLOWED), truth, options=options)
