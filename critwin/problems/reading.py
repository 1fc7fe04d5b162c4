"""Reads files of benchmarks to rows that know where they stand: JSON lines, JSON, CSV, text."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from critwin.errors import ProblemError

_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Row:
    """One record of a source.

    Attributes:
        where: File and line, or the hub's name and the number of the row, for messages.
        values: Its fields by name.
    """

    where: str
    values: Mapping[str, Any]

    def refuse(self, allowed: str) -> ProblemError:
        """Make the error that says what a record may be."""
        return ProblemError(f"{self.where}: allowed is {allowed}")


def read_text(path: Path) -> str:
    r"""Read a file in UTF-8, gzip or not; no byte order mark, and `\n` ends each line.

    Raises:
        ProblemError: It cannot be read, or is not UTF-8; the message names the line.
    """
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if content.startswith(_GZIP) else content
    except (OSError, EOFError, zlib.error) as error:
        allowed = "a file of problems"
        raise ProblemError(f"{path} cannot be read ({error}); allowed: {allowed}") from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ProblemError(f"{path}, line {line} is not UTF-8; allowed: UTF-8") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def json_lines(path: Path) -> Iterator[Row]:
    """Give the objects of a file with one in each line; empty lines are left out.

    Raises:
        ProblemError: A line holds something else; the message names it.
    """
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if line.strip():
            yield Row(f"{path}, line {number}", _object(line, f"{path}, line {number}"))


def json_document(path: Path) -> Any:
    """Give what a file holds that is one JSON value.

    Raises:
        ProblemError: It is none.
    """
    return _parsed(read_text(path), str(path))


def csv_rows(path: Path, names: Sequence[str] | None = None) -> Iterator[Row]:
    """Give the records of a CSV file, quoted line breaks kept.

    Args:
        path: The file.
        names: Names of the columns where the file has no header.

    Raises:
        ProblemError: A record has another number of fields; the message names its first line.
    """
    csv.field_size_limit(2**31 - 1)
    reader = csv.reader(io.StringIO(read_text(path)), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise ProblemError(f"{path}, line {line} is no CSV ({error})") from None
        if names is None:
            names = record
        elif record and len(record) != len(names):
            allowed = f"{len(names)} fields, {', '.join(names)}"
            raise ProblemError(f"{path}, line {line} has {len(record)} fields; allowed: {allowed}")
        elif record:
            yield Row(f"{path}, line {line}", dict(zip(names, record, strict=True)))


def _object(text: str, where: str) -> dict[str, Any]:
    value = _parsed(text, where)
    if not isinstance(value, dict):
        raise ProblemError(f"{where} holds {text.strip():.40}; allowed: one JSON object per line")
    return value


def _parsed(text: str, where: str) -> Any:
    try:
        value = json.loads(text)
        json.dumps(value, ensure_ascii=False).encode()  # half of a surrogate pair is no text
    except (ValueError, RecursionError) as error:
        raise ProblemError(f"{where} is no JSON ({error}); allowed: JSON in UTF-8") from None
    return value
