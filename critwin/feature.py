"""The contract of features: what a sample decided, as a label."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from critwin.problem import Problem
from critwin.prompt import Prompt

UNSCORED = "UNSCORED"
"""Label of a text that the feature cannot read: counted, never dropped, never false."""


@dataclass(frozen=True)
class Conflict:
    """Two answers to one problem on which grader and labels disagree.

    Labels are compared as strings, so equality of labels is transitive; a grader need not be.

    Attributes:
        problem_id: The problem.
        first: An answer, as a text has it.
        second: Another one.
        labels: Their labels.
        held_equal: What the grader says of them, asked either way round.
    """

    problem_id: str
    first: str
    second: str
    labels: tuple[str, str]
    held_equal: bool


class Feature(ABC):
    """Reads the value of a feature off a text. Subclasses are frozen dataclasses.

    Labels are equivalence classes: two texts with the same value for the same problem get the same
    label, so that comparing labels is comparing strings.
    """

    @abstractmethod
    def labels(self, texts: Sequence[str], problem: Problem) -> list[str]:
        """Give the label of each text, all of them about one problem; `UNSCORED` where unreadable.

        The label of a text does not depend on the other texts of the batch.
        """

    @abstractmethod
    def truth(self, problem: Problem) -> str | None:
        """Give the label of the reference answer; None where the problem has none."""

    def labels_of(self, batches: Sequence[tuple[Sequence[str], Problem]]) -> list[list[str]]:
        """Give the labels of texts about several problems: what `labels` gives, in one call."""
        return [self.labels(texts, problem) for texts, problem in batches]

    def follow_up(self, problem: Problem) -> Prompt | None:
        """Give what the model is asked after a text, where its reply is what is labelled.

        None where the text itself is labelled. Only who holds the model can ask
        (critwin/asking.py); `labels` is then given the replies.
        """
        return None

    def announce(self, answer: str) -> str:
        """Write a bare answer as a text of which this feature reads it."""
        return answer

    def conflicts(self, texts: Sequence[str], problem: Problem) -> list[Conflict]:
        """Give pairs of answers on which the grader and the labels disagree."""
        return []
