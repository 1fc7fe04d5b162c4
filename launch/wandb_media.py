"""What of a finished run directory goes to W&B."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

TABLES = ("curves", "windows", "attribution", "plans")

RECORDS = ("*.parquet", "*.json", "*.yaml", "report.html")
PAGE_BYTES = 50 * 10**6
"""Larger pages are not shown at W&B: its app loads a page whole, and stands still meanwhile."""

RECORDS_BYTES = 10**9
"""Larger records stay where they are: an upload must not hold the end of a run up."""


def publish_records(run: Any, directory: Path) -> None:
    """Send the records as one artifact.

    Args:
        run: The open W&B run.
        directory: The finished run directory.
    """
    import wandb

    files = [path for pattern in RECORDS for path in sorted(directory.glob(pattern))]
    files = [path for path in files if not path.name.startswith(".")]
    if sum(path.stat().st_size for path in files) > RECORDS_BYTES:
        log.warning("the records are larger than %d MB: W&B gets none", RECORDS_BYTES // 10**6)
        return
    artifact = wandb.Artifact(f"records-{directory.name}", type="records")
    for path in files:
        artifact.add_file(str(path), policy="immutable")  # no second copy
    run.log_artifact(artifact)


def publish(run: Any, directory: Path, *, step: int) -> None:
    """Log tables, page and figures as media and the headline numbers as summary.

    Args:
        run: The open W&B run.
        directory: The finished run directory; what it does not hold is left out.
        step: The next step of the run.
    """
    import wandb

    media: dict[str, object] = {}
    for name in TABLES:
        path = directory / f"{name}.parquet"
        if path.exists():
            media[name] = table(path)
    page = directory / "report.html"
    if page.exists() and page.stat().st_size <= PAGE_BYTES:
        media["report"] = wandb.Html(page.read_text(encoding="utf-8"), inject=False)
    elif page.exists():
        limit = f"larger than {PAGE_BYTES // 10**6} MB"
        log.warning("the page is %s: W&B gets it with the records, not to look at: %s", limit, page)
    for path in sorted((directory / "figures").glob("*.png")):
        media[f"figures/{path.stem}"] = wandb.Image(str(path))
    if media:
        run.log(media, step=step)
    summary = directory / "summary.json"
    if summary.exists():
        numbers = dict(flatten(json.loads(summary.read_text(encoding="utf-8"))))
        # a number must not take the place of a table in W&B's summary
        run.summary.update({key: value for key, value in numbers.items() if key not in media})


def table(path: Path) -> Any:
    """Read a parquet table; columns of lists are left out.

    Of one that is too long for W&B evenly spaced rows are taken, own-label curves alone.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq
    import wandb

    rows = pq.read_table(path)
    rows = rows.select([field.name for field in rows.schema if not pa.types.is_list(field.type)])
    if rows.num_rows > wandb.Table.MAX_ROWS and "own" in rows.column_names:
        rows = rows.filter(pc.field("own"))
    step = -(-rows.num_rows // wandb.Table.MAX_ROWS) or 1
    rows = rows.take(pa.array(range(0, rows.num_rows, step), pa.int64()))
    data: list[Iterable[Any]] = [list(row.values()) for row in rows.to_pylist()]
    return wandb.Table(columns=rows.column_names, data=data, allow_mixed_types=True)


def flatten(value: object, path: str = "") -> Iterator[tuple[str, float]]:
    """Give every finite number in nested mappings and lists, its path joined by slashes.

    An entry of a list goes by its `name` where it has one, else by its index.
    """
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from flatten(inner, f"{path}/{key}" if path else str(key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            name = inner.get("name", index) if isinstance(inner, Mapping) else index
            yield from flatten(inner, f"{path}/{name}" if path else str(name))
    elif isinstance(value, int | float) and math.isfinite(value):
        yield path, value
