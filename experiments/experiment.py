"""What every experiment is: plain components in, a run directory out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from critwin.errors import RecordsError
from critwin.files import write_text
from critwin.identity import identity, run_id
from critwin.lease import LeaseLost
from critwin.provenance import environment
from critwin.records import SCHEMA_VERSION, RunDirectory
from experiments.noted_progress import NotedProgress
from experiments.tracker import Progress, Tracker

if TYPE_CHECKING:
    from experiments.estimates import Cost, Estimate


PAGE = "report.html"
"""The page of a run: written when it is done, where the experiment does not do so itself."""


@dataclass
class Accounts:
    """What a run cost, over all its starts.

    Attributes:
        tokens_generated: Tokens drawn from the model.
        seconds: Seconds per stage.
        facts: Whatever else belongs into the provenance record, by name.
    """

    tokens_generated: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    facts: dict[str, object] = field(default_factory=dict)


class Experiment(ABC):
    """A measurement. Subclasses are frozen dataclasses: their fields are the keys of the config."""

    name: ClassVar[str]
    """Name on the command line: `+exp=<name>`."""

    stage: ClassVar[str] = "measure"
    """Job type shown by trackers."""

    axis: ClassVar[str] = "originals_done"
    """The scalar over which trackers draw the others."""

    always: ClassVar[bool] = False
    """Whether a finished run is done anew when it is started again: it measures the machine, or it
    looks at other runs, which change."""

    shared: ClassVar[bool] = False
    """Whether several processes may work on one run: it is made of parts, and `help` makes some."""

    execution: ClassVar[frozenset[str]] = frozenset()
    """Fields that say how to compute, not what: left out of the run id."""

    @abstractmethod
    def check(self) -> None:
        """Refuse components that do not fit together, without loading a model.

        Raises:
            CritwinError: The message names the key, the value and what is allowed.
        """

    @abstractmethod
    def run(
        self, directory: RunDirectory, *, tracker: Tracker, progress: Progress
    ) -> Accounts | None:
        """Do what is not done yet and write tables, summary, page and figures.

        Returns:
            What the run cost; None where its records stood whole and nothing was drawn, so that
            the cost is what it was.
        """

    def help(self, directory: RunDirectory, *, wanted: Callable[[], bool]) -> None:
        """Make parts of a run that another process carries out; asked where it is `shared`.

        Args:
            directory: The run directory, held by that process.
            wanted: Tells whether it still needs parts.
        """
        raise NotImplementedError(f"a run of {self.name} is made by one process")

    @property
    def products(self) -> tuple[str, ...]:
        """Files and folders that a complete run holds."""
        return ("summary.json",)

    def tags(self) -> list[str]:
        """Words by which a tracking service can find the run."""
        return [self.name]

    def estimate(self, *, originals: int, forks: int, progress: Progress) -> Estimate | None:
        """Measure, by a pilot of seconds, what a run would cost and show; None where it cannot.

        Args:
            originals: Originals to look at, >= 1.
            forks: Forks of each, >= 0.
            progress: Shows the steps.
        """
        return None

    def cost(self, *, progress: Progress) -> Cost | None:
        """Measure, by a pilot of seconds, what a run would cost; None where nobody can say.

        Args:
            progress: Shows the steps.
        """
        found = self.estimate(originals=24, forks=16, progress=progress)
        return None if found is None else found.cost

    def sources(self) -> list[dict[str, object]]:
        """Describe the runs whose records are read, for the provenance record; fit for JSON."""
        return []

    def determining(self) -> Self:
        """Give an experiment with the same numbers, spelled in the one way that is hashed."""
        return self

    def run_id(self) -> str:
        """Hash what determines the run's numbers."""
        return run_id(self.name, {"components": self.determining()})

    def is_done(self, directory: RunDirectory) -> bool:
        """Tell whether a start would find nothing to do in its run directory.

        Raises:
            RecordsError: The provenance record is damaged.
        """
        return not self.always and is_complete(directory, self.products)


def is_complete(directory: RunDirectory, products: Sequence[str]) -> bool:
    """Tell whether the run was finished by this start or an earlier one, and all of it is there.

    Args:
        directory: Its run directory.
        products: Names of the files and folders that it has to hold; an empty folder is none.

    Raises:
        RecordsError: The provenance record is damaged.
    """
    record = read_provenance(directory)
    if record is None or record["status"] != "complete":
        return False
    return all(_stands(directory.path / name) for name in products)


def read_provenance(directory: RunDirectory) -> dict[str, object] | None:
    """Read the provenance record; None for a run that was never begun.

    Raises:
        RecordsError: It is damaged.
    """
    record = directory.read_json("provenance")
    lacking = [key for key in ("status", "start", "restarts") if key not in (record or {})]
    if record is not None and lacking:
        raise RecordsError(
            f"{directory.path / 'provenance.json'} lacks {', '.join(lacking)}; allowed: the record "
            "as a run writes it; remove the file, and the same command writes it again"
        )
    return record


def _stands(path: Path) -> bool:
    return any(path.iterdir()) if path.is_dir() else path.exists()


def carry_out(
    experiment: Experiment,
    directory: RunDirectory,
    *,
    config: str,
    tracker: Tracker,
    progress: Progress,
    submitted: Mapping[str, object] | None = None,
) -> Mapping[str, object]:
    """Run an experiment in its directory, or go on where it stopped, or do nothing if it is done.

    Args:
        experiment: What to run.
        directory: Its run directory.
        config: The resolved config as YAML, kept beside the records.
        tracker: Mirrors the run.
        progress: Shows it.
        submitted: What is known of the code when the run was submitted, for its record; None for a
            run that starts at once.

    Returns:
        The run's summary.

    Raises:
        LeaseTaken: Another process is computing this run.
        RecordsError: Its directory cannot be used.
    """
    with directory.locked():
        if not experiment.is_done(directory):
            earlier = read_provenance(directory) or {}
            record = earlier | _opening_record(experiment, directory)
            record.pop("error", None)
            if submitted is not None:
                record |= {"submitted": dict(submitted)}
            write_text(directory.path / "config.yaml", config)
            directory.write_json("provenance", record)
            noted = NotedProgress(progress, directory)
            with _end_recorded(directory, record):
                accounts = experiment.run(directory, tracker=tracker, progress=noted)
                if PAGE not in experiment.products:
                    _write_page(directory)
            noted.forget()
            record |= {"status": "complete", "end": _now()}
            if accounts is not None:
                record |= {
                    "tokens_generated": accounts.tokens_generated,
                    "seconds": accounts.seconds,
                    **accounts.facts,
                }
            directory.write_json("provenance", record)
        directory.drop_parts()
    return directory.read_json("summary") or {}


@contextmanager
def _end_recorded(directory: RunDirectory, record: Mapping[str, object]) -> Iterator[None]:
    """Write down how a run ended that did not end well, as far as the disk lets it."""
    end: dict[str, object] = {}
    try:
        yield
    except LeaseLost:
        raise  # the record is another process's now
    except KeyboardInterrupt:
        end = {"status": "stopped"}
        raise
    except Exception as error:
        end = {"status": "failed", "error": f"{type(error).__name__}: {error}"}
        raise
    finally:
        if end:
            with suppress(RecordsError):  # a full disk is told by the error that is on its way
                directory.write_json("provenance", {**record, **end})


def _write_page(directory: RunDirectory) -> None:
    from critwin.report import write_report  # here, so that a refusal need not wait for pandas

    write_report(directory.path)


def help_out(experiment: Experiment, directory: RunDirectory) -> None:
    """Make parts of a run that another process carries out, until it needs no more.

    Args:
        experiment: A `shared` one.
        directory: Its run directory.
    """

    def wanted() -> bool:
        record = read_provenance(directory)
        return record is not None and record["status"] == "running" and directory.is_held()

    experiment.help(directory, wanted=wanted)


def _opening_record(experiment: Experiment, directory: RunDirectory) -> dict[str, object]:
    earlier = read_provenance(directory)
    return {
        "run_id": experiment.run_id(),
        "experiment": experiment.name,
        "schema_version": SCHEMA_VERSION,
        "status": "running",
        "start": earlier["start"] if earlier else _now(),
        "restarts": int(str(earlier["restarts"])) + 1 if earlier else 0,
        "identity": identity(experiment.determining()),
        "sources": experiment.sources(),
        **environment(),
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
