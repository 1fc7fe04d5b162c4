"""Direct answers beside resamples, and answers that are asked for, on a tiny model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from critwin.errors import ParameterError
from critwin.features.free_text import FreeText
from critwin.features.pattern import Pattern
from critwin.problems.arithmetic import ArithmeticProblems
from critwin.prompt import PromptTemplate
from critwin.protocol import EveryToken, ForkProtocol, Fractions
from critwin.records import RunDirectory
from critwin.samplers.language import LanguageSampler
from critwin.samplers.markov_string import MarkovString
from critwin.windows.paper_jump import PaperJump
from experiments import analysis
from experiments.direct_answer import DirectAnswer
from experiments.experiment import Experiment, carry_out
from experiments.llm_math import LlmMath
from experiments.relabel import Relabel
from experiments.tracker import Silent

LAST = Pattern(pattern="([a-f])")


@pytest.fixture(autouse=True, scope="module")
def quick_figures() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(analysis, "write_figures", lambda run, **_: (run / "figures").mkdir())
        yield


def measured(kind: type[LlmMath], path: Path, **keys: Any) -> Any:
    parts = {
        "model": LanguageSampler(path=str(path), device="cpu", max_new_tokens=6),
        "dataset": ArithmeticProblems(n_problems=2),
        "prompt": PromptTemplate(template="{question}", system=None),
        "sampler": Fractions(n=3, fractions=(0.5,)),
        "feature": LAST,
        "window": PaperJump(fractions=(0.5, 0.9)),
        "originals_per_problem": 2,
    }
    return kind(**{**parts, **keys})


def done(experiment: Experiment, folder: Path) -> RunDirectory:
    directory = RunDirectory(folder)
    carry_out(experiment, directory, config="", tracker=Silent(), progress=Silent())
    assert all((folder / name).exists() for name in experiment.products)
    return directory


def without(run: RunDirectory, *kinds: str) -> pd.DataFrame:
    rows = run.read("resamples").to_pandas()
    return rows[~rows["kind"].isin(kinds)].reset_index(drop=True)


def test_direct_answers_stand_apart(tiny_letters: Path, tmp_path: Path) -> None:
    prompt = PromptTemplate(template="{question}")
    short = ShortQuestions(n_problems=2)
    keys = {"dataset": short, "prompt": prompt}
    run = done(
        measured(DirectAnswer, tiny_letters, question="b", lead="c", **keys), tmp_path / "direct"
    )
    plain = done(measured(LlmMath, tiny_letters, **keys), tmp_path / "plain")
    direct = without(run, "grid")
    assert set(direct["kind"]) == {"direct"}
    assert direct["text"].str.startswith("c").all()
    assert (direct["text_start"] == 0).all()
    # a column with nulls is read as another type
    pd.testing.assert_frame_equal(without(run, "direct"), without(plain), check_dtype=False)
    for table in ("originals", "curves", "windows"):
        assert run.read(table) == plain.read(table)
    summaries: list[Any] = [r.read_json("summary") for r in (run, plain)]
    assert summaries[0].pop("direct")["cuts"] == run.read("direct").num_rows
    titles = [table["title"].split()[0] for table in summaries[0].pop("tables")]
    assert titles == ["Agreement", "Calibration:"]
    assert summaries[0] == summaries[1]

    again = done(
        Relabel(runs=(str(run.path),), feature=Pattern(pattern="(c)"), window=PaperJump()),
        tmp_path / "relabelled",
    )
    relabelled = without(again, "grid")
    assert (relabelled["label"] == "c").all()  # every reply begins with it


def test_answers_that_are_asked_for(tiny_letters: Path, tmp_path: Path) -> None:
    asking = FreeText(answer="asked", question="b", lead="answer: ", most_words=0)
    keys = {"dataset": ShortQuestions(n_problems=2), "feature": asking}
    for name, protocol in (
        ("fractions", Fractions(n=2, fractions=(0.5,))),
        ("forks", ForkProtocol(half_width=None, max_forks=6, pilot=2)),
    ):
        window = PaperJump(fractions=(0.5, 0.9))
        run = done(
            measured(LlmMath, tiny_letters, sampler=protocol, window=window, **keys),
            tmp_path / name,
        )
        for table in ("originals", "resamples"):
            rows = run.read(table).to_pandas()
            assert rows["reply"].str.startswith("answer: ").all()
            anyone = ShortQuestions().load()[0]
            assert FreeText().labels(rows["reply"].tolist(), anyone) == rows["label"].tolist()
        record: Any = run.read_json("provenance")
        tables = [run.read(table).to_pandas() for table in ("originals", "resamples")]
        drawn = tables[0]["token_ids"].map(len).sum() + tables[1]["tokens_generated"].sum()
        replies = sum(table["reply_tokens"].sum() for table in tables)
        assert record["tokens_generated"] == drawn + replies
        assert record["rounding"]["replied_differently"] == 0

    relabel = Relabel(runs=(str(run.path),), feature=asking, window=PaperJump())
    relabel.check()
    again = done(relabel, tmp_path / "again")
    assert again.read("resamples") == run.read("resamples")
    other = replace(relabel, feature=replace(asking, question="c"))
    with pytest.raises(ParameterError, match=r"feature\.answer.*asks no model"):
        other.check()


class ShortQuestions(ArithmeticProblems):
    """Questions that leave room in a context of 32 tokens."""

    def load(self) -> list[Any]:
        return [replace(p, question="ab"[: 1 + i % 2]) for i, p in enumerate(super().load())]


def test_what_cannot_be_asked_is_refused(tiny_letters: Path) -> None:
    def refused(**keys: Any) -> str:
        with pytest.raises(ParameterError) as error:
            measured(DirectAnswer, tiny_letters, **keys).check()
        return str(error.value)

    assert "cuts" in refused(sampler=ForkProtocol())
    assert "MarkovString cannot" in refused(model=MarkovString())
    assert "direct_n" in refused(direct_n=2)
    assert "direct_temperature" in refused(direct_temperature=-1.0)
    assert "question" in refused(question="", lead="")
    assert "none of the paper's" in refused(question="paper")
    asked = measured(DirectAnswer, tiny_letters, question="paper", feature=FreeText(), lead="")
    assert asked.said.user.startswith("Given all of the above")
    measured(DirectAnswer, tiny_letters, sampler=EveryToken(n=1)).check()
