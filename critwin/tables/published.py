"""Numbers that others have published, and how a run's stand to them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import yaml

from critwin.errors import ParameterError
from critwin.statistics import clopper_pearson
from critwin.tables.facts import RunFacts

WITHIN, OUTSIDE = "inside our interval", "outside our interval"
AGREES, DIFFERS = "agrees", "differs"


@dataclass(frozen=True)
class Published:
    """Published numbers.

    Attributes:
        source: Where they were published.
        models: Pattern that a run's model must match, by the name in the publication.
        datasets: Pattern that its problem set must match.
        quantities: Path to what a run measured of it.
        cells: The numbers: model, dataset, quantity, value, where; `trials` where it is a share of
            so many independent draws.
    """

    source: str
    models: Mapping[str, str]
    datasets: Mapping[str, str]
    quantities: Mapping[str, str]
    cells: tuple[Mapping[str, Any], ...]


@cache
def read_published(name: str) -> Published:
    """Read a file of published numbers from `critwin/assets/published`.

    Raises:
        ParameterError: There is none of that name.
    """
    folder = resources.files("critwin") / "assets" / "published"
    known = sorted(f.name.removesuffix(".yaml") for f in folder.iterdir())
    if name not in known:
        raise ParameterError("published", name, ", ".join(known))
    values = yaml.safe_load((folder / f"{name}.yaml").read_text(encoding="utf-8"))
    return Published(
        values["source"],
        values["models"],
        values["datasets"],
        values["quantities"],
        tuple(values["cells"]),
    )


def published_rows(numbers: Published, run: RunFacts) -> list[dict[str, Any]]:
    """Give a row for each published number of which the run has measured the counterpart.

    Returns:
        Rows with model, dataset, quantity, where, published (an interval where its number of
        draws is known: exact, 95 %), measured, difference (measured less published, with an
        interval where both have one), and verdict.
    """
    rows = []
    for cell in numbers.cells:
        patterns = (numbers.models[cell["model"]], numbers.datasets[cell["dataset"]])
        names = (run.run["model"], run.run["dataset"])
        if not all(re.search(p, str(n or ""), re.I) for p, n in zip(patterns, names, strict=True)):
            continue
        measured = run.find(numbers.quantities[cell["quantity"]])
        if not isinstance(measured, Mapping) or measured.get("estimate") is None:
            continue
        published = with_error(float(cell["value"]), cell.get("trials"))
        rows.append(
            {key: cell[key] for key in ("model", "dataset", "quantity", "where")}
            | {"published": published, "measured": measured}
            | held_against(published, measured)
        )
    return rows


def with_error(value: float, trials: int | None) -> dict[str, float | None]:
    """Give a published share with its exact 95 % interval, where its number of draws is known."""
    if trials is None:
        return {"estimate": value, "lower": None, "upper": None}
    lower, upper = clopper_pearson(value * trials, trials)
    return {"estimate": value, "lower": float(lower), "upper": float(upper)}


def held_against(published: Mapping[str, Any], measured: Mapping[str, Any]) -> dict[str, Any]:
    """Hold a measured interval against a published number.

    Both having errors, the interval of the difference is put together by the method of variance
    estimates recovery for independent estimates, and the verdict is whether it holds 0. A published
    number without an error gets no verdict: it is said whether it lies in the measured interval.

    Source:
        Zou, Donner (2008), Statistics in Medicine 27, 1693-1702.
    """
    p, m = float(published["estimate"]), float(measured["estimate"])
    less: dict[str, float | None] = {"estimate": m - p, "lower": None, "upper": None}
    ends = [measured["lower"], measured["upper"], published["lower"], published["upper"]]
    if any(end is None for end in ends[:2]):
        return {"difference": less, "verdict": "measured without an interval"}
    if any(end is None for end in ends[2:]):
        inside = ends[0] <= p <= ends[1]
        return {"difference": less, "verdict": WITHIN if inside else OUTSIDE}
    lower = m - p - math.hypot(m - ends[0], ends[3] - p)
    upper = m - p + math.hypot(ends[1] - m, p - ends[2])
    less |= {"lower": lower, "upper": upper}
    return {"difference": less, "verdict": AGREES if lower <= 0 <= upper else DIFFERS}
