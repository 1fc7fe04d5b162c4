"""A run by forks on exact strings, from its draws to its page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from critwin.curve import curves_table, read_curves
from critwin.drawing import save
from critwin.errors import ParameterError, RecordsError
from critwin.feature import UNSCORED
from critwin.features.final_word import FinalWord
from critwin.fork_figures import forks_beside_grid
from critwin.fork_tables import attribution_table, read_forks
from critwin.forks import fork_curve, fork_curves
from critwin.page_data import PageTables, page_data, unpacked
from critwin.page_draws import SHOWN_PER_POSITION, SHOWN_POSITIONS
from critwin.problems.arithmetic import ArithmeticProblems
from critwin.prompt import PromptTemplate
from critwin.protocol import ForkProtocol, Fractions
from critwin.records import ATTRIBUTION, CURVES, PLANS, RunDirectory
from critwin.samplers.markov_string import MarkovString
from critwin.trajectory import trajectory
from critwin.windows.paper_jump import PaperJump
from experiments.experiment import carry_out, is_complete
from experiments.llm_math import LlmMath
from experiments.tracker import Silent

CHAIN = MarkovString(max_new_tokens=20)


def experiment(**changes: object) -> LlmMath:
    parts: dict[str, object] = {
        "model": CHAIN,
        "dataset": ArithmeticProblems(n_problems=6),
        "prompt": PromptTemplate(),
        "sampler": ForkProtocol(half_width=0.15, pilot=8),
        "feature": FinalWord(),
        "window": PaperJump(),
        "originals_per_problem": 2,
        **changes,
    }
    return LlmMath(**parts)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    directory = RunDirectory(tmp_path_factory.mktemp("forked"))
    silent = Silent()
    carry_out(experiment(), directory, config="", tracker=silent, progress=silent)
    assert is_complete(directory, experiment().products)
    return directory


@pytest.fixture(scope="module")
def tables(run: RunDirectory) -> dict[str, pd.DataFrame]:
    names = ("originals", "resamples", "plans", "curves", "windows", "attribution")
    return {name: run.read(name).to_pandas() for name in names}


def test_tables_have_their_schemas(run: RunDirectory) -> None:
    for name, schema in (("curves", CURVES), ("plans", PLANS), ("attribution", ATTRIBUTION)):
        assert run.read(name).schema.equals(schema)


def test_every_label_has_a_value_at_every_position(tables: dict[str, pd.DataFrame]) -> None:
    curves = tables["curves"]
    assert set(curves["estimator"]) == {"forks"}
    lengths = tables["originals"].set_index("original_id")["token_ids"].map(len)
    for (name, label), rows in curves.groupby(["original_id", "label"], sort=False):
        assert rows["position"].tolist() == list(range(lengths[name] + 1)), label
    assert set(curves[curves["label"] == UNSCORED]["original_id"]) == set(lengths.index)
    total = curves.groupby(["original_id", "position"])["agreement"].sum()
    np.testing.assert_allclose(total, 1, atol=1e-9)


def test_intervals_hold_the_exact_law(tables: dict[str, pd.DataFrame]) -> None:
    """Of whole curves: positions of one original share their forks, so originals are counted."""
    ids = tables["originals"].set_index("original_id")["token_ids"]
    own = tables["curves"][tables["curves"]["own"]]
    held = []
    for name, rows in own.groupby("original_id"):
        column = CHAIN.symbols.index(rows["label"].iloc[0])
        kept = [[int(i) for i in ids[name][:p]] for p in rows["position"]]
        exact = np.array([CHAIN.last_symbol_law(prefix)[column] for prefix in kept])
        inside = (rows["lower"] - 1e-9 <= exact) & (exact <= rows["upper"] + 1e-9)
        held.append(inside.mean())
    # pointwise .95 at the least, and .99 as simulated: less than .9 over 12 originals is no chance
    assert np.mean(held) > 0.9


def test_curves_windows_and_attribution_come_from_the_records_alone(
    run: RunDirectory, tables: dict[str, pd.DataFrame]
) -> None:
    forks = read_forks(tables["originals"], tables["resamples"], tables["plans"])
    curves = curves_table([curve for counts in forks for curve in fork_curves(counts)])
    assert curves.equals(run.read("curves"))
    found = [w for f in forks for w in PaperJump().find(fork_curve(f, f.own))]
    assert [w.position_end for w in found] == tables["windows"]["position_end"].tolist()
    assert found
    arguments = (tables[name] for name in ("originals", "resamples", "windows"))
    assert attribution_table(forks, *arguments).equals(run.read("attribution"))


def test_the_pilot_is_counted_nowhere(tables: dict[str, pd.DataFrame]) -> None:
    resamples = tables["resamples"]
    pilots = resamples.assign(label=resamples["label"].where(resamples["kind"] == "fork", "never"))
    counted = read_forks(tables["originals"], resamples, tables["plans"])
    again = read_forks(tables["originals"], pilots, tables["plans"])
    assert (resamples["kind"] == "pilot").any()
    for one, other in zip(counted, again, strict=True):
        assert one.labels == other.labels
        np.testing.assert_array_equal(one.counts, other.counts)


def test_attribution_says_what_each_forked_token_did(tables: dict[str, pd.DataFrame]) -> None:
    own = tables["curves"][tables["curves"]["own"]].set_index(["original_id", "position"])
    originals = tables["originals"].set_index("original_id")
    drawn = tables["resamples"][tables["resamples"]["kind"] == "fork"]
    counts = drawn.groupby(["original_id", "position"]).size()
    rows = tables["attribution"]
    assert len(rows) == len(counts)
    inside = 0
    for row in rows.to_dict("records"):
        name, at = row["original_id"], row["position"]
        leave = 1 - row["probability"]
        assert row["value"] == pytest.approx(own.loc[(name, at + 1), "agreement"])
        assert row["jump"] == pytest.approx(leave * (row["value"] - row["elsewhere"]))
        # where tokens share a leave value, the curve's step is that of their block
        step = row["value"] - own.loc[(name, at), "agreement"]
        assert abs(row["jump"] - step) <= leave + 1e-9
        assert row["jump_lower"] - 1e-9 <= row["jump"] <= row["jump_upper"] + 1e-9
        assert row["token"] == originals.loc[name, "tokens"][at]
        others = row["alternatives"]
        assert row["forks"] == counts[name, at] == sum(other["forks"] for other in others)
        for other in others:
            assert other["token_id"] != row["token_id"]
            assert other["forks"] == sum(one["forks"] for one in other["labels"])
        assert [o["forks"] for o in others] == sorted((o["forks"] for o in others), reverse=True)
        inside += row["window"]
    for window in tables["windows"].to_dict("records"):
        owned = rows[(rows["original_id"] == window["original_id"]) & rows["window"]]
        assert owned["position"].between(window["position_start"], window["position_end"]).all()
    assert 0 < inside < len(rows)


def test_the_summary_says_what_forks_decided(
    run: RunDirectory, tables: dict[str, pd.DataFrame]
) -> None:
    summary: Any = run.read_json("summary")
    plans, forks = tables["plans"], summary["forks"]
    assert summary["leave_mass"]["mean"] == pytest.approx(plans["leave_mass"].mean())
    assert summary["leave_mass"]["highest"] == pytest.approx(plans["leave_mass"].max())
    assert forks["half_width"]["wanted"] == 0.15
    assert forks["half_width"]["reached"] == pytest.approx(plans["half_width"].mean())
    generated = tables["resamples"].groupby("kind")["tokens_generated"].sum()
    assert (forks["tokens"], forks["pilot_tokens"]) == (generated["fork"], generated["pilot"])
    assert sum(forks["cheaper"].values()) == plans["cheaper"].notna().sum()
    rows = {row["name"].strip(): row for row in summary["headline"]}
    assert rows["forks per answer"]["estimate"] == pytest.approx(plans["main_forks"].mean())
    assert "wanted 0.15; 95 %, pointwise, mean" in rows["half-width reached"]["note"]
    assert rows["choices in an answer, H"]["n"] == len(plans)
    provenance: Any = run.read_json("provenance")
    drawn = tables["originals"]["token_ids"].map(len).sum() + generated.sum()
    assert provenance["tokens_generated"] == drawn


def test_the_page_shows_what_flipped(tables: dict[str, pd.DataFrame]) -> None:
    names = ("originals", "curves", "windows", "resamples", "attribution")
    data = page_data(PageTables(**{name: tables[name] for name in names}))
    curves = tables["curves"].set_index(["original_id", "label"])
    for entry, block in zip(data.index["originals"], data.details, strict=True):
        one = unpacked(block)
        assert one["estimator"] == "forks"
        assert 0 < len(one["draws"]) <= SHOWN_POSITIONS
        assert set(one["draws"]) <= set(one["forked"])
        for position, draws in one["draws"].items():
            # labels take turns, and the own one is the last to have its first
            labels = list(dict.fromkeys(drawn["label"] for drawn in draws))
            assert entry["label"] not in labels[:-1]
            assert len(draws) <= SHOWN_PER_POSITION
            drawn = sum(drawn["count"] for drawn in draws)
            assert drawn <= one["forked"][position]["forks"]
        for curve in one["curves"]:
            whole = curves.loc[(entry["id"], curve["label"]), "agreement"].to_numpy()
            np.testing.assert_allclose(np.array(curve["p"]) / 1000, whole, atol=1e-3)


def test_jumps_of_fork_curves_are_those_of_single_tokens(tables: dict[str, pd.DataFrame]) -> None:
    names = ("originals", "curves", "windows", "resamples", "attribution")
    shown = page_data(PageTables(**{name: tables[name] for name in names})).index["originals"]
    largest = tables["attribution"].groupby("original_id")["jump"].max()
    for one in shown:
        assert one["jump"] == pytest.approx(max(largest[one["id"]], 0), abs=1e-4)


def test_figures_are_drawn(run: RunDirectory) -> None:
    drawn = {path.name for path in (run.path / "figures").iterdir()}
    assert {"mean_curves.png", "window_positions.pdf", "trajectory.png"} <= drawn


def test_forks_are_drawn_beside_a_grid(run: RunDirectory, tmp_path: Path) -> None:
    grid = RunDirectory(tmp_path / "grid")
    by_grid = experiment(sampler=Fractions(n=10))
    carry_out(by_grid, grid, config="", tracker=Silent(), progress=Silent())
    figure = forks_beside_grid(run, grid, panels=2)
    save(figure, tmp_path / "figure")
    assert len(figure.axes) == 2
    curves = run.read("curves").to_pandas()
    for axes in figure.axes:
        name, _, label = axes.get_title(loc="left").partition(": ")
        own = curves[(curves["original_id"] == name) & (curves["label"] == label)]
        assert own["own"].all()
        np.testing.assert_array_equal(axes.lines[0].get_ydata(), own["agreement"])
        # each panel says what it took, the pilot included
        legend = {text.get_text() for text in axes.get_legend().get_texts()}
        expected = set()
        for protocol, of in (("forks", run), ("resamples", grid)):
            drawn = of.read("resamples").to_pandas()
            tokens = drawn[drawn["original_id"] == name]["tokens_generated"]
            expected.add(f"{len(tokens):,} {protocol}, {tokens.sum():,} tokens")
        assert legend == expected
    elsewhere = RunDirectory(tmp_path / "elsewhere")
    elsewhere.write("curves", run.read("curves").slice(0, 0))
    with pytest.raises(RecordsError, match="share no original"):
        forks_beside_grid(run, elsewhere)


def test_a_curve_at_every_token_is_drawn_as_a_line(tables: dict[str, pd.DataFrame]) -> None:
    (name, *_) = tables["windows"]["original_id"]
    curve = next(c for c in read_curves(tables["curves"]) if c.own and c.original_id == name)
    rows = tables["originals"].set_index("original_id", drop=False)
    windows = tables["windows"][tables["windows"]["original_id"] == name]
    axes = trajectory(rows.loc[name].to_dict(), curve, windows).axes[1]
    assert axes.lines[0].get_marker() in ("", "None")
    assert f"{curve.trials.max()} forks;" in axes.get_title(loc="right")
    assert curve.everywhere


def test_a_sampler_that_cannot_fork_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("experiments.fork_resampling.ForkingSampler", ())
    message = r"sampler is 'forks'; allowed: fractions or every_token, because MarkovString"
    with pytest.raises(ParameterError, match=message):
        experiment().check()
    experiment(sampler=Fractions()).check()
