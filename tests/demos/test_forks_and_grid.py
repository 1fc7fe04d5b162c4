"""Forks and grid measure the same probabilities: one joint test on the embedded model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from critwin.features.math_answer import MathAnswer
from critwin.fork_tables import read_forks
from critwin.forks import Forks, curve_weights, stay_probability
from critwin.problems.arithmetic import ArithmeticProblems
from critwin.prompt import PromptTemplate
from critwin.protocol import ForkProtocol, Fractions
from critwin.records import RunDirectory
from critwin.samplers.language import LanguageSampler
from critwin.windows.paper_jump import PaperJump
from experiments.fork_resampling import ForkResampling
from experiments.grid_resampling import GridResampling
from experiments.originals import Drawing
from experiments.resampling import Resampling
from experiments.tracker import Silent

FALSE_ALARM = 1e-3
"""Chance of the test to fail on draws of other seeds, although forks and grid measure the same."""

SIMULATED = 20_000
"""Data sets that are simulated to know how large the statistic is by chance; a share of them of
FALSE_ALARM is known to a standard error of 22 % of itself."""

LIMIT = 60
"""Tokens of an answer at most: some answers end before it and some do not."""

CUT = 100
"""Resamples of the grid at each cut."""

SILENT = Silent()
Floats = npt.NDArray[np.float64]


def measured(resampling: Resampling, folder: Path) -> RunDirectory:
    directory = RunDirectory(folder)
    resampling.carry_out(directory, rule=PaperJump(), tracker=SILENT, progress=SILENT)
    return directory


class Comparison:
    """The own label of one original: how far its fork curve and its shares at cuts lie apart."""

    def __init__(self, forks: Forks, cuts: npt.NDArray[np.int64]) -> None:
        self.trials = forks.trials
        self.weights = curve_weights(forks.probability)[cuts]
        self.stay = stay_probability(forks.probability)[cuts]
        # shares of 0 and 1 have a variance too: each token gets one fork more, of the mean of all
        hits = forks.hits(forks.own)
        self.d = (hits + (hits.sum() + 0.5) / (self.trials.sum() + 1)) / (self.trials + 1)
        self.p = self.levels(self.d)
        of_forks = self.weights**2 @ (self.d * (1 - self.d) / np.maximum(self.trials, 1))
        self.variance = of_forks + self.p * (1 - self.p) / CUT

    def levels(self, d: Floats) -> Floats:
        """Give the curve at the cuts; where no fork stands, leave values are the share of all."""
        total = self.trials.sum()
        mean = (d * self.trials).sum(axis=-1, keepdims=True) / total if total else 1.0
        levels: Floats = self.stay + np.where(self.trials > 0, d, mean) @ self.weights.T
        return levels

    def distance(self, hits: Floats, shares: Floats) -> Floats:
        """Sum the squares of the differences at all cuts, in standard errors of both together.

        Args:
            hits: Forks with the label, shape (..., n).
            shares: Share of the grid's resamples with it, shape (..., cuts).
        """
        apart = self.levels(hits / np.maximum(self.trials, 1)) - shares
        return np.asarray((apart**2 / self.variance).sum(axis=-1))

    def by_chance(self, rng: np.random.Generator) -> Floats:
        """Simulate the distance of forks and resamples that follow one law, the one measured."""
        hits = rng.binomial(self.trials, self.d, (SIMULATED, len(self.d)))
        resamples = rng.binomial(CUT, np.clip(self.p, 0, 1), (SIMULATED, len(self.p)))
        return self.distance(hits.astype(float), resamples / CUT)


@pytest.mark.demos
def test_forks_and_grid_agree_within_their_errors(tmp_path: Path) -> None:
    """At all of the paper's cuts of all originals together, by a parametric bootstrap.

    Cuts of an original share their forks, which the simulation knows.
    """
    drawing = Drawing(
        sampler=LanguageSampler(path="embedded:arithmetic", temperature=1.5, max_new_tokens=LIMIT),
        problems=ArithmeticProblems(n_problems=8).load(),
        prompt=PromptTemplate(),
        feature=MathAnswer(),
        per_problem=1,
        seed=0,
    )
    forks = measured(
        ForkResampling(drawing=drawing, protocol=ForkProtocol(half_width=0.025)), tmp_path / "forks"
    )
    grid = measured(GridResampling(drawing=drawing, protocol=Fractions(n=CUT)), tmp_path / "grid")
    assert grid.read("originals").equals(forks.read("originals"))
    tables = (forks.read(name).to_pandas() for name in ("originals", "resamples", "plans"))
    drawn = grid.read("resamples").to_pandas()
    rng = np.random.default_rng(0)
    seen, chance, uncertain = 0.0, np.zeros(SIMULATED), 0
    for counts in read_forks(*tables):
        rows = drawn[drawn["original_id"] == counts.original_id]
        shares = (rows["label"] == counts.own).groupby(rows["position"]).mean()
        compared = Comparison(counts, shares.index.to_numpy(np.int64))
        hits = counts.hits(counts.own).astype(float)
        seen += float(compared.distance(hits, shares.to_numpy()))
        chance += compared.by_chance(rng)
        uncertain += int(((compared.p > 0.1) & (compared.p < 0.9)).sum())
    assert uncertain >= 10  # there is something to agree on
    assert (chance >= seen).mean() >= FALSE_ALARM
