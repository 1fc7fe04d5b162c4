"""Windows as the aim, carried out on exact strings: the pilot apart, the records whole."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from critwin.aimed_measuring import measure_windows
from critwin.changes import Sought, Width
from critwin.fork_measuring import ForkMeasurement, Original
from critwin.fork_tables import plans_table, read_forks
from critwin.forks import fork_curves
from critwin.generation import Generation
from critwin.protocol import ForkProtocol
from critwin.samplers.markov_string import MarkovString
from critwin.window import find_all
from critwin.windows.confident_jump import ConfidentJump

CHAIN = MarkovString(max_new_tokens=24)
PROTOCOL = ForkProtocol(aim="windows", half_width=None, max_tokens=2500)
RULE = ConfidentJump(threshold=0.2)


def last(x: Generation) -> str:
    return x.text.split()[-1]


@pytest.fixture(scope="module")
def measured() -> list[ForkMeasurement]:
    from critwin.prompt import Prompt

    [xs] = CHAIN.resample(CHAIN.start([Prompt("")]), seeds=[[1, 4, 9]])
    return measure_windows(
        CHAIN,
        [Original(f"x{i}", x, last(x), seed=i) for i, x in enumerate(xs)],
        protocol=PROTOCOL,
        sought=RULE.sought,
        label=lambda _, samples: [last(x) for x in samples],
    )


def test_the_main_stage_alone_is_counted(measured: list[ForkMeasurement]) -> None:
    for found in measured:
        trials = found.forks.blocks.sums(found.forks.trials)
        np.testing.assert_array_equal(trials, found.allocation.forks)
        assert found.forks.trials.sum() == len(found.drawn)
        everything = [*found.pilot, *found.drawn]
        assert len({fork.seed for fork in everything}) == len(everything)
        assert len({(f.token, f.replicate) for f in found.pilot}) == len(found.pilot)
        for fork in everything:
            (again,) = CHAIN.fork([found.original.sample], [fork.token], seeds=[fork.seed])
            assert again == fork.sample
        assert sum(f.tokens_generated for f in found.pilot) < 0.6 * 2500
        assert sum(f.tokens_generated for f in everything) == pytest.approx(2500, rel=0.35)
        assert found.windows is not None


def test_tables_alone_give_the_same_windows(measured: list[ForkMeasurement]) -> None:
    plans = plans_table(measured, PROTOCOL).to_pandas()
    originals = pd.DataFrame(
        [{"original_id": m.original.original_id, "label": m.original.label} for m in measured]
    )
    rows = [
        {
            "original_id": m.original.original_id,
            "position": fork.token - 1,
            "label": fork.label,
            "kind": kind,
        }
        for m in measured
        for kind, forks in (("fork", m.drawn), ("pilot", m.pilot))
        for fork in forks
    ]
    read = read_forks(originals, pd.DataFrame(rows), plans)
    for again, found in zip(read, measured, strict=True):
        assert again.aimed == found.aimed
        np.testing.assert_array_equal(again.blocks.bounds, found.blocks.bounds)
    made, kept = (
        find_all([curve for own in forks for curve in fork_curves(own)], RULE)
        for forks in (read, [m.forks for m in measured])
    )
    assert made == kept
    assert any(found.aimed for found in measured)
    assert made.windows  # the token that chooses the mode
    # a run from before there were lists
    plain = read_forks(originals, pd.DataFrame(rows), plans.assign(aimed=None))
    assert all(own.aimed == () for own in plain)


def test_without_tokens_nothing_is_drawn() -> None:
    """A wanted half-width that the path alone gives asks for no forks: there is nothing to aim."""
    from critwin.prompt import Prompt

    [[x]] = CHAIN.resample(CHAIN.start([Prompt("")]), seeds=[[1]])
    (found,) = measure_windows(
        CHAIN,
        [Original("x", x, last(x), seed=0)],
        protocol=ForkProtocol(aim="windows", half_width=0.9),
        sought=Sought(0.2, Width(10)),
        label=lambda _, samples: [last(x) for x in samples],
    )
    assert (found.pilot, found.drawn, found.aimed) == ((), (), ())
