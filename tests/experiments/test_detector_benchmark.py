"""The benchmark of window rules: exact sources, scores by hand, a run that goes on where it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from critwin.changes import Sought, Width
from critwin.errors import ParameterError
from critwin.features.final_word import FinalWord
from critwin.problems.arithmetic import ArithmeticProblems
from critwin.prompt import Prompt, PromptTemplate
from critwin.protocol import ForkProtocol
from critwin.records import RunDirectory
from critwin.samplers.markov_string import MarkovString
from critwin.window import Window
from experiments import detector_benchmark
from experiments.detecting.draws import KINDS, Budget, draw
from experiments.detecting.rules import UsualStep
from experiments.detecting.scoring import Tally, Truth, score
from experiments.detecting.sources import Source, planted, shortest_pairs, true_stretches
from experiments.detector_benchmark import DetectorBenchmark
from experiments.experiment import carry_out
from experiments.tracker import Silent

SILENT = Silent()
SOUGHT = Sought(0.2, Width(10))
NAMED = {source.name: source for source in planted()}


def small(**changed: Any) -> DetectorBenchmark:
    settings: dict[str, Any] = {
        "model": MarkovString(max_new_tokens=8),
        "dataset": ArithmeticProblems(n_problems=2),
        "prompt": PromptTemplate(),
        "sampler": ForkProtocol(half_width=None, max_forks=40, pilot=0),
        "feature": FinalWord(),
        "originals": 2,
        "draws": (5,),
        "tokens": (3000,),
        "replicates": 1,
        "empty_replicates": 1,
        "workers": 1,
    }
    return DetectorBenchmark(**settings | changed)


@pytest.mark.parametrize("name", ["drift", "0.5 over 3", "rise, fall, rise"])
def test_a_planted_original_is_a_markov_string_with_that_curve(name: str) -> None:
    """The chain's own recursion gives p_s, and its paths the probabilities."""
    source = NAMED[name]
    chain = source.chain()
    own = chain.symbols.index("own")
    ids = list(range(source.length))  # the path: symbol u - 1 is token u
    for s in (0, 1, 20, 46, 77, source.length):
        assert chain.last_symbol_law(ids[:s])[own] == pytest.approx(source.curve[s], abs=1e-12)
    [drawn] = chain.resample(chain.start([Prompt("")]), seeds=[[0]])
    assert len(drawn[0].token_ids) <= source.length + 2


def test_every_planted_curve_obeys_the_identity() -> None:
    for source in NAMED.values():
        pi, d, p = source.probability, source.leave, source.curve
        np.testing.assert_allclose(p[:-1], pi * p[1:] + (1 - pi) * d, atol=1e-12)
        assert ((pi >= 0) & (pi <= 1)).all()
        assert p[-1] == 1


def test_what_is_there_to_be_found() -> None:
    wanted = {"threshold": 0.2, "width": 10}
    for source in NAMED.values():
        stretches = true_stretches(source.curve, **wanted)
        if source.kind == "none":
            assert stretches == []
        if source.kind == "several":
            assert len(stretches) == 2
    assert true_stretches(NAMED["0.9 over 1"].curve, **wanted) == [(45, 46)]
    assert true_stretches(NAMED["0.9 over 30"].curve, **wanted) == [(45, 75)]
    assert true_stretches(NAMED["0.5 over 30"].curve, **wanted) == []  # .17 in 10 tokens
    assert shortest_pairs(NAMED["0.5 over 3"].curve, **wanted) == [(45, 47), (46, 48)]


def test_scores_by_hand() -> None:
    source = NAMED["two rises"]  # .4 at token 26, .4 over tokens 71 to 75
    truth = Truth.of(source, threshold=0.2, max_width=10)

    def window(start: int, end: int, jump: tuple[float, float], direction: str = "rise") -> Window:
        return Window("x", "own", "r", direction, start, end, start, end, 0.4, *jump, 120)  # type: ignore[arg-type]

    found = [
        window(25, 26, (0.3, 0.5)),
        window(20, 40, (0.5, 0.6)),  # too wide to place it, and the true change is .4
        window(50, 55, (-0.1, 0.1)),  # nothing is there
        window(72, 73, (0.0, 0.2)),  # inside the second; holds no whole rise above .2
        window(90, 95, (-0.5, -0.2), "fall"),  # only rises are counted
    ]
    tally = Tally()
    score(truth, found, 7, tally)
    assert tally == Tally(
        trajectories=1,
        true=2,
        found=2,
        within=2,
        pinned=2,
        clear=2,
        clear_within=2,
        windows=4,
        false=1,
        alarmed=1,
        error=abs(30 - 25.5) + 0.0,
        placed=2,
        height=3,
        tokens=7,
    )


def test_a_rise_just_above_the_threshold_is_not_clear_of_it() -> None:
    clear = {
        name: Truth.of(source, threshold=0.2, max_width=10).clear for name, source in NAMED.items()
    }
    assert clear["0.25 over 1"] == clear["0.25 over 10"] == [False]
    assert clear["0.9 over 30"] == [True]  # .3 in 10 tokens
    assert clear["two rises"] == [True, True]
    assert clear["drift"] == []


def test_budgets_pay_for_whole_draws_everywhere() -> None:
    source = NAMED["level"]
    every = Budget("every token", "tokens", 100_000)
    assert every.tokens_of_one(source) == 120 * 121 // 2
    assert every.draws(source) == 100_000 // 7260
    assert Budget("fractions", "draws", 7).draws(source) == 7
    forks = Budget("forks", "tokens", 100_000)
    assert forks.draws(source) > every.draws(source)
    assert Budget("every token", "tokens", 100).draws(source) == 0
    for kind in KINDS:
        own, other = draw(
            source, Budget(kind, "draws", 20), np.random.default_rng(0), SOUGHT
        ).curves
        np.testing.assert_allclose(own.agreement + other.agreement, 1)


def test_the_usual_rule_fires_by_chance_as_often_as_computed() -> None:
    """Half of all pairs at 10 resamples and p = .5, exactly .503; 2000 pairs and 4 errors."""
    half = Source("half", "none", np.ones(2001), np.ones(2001), np.full(2002, 0.5))
    drawn = draw(half, Budget("every token", "draws", 10), np.random.default_rng(0), SOUGHT)
    curve = drawn.curves[0]
    fired = len([w for w in UsualStep().find(curve) if w.position_end <= 2000])
    assert abs(fired / 2000 - 0.503) < 4 * np.sqrt(0.25 / 2000)


@pytest.fixture(scope="module")
def no_figures() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            detector_benchmark, "write_figures", lambda _, folder: folder.mkdir(exist_ok=True)
        )
        patch.setattr(detector_benchmark, "planted", lambda: planted()[:5:4])
        yield


@pytest.mark.usefixtures("no_figures")
def test_a_run_goes_on_where_it_was_killed(tmp_path: Path) -> None:
    whole, broken = RunDirectory(tmp_path / "a"), RunDirectory(tmp_path / "b")
    summary = carry_out(small(), whole, config="", tracker=SILENT, progress=SILENT)

    class Killed(Silent):
        def log(self, row: Any) -> None:
            if row.get("originals_done") == 2 and "resamples" not in row:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        carry_out(small(), broken, config="", tracker=Killed(), progress=SILENT)
    carry_out(small(), broken, config="", tracker=SILENT, progress=SILENT)
    for name in ("cells", "calibration", "originals", "resamples", "plans"):
        one, other = (pq.read_table(d.path / f"{name}.parquet") for d in (whole, broken))
        assert one.equals(other)
    assert len(summary["tables"]) == 10  # type: ignore[arg-type]
    for row in summary["results"]:  # type: ignore[union-attr]
        assert row["alarmed_lower"] <= row["alarmed"] <= row["alarmed_upper"]
    assert small().run_id() != small(replicates=2).run_id()
    assert small().run_id() == small(workers=2).run_id()


@pytest.mark.usefixtures("no_figures")
def test_processes_change_no_number(tmp_path: Path) -> None:
    one, two = RunDirectory(tmp_path / "a"), RunDirectory(tmp_path / "b")
    for workers, directory in ((1, one), (2, two)):
        experiment = small(originals=0, workers=workers)
        carry_out(experiment, directory, config="", tracker=SILENT, progress=SILENT)
    for name in ("cells", "calibration"):
        assert pq.read_table(one.path / f"{name}.parquet").equals(
            pq.read_table(two.path / f"{name}.parquet")
        )


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"originals": -1}, "originals"),
        ({"replicates": 0}, "replicates"),
        ({"empty_replicates": 0}, "empty_replicates"),
        ({"workers": 0}, "workers"),
        ({"draws": ()}, "draws"),
        ({"draws": (5, 5)}, "draws"),
        ({"draws": 5}, "draws"),
        ({"tokens": (0,)}, "tokens"),
        ({"threshold": 1.0}, "threshold"),
        ({"max_width": 0.5}, "max_width"),
        ({"seed": "x"}, "seed"),
    ],
)
def test_bad_values_are_refused(changed: dict[str, Any], name: str) -> None:
    with pytest.raises(ParameterError, match=name):
        small(**changed).check()
