"""Reads rollout files (Parquet, CSV, JSON lines; gzip too) to columns that know their lines."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from critwin.errors import RolloutError

FORMATS = (".parquet", ".csv", ".jsonl", ".ndjson")
ALLOWED = "a file of rollouts: .parquet, .csv or .jsonl, .gz behind it or not"
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Rejected:
    """A row that cannot be used.

    Attributes:
        line: Its line in the file, counted from 1, the header of CSV included; of Parquet its row.
        reason: What is wrong with it, and what is allowed.
    """

    line: int
    reason: str


@dataclass(frozen=True)
class RawRows:
    """The rows of a file as they stand there, column by column.

    Attributes:
        columns: Values of each column, length N; None where a row has none.
        lines: Line of each row, length N.
        unit: What `lines` count: `line`, or `row` for Parquet.
        rejected: Rows that are none, by line; not among the N.
        keys: Of JSON lines the keys of the first row, and of each of the N that has others.
    """

    columns: Mapping[str, Sequence[Any]]
    lines: Sequence[int]
    unit: str
    rejected: list[Rejected] = field(default_factory=list)
    keys: Mapping[int, frozenset[str]] = field(default_factory=dict)


def read_rows(path: Path) -> RawRows:
    """Read a file of rows.

    Args:
        path: The file; its ending says the format, `.gz` behind it or not.

    Raises:
        RolloutError: It cannot be read as what its ending says.
    """
    kind = path.suffixes[-2] if path.suffix == ".gz" and len(path.suffixes) > 1 else path.suffix
    if kind.lower() not in FORMATS:
        raise RolloutError(f"{path.name} ends in {kind or 'nothing'}; allowed: {ALLOWED}")
    content = _content(path)
    if not content.strip():
        raise RolloutError(f"{path.name} is empty; allowed: {ALLOWED} with one row or more")
    if kind.lower() == ".parquet":
        return _parquet(path, content)
    text = _text(path, content)
    return _csv(path, text) if kind.lower() == ".csv" else _json_lines(text)


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content.startswith(_GZIP) else content
    except (OSError, EOFError, zlib.error) as error:
        raise RolloutError(f"{path.name} cannot be read ({error}); allowed: {ALLOWED}") from None


def _text(path: Path, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise RolloutError(f"{path.name}, line {line} is not UTF-8; allowed: UTF-8") from None


def _parquet(path: Path, content: bytes) -> RawRows:
    try:
        table = pq.read_table(io.BytesIO(content))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise RolloutError(f"{path.name} is no Parquet file ({error})") from None
    columns = {str(name): table[name].to_pylist() for name in table.column_names}
    return RawRows(columns, range(1, table.num_rows + 1), "row")


def _csv(path: Path, text: str) -> RawRows:
    # a lone \r is no line break to csv: it would end up inside a field
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    plain = _plain_columns(text)
    if plain is not None:
        names, columns = plain
        lines: Sequence[int] = range(2, 2 + len(columns[0]))
        rejected: list[Rejected] = []
    else:
        names, columns, lines, rejected = _quoted_columns(path, text)
    header = [name.strip() for name in names]
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise RolloutError(f"{path.name}, line 1 names {', '.join(twice)} twice; allowed: once")
    values = map(_with_nones, columns)
    return RawRows(dict(zip(header, values, strict=True)), lines, "line", rejected)


def _plain_columns(text: str) -> tuple[list[str], list[Sequence[str]]] | None:
    """Cut a text without quotes, empty lines or lines of another length at its commas, quickly."""
    if '"' in text:
        return None
    body = text.removesuffix("\n")
    lines = body.split("\n")
    commas = lines[0].count(",")
    if "" in lines or {line.count(",") for line in lines} != {commas}:
        return None
    fields = body.replace("\n", ",").split(",")
    return fields[: commas + 1], [fields[i :: commas + 1][1:] for i in range(commas + 1)]


def _quoted_columns(
    path: Path, text: str
) -> tuple[list[str], list[Sequence[str]], list[int], list[Rejected]]:
    """Give the header, columns, lines, and rows of another length, of any text."""
    csv.field_size_limit(2**31 - 1)
    records = _records(path, csv.reader(io.StringIO(text), strict=True))
    _, header = next(records, (1, []))
    rows, lines, rejected = [], [], []
    for line, record in records:
        if len(record) != len(header):
            reason = f"it has {len(record)} fields; allowed: {len(header)}, as the header names"
            rejected.append(Rejected(line, reason))
        else:
            rows.append(record)
            lines.append(line)
    columns: list[Sequence[str]] = [*zip(*rows, strict=True)]
    return header, columns or [()] * len(header), lines, rejected


def _records(path: Path, reader: Any) -> Iterator[tuple[int, list[str]]]:
    """Give each record that is not an empty line with the line at which it begins."""
    while True:
        line = reader.line_num + 1
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise RolloutError(f"{path.name}, line {line} is no CSV ({error})") from None
        if record:
            yield line, record


def _with_nones(column: Sequence[str]) -> Sequence[str | None]:
    """Give a column with None where a field is blank."""
    blank = {value for value in {*column} if not value.strip()}
    return [None if value in blank else value for value in column] if blank else column


def _json_lines(text: str) -> RawRows:
    rows: list[dict[str, Any]] = []
    lines, rejected = [], []
    decoder = json.JSONDecoder(parse_constant=_no_number)  # json.loads makes one for each line
    for line, content in enumerate(text.split("\n"), start=1):
        if not content.strip():
            continue
        try:
            row = decoder.decode(content)
        except (ValueError, RecursionError) as error:
            rejected.append(Rejected(line, f"it is no JSON ({error})"))
            continue
        if not isinstance(row, dict):
            reason = f"it is {content.strip():.40}; allowed: one JSON object per line"
            rejected.append(Rejected(line, reason))
            continue
        rows.append(row)
        lines.append(line)
    keys = {
        i: frozenset(row) for i, row in enumerate(rows) if i == 0 or row.keys() != rows[0].keys()
    }
    names = dict.fromkeys(name for i in keys for name in rows[i])
    columns = {name: [row.get(name) for row in rows] for name in names}
    return RawRows(columns, lines, "line", rejected, keys)


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is not a number of JSON; allowed: numbers and null")
