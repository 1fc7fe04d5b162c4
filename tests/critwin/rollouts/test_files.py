"""Files of rollouts: every format gives the same rows, and what is wrong is named by its line."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from critwin.errors import RolloutError
from critwin.rollouts.files import read_rows
from critwin.rollouts.rows import Rollouts, check_rows
from critwin.rollouts.tables import count_curve

HEADER = "trajectory_id,position,agreeing,trials,token\n"
COUNTS = [
    {"trajectory_id": "a", "position": p, "agreeing": k, "trials": 20, "token": token}
    for p, k, token in ((0, 4, "She"), (1, 5, ' "has",'), (2, 19, "\n12"))
]
BRANCH = {
    "trajectory_id": "a",
    "position": 0,
    "token": "x",
    "probability": 0.6,
    "is_path": True,
    "label": "A",
    "count": 3,
}


def read(path: Path) -> Rollouts:
    rollouts = check_rows(read_rows(path), path.name)
    rollouts.refuse_rejected(path.name)
    return rollouts


def write(folder: Path, name: str, rows: list[dict[str, Any]]) -> Path:
    path, frame = folder / name, pd.DataFrame(rows)
    if "parquet" in name:
        frame.to_parquet(path)
    elif "csv" in name:
        path.write_bytes(frame.to_csv(index=False).encode())
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(path.read_bytes()))
    return path


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl", "csv.gz", "jsonl.gz", "ndjson"])
def test_every_format_gives_the_same_rows(ending: str, tmp_path: Path) -> None:
    found = read(write(tmp_path, f"f.{ending}", COUNTS))
    assert (found.form, found.read) == ("counts", 3)
    wanted = ["trajectory_id", "position", "agreeing", "trials", "token"]
    assert found.rows[wanted].to_dict("records") == COUNTS


def test_windows_line_ends_a_mark_and_empty_lines_are_read(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_bytes(b"\xef\xbb\xbf" + HEADER.replace("\n", "\r\n").encode() + b"a,0,4,20,\r\n\r\n")
    found = read(path)
    assert found.rows["agreeing"].tolist() == [4]
    assert found.rows["token"].isna().all()


def test_lines_are_those_at_which_rows_begin(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_text(HEADER + 'a,0,4,20,"two\nlines"\na,1,21,20,x\n')
    with pytest.raises(RolloutError, match="line 4: agreeing is 21, trials is 20"):
        read(path)


BAD_COUNTS = [
    ("a,0,4,20\n", "line 2: it has 4 fields; allowed: 5"),
    ("a,0,4,20,x\na,0,5,20,x\n", "line 3: trajectory_id and position are those of line 2"),
    ("a,zero,4,20,x\n", "line 2: position is 'zero'; allowed: a whole number >= 0"),
    ("a,-1,4,20,x\n", "line 2: position is '-1'"),
    ("a,1.5,4,20,x\n", "line 2: position is '1.5'"),
    ("a,0,4,0,x\n", "line 2: trials is 0; allowed: a whole number >= 1"),
    ("a,0,,20,x\n", "line 2: agreeing is missing"),
    (",0,4,20,x\n", "line 2: trajectory_id is missing"),
    ("a,0,nan,20,x\n", "line 2: agreeing is 'nan'"),
    ("a,0,9,8,x\na,1,9,8,x\na,2,9,8,x\n", "2 more: line 3, 4; on_error=skip"),
]


@pytest.mark.parametrize(("text", "message"), BAD_COUNTS)
def test_a_row_that_cannot_be_used_is_named(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_text(HEADER + text + "z,0,1,2,x\n")
    with pytest.raises(RolloutError) as error:
        read(path)
    assert message in str(error.value)
    skipped = check_rows(read_rows(path), path.name)
    assert "z" in skipped.rows["trajectory_id"].tolist()
    assert len(skipped.rows) + len(skipped.rejected) == skipped.read


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"probability": 1.2}, "line 2: probability is 1.2; allowed: a number in [0, 1]"),
        ({"is_path": "maybe"}, "line 2: is_path is 'maybe'; allowed: true or false"),
        ({"is_path": None}, "line 2: is_path is missing"),
        ({"label": None}, "line 2: label is missing, count is 3; allowed: a label, or count 0"),
        ({}, "line 2: trajectory_id and position and token and label are those of line 1"),
        ({"label": "B", "probability": 0.5}, "line 2: probability is 0.5, and 0.6 in line 1"),
        ({"label": "B", "is_path": False}, "line 2: is_path is False, and True in line 1"),
        ({"token": "y", "probability": 0.3}, "2 branches of position 0 are is_path; allowed: one"),
        (
            {"position": 1, "is_path": False},
            "line 2: no branch of position 1 is_path; allowed: one",
        ),
        ({"token": "y", "is_path": False}, "probabilities of position 0 add up to 1.2"),
        ({"count": True}, "line 2: count is True; allowed: a whole number >= 0"),
    ],
)
def test_branches_that_do_not_fit_are_named(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = write(tmp_path, "f.jsonl", [BRANCH, BRANCH | change])
    with pytest.raises(RolloutError) as error:
        read(path)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"trajectory_id": "a", "position": NaN}', "line 2: it is no JSON (NaN is not a number"),
        ("{", "line 2: it is no JSON"),
        ("[1]", "line 2: it is [1]; allowed: one JSON object per line"),
        (json.dumps(COUNTS[0]), "line 2: it is one of counts, the rows before it are of branches"),
        ('{"trajectory_id": "a"}', "line 2: it lacks position, token"),
    ],
)
def test_a_line_that_is_no_row_is_named(line: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    path.write_text(json.dumps(BRANCH) + "\n" + line + "\n")
    with pytest.raises(RolloutError) as error:
        read(path)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("f.csv", b"", "f.csv is empty"),
        ("f.jsonl", b" \n", "f.jsonl is empty"),
        ("f.csv", HEADER.encode(), "f.csv holds no row that can be used"),
        ("f.jsonl", b"{]\nno\n", "no row that can be used (line 1: it is no JSON"),
        (
            "f.csv",
            b"a,b\n1,2\n",
            "has the columns a, b; allowed: trajectory_id, position, agreeing",
        ),
        ("f.csv", b"position,position\n1,2\n", "line 1 names position twice"),
        ("f.csv", HEADER.encode() + b"a,0,1,2,\xff\n", "line 2 is not UTF-8"),
        ("f.csv", HEADER.encode() + b'a,0,1,2,"x\n', "line 2 is no CSV"),
        ("f.txt", b"x", "f.txt ends in .txt; allowed: a file of rollouts"),
        ("f.parquet", b"x", "f.parquet is no Parquet file"),
        ("f.csv.gz", b"\x1f\x8b\x08broken", "f.csv.gz cannot be read"),
    ],
)
def test_a_file_that_is_none_is_refused(
    name: str, content: bytes, message: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RolloutError) as error:
        read(tmp_path / name)
    assert message in str(error.value)


def test_mixed_forms_and_other_columns_are_refused(tmp_path: Path) -> None:
    both = write(tmp_path, "both.csv", [BRANCH | COUNTS[0]])
    with pytest.raises(RolloutError, match="mixes counts and branches"):
        read(both)
    other = write(tmp_path, "other.csv", [COUNTS[0] | {"agreeingg": 3}])
    with pytest.raises(RolloutError, match="columns that mean nothing here: agreeingg"):
        read(other)
    assert check_rows(read_rows(other), "other").ignored == ("agreeingg",)


def test_a_parquet_row_is_counted_from_one_and_whole_floats_are_whole(tmp_path: Path) -> None:
    rows = [{**row, "agreeing": float(row["agreeing"])} for row in COUNTS]
    assert read(write(tmp_path, "f.parquet", rows)).rows["agreeing"].tolist() == [4, 5, 19]
    rows[1]["agreeing"] = None
    with pytest.raises(RolloutError, match="row 2: agreeing is missing"):
        read(write(tmp_path, "g.parquet", rows))


def test_a_count_curve_ends_where_its_file_says(tmp_path: Path) -> None:
    curve, tokens = count_curve(read(write(tmp_path, "f.csv", COUNTS)).rows)
    assert (curve.length, curve.position.tolist()) == (3, [0, 1, 2, 3])
    assert curve.agreement.tolist() == [0.2, 0.25, 0.95, 1.0]
    assert curve.trials.tolist() == [20, 20, 20, 0]
    assert tokens == ("She", ' "has",', "\n12")
    bare = [{k: v for k, v in row.items() if k != "token"} for row in COUNTS]
    curve, tokens = count_curve(read(write(tmp_path, "g.csv", bare)).rows)
    assert (curve.length, curve.position.tolist()) == (2, [0, 1, 2])
    assert curve.agreement[-1] == 0.95
    assert tokens == ("", "")


def test_a_file_without_quotes_is_read_as_one_with_them(tmp_path: Path) -> None:
    """Blank fields, spaces, a line of another length and no end of line, both ways."""
    plain = "a,0,4,20,She\n a,1, 5,20,\na,2,19,20, 12"
    for text in (plain, plain + "\n", plain + "\na,3,1\n", plain + "\n\na,4,1,2,x\n"):
        (tmp_path / "plain.csv").write_text(HEADER + text)
        (tmp_path / "quoted.csv").write_text(HEADER + text.replace("She", '"She"'))
        one, other = (read_rows(tmp_path / f"{name}.csv") for name in ("plain", "quoted"))
        assert {k: [*v] for k, v in one.columns.items()} == {
            k: [*v] for k, v in other.columns.items()
        }
        assert [*one.lines] == [*other.lines]
        assert one.rejected == other.rejected
