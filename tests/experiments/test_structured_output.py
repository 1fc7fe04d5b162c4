"""Structured output on a chain whose choices are known: where they are made, and what they do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from critwin.errors import ParameterError
from critwin.features.final_word import FinalWord
from critwin.features.form_blanks import FormBlanks
from critwin.problems.arithmetic import ArithmeticProblems
from critwin.prompt import PromptTemplate
from critwin.protocol import ForkProtocol
from critwin.records import RunDirectory
from critwin.retrying import RetryPrompts
from critwin.samplers.markov_string import MarkovString
from critwin.structured_choices import token_ends, tokens_kept
from critwin.windows.hierarchy import Hierarchy
from critwin.windows.paper_jump import PaperJump
from experiments.experiment import carry_out
from experiments.self_correction import SelfCorrection
from experiments.structured_output import StructuredOutput
from experiments.tracker import Silent

SILENT = Silent()

FORM = MarkovString(
    symbols=("Pet:", "cat", "dog", "Day:", "sun", "rain"),
    initial=(1, 0, 0, 0, 0, 0),
    transitions=(
        (0, 0.4, 0.6, 0, 0, 0, 0),
        (0, 0, 0, 1, 0, 0, 0),
        (0, 0, 0, 1, 0, 0, 0),
        (0, 0, 0, 0, 0.5, 0.5, 0),
        (0, 0, 0, 0, 0, 0, 1.0),
        (0, 0, 0, 0, 0, 0, 1.0),
    ),
    max_new_tokens=8,
)
FILLED = StructuredOutput(
    model=FORM,
    dataset=ArithmeticProblems(n_problems=1),
    prompt=PromptTemplate(),
    sampler=ForkProtocol(),
    feature=FormBlanks(pattern=r"Pet: (?P<pet>\w+) Day: (?P<day>\w+)"),
    window=Hierarchy(),
    originals_per_problem=4,
    generations=800,
)


def test_choices_are_where_the_chain_makes_them(tmp_path: Path) -> None:
    FILLED.check()
    directory = RunDirectory(tmp_path)
    carry_out(FILLED, directory, config="", tracker=SILENT, progress=SILENT)
    choices = directory.read("choices").to_pandas()
    assert choices.groupby("choice").size().to_dict() == {"pet": 4, "day": 4}
    for row in choices.itertuples():
        # after "Pet:" one token decides, after "Pet: cat Day:" another
        assert (row.position_before, row.position_after) == (
            (1, 2) if row.choice == "pet" else (3, 4)
        )
        first = 0.4 if row.value == "cat" else 0.6
        truth = 0.5 * (1 - first) if row.choice == "pet" else 0.5
        assert row.matched_lower <= truth <= row.matched_upper
        assert abs(row.fork_jump - truth) < 0.2
        assert truth > 0.2 or not row.window
        assert row.window or row.choice == "pet"  # a rise of .5 is certain with so many forks
    assert (directory.path / "figures/staircase.pdf").is_file()
    assert directory.read("generations").num_rows == 800


def test_tokens_and_characters() -> None:
    ends = token_ends(["Pet:", " cat", " Day:", " sun", "<eos>"], "Pet: cat Day: sun")
    assert ends == [4, 8, 13, 17, 17]
    assert tokens_kept(ends, 5, whole=False) == 1
    assert tokens_kept(ends, 5, whole=True) == 2
    assert tokens_kept(ends, 8, whole=True) == 2
    assert tokens_kept(ends, 0, whole=True) == 1


def test_features_without_choices_are_refused() -> None:
    with pytest.raises(ParameterError, match=r"^feature is "):
        replace(FILLED, feature=FinalWord()).check()
    with pytest.raises(ParameterError, match=r"^generations is 0"):
        replace(FILLED, generations=0).check()


class _Judged(FinalWord):
    def truth(self, problem: object) -> str | None:
        return "sun"


def test_second_tries_have_as_many_tokens_in_each_arm(tmp_path: Path) -> None:
    experiment = SelfCorrection(
        model=FORM,
        dataset=ArithmeticProblems(n_problems=6),
        prompt=PromptTemplate(),
        sampler=ForkProtocol(),
        feature=_Judged(),
        window=PaperJump(threshold=0.3),
        retry=RetryPrompts(shown="{question}", shown_prefix="{before}{stretch}"),
        originals_per_problem=2,
        retries=5,
    )
    experiment.check()
    directory = RunDirectory(tmp_path)
    carry_out(experiment, directory, config="", tracker=SILENT, progress=SILENT)
    retries = directory.read("retries").to_pandas()
    assert set(retries["arm"]) == {"window", "random", "plain"}
    for original, own in retries.groupby("original_id"):
        del original
        counts = own.groupby("arm").size()
        assert counts["plain"] == 5
        for arm in ("window", "random"):
            left = 5 - own[own["arm"] == arm]["position_end"].iloc[0]  # five tokens, the end too
            assert counts[arm] == 5 * 5 // max(left, 1)
        shown = own[own["arm"] == "window"].iloc[0]
        assert shown["stretch"].split()[-1] in ("sun", "rain")
