"""The experiments there are, read from the comments at the top of `conf/exp/*.yaml`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

CONF = Path(__file__).parents[1] / "conf"


@dataclass(frozen=True)
class Entry:
    """An experiment as the list shows it.

    Attributes:
        name: Name on the command line.
        description: One line.
    """

    name: str
    description: str


def experiments(folders: Iterable[Path] = (CONF,)) -> list[Entry]:
    """Give the experiments of some config folders, by name."""
    files = [path for folder in folders for path in (folder / "exp").glob("*.yaml")]
    return [Entry(path.stem, _description(path)) for path in sorted(files, key=lambda p: p.stem)]


def _description(path: Path) -> str:
    """Give the first comment line of a file that is no directive for Hydra."""
    for line in path.read_text(encoding="utf-8").splitlines():
        comment = line.removeprefix("#").strip()
        if line.startswith("#") and comment and not comment.startswith("@"):
            return comment
    return ""


def listing(entries: Iterable[Entry]) -> str:
    """Write the experiments one per line."""
    rows = list(entries)
    width = max((len(entry.name) for entry in rows), default=0)
    return "\n".join(f"  {entry.name:<{width}}  {entry.description}" for entry in rows)
