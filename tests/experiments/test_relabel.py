"""A new feature from records alone gives what a run with that feature would have given."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from critwin.errors import ParameterError
from critwin.feature import UNSCORED, Feature
from critwin.features.final_word import FinalWord
from critwin.problem import Problem
from critwin.problems.arithmetic import ArithmeticProblems
from critwin.prompt import PromptTemplate
from critwin.protocol import EveryToken, ForkProtocol, Fractions, Protocol
from critwin.records import RunDirectory
from critwin.samplers.markov_string import MarkovString
from critwin.window import WindowRule
from critwin.windows.confident_jump import ConfidentJump
from critwin.windows.paper_jump import PaperJump
from experiments import analysis
from experiments.experiment import carry_out
from experiments.llm_math import LlmMath
from experiments.relabel import Relabel
from experiments.tracker import Silent

SILENT = Silent()
PROTOCOLS = {
    "fractions": Fractions(n=4),
    "every_token": EveryToken(n=2),
    "forks": ForkProtocol(half_width=0.25, pilot=8),
    "forks_unsteered": ForkProtocol(half_width=None, max_forks=40, pilot=0),
    "aimed": ForkProtocol(aim="windows", half_width=None, max_tokens=600),
}
RULES = {"aimed": ConfidentJump(threshold=0.2)}
"""The rule of each run, where it is another one than the paper's."""


@dataclass(frozen=True)
class Hesitation(Feature):
    """Labels a text by whether it hesitates long; short texts are unscored."""

    def labels(self, texts: Sequence[str], problem: Problem) -> list[str]:
        words = [text.split().count("?") for text in texts]
        return [UNSCORED if not count else "long" if count > 3 else "short" for count in words]

    def truth(self, problem: Problem) -> str | None:
        return "long" if problem.truth and int(problem.truth) % 2 else None


def _no_figures(run: Path, **_: object) -> None:
    (run / "figures").mkdir(exist_ok=True)


@pytest.fixture(autouse=True, scope="module")
def quick_figures() -> Iterator[None]:
    """Draw nothing: figures take most of the time and have tests of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(analysis, "write_figures", _no_figures)
        yield


def measuring(protocol: Protocol, feature: Feature, rule: WindowRule | None = None) -> LlmMath:
    return LlmMath(
        model=MarkovString(max_new_tokens=12),
        dataset=ArithmeticProblems(n_problems=3),
        prompt=PromptTemplate(),
        sampler=protocol,
        feature=feature,
        window=rule or PaperJump(),
        originals_per_problem=2,
    )


def relabelling(source: RunDirectory, feature: Feature, rule: WindowRule | None = None) -> Relabel:
    return Relabel(runs=(str(source.path),), feature=feature, window=rule or PaperJump())


def done(experiment: LlmMath | Relabel, folder: Path) -> RunDirectory:
    directory = RunDirectory(folder)
    experiment.check()
    carry_out(experiment, directory, config="", tracker=SILENT, progress=SILENT)
    assert all((folder / name).exists() for name in experiment.products)
    return directory


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], RunDirectory]:
    made: dict[str, RunDirectory] = {}

    def give(name: str) -> RunDirectory:
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            made[name] = done(measuring(PROTOCOLS[name], FinalWord(), RULES.get(name)), folder)
        return made[name]

    return give


def tables(run: RunDirectory) -> dict[str, bytes]:
    files = [*run.path.glob("*.parquet"), run.path / "summary.json"]
    return {path.name: path.read_bytes() for path in files}


@pytest.mark.parametrize("name", PROTOCOLS)
def test_the_same_feature_gives_the_same_bytes(
    name: str, measured: Callable[[str], RunDirectory], tmp_path: Path
) -> None:
    source = measured(name)
    again = done(relabelling(source, FinalWord(), RULES.get(name)), tmp_path)
    assert tables(again) == tables(source)


def test_windows_are_no_aim_where_the_rule_certifies_none() -> None:
    with pytest.raises(ParameterError, match=r"sampler\.aim is 'windows'; allowed: curve"):
        measuring(PROTOCOLS["aimed"], FinalWord()).check()


@pytest.mark.parametrize("name", ["fractions", "every_token", "forks_unsteered"])
def test_another_feature_gives_what_a_run_with_it_gives(
    name: str, measured: Callable[[str], RunDirectory], tmp_path: Path
) -> None:
    """Where no label steers what is drawn, two runs draw the same texts."""
    found = tables(done(relabelling(measured(name), Hesitation()), tmp_path / "relabelled"))
    fresh = tables(done(measuring(PROTOCOLS[name], Hesitation()), tmp_path / "fresh"))
    differ = {table for table in fresh if found[table] != fresh[table]}
    # the plans were made for other labels, and the summary says so
    assert differ == ({"plans.parquet", "summary.json"} if name == "forks_unsteered" else set())


def test_plans_stay_what_was_planned(
    measured: Callable[[str], RunDirectory], tmp_path: Path
) -> None:
    source = measured("forks")
    run = done(relabelling(source, Hesitation()), tmp_path)
    before, after = (r.read("plans").to_pandas() for r in (source, run))
    pd.testing.assert_frame_equal(
        before.drop(columns="half_width"), after.drop(columns="half_width")
    )
    curves = run.read("curves").to_pandas()
    own = curves[curves["own"] & (curves["kept"] < 1)]
    half = ((own["upper"] - own["lower"]) / 2).groupby(own["original_id"]).mean()
    np.testing.assert_allclose(after["half_width"], half[after["original_id"]])
    assert (before["half_width"] != after["half_width"]).any()
    summary: Any = run.read_json("summary")
    assert summary["forks"]["half_width"]["relabelled"] > 0
    notes = [row["note"] for row in summary["headline"]]
    assert any("wanted 0.25 of the labels before" in note for note in notes)


def test_pilot_forks_are_relabelled_and_counted_nowhere(
    measured: Callable[[str], RunDirectory], tmp_path: Path
) -> None:
    run = done(relabelling(measured("forks"), Hesitation()), tmp_path)
    originals, rows = (run.read(name).to_pandas() for name in ("originals", "resamples"))
    text = rows["original_id"].map(originals.set_index("original_id")["text"])
    whole = [own[:at] for own, at in zip(text, rows["text_start"], strict=True)] + rows["text"]
    wanted = Hesitation().labels(whole.tolist(), Problem("any", "", None))
    assert rows["label"].tolist() == wanted
    assert set(rows["kind"]) == {"fork", "pilot"}
    counted = run.read("attribution").to_pandas()["forks"].sum()
    assert counted == (rows["kind"] == "fork").sum()


def test_done_again_it_gives_the_same_bytes_and_remembers_what_it_read(
    measured: Callable[[str], RunDirectory], tmp_path: Path
) -> None:
    source = measured("forks")
    run = done(relabelling(source, Hesitation()), tmp_path)
    before, page = tables(run), (tmp_path / "report.html").read_text()
    done(relabelling(source, Hesitation()), tmp_path)
    assert tables(run) == before
    assert (tmp_path / "report.html").read_text() == page
    record: Any = run.read_json("provenance")
    (read,) = record["sources"]
    assert read["run_id"] == measuring(PROTOCOLS["forks"], FinalWord()).run_id()
    assert set(read["records"]) == {"problems", "originals", "resamples", "plans"}
    assert record["tokens_generated"] == 0
    assert all(word in page for word in ("MarkovString", read["run_id"], "ForkProtocol"))


def test_a_relabelled_run_can_be_relabelled(
    measured: Callable[[str], RunDirectory], tmp_path: Path
) -> None:
    first = done(relabelling(measured("forks"), Hesitation()), tmp_path / "first")
    back = done(relabelling(first, FinalWord()), tmp_path / "back")
    assert tables(back) == tables(measured("forks"))
    one, two = (relabelling(run, FinalWord()) for run in (first, measured("forks")))
    assert one.run_id() != two.run_id()


def test_the_run_id_is_that_of_feature_rule_and_records(
    measured: Callable[[str], RunDirectory], tmp_path: Path
) -> None:
    source = measured("fractions")
    run_id = relabelling(source, Hesitation()).run_id()
    (tmp_path / "elsewhere").symlink_to(source.path)
    assert relabelling(RunDirectory(tmp_path / "elsewhere"), Hesitation()).run_id() == run_id
    assert relabelling(source, FinalWord()).run_id() != run_id
    assert relabelling(measured("every_token"), Hesitation()).run_id() != run_id


def _copied(source: RunDirectory, folder: Path) -> RunDirectory:
    folder.mkdir()
    for path in source.path.iterdir():
        if path.suffix in (".parquet", ".json"):
            (folder / path.name).write_bytes(path.read_bytes())
    return RunDirectory(folder)


def _unfinished(run: RunDirectory) -> None:
    record = json.loads((run.path / "provenance.json").read_text())
    run.write_json("provenance", record | {"status": "stopped"})


def _of_another_experiment(run: RunDirectory) -> None:
    record = json.loads((run.path / "provenance.json").read_text())
    identity = {"class": "experiments.train_arithmetic.TrainArithmetic"}
    run.write_json("provenance", record | {"experiment": "train_arithmetic", "identity": identity})


def _cut_short(run: RunDirectory) -> None:
    path = run.path / "resamples.parquet"
    path.write_bytes(path.read_bytes()[:-50])


def _overwritten(run: RunDirectory) -> None:
    """Damage pages, not the footer."""
    path = run.path / "resamples.parquet"
    data = bytearray(path.read_bytes())
    data[100:1500] = bytes(1400)
    path.write_bytes(data)


def _of_two_runs(run: RunDirectory) -> None:
    run.write("originals", run.read("originals").slice(1))


def _of_old(run: RunDirectory) -> None:
    run.write("resamples", run.read("resamples").drop_columns("text_start"))


BAD = {
    "unfinished": (_unfinished, "its status is stopped"),
    "another experiment": (_of_another_experiment, "train_arithmetic resamples no originals"),
    "no records": (lambda run: (run.path / "originals.parquet").unlink(), "originals.parquet is m"),
    "no problems": (lambda run: (run.path / "problems.parquet").unlink(), "problems.parquet is m"),
    "parts left": (_cut_short, "resamples.parquet cannot be read"),
    "damaged pages": (_overwritten, "resamples.parquet cannot be read"),
    "two runs in one": (_of_two_runs, "originals.parquet lacks some original_id"),
    "lacking column": (_of_old, "resamples.parquet lacks text_start"),
    "no provenance": (lambda run: (run.path / "provenance.json").unlink(), "no provenance.json"),
    "damaged provenance": (
        lambda run: (run.path / "provenance.json").write_text("{"),
        "provenance.json is damaged",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_relabelled_is_refused(
    case: str, measured: Callable[[str], RunDirectory], tmp_path: Path
) -> None:
    spoil, why = BAD[case]
    run = _copied(measured("fractions"), tmp_path / "run")
    spoil(run)
    with pytest.raises(ParameterError) as caught:
        relabelling(run, FinalWord()).check()
    message = str(caught.value)
    assert message.startswith(f"runs is ['{run.path}']; allowed: the directory of a finished run")
    assert why in message


@pytest.mark.parametrize("runs", [(), ("a", "b")])
def test_one_run_at_a_time(runs: tuple[str, ...]) -> None:
    with pytest.raises(ParameterError, match=r"allowed: one run directory.*-m 'runs=\["):
        Relabel(runs=runs, feature=FinalWord(), window=PaperJump()).check()


def test_a_rule_that_looks_where_nothing_was_resampled(
    measured: Callable[[str], RunDirectory],
) -> None:
    rule = PaperJump(fractions=(0.2, 0.4))
    run = str(measured("fractions").path)
    with pytest.raises(ParameterError, match=r"window\.fractions is \[0.2, 0.4\]"):
        Relabel(runs=(run,), feature=FinalWord(), window=rule).check()


def test_homes_are_found(
    measured: Callable[[str], RunDirectory], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = measured("fractions").path
    monkeypatch.setenv("HOME", str(run.parent))
    Relabel(runs=(f"~/{run.name}",), feature=FinalWord(), window=PaperJump()).check()
