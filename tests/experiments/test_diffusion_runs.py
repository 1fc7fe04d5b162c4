"""Runs on pictures: records, resume, clones, and a tiny Stable Diffusion judged by a tiny CLIP."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from critwin.errors import ParameterError
from critwin.feature import UNSCORED
from critwin.features.clip_classes import ClipClasses
from critwin.features.region_statistic import RegionStatistic
from critwin.levels import Levels
from critwin.picture_records import image_of, png_of
from critwin.records import RunDirectory
from critwin.samplers.diffusion import DiffusionSampler
from critwin.windows.confident_jump import ConfidentJump
from experiments.benchmark_diffusion import BenchmarkDiffusion
from experiments.diffusion import measuring
from experiments.diffusion.curves import mean_agreement
from experiments.diffusion.label_counts import count_labels
from experiments.diffusion.memorisation import memorisation, nearest
from experiments.diffusion.windows import halfway
from experiments.diffusion_clone import DiffusionClone
from experiments.experiment import carry_out
from experiments.stable_diffusion import StableDiffusion
from experiments.tracker import Silent
from tests.critwin.samplers.tiny_pipelines import (
    random_clip,
    random_ddpm,
    random_stable_diffusion,
)

BRIGHT = RegionStatistic(edges=(0.5,), names=("dark", "bright"))
LEFT = RegionStatistic(region=(0, 0, 1, 0.5), edges=(0.4, 0.6), names=("low", "middle", "high"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pipelines")


def model_of(folder: Path, **settings: Any) -> DiffusionSampler:
    known = {"scheduler": "ddpm", "steps": 5, "device": "cpu"} | settings
    return DiffusionSampler(path=str(random_ddpm(folder)), **known)


def experiment(folder: Path, kind: type = StableDiffusion, **settings: Any) -> Any:
    known: dict[str, Any] = {
        "model": model_of(folder),
        "sampler": Levels(count=3, n=2, draws=2),
        "features": {"bright": BRIGHT, "left": LEFT},
        "window": ConfidentJump(),
        "conditions": ("",),
        "originals": 3,
        "pictures_kept": 3,
    }
    return kind(**known | settings)


def carried(made: Any, path: Path) -> RunDirectory:
    directory = RunDirectory(path)
    carry_out(made, directory, config="", tracker=Silent(), progress=Silent())
    return directory


def drawn(made: Any, path: Path) -> RunDirectory:
    """Draw the records, without analysis."""
    directory, own = RunDirectory(path), made.measuring()
    with directory.locked():
        own.carry_out(
            directory,
            partial(made.make_originals, own),
            made.originals,
            tracker=Silent(),
            progress=Silent(),
        )
    return directory


def test_a_run_that_was_killed_goes_on_to_the_same_records(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "ROWS_PER_PART", 12)  # a part per original
    made = experiment(folder)
    whole = drawn(made, tmp_path / "whole")
    write, written = RunDirectory.write_part, []

    def killed(self: RunDirectory, table: str, index: int, *rest: Any, **named: Any) -> None:
        if len(written) == 4:
            raise KeyboardInterrupt
        written.append((table, index))
        write(self, table, index, *rest, **named)

    monkeypatch.setattr(RunDirectory, "write_part", killed)
    with pytest.raises(KeyboardInterrupt):
        drawn(made, tmp_path / "killed")
    assert {index for _, index in written} == {0, 1}, "one part whole, one begun"
    monkeypatch.setattr(RunDirectory, "write_part", write)
    again = drawn(made, tmp_path / "killed")
    for table in ("originals", "resamples", "pictures"):
        assert whole.read(table).equals(again.read(table)), table


def test_the_records_say_what_was_drawn(folder: Path, tmp_path: Path) -> None:
    made = experiment(folder)
    directory = carried(made, tmp_path)
    resamples = directory.read("resamples").to_pandas()
    levels = made.sampler.levels(5)
    assert levels == [0, 1, 3]
    assert len(resamples) == 3 * 3 * 2 * 2
    assert resamples["seed"].is_unique
    one = resamples[resamples["original_id"] == "x/0000"]
    assert one["position"].tolist() == [0] * 4 + [1] * 4 + [3] * 4
    assert one["observation"].tolist() == [0, 0, 1, 1] * 3
    assert one["step"].tolist() == [made.model.timestep(k) for k in levels for _ in range(4)]
    assert one["time"].isna().tolist() == [True] * 4 + [False] * 8
    assert one["tokens_generated"].tolist() == [5] * 4 + [4] * 4 + [2] * 4
    assert resamples["draws_noise"].all()
    assert [dict(v)["bright"] for v in resamples["labels"]] == resamples["label"].tolist()
    pictures = directory.read("pictures").to_pandas()
    kept = pictures[pictures["position"].notna()]
    assert kept.groupby(["original_id", "position"]).size().eq(3).all()
    # labels are of the very pictures that are kept
    images = [image_of(png) for png in pictures["png"]]
    assert BRIGHT.labels(images) == pictures["label"].tolist()
    own = {r.original_id: r.label for r in directory.read("originals").to_pandas().itertuples()}
    agrees = [row.label == own[row.original_id] for row in resamples.itertuples()]
    assert resamples["agrees"].tolist() == agrees
    summary = directory.read_json("summary") or {}
    assert len(summary["tables"][0]["rows"]) == 2 * 3
    curves = directory.read("curves").to_pandas()
    assert set(curves["feature"]) == {"bright", "left"}
    assert (curves.loc[curves["own"] & (curves["kept"] == 1), "agreement"] == 1).all()
    assert sorted(p.name for p in (tmp_path / "figures").glob("*.png")) == [
        "agreement.png",
        "pictures.png",
    ]
    assert "Content-Security-Policy" in (tmp_path / "report.html").read_text()


def test_clones_share_the_path_down_to_their_step(folder: Path, tmp_path: Path) -> None:
    clone = experiment(
        folder, DiffusionClone, sampler=Levels(positions=(0, 3, 4), n=1, draws=3), originals=2
    )
    directory = drawn(clone, tmp_path)
    resamples = directory.read("resamples").to_pandas()
    assert set(resamples["kind"]) == {"clone"}
    pictures = directory.read("pictures").to_pandas()
    for _, own in pictures.groupby("original_id"):
        original = image_of(own.loc[own["position"].isna(), "png"].iloc[0]).astype(int)

        def far(position: int, own: pd.DataFrame = own, original: Any = original) -> list[int]:
            found = own.loc[own["position"] == position, "png"]
            return [int(np.abs(image_of(png).astype(int) - original).max()) for png in found]

        # the last step of DDPM draws no noise: branched off there, a clone is the picture
        assert max(far(4)) <= 1
        assert min(far(3)) > 1
        assert min(far(0)) > 1


def test_clones_without_noise_are_refused(folder: Path) -> None:
    still = model_of(folder, scheduler="ddim")
    levels = Levels(count=3, n=1, draws=3)
    with pytest.raises(ParameterError, match=r"model.scheduler is 'ddim'; allowed: a scheduler th"):
        experiment(folder, DiffusionClone, model=still, sampler=levels).check()
    with pytest.raises(ParameterError, match=r"sampler.draws is 3; allowed: 1, because"):
        experiment(folder, model=still, sampler=levels).check()
    with pytest.raises(ParameterError, match=r"sampler.n is 2; allowed: 1"):
        experiment(folder, DiffusionClone, sampler=Levels(n=2, draws=3)).check()
    with pytest.raises(ParameterError, match=r"sampler.positions is \[5\]; allowed: below"):
        experiment(folder, sampler=Levels(positions=(5,))).check()
    with pytest.raises(ParameterError, match=r"conditions is 'a cat'; allowed: one empty text"):
        experiment(folder, conditions=("a cat",)).check()


def test_a_tiny_stable_diffusion_is_judged_by_a_tiny_clip(folder: Path, tmp_path: Path) -> None:
    path = str(random_stable_diffusion(folder))
    clip = ClipClasses(
        path=str(random_clip(folder)), prompts={"cat": "a cat", "dog": "the dog"}, device="cpu"
    )
    made = experiment(
        folder,
        model=DiffusionSampler(path=path, scheduler="ddpm", steps=3, guidance=5.0, device="cpu"),
        sampler=Levels(count=2, n=2),
        features={"animal": clip, "bright": BRIGHT},
        conditions=("a cat", "two dogs"),
        originals=1,
    )
    made.check()
    directory = carried(made, tmp_path)
    originals = directory.read("originals").to_pandas()
    assert originals["prompt"].tolist() == ["a cat", "two dogs"]
    assert originals["original_id"].tolist() == ["c0/0000", "c1/0000"]
    assert set(directory.read("resamples")["label"].to_pylist()) <= {"cat", "dog"}
    assert image_of(directory.read("pictures")["png"][0].as_py()).shape == (16, 16, 3)
    with pytest.raises(ParameterError, match=r"conditions is ' '; allowed: a prompt"):
        experiment(folder, model=made.model, conditions=(" ",)).check()


def test_both_ways_of_the_benchmark_give_the_same_pictures(folder: Path, tmp_path: Path) -> None:
    made = BenchmarkDiffusion(
        model=model_of(folder, steps=4),
        sampler=Levels(count=2, n=1, draws=2),
        originals=2,
        plain_originals=1,
        rounds=2,
    )
    made.check()
    summary = carried(made, tmp_path).read_json("summary") or {}
    assert 0 <= summary["greatest_difference"] < 1e-4
    assert len(summary["tables"][0]["rows"]) == 2
    assert json.dumps(summary["headline"][0]["n"]) == "2"


def frames() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Three originals, two levels, four draws each."""
    own = pd.DataFrame({"original_id": ["a", "b", "c"], "label": ["0", "0", "1"]})
    labels = {
        ("a", 0): "0011",
        ("a", 2): "0001",
        ("b", 0): "01?1",
        ("b", 2): "0000",
        ("c", 0): "1000",
        ("c", 2): "1111",
    }
    rows = [
        (name, position, replicate, UNSCORED if label == "?" else label)
        for (name, position), drawn in labels.items()
        for replicate, label in enumerate(drawn)
    ]
    columns = ["original_id", "position", "replicate", "label"]
    return own, pd.DataFrame(rows, columns=columns)


def test_agreement_is_averaged_by_hand() -> None:
    means = mean_agreement(*frames())
    assert means["agreement"].tolist() == pytest.approx([4 / 12, 11 / 12])
    assert means["unscored"].tolist() == pytest.approx([1 / 12, 0])
    assert ((means["lower"] < means["agreement"]) & (means["agreement"] < means["upper"])).all()
    zeros = mean_agreement(*frames(), by="0")
    assert zeros["agreement"].tolist() == pytest.approx([3 / 8, 7 / 8])
    assert zeros["originals"].tolist() == [2, 2]


def test_halfway_is_between_the_levels_that_are_surely_below_and_above() -> None:
    means = pd.DataFrame(
        {
            "position": [0, 2, 4, 6],
            "agreement": [0.2, 0.3, 0.6, 0.9],
            "lower": [0.1, 0.2, 0.5, 0.8],
            "upper": [0.3, 0.4, 0.7, 1.0],
        }
    )
    assert halfway(means) == (2, 6)
    assert halfway(means.iloc[:2]) == (2, None)


def test_labels_are_counted_by_hand(folder: Path) -> None:
    found = count_labels(*frames(), ["0", "1"], model_of(folder))
    assert found.own.tolist() == [0, 0, 1]
    assert found.counts[0].tolist() == [[2, 2, 0], [1, 2, 1], [3, 1, 0]]
    # even replicates are the first half
    assert found.first[0].tolist() == [[1, 1, 0], [1, 0, 1], [1, 1, 0]]
    leak = found.leak([1], 0, level=0.95)
    assert leak.estimate == pytest.approx(3 / 4)
    assert found.weights.tolist() == pytest.approx([8 / 15, 6 / 15, 1 / 15])


def test_copies_are_found() -> None:
    random = np.random.default_rng(0)

    def some(count: int) -> list[np.ndarray]:
        return list(random.integers(0, 256, (count, 4, 4, 1), np.uint8))

    train, fresh, pictures = some(50), some(60), some(30)
    assert nearest(train[:3], train).tolist() == pytest.approx([0] * 3, abs=1e-7)
    one, other = np.zeros((1, 1, 1), np.uint8), np.full((1, 1, 1), 51, np.uint8)
    assert nearest([other], [one]).tolist() == pytest.approx([0.2])
    honest = memorisation(pictures, train, fresh)
    copied = memorisation([*train[:15], *pictures[:15]], train, fresh)
    assert honest.near.lower <= 0.05
    assert copied.near.lower > 0.05
    assert copied.copies >= 15


def test_pictures_survive_their_file() -> None:
    random = np.random.default_rng(0)
    for shape in ((8, 8, 1), (5, 7, 3)):
        image = random.integers(0, 256, shape, np.uint8)
        assert np.array_equal(image_of(png_of(image)), image)
        assert png_of(image) == png_of(image)


def test_what_holds_for_any_sampler_stands_in_a_table(folder: Path, tmp_path: Path) -> None:
    made = DiffusionClone(
        model=model_of(folder, steps=4),
        sampler=Levels(count=3, n=1, draws=2),
        features={"bright": BRIGHT},
        window=ConfidentJump(),
        originals=20,
    )
    made.check()
    summary = carried(made, tmp_path).read_json("summary") or {}
    theory, _ = summary["tables"]
    assert theory["columns"] == ["quantity", "theory", "measured", "lower", "upper", "verdict"]
    assert "share of a label" in theory["rows"][0][0]
    assert sum(summary["verdicts"].values()) == len(theory["rows"])
    assert "differs" not in summary["verdicts"]
