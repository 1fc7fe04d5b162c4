"""Detection in files: a run directory like any other, on made and on real data."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from critwin.errors import ParameterError
from critwin.records import CURVES, ORIGINALS, WINDOWS, RunDirectory
from critwin.windows.paper_jump import PaperJump
from experiments.detect_file import DetectFile
from experiments.experiment import carry_out
from experiments.tracker import Silent

ANCHORS = Path(__file__).parents[3] / "shared/data/thought_anchors/chunk_accuracy.jsonl.gz"


def run(path: Path, outputs: Path, **keys: object) -> tuple[RunDirectory, dict[str, object]]:
    experiment = DetectFile(path=str(path), window=PaperJump(), **keys)  # type: ignore[arg-type]
    experiment.check()
    directory = RunDirectory(outputs / experiment.run_id())
    summary = carry_out(experiment, directory, config="", tracker=Silent(), progress=Silent())
    return directory, dict(summary)


def counts_file(folder: Path) -> Path:
    """Two trajectories of 20 tokens: one jumps from .1 to .9 at 8, one never moves."""
    rows = [
        {"trajectory_id": name, "position": s, "agreeing": k, "trials": 50, "token": f" {s}"}
        for name, law in (("jumps", lambda s: 45 if s >= 8 else 5), ("still", lambda _: 40))
        for s in range(20)
        for k in [law(s)]
    ]
    path = folder / "f.parquet"
    pd.DataFrame(rows).to_parquet(path)
    return path


def branches_file(folder: Path, *, seed: int = 0) -> Path:
    """The exact string "?" until a mode is chosen: at token 6 of 10 the path takes mode A."""
    rng, rows = np.random.default_rng(seed), []
    for s in range(10):
        other = {"?": 0.9, "A": 0.05, "B": 0.05} if s <= 5 else {"A": 0.8, "!": 0.2}
        for token, probability in other.items():
            path = token == ("A" if s >= 5 else "?")
            p = {"A": 1.0, "B": 0.0, "!": 1.0}.get(token, 0.5)
            hits = int(rng.binomial(40, p))
            for label, count in (("A", hits), ("B", 40 - hits)):
                if count:
                    rows.append(
                        {"trajectory_id": "m", "position": s, "token": token}
                        | {"probability": probability, "is_path": path, "label": label}
                        | {"count": count, "final_label": "A"}
                    )
    path_ = folder / "b.jsonl.gz"
    path_.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    return path_


def test_counts_give_a_run_directory_with_the_window(tmp_path: Path) -> None:
    directory, summary = run(counts_file(tmp_path), tmp_path / "out")
    windows = directory.read("windows").to_pandas()
    assert windows["original_id"].tolist() == ["jumps"]
    # fractions .3 and .5 of 20 tokens
    assert windows[["position_start", "position_end"]].to_numpy().tolist() == [[6, 10]]
    assert windows["text"].tolist() == [" 6 7 8 9"]
    assert windows["jump"].iloc[0] == pytest.approx(0.8)
    assert summary["counts"] == {
        "trajectories": 2,
        "positions": 40,
        "windows": 1,
        "rises": 1,
        "trajectories_with_window": 1,
        "rows_left_out": 0,
    }
    for name, schema in (("originals", ORIGINALS), ("curves", CURVES), ("windows", WINDOWS)):
        assert directory.read(name).schema == schema
    assert (directory.path / "report.html").is_file()
    assert (directory.path / "figures" / "trajectory.png").is_file()
    curves = directory.read("curves").to_pandas()
    assert curves.groupby("original_id")["agreement"].last().tolist() == [1.0, 1.0]


def test_branches_go_through_the_identity(tmp_path: Path) -> None:
    directory, summary = run(branches_file(tmp_path), tmp_path / "out")
    curves = directory.read("curves").to_pandas()
    own = curves[curves["own"]].sort_values("position")
    assert own["position"].tolist() == list(range(11))
    # from any "?" both modes are as likely; at 5 "?" is the branch that is not taken
    assert (own["lower"] <= np.array([0.5] * 6 + [1.0] * 5)).all()
    assert (own["upper"] >= np.array([0.5] * 6 + [1.0] * 5)).all()
    assert own["agreement"].iloc[5] == pytest.approx(0.5, abs=3 * 0.9 * np.sqrt(0.25 / 40))
    check = summary["path_check"]
    assert isinstance(check, dict)
    assert check["lower"] <= 0 <= check["upper"]
    assert check["n"] == 800
    assert summary["coverage"]["positions_without_branches"] == 0  # type: ignore[index]


def test_rows_left_out_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    text = "trajectory_id,position,agreeing,trials\n" + "a,0,1,9\na,0,x,9\na,1,2,9\na,2,10,9\n"
    path.write_text(text)
    with pytest.raises(ParameterError, match=r"f\.csv, line 3: agreeing is 'x'") as error:
        DetectFile(path=str(path), window=PaperJump()).check()
    assert str(error.value).startswith(f"path is '{path}'; allowed: rollouts that can be read")
    _, summary = run(path, tmp_path / "out", on_error="skip")
    assert summary["rows"] == {
        "read": 4,
        "used": 2,
        "left_out": [
            {"line": 3, "reason": "agreeing is 'x'; allowed: a whole number >= 0"},
            {"line": 5, "reason": "agreeing is 10, trials is 9; allowed: agreeing in [0, trials]"},
        ],
        "columns_left_out": [],
    }


def test_a_trajectory_that_nothing_labels_is_left_out_whole(tmp_path: Path) -> None:
    row = {"position": 0, "token": "x", "probability": 1.0, "is_path": True}
    rows = [
        {"trajectory_id": "a", **row, "label": "A", "count": 2},
        {"trajectory_id": "b", **row, "label": None, "count": 0},
    ]
    path = tmp_path / "f.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    with pytest.raises(ParameterError, match="line 2: trajectory b has no final_label"):
        DetectFile(path=str(path), window=PaperJump()).check()
    _, summary = run(path, tmp_path / "out", on_error="skip")
    assert summary["counts"]["trajectories"] == 1  # type: ignore[index]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"path": "nowhere.csv"}, "path is 'nowhere.csv'; allowed: a file of rollouts"),
        ({"on_error": "maybe"}, "on_error is 'maybe'; allowed: stop or skip"),
    ],
)
def test_bad_keys_are_refused(keys: dict[str, str], message: str, tmp_path: Path) -> None:
    given = {"path": str(counts_file(tmp_path)), **keys}
    with pytest.raises(ParameterError) as error:
        DetectFile(window=PaperJump(), **given).check()  # type: ignore[arg-type]
    assert message in str(error.value)


def test_the_run_id_is_that_of_the_content(tmp_path: Path) -> None:
    path = counts_file(tmp_path)
    same = tmp_path / "other.parquet"
    same.write_bytes(path.read_bytes())
    ids = {DetectFile(path=str(p), window=PaperJump()).run_id() for p in (path, same)}
    assert len(ids) == 1
    assert DetectFile(path=str(path), window=PaperJump(threshold=0.4)).run_id() not in ids


def test_real_reasoning_traces(tmp_path: Path) -> None:
    """Per-sentence accuracy over about 100 resamples, of base solutions that were right."""
    if not ANCHORS.exists():
        pytest.skip("shared/data/thought_anchors is not beside the checkout")
    rows = []
    with gzip.open(ANCHORS, "rt") as lines:
        for line in lines:
            trace = json.loads(line)
            if trace["base"] != "correct_base_solution":
                continue
            for s, (share, text) in enumerate(zip(trace["accuracy"], trace["chunks"], strict=True)):
                if share is not None:
                    n = next(
                        n for n in range(100, 0, -1) if abs(share * n - round(share * n)) < 1e-6
                    )
                    name = f"{trace['model']}/{trace['id']}"
                    rows.append((name, s, round(share * n), n, text))
    names = ["trajectory_id", "position", "agreeing", "trials", "token"]
    path = tmp_path / "anchors.csv"
    pd.DataFrame(rows, columns=names).to_csv(path, index=False)
    directory, summary = run(path, tmp_path / "out")
    counts = summary["counts"]
    assert isinstance(counts, dict)
    assert counts["trajectories"] == len({row[0] for row in rows})
    assert counts["positions"] == len(rows)
    curves = directory.read("curves").to_pandas()
    assert curves["agreement"].between(curves["lower"], curves["upper"]).all()
