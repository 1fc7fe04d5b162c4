"""The two forms of a rollout file, and which of its rows can be used.

A row that cannot be used is named by its line and the reason. Nothing is guessed or mended.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NoReturn, TypeAlias

import numpy as np
import pandas as pd

from critwin.errors import RolloutError
from critwin.rollouts.files import RawRows, Rejected
from critwin.rollouts.values import Reader, missing, probability, text, truth, whole

Form: TypeAlias = Literal["counts", "branches"]

READERS: dict[str, Reader] = {
    "trajectory_id": text,
    "position": whole,
    "agreeing": whole,
    "trials": whole,
    "token": text,
    "probability": probability,
    "is_path": truth,
    "label": text,
    "count": whole,
    "final_label": text,
}
REQUIRED: dict[Form, tuple[str, ...]] = {
    "counts": ("trajectory_id", "position", "agreeing", "trials"),
    "branches": ("trajectory_id", "position", "token", "probability", "is_path", "label", "count"),
}
OPTIONAL: dict[Form, tuple[str, ...]] = {"counts": ("token",), "branches": ("final_label",)}
MAY_LACK = ("token", "final_label")
"""Columns of which single values may be missing; of branches a token is always needed."""

_SUM_TOLERANCE = 1e-6
"""By which probabilities of a position may exceed 1: rounding of what wrote them."""

_PLAIN = {str, int, float, bool}

_SHOWN = 5
"""Lines of malformed rows that a message names."""


@dataclass(frozen=True)
class Rollouts:
    """The rows of a file that can be used.

    Attributes:
        form: Which of the two it is.
        rows: Columns of the form and `line`; by trajectory in order of appearance, by position.
        read: Rows that the file holds.
        unit: What lines count: `line`, or `row` for Parquet.
        rejected: Rows left out, by line.
        ignored: Columns that mean nothing here.
    """

    form: Form
    rows: pd.DataFrame
    read: int
    unit: str
    rejected: tuple[Rejected, ...]
    ignored: tuple[str, ...]

    def refuse_rejected(self, name: str) -> None:
        """Refuse a file with a row or column that cannot be used.

        Args:
            name: The file, for the message.

        Raises:
            RolloutError: There is one; the first is told with its reason.
        """
        if self.rejected:
            first, *others = self.rejected
            more = [str(other.line) for other in others[:_SHOWN]]
            dots = ", ..." if len(others) > _SHOWN else ""
            rest = f"; {len(others)} more: {self.unit} {', '.join(more)}{dots}" if others else ""
            raise RolloutError(
                f"{name}, {self.unit} {first.line}: {first.reason}{rest}; on_error=skip leaves "
                "such rows out and counts them"
            )
        if self.ignored:
            known = (*REQUIRED[self.form], *OPTIONAL[self.form])
            raise RolloutError(
                f"{name} has columns that mean nothing here: {', '.join(self.ignored)}; allowed: "
                f"{', '.join(known)}; on_error=skip leaves other columns out"
            )


def check_rows(raw: RawRows, name: str) -> Rollouts:
    """Find out the form of a file, read its values, and set malformed rows apart.

    Args:
        raw: The rows as they stand in the file.
        name: The file, for messages.

    Raises:
        RolloutError: It is of neither form or of both, or no row of it can be used.
    """
    rejected = {r.line: r.reason for r in raw.rejected}
    if not len(raw.lines):
        _refuse_none(raw, name, rejected)
    form = _form(raw, name)
    wanted = [c for c in (*REQUIRED[form], *OPTIONAL[form]) if c in raw.columns]
    _reject_other_keys(raw, form, rejected)
    values = _read_values(raw, form, wanted, rejected)
    rows = pd.DataFrame(values)
    for optional in OPTIONAL[form]:
        if optional not in rows:
            rows[optional] = None
    rows["line"] = np.asarray(raw.lines, np.int64)
    rows = rows[~rows["line"].isin(list(rejected))]
    rows = _check_counts(rows, rejected) if form == "counts" else _check_branches(rows, rejected)
    if not len(rows):
        _refuse_none(raw, name, rejected)
    order, _ = pd.factorize(np.array(values["trajectory_id"], object))
    keys = (rows["position"].to_numpy(), order[rows.index])
    ignored = tuple(sorted(c for c in raw.columns if c not in wanted))
    return Rollouts(
        form=form,
        rows=rows.iloc[np.lexsort(keys)].reset_index(drop=True),
        read=len(raw.lines) + len(raw.rejected),
        unit=raw.unit,
        rejected=tuple(Rejected(line, rejected[line]) for line in sorted(rejected)),
        ignored=ignored,
    )


def _refuse_none(raw: RawRows, name: str, rejected: Mapping[int, str]) -> NoReturn:
    """Say that no row can be used, and what is wrong with the first."""
    number = f"; {len(rejected)} are malformed" if len(rejected) > 1 else ""
    why = f" ({raw.unit} {min(rejected)}: {rejected[min(rejected)]}{number})" if rejected else ""
    raise RolloutError(f"{name} holds no row that can be used{why}")


def _form(raw: RawRows, name: str) -> Form:
    """Find the form that the header fits, or the first JSON object that fits any."""
    headers = list(dict.fromkeys(raw.keys.values())) or [frozenset(raw.columns)]
    for columns in headers:
        fitting: list[Form] = [form for form, need in REQUIRED.items() if columns.issuperset(need)]
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            raise RolloutError(
                f"{name} mixes counts and branches; allowed: the columns of one of them"
            )
    lacks: dict[Form, list[str]] = {
        form: [c for c in need if c not in headers[0]] for form, need in REQUIRED.items()
    }
    told = "; or ".join(
        f"{', '.join(REQUIRED[form])} ({form}; lacks {', '.join(lacks[form])})" for form in lacks
    )
    found = ", ".join(sorted(headers[0])) or "none"
    raise RolloutError(f"{name} has the columns {found}; allowed: {told}")


def _reject_other_keys(raw: RawRows, form: Form, rejected: dict[int, str]) -> None:
    """Reject JSON lines whose keys are not those of the form."""
    for i, own in raw.keys.items():
        lacks = [c for c in REQUIRED[form] if c not in own]
        other = next(f for f in REQUIRED if f != form)
        if lacks and own.issuperset(REQUIRED[other]):
            rejected[raw.lines[i]] = f"it is one of {other}, the rows before it are of {form}"
        elif lacks:
            rejected[raw.lines[i]] = f"it lacks {', '.join(lacks)}"


def _read_values(
    raw: RawRows, form: Form, wanted: Sequence[str], rejected: dict[int, str]
) -> dict[str, list[object]]:
    """Read every value of the wanted columns; None where it cannot be read, its row rejected."""
    need = {*REQUIRED[form]}
    found: dict[str, list[object]] = {}
    for column in wanted:
        lacking = column in need and not (form == "branches" and column == "label")
        values = raw.columns[column]
        kinds = _kinds(values)
        # each different value is read once: there are few of most columns
        given, reasons = {}, {}
        for kind, value in dict(zip(kinds, values, strict=True)).items():
            given[kind], reason = _read(column, value, lacking)
            if reason:
                reasons[kind] = reason
        found[column] = list(map(given.__getitem__, kinds))
        if reasons:
            for line, kind in zip(raw.lines, kinds, strict=True):
                if kind in reasons:
                    rejected.setdefault(line, reasons[kind])
    return found


def _kinds(values: Sequence[Any]) -> Sequence[Hashable]:
    """Tell values apart: 1, 1.0 and true are three, lists and the like go by how they are written.

    Where all are of one type they are told apart by themselves.
    """
    types = {*map(type, values)} - {type(None)}
    if len(types) <= 1 and types <= _PLAIN:
        return values
    return [(type(v), v if type(v) in _PLAIN else repr(v)) for v in values]


def _read(column: str, value: object, lacking: bool) -> tuple[object, str]:
    """Give a value, or None with the reason why its row cannot be used."""
    if missing(value):
        return None, f"{column} is missing" if lacking else ""
    try:
        return READERS[column](value), ""
    except ValueError as error:
        return None, f"{column} is {value!r:.60}; allowed: {error}"


def _check_counts(rows: pd.DataFrame, rejected: dict[int, str]) -> pd.DataFrame:
    rows = rows.astype({"position": int, "agreeing": int, "trials": int})
    return _without(
        rows,
        rejected,
        (rows["trials"] < 1, "trials is 0; allowed: a whole number >= 1"),
        (
            rows["agreeing"] > rows["trials"],
            lambda row: (
                f"agreeing is {row.agreeing}, trials is {row.trials}; allowed: "
                "agreeing in [0, trials]"
            ),
        ),
        _twice(rows, ["trajectory_id", "position"]),
    )


def _check_branches(rows: pd.DataFrame, rejected: dict[int, str]) -> pd.DataFrame:
    rows = rows.astype({"position": int, "count": int, "probability": float, "is_path": bool})
    rows = _without(
        rows,
        rejected,
        (
            rows["label"].isna() & (rows["count"] > 0),
            lambda row: f"label is missing, count is {row.count}; allowed: a label, or count 0",
        ),
        _twice(rows, ["trajectory_id", "position", "token", "label"]),
        _differs(rows, ["trajectory_id", "position", "token"], "probability"),
        _differs(rows, ["trajectory_id", "position", "token"], "is_path"),
        _differs(rows[rows["final_label"].notna()], ["trajectory_id"], "final_label"),
    )
    return _check_positions(rows, rejected)


def _check_positions(rows: pd.DataFrame, rejected: dict[int, str]) -> pd.DataFrame:
    """Set apart positions, all rows of them, whose branches do not fit together."""
    where = ["trajectory_id", "position"]
    branches = rows.drop_duplicates([*where, "token"]).groupby(where, sort=False)
    total, paths = branches["probability"].sum(), branches["is_path"].sum()
    bad = {
        key: f"no branch of position {key[1]} is_path; allowed: one"
        for key in paths.index[paths == 0]
    }
    bad |= {
        key: f"{paths[key]} branches of position {key[1]} are is_path; allowed: one"
        for key in paths.index[paths > 1]
    }
    bad |= {
        key: f"probabilities of position {key[1]} add up to {total[key]:.6g}; allowed: (0, 1]"
        for key in total.index[(total <= 0) | (total > 1 + _SUM_TOLERANCE)]
    }
    if not bad:
        return rows
    keys = pd.MultiIndex.from_frame(rows[where])
    out = keys.isin(list(bad))
    for line, key in zip(rows.loc[out, "line"].tolist(), keys[out], strict=True):
        rejected.setdefault(line, bad[key])
    return rows[~out]


def _twice(rows: pd.DataFrame, key: list[str]) -> tuple[pd.Series[bool], object]:
    first = rows.groupby(key, sort=False, dropna=False)["line"].transform("first")
    shown = " and ".join(key)
    return rows.duplicated(
        key
    ), lambda row: f"{shown} are those of line {first[row.Index]}; allowed: one row for each"


def _differs(rows: pd.DataFrame, key: list[str], column: str) -> tuple[pd.Series[bool], object]:
    groups = rows.groupby(key, sort=False)
    first, line = groups[column].transform("first"), groups["line"].transform("first")
    return (
        rows[column] != first,
        lambda row: (
            f"{column} is {getattr(row, column)}, and {first[row.Index]} in line "
            f"{line[row.Index]} for the same {' and '.join(key)}; allowed: one value"
        ),
    )


def _without(
    rows: pd.DataFrame, rejected: dict[int, str], *faults: tuple[pd.Series[bool], object]
) -> pd.DataFrame:
    """Set rows apart that have a fault: a mask, and the reason or what tells it of a row."""
    out: set[object] = set()
    for mask, reason in faults:
        for row in rows.loc[mask.index[mask]].itertuples():
            told = reason(row) if callable(reason) else reason
            rejected.setdefault(int(str(row.line)), str(told))
            out.add(row.Index)
    return rows[~rows.index.isin(out)]


def without_trajectories(rollouts: Rollouts, reasons: dict[str, str]) -> Rollouts:
    """Set trajectories apart that cannot be used, all rows of them."""
    out = rollouts.rows["trajectory_id"].isin(list(reasons))
    named = rollouts.rows.loc[out, ["line", "trajectory_id"]].itertuples(index=False)
    more = [Rejected(int(line), reasons[name]) for line, name in named]
    rejected = tuple(sorted([*rollouts.rejected, *more], key=lambda one: one.line))
    return replace(rollouts, rows=rollouts.rows[~out], rejected=rejected)
