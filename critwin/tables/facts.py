"""What a finished run says of itself, and how a table's description points at a piece of it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from critwin.errors import ParameterError, RecordsError
from critwin.records import RunDirectory

STEP = re.compile(r"^(\w[\w -]*)((?:\[[^\]]*\])*)$")
"""One step of a path: a key, and selections in brackets."""

RECORDS = ("*.parquet", "summary.json", "provenance.json", "config.yaml")
"""Files of a run that a cell may come from."""

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class RunFacts:
    """A finished run, as tables look at it.

    Attributes:
        path: Its run directory.
        provenance: Its provenance record.
        summary: Its headline numbers.
    """

    path: Path
    provenance: Mapping[str, Any]
    summary: Mapping[str, Any]

    @property
    def run_id(self) -> str:
        """Identity of the run."""
        return str(self.provenance["run_id"])

    @property
    def experiment(self) -> str:
        """Name of its experiment."""
        return str(self.provenance["experiment"])

    @cached_property
    def identity(self) -> Mapping[str, Any]:
        """What determined its numbers; of a run that labels another anew, both runs' components."""
        own = dict(self.provenance.get("identity") or {})
        sources = self.provenance.get("sources") or []
        return {**sources[0]["identity"], **own} if len(sources) == 1 else own

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """Its resolved config; empty where it is gone."""
        try:
            text = (self.path / "config.yaml").read_text(encoding="utf-8")
            values = yaml.load(text, Loader=_Loader)
        except (OSError, yaml.YAMLError):
            return {}
        return values if isinstance(values, dict) else {}

    @cached_property
    def digests(self) -> dict[str, str]:
        """Hex SHA-256 of each record file, by name."""
        files = sorted({p for pattern in RECORDS for p in self.path.glob(pattern)})
        return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in files}

    @cached_property
    def run(self) -> dict[str, Any]:
        """What tables say of a run in a word: experiment, model, dataset, how, cost."""
        seconds = self.provenance.get("seconds") or {}
        model, dataset = (self.identity.get(key) or {} for key in ("model", "dataset"))
        side = "model" if model else "aligned"  # two models are compared: the one that is attacked
        model = model or self.identity.get(side) or {}
        hub = (self.config.get("dataset") or {}).get("config")
        return {
            "id": self.run_id,
            "short_id": self.run_id[:6],
            "experiment": self.experiment,
            "model": _named(model, (self.config.get(side) or {})),
            "dataset": _dataset(_named(dataset, {}), hub),
            "protocol": _named(self.identity.get("sampler") or {}, {}),
            "rule": _named(self.identity.get("window") or {}, {}),
            "temperature": model.get("temperature"),
            "tokens": self.provenance.get("tokens_generated"),
            "seconds": sum(seconds.values()) if seconds else None,
            "device": self.provenance.get("device"),
            "commit": (self.provenance.get("git_commit") or "")[:7],
        }

    def find(self, path: str, row: object = None) -> Any:
        """Give what a path points at; None where the run has nothing there.

        Args:
            path: Keys with dots, from `run`, `summary`, `provenance`, `identity` or `row`;
                `key[a=1,b=x]` selects the one entry of a list, `key[2]` the third.
            row: What `row` stands for.
        """
        root, _, rest = path.partition(".")
        start = row if root == "row" else getattr(self, root)
        return follow(start, rest)

    def table(self, name: str) -> list[dict[str, Any]] | None:
        """Give the rows of a table file of the run; None where it has none."""
        if not (self.path / name).is_file():
            return None
        rows: list[dict[str, Any]] = RunDirectory(self.path).read(Path(name).stem).to_pylist()
        return rows


ROOTS = ("run", "summary", "provenance", "identity", "row")
"""Where a path of a table's description may begin."""


def read_facts(path: Path) -> RunFacts:
    """Read a finished run.

    Raises:
        RecordsError: It is none, or damaged; the message says why.
    """
    directory = RunDirectory(path)
    provenance, summary = directory.read_json("provenance"), directory.read_json("summary")
    if provenance is None:
        raise RecordsError("it was never begun: there is no provenance.json")
    lacking = [k for k in ("run_id", "experiment", "status", "identity") if k not in provenance]
    if lacking:
        raise RecordsError(f"its provenance.json lacks {', '.join(lacking)}")
    if provenance["status"] != "complete":
        raise RecordsError(f"its status is {provenance['status']}")
    if summary is None:
        raise RecordsError("there is no summary.json")
    return RunFacts(path, provenance, summary)


def check_path(key: str, path: str) -> None:
    """Refuse a path that `RunFacts.find` could not follow anywhere.

    Raises:
        ParameterError: The message names the key.
    """
    root, *steps = _steps(path)
    allowed = f"keys with dots that begin with {', '.join(ROOTS)}, as summary.with_window.all"
    if root not in ROOTS or not all(STEP.match(step) for step in steps):
        raise ParameterError(key, path, allowed)


def follow(value: Any, path: str) -> Any:
    """Follow a path from a value; None where it leads nowhere."""
    for step in _steps(path):
        match = STEP.match(step)
        if match is None or not isinstance(value, Mapping):
            return None
        value = value.get(match[1])
        for chosen in re.findall(r"\[([^\]]*)\]", match[2]):
            value = _select(value, chosen)
    return value


def _steps(path: str) -> list[str]:
    """Split at dots that stand outside brackets."""
    return [step for step in re.split(r"\.(?![^\[]*\])", path) if step]


def _select(value: Any, chosen: str) -> Any:
    if not isinstance(value, Sequence) or isinstance(value, str):
        return None
    if chosen.isdigit():
        return value[int(chosen)] if int(chosen) < len(value) else None
    wanted = dict(part.partition("=")[::2] for part in chosen.split(","))
    found = [
        entry
        for entry in value
        if isinstance(entry, Mapping) and all(_same(entry.get(k), w) for k, w in wanted.items())
    ]
    return found[0] if len(found) == 1 else None


def _same(value: object, wanted: str) -> bool:
    if value is None:
        return wanted == "null"
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return abs(float(value) - float(wanted)) < 1e-9
        except ValueError:
            return False
    return str(value) == wanted


def _named(component: Mapping[str, Any], config: Mapping[str, Any]) -> str | None:
    """Name a component: the model that it loads, or its class in plain words."""
    path = str(config.get("path") or "")
    if path:
        return path.replace("embedded:", "embedded ").rstrip("/").rpartition("/")[2]
    name = str(component.get("class") or "").rpartition(".")[2]
    return " ".join(_words(name)) or None


def _dataset(name: str | None, hub: object) -> str | None:
    """Name a problem set: by its part on the hub where that has the set's own name in it."""
    if name is None or not isinstance(hub, str):
        return name
    return hub if name.partition(" ")[0] in hub.lower() else name


def _words(name: str) -> Iterator[str]:
    for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name):
        yield word.lower()
