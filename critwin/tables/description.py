"""A table as it is described once, in `conf/table/<name>.yaml`, for every form it is written in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from critwin.errors import ParameterError
from critwin.tables.facts import RunFacts, check_path
from critwin.tables.numbers import MISSING, Cell, finite
from critwin.tables.published import Published, published_rows, read_published

Kind = Literal["text", "number", "interval"]

LABEL = re.compile(r"^[A-Za-z0-9:_-]+$")


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        heading: What stands above it.
        value: Path to what stands in it (critwin/tables/facts.py).
        kind: text; number; interval: a mapping with estimate, lower and upper, or a number whose
            ends stand elsewhere.
        lower: Path to the lower end of an interval that is no mapping; None: it is one.
        upper: Path to the upper end.
        digits: Digits after the point.
        missing: What stands where there is no number.
        percent: Whether shares are shown as percentages.
    """

    heading: str
    value: str
    kind: Kind = "text"
    digits: int = 0
    missing: str = MISSING
    percent: bool = False
    lower: str | None = None
    upper: str | None = None

    @property
    def paths(self) -> tuple[str, ...]:
        """All its paths."""
        return tuple(path for path in (self.value, self.lower, self.upper) if path is not None)

    def of(self, run: RunFacts, row: Any) -> Cell:
        """Make its cell in a row of a run."""
        found = run.find(self.value, row)
        if self.lower is not None and self.upper is not None:
            ends = {"lower": run.find(self.lower, row), "upper": run.find(self.upper, row)}
            found = {"estimate": found, **ends}
        return self.cell(found)

    def cell(self, found: Any) -> Cell:
        """Make its cell of what was found."""
        if self.kind == "text":
            return Cell(text=self.missing if found is None else _plain(found))
        named = found if isinstance(found, Mapping) else {"estimate": found}
        ends = ("lower", "upper") if self.kind == "interval" else ()
        value, lower, upper = (
            finite(named.get(key)) if key in ("estimate", *ends) else None
            for key in ("estimate", "lower", "upper")
        )
        if self.percent:
            value, lower, upper = (None if v is None else 100 * v for v in (value, lower, upper))
        return Cell(None, value, lower, upper, self.digits, self.missing)


@dataclass(frozen=True, kw_only=True)
class TableDescription:
    """What a table is made of.

    Attributes:
        caption: What it shows, and what its numbers are.
        label: By which a manuscript refers to it.
        rows: What gives a row: `run`, each run; a path to a list, a mapping or a table of the
            summary, each entry; `NAME.parquet`, each row of a table file; `published`, each
            published number that a run has a counterpart of.
        columns: Its columns, from left to right; keys as in `Column`.
        needs: Paths to what a row must have; one that lacks it is left out.
        only: Patterns that what stands at a path must match.
        experiments: Experiments whose runs give rows; empty: all.
        note: Stands below it.
        wide: Whether it goes over both columns of a page.
        settings: Whether settings that its runs do not share are told.
        published: File of published numbers in critwin/assets/published, for rows `published`.
    """

    caption: str
    label: str
    rows: str
    columns: tuple[Mapping[str, Any], ...]
    needs: tuple[str, ...] = ()
    only: Mapping[str, str] | None = None
    experiments: tuple[str, ...] = ()
    note: str = ""
    wide: bool = True
    settings: bool = True
    published: str | None = None

    def __post_init__(self) -> None:
        if not LABEL.match(self.label):
            raise ParameterError("label", self.label, "letters, digits, :, - and _")
        if not self.columns:
            raise ParameterError("columns", list(self.columns), "one column or more")
        for place, (key, path) in enumerate(self._paths()):
            check_path(key or f"columns[{place}].value", path)
        if (self.rows == "published") != (self.published is not None):
            allowed = "a file of published numbers where rows is published, else null"
            raise ParameterError("published", self.published, allowed)
        _ = self.table_columns, self.numbers
        for key, pattern in (self.only or {}).items():
            try:
                re.compile(pattern)
            except (re.error, TypeError):
                raise ParameterError(f"only.{key}", pattern, "a regular expression") from None

    def _paths(self) -> Iterator[tuple[str, str]]:
        yield from (("", str(column.get("value"))) for column in self.columns)
        yield from (("needs", path) for path in self.needs)
        yield from (("only", path) for path in self.only or {})
        if self.rows not in ("run", "published") and not self.rows.endswith(".parquet"):
            yield "rows", self.rows

    @property
    def table_columns(self) -> tuple[Column, ...]:
        """The columns.

        Raises:
            ParameterError: One has a key that no column has, or lacks one.
        """
        known = {field.name for field in fields(Column)}
        made = []
        for place, described in enumerate(self.columns):
            key = f"columns[{place}]"
            strange = sorted(set(described) - known)
            if strange:
                allowed = f"a column, with {', '.join(sorted(known))}"
                raise ParameterError(f"{key}.{strange[0]}", described[strange[0]], allowed)
            if "heading" not in described or "value" not in described:
                raise ParameterError(key, dict(described), "a column with heading and value")
            column = Column(**described)
            for path in column.paths[1:]:
                check_path(f"{key}.lower and upper", path)
            if (column.lower is None) != (column.upper is None):
                raise ParameterError(key, dict(described), "lower and upper both, or neither")
            if column.kind not in get_args(Kind):
                raise ParameterError(f"{key}.kind", column.kind, ", ".join(get_args(Kind)))
            if type(column.digits) is not int or not 0 <= column.digits <= 9:
                raise ParameterError(f"{key}.digits", column.digits, "a whole number, 0 to 9")
            made.append(column)
        return tuple(made)

    @property
    def numbers(self) -> Published | None:
        """The published numbers that runs are held against."""
        return None if self.published is None else read_published(self.published)

    def entries(self, run: RunFacts) -> list[Any]:
        """Give what makes a row of a run, each; nothing where the run has no part in the table."""
        if self.experiments and run.experiment not in self.experiments:
            return []
        return [row for row in self._entries(run) if self._belongs(run, row)]

    def _entries(self, run: RunFacts) -> Sequence[Any]:
        if self.rows == "run":
            return [None]
        numbers = self.numbers
        if numbers is not None:
            return published_rows(numbers, run)
        if self.rows.endswith(".parquet"):
            return run.table(self.rows) or []
        return listed(run.find(self.rows))

    def _belongs(self, run: RunFacts, row: Any) -> bool:
        if any(_is_empty(run.find(path, row)) for path in self.needs):
            return False
        patterns = (self.only or {}).items()
        return all(re.search(p, str(run.find(path, row) or "")) for path, p in patterns)


def listed(found: Any) -> list[Any]:
    """Give the rows of a list, of a mapping (its keys as `name`) or of a table of a summary."""
    if isinstance(found, Mapping) and {"columns", "rows"} <= found.keys():
        return [dict(zip(found["columns"], row, strict=True)) for row in found["rows"]]
    if isinstance(found, Mapping):
        rows = {k: v if isinstance(v, Mapping) else {"estimate": v} for k, v in found.items()}
        return [{"name": name, **row} for name, row in rows.items()]
    if isinstance(found, list):
        tables = [r for r in found if isinstance(r, Mapping) and {"columns", "rows"} <= r.keys()]
        return [row for table in tables for row in listed(table)] if tables else found
    return []


def _is_empty(found: Any) -> bool:
    """Tell whether nothing stands at a place; an interval without an estimate is nothing."""
    if isinstance(found, Mapping) and "estimate" in found:
        return found["estimate"] is None
    return found is None


def _plain(found: Any) -> str:
    if isinstance(found, float):
        return f"{found:g}"
    if isinstance(found, bool):
        return "yes" if found else "no"
    return str(found)
