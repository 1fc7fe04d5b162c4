"""The records of an exact experiment: originals, curves and windows as users know them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from critwin.curve import GridCurve, curves_table
from critwin.records import ORIGINALS, WINDOWS, RunDirectory
from critwin.samplers.exact import Draw, ExactSampler
from critwin.statistics import clopper_pearson
from critwin.theory.times import WindowTimes
from experiments.exact.measuring import Measured


def write_records(
    directory: RunDirectory,
    sampler: ExactSampler,
    measured: Measured,
    xs: Sequence[Draw],
    times: Mapping[str, WindowTimes],
) -> None:
    """Write originals.parquet, curves.parquet and windows.parquet.

    Originals have no tokens; `position` is the sampler's level. The resamples of a curve are drawn
    again by the same command, so that only their counts are kept. A window is one of the theory:
    original_id is null, and `jump` is by how much averaged agreement rises over it.
    """
    names = [f"g{number}" for number in range(len(measured.groups))]
    directory.write("originals", _originals(sampler, measured, xs, names))
    directory.write("curves", _curves(sampler, measured, names))
    rows = [_window(sampler, measured, name, window) for name, window in times.items()]
    directory.write("windows", pa.Table.from_pylist(rows, schema=WINDOWS))


def told(window: WindowTimes) -> dict[str, float | bool | None]:
    """Give the times as a summary tells them: null for none, and for one without end."""
    times = {
        "time_before": window.time_before,
        "time_after": window.time_after,
        "width": window.width,
        "plateau": window.plateau,
        "time_end": window.end.value,
        "time_start_after": window.start_after.value,
        "time_start_before": window.start_before.value,
    }
    return {name: None if time == float("inf") else time for name, time in times.items()}


def _originals(
    sampler: ExactSampler, measured: Measured, xs: Sequence[Draw], names: Sequence[str]
) -> pa.Table:
    rows: list[dict[str, object]] = [
        {
            "original_id": f"x{i:06d}",
            "problem_id": "mixture",
            "replicate": i,
            "prompt": "",
            "prompt_ids": [],
            "text": sampler.text(x)[:400],
            "token_ids": [],
            "tokens": [],
            "surprisal": [],
            "label": names[int(measured.own[i])],
            "truth": None,
            "correct": None,
            "unscored": False,
            "finish_reason": "end",
            "seed": None,
        }
        for i, x in enumerate(xs)
    ]
    return pa.Table.from_pylist(rows, schema=ORIGINALS)


def _curves(sampler: ExactSampler, measured: Measured, names: Sequence[str]) -> pa.Table:
    trials = np.full(len(measured.levels), measured.draws)
    lower, upper = clopper_pearson(measured.counts, measured.draws)
    curves = [
        GridCurve(
            original_id=f"x{i:06d}",
            label=names[int(own)],
            own=True,
            estimator="grid",
            length=sampler.last_level,
            position=np.append(measured.levels, sampler.last_level),
            agreement=np.append(measured.counts[:, i, own] / measured.draws, 1.0),
            lower=np.append(lower[:, i, own], 1.0),
            upper=np.append(upper[:, i, own], 1.0),
            trials=np.append(trials, 0),
            unscored=np.zeros(len(measured.levels) + 1),
        )
        for i, own in enumerate(measured.own)
    ]
    return curves_table(curves)


def _window(
    sampler: ExactSampler, measured: Measured, name: str, window: WindowTimes
) -> dict[str, object]:
    row: dict[str, object] = dict.fromkeys(WINDOWS.names)
    row |= {
        "label": name,
        "rule": "definition_4",
        "direction": "rise",
        "time_before": _finite(window.time_before),
        "time_after": _finite(window.time_after),
        "plateau": window.plateau,
    }
    if window.time_before is not None and window.time_after is not None:
        last = sampler.last_level
        begin, end = (sampler.level_at(t) for t in (window.time_before, window.time_after))
        places = [int(abs(measured.levels - level).argmin()) for level in (begin, end)]
        stays = [_stay(measured, place) for place in places]
        row |= {
            "position_start": begin,
            "position_end": end,
            "place_lower": begin,
            "place_upper": end,
            "t_start": 1 - begin / last,
            "t_end": 1 - end / last,
            "tokens": end - begin,
            "jump": stays[1] - stays[0],
        }
    return row


def _stay(measured: Measured, place: int) -> float:
    own = measured.counts[place][np.arange(len(measured.own)), measured.own]
    return float(own.mean() / measured.draws)


def _finite(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else value
