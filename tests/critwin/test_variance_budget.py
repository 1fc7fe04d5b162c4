"""The variance budget: the theorem by enumeration, shares of exact strings, and by hand."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from critwin.budget_tables import AT, Studied, shares_of
from critwin.fork_folds import FoldedForks, Folds, draw_folds
from critwin.generation import Generation
from critwin.prompt import Prompt
from critwin.sampler import Path
from critwin.samplers.markov_string import MarkovString
from critwin.seeds import fold_in
from critwin.variance_budget import Squares, Stretches, collision_free
from tests.critwin.markov_forks import last_symbol, random_chain


def strings(chain: MarkovString) -> Iterator[tuple[tuple[int, ...], float]]:
    """Enumerate every string of a chain with its probability."""
    end = len(chain.symbols)
    pending: list[tuple[tuple[int, ...], float]] = [((), 1.0)]
    while pending:
        ids, probability = pending.pop()
        if len(ids) == chain.max_new_tokens or (ids and ids[-1] == end):
            yield ids, probability
            continue
        law = chain.transitions[ids[-1]] if ids else (*chain.initial, 0.0)
        pending += [((*ids, a), probability * p) for a, p in enumerate(law) if p > 0]


def levels(chain: MarkovString, ids: tuple[int, ...]) -> np.ndarray:
    return np.array([chain.last_symbol_law(ids[:s]) for s in range(len(ids) + 1)]).T


def path_of(chain: MarkovString, ids: tuple[int, ...]) -> Path:
    (path,) = chain.paths([Generation((), ids, (0.0,) * len(ids), chain.text(ids), "end")])
    return path


@pytest.mark.parametrize(
    ("unit", "block"), [("tokens", 1), ("tokens", 2), ("tokens", 3), ("nats", 0.4), ("nats", 1.5)]
)
@pytest.mark.parametrize("seed", range(4))
def test_squares_add_up_to_the_uncertainty(seed: int, unit: str, block: float) -> None:
    """Orthogonality, exactly: for tokens, and for blocks whose ends do not look ahead."""
    chain = random_chain(seed, max_new_tokens=6)
    total = 0.0
    for ids, probability in strings(chain):
        if unit == "tokens":
            stretches = Stretches.tokens(len(ids), int(block))
        else:
            stretches = Stretches.nats(path_of(chain, ids).probability, block)
        squares = Squares.exact(chain.symbols, stretches, levels(chain, ids))
        total += probability * squares.above(None)[0].sum()
    assert total == pytest.approx(1 - (chain.last_symbol_law([]) ** 2).sum(), abs=1e-12)


@pytest.mark.parametrize("block", [0.3, 1.0])
def test_blocks_own_every_token_once(block: float) -> None:
    for stretches in (
        Stretches.tokens(9, 4),
        Stretches.nats(np.random.default_rng(0).uniform(0.1, 1, 9), block),
    ):
        owned = np.zeros(9)
        for start, end, weight in zip(
            stretches.start, stretches.end, stretches.weight, strict=True
        ):
            owned[start:end] += weight
        np.testing.assert_allclose(owned, 1.0)


def test_shares_of_strings_are_those_of_the_enumeration() -> None:
    """The three symbols of a chain whose jumps stand clear of the thresholds."""
    chain = MarkovString(
        symbols=("?", "1", "2"),
        initial=(1.0, 0.0, 0.0),
        transitions=((0.5, 0.3, 0.2, 0.0), (0.0, 0.2, 0.0, 0.8), (0.0, 0.0, 0.2, 0.8)),
        max_new_tokens=6,
    )
    thresholds = (0.2, 0.5)
    exact = dict.fromkeys((None, *thresholds), 0.0)
    for ids, probability in strings(chain):
        squares = Squares.exact(chain.symbols, Stretches.tokens(len(ids)), levels(chain, ids))
        for c in exact:
            exact[c] += probability * squares.above(c)[0].sum()

    (start,) = chain.start([Prompt("")])
    many = 300
    (xs,) = chain.resample([start], seeds=[[fold_in(5, i) for i in range(many)]])
    protocol = FoldedForks(forks_per_choice=400)
    found: dict[float | None, list[float]] = {c: [] for c in exact}
    missed = dict.fromkeys(thresholds, 0.0)
    seeds = [fold_in(6, i) for i in range(many)]
    for x, own in zip(xs, draw_folds(chain, xs, protocol, seeds=seeds), strict=True):
        folds = own.counted("x", last_symbol(x), [last_symbol(y) for y in own.samples])
        squares = Squares.of(folds, Stretches.tokens(folds.length))
        known = np.diff(levels(chain, x.token_ids), axis=1)
        rows = known[[chain.symbols.index(label) for label in folds.labels]]
        for c in exact:
            found[c].append(float(squares.above(c).sum() / 2))
        for c in thresholds:  # what a jump on the wrong side of c has added or lost, known exactly
            wrong = (np.abs(squares.place) > c) != (np.abs(rows) > c)
            missed[c] += float((wrong * rows**2).sum() / 2) / many
    for c, value in exact.items():
        error = np.std(found[c]) / np.sqrt(many)
        bound = 0.0 if c is None else missed[c]
        assert bound < 0.02
        assert abs(np.mean(found[c]) - value) <= 4 * error + bound
    assert exact[0.5] < 0.9 * exact[None]  # the thresholds part something
    assert exact[0.2] > 1.1 * exact[0.5]


@pytest.mark.parametrize(("unit", "block"), [("tokens", 2.0), ("tokens", 4.0), ("nats", 1.0)])
def test_shares_of_blocks_and_kinds_are_those_of_the_enumeration(unit: str, block: float) -> None:
    """J over blocks above c, and what each kind of token spends, of a table of real draws."""
    chain = MarkovString(
        symbols=("?", "1", "2"),
        initial=(1.0, 0.0, 0.0),
        transitions=((0.5, 0.3, 0.2, 0.0), (0.0, 0.2, 0.0, 0.8), (0.0, 0.0, 0.2, 0.8)),
        max_new_tokens=6,
    )
    exact: dict[tuple[str, float | None], float] = dict.fromkeys(
        [("block", c) for c in (None, *AT)] + [(k, None) for k in ("early", "late")], 0.0
    )
    for ids, probability in strings(chain):
        known = levels(chain, ids)
        blocks = _cut(path_of(chain, ids), unit, block)
        for c in (None, *AT):
            spent = Squares.exact(chain.symbols, blocks, known).above(c)[0].sum()
            exact["block", c] += probability * spent
        single = np.diff(known, axis=1) ** 2
        exact["early", None] += probability * single[:, :2].sum()
        exact["late", None] += probability * single[:, 2:].sum()

    (start,) = chain.start([Prompt("")])
    many = 240
    (xs,) = chain.resample([start], seeds=[[fold_in(7, i) for i in range(many)]])
    seeds = [fold_in(8, i) for i in range(many)]
    found: dict[tuple[str, float | None], list[float]] = {key: [] for key in exact}
    missed = dict.fromkeys(AT, 0.0)
    drawn = draw_folds(chain, xs, FoldedForks(forks_per_choice=400), seeds=seeds)
    for x, own in zip(xs, drawn, strict=True):
        folds = own.counted("x", last_symbol(x), [last_symbol(y) for y in own.samples])
        kinds = ["early" if u < 2 else "late" for u in range(folds.length)]
        rows = {
            (r["unit"], r["block"], r["kind"], r["threshold"]): (r["first"] + r["second"]) / 2
            for r in shares_of("x", [Studied(folds, kinds)])
        }
        for c in (None, *AT):
            found["block", c].append(rows[unit, block, "all", c])
        for kind in ("early", "late"):
            found[kind, None].append(rows.get(("tokens", 1.0, kind, None), 0.0))
        blocks = _cut(Path(folds.probability), unit, block)
        known = levels(chain, x.token_ids)
        known = known[[chain.symbols.index(label) for label in folds.labels]]
        change = known[:, blocks.end] - known[:, blocks.start]
        place = Squares.of(folds, blocks).place
        for c in AT:  # what a block on the wrong side of c has added or lost, known exactly
            wrong = (np.abs(place) > c) != (np.abs(change) > c)
            missed[c] += float((wrong * blocks.weight * change**2).sum() / 2) / many
    for (what, c), value in exact.items():
        error = np.std(found[what, c]) / np.sqrt(many)
        bound = 0.0 if c is None else missed[c]
        assert bound < 0.03
        assert abs(np.mean(found[what, c]) - value) <= 4 * error + bound, (what, c)
    assert exact["early", None] + exact["late", None] == pytest.approx(exact["block", None])
    assert min(exact["early", None], exact["late", None]) > 0.1  # the kinds part something
    assert exact["block", 0.5] < 0.95 * exact["block", None]


def _cut(path: Path, unit: str, block: float) -> Stretches:
    if unit == "tokens":
        return Stretches.tokens(len(path.probability), int(block))
    return Stretches.nats(path.probability, block)


def test_pairs_of_labels_by_hand() -> None:
    assert collision_free(["a", "a", "b"]) == pytest.approx(2 / 3)
    assert collision_free(["a", "a"]) == 0
    with pytest.raises(ValueError, match="1 labels"):
        collision_free(["a"])
    # unbiased: over all 2^3 draws of a fair coin, 1 - sum P^2 = .5
    draws = [f"{i:03b}" for i in range(8)]
    assert np.mean([collision_free(list(d)) for d in draws]) == pytest.approx(0.5)


def _sure(original_id: str, own: str, other: str, leave: float) -> Folds:
    """Give an original of one token with a choice, whose forks all end in another label."""
    return Folds.of(
        original_id,
        own,
        Path(np.array([1 - leave, 1.0])),
        expected=[1.0, 0.0],
        fold=[0, 1, 2, 3],
        token=[1] * 4,
        labels=[other] * 4,
    )


def test_shares_of_a_problem_by_hand() -> None:
    """P(a) = P(b) = .5 for sure: each original's first token decides, by a jump of .5."""
    originals = [
        Studied(_sure("x/0", "a", "b", 0.5), ["reading", "other words"]),
        Studied(_sure("x/1", "b", "a", 0.5), ["reading", "other words"]),
    ]
    rows = {
        (r["labels"], r["unit"], r["block"], r["kind"], r["threshold"]): (r["first"], r["second"])
        for r in shares_of("x", originals, truth="a")
    }
    assert rows["all", "tokens", 1.0, "all", None] == pytest.approx((0.5, 0.5))
    assert rows["all", "tokens", 1.0, "all", 0.45] == pytest.approx((0.5, 0.5))
    assert rows["all", "tokens", 1.0, "all", 0.5] == (0, 0)  # strictly above
    assert rows["all", "tokens", 4.0, "all", 0.2] == pytest.approx((0.5, 0.5))
    assert rows["all", "tokens", 1.0, "reading", None] == pytest.approx((0.5, 0.5))
    assert rows["all", "tokens", 1.0, "other words", None] == (0, 0)
    for group in ("right", "wrong", "right matched", "wrong matched"):
        assert rows[group, "tokens", 1.0, "all", None] == pytest.approx((0.25, 0.25))
    uneven = [Studied(_sure("x/0", "a", "b", 0.2)), Studied(_sure("x/1", "a", "b", 0.2))]
    groups = {row["labels"] for row in shares_of("x", uneven, truth="a")}
    assert groups == {"all", "right", "wrong"}  # .8 against .2 is no match
    assert {row["labels"] for row in shares_of("x", uneven)} == {"all"}
