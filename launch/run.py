"""One run, from its config to its run directory."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from rich.text import Text

from critwin.errors import CritwinError, RecordsError
from critwin.records import RunDirectory
from experiments.experiment import carry_out, read_provenance
from launch.build import Job, build
from launch.results import show_results
from launch.sweep import Sweep
from launch.terminal import console, progress_for
from launch.tracking import RunInfo

log = logging.getLogger(__name__)

FAILED = 1
INTERRUPTED = 130
TERMINATED = 143


class Terminated(KeyboardInterrupt):
    """The process was asked to end."""


class CellError(CompactHydraException):
    """A cell of a sweep failed. Its message is all it holds, so it survives pickling.

    Hydra prints its own kind of error without a traceback: the cell's log has the one that helps.
    """


def run(cfg: DictConfig) -> None:
    """Do one run, alone or as a cell of a sweep.

    Raises:
        CellError: The run failed, in a sweep; its log holds the traceback.
        SystemExit: It failed for a reason the user can mend, or was interrupted, alone.
    """
    alone = HydraConfig.get().mode != RunMode.MULTIRUN
    group = None if alone else Path(HydraConfig.get().sweep.dir).name
    choices = HydraConfig.get().runtime.choices
    words = [str(choices[key]) for key in ("model", "dataset", "feature") if choices.get(key)]
    try:
        with _termination_told():
            start(build(cfg), group=group, words=words)
    except KeyboardInterrupt as stop:
        log.warning("stopped; the same command goes on from here")
        if alone:
            sys.exit(TERMINATED if isinstance(stop, Terminated) else INTERRUPTED)
        raise
    except CritwinError as error:
        if alone:
            log.error("%s", error)
            sys.exit(FAILED)
        log.exception("the run failed")
        raise CellError(f"{type(error).__name__}: {error}") from None
    except Exception as error:
        if alone:
            raise
        log.exception("the run failed")
        raise CellError(f"{type(error).__name__}: {error}") from None


@contextmanager
def _termination_told() -> Iterator[None]:
    """Let SIGTERM end a run as Ctrl-C does, where nobody else (submitit) listens to it."""
    if signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return

    def stop(number: int, frame: object) -> None:
        raise Terminated

    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def start(job: Job, *, group: str | None, words: Sequence[str] = ()) -> None:
    """Carry a job out, or show what it gave where it is complete.

    Args:
        job: What to run.
        group: Name of the sweep it belongs to; None for none.
        words: Names of the components chosen, for its name and tags at a tracking service.
    """
    out = console()
    path = job.directory()
    directory = RunDirectory(path)
    if job.experiment.is_done(directory):
        out.print(Text(f"Already complete: {path}. Nothing is computed again."), soft_wrap=True)
        show_results(out, path, directory.read_json("summary") or {})
        return
    out.print(Text(f"{job.experiment.name}, run {path.name}"), soft_wrap=True)
    with directory.locked():
        pass  # where another process computes this run, its tracker must not hear of this one
    tracker = job.tracking.open(_info(job, path, group, words))
    status = "failed"
    try:
        summary = carry_out(
            job.experiment,
            directory,
            config=job.config,
            tracker=tracker,
            progress=progress_for(console(stderr=True)),
        )
        tracker.publish(path)
        status = "complete"
    finally:
        line = tracker.finish("complete" if status == "complete" else "failed")
    show_results(out, path, summary)
    if line:
        out.print(Text(f"  {'tracker:':<11}{line}"), soft_wrap=True)


def _info(job: Job, path: Path, group: str | None, words: Sequence[str]) -> RunInfo:
    experiment = job.experiment
    config = OmegaConf.to_container(OmegaConf.create(job.config))
    assert isinstance(config, dict)
    names = [experiment.name, *words] if words else experiment.tags()
    return RunInfo(
        run_id=path.name,
        name=f"{' '.join(names)} {path.name[:6]}",
        group=group or experiment.name,
        job_type=experiment.stage,
        axis=experiment.axis,
        tags=tuple(dict.fromkeys([*names, *experiment.tags()])),
        config={str(key): value for key, value in config.items()},
        directory=path,
    )


def show_sweep(sweep: Sweep) -> None:
    """Print where each cell of a sweep stands."""
    out = console()
    shared = set.intersection(*(set(cell.overrides) for cell in sweep.cells))
    out.print(Text(f"\nsweep {sweep.sweep_id}"))
    for cell in sweep.cells:
        own = [override for override in cell.overrides if override not in shared]
        state, error = _standing(RunDirectory(Path(cell.directory)))
        out.print(Text(f"  {state:<12}{cell.directory}  {' '.join(own)}"), soft_wrap=True)
        if error:
            out.print(Text(f"  {'':<12}{error}"), soft_wrap=True)
    out.print(Text(f"manifest and logs: {sweep.folder}"), soft_wrap=True)


def _standing(directory: RunDirectory) -> tuple[str, str]:
    """Give in a word where a run stands, and what went wrong, if anything did."""
    try:
        record = read_provenance(directory)
    except RecordsError as error:
        return "damaged", str(error)
    if record is None:
        return "not started", ""
    if record["status"] == "running" and not directory.is_held():
        return "stopped", ""  # a process that is killed cannot say so itself
    return str(record["status"]), str(record.get("error", ""))
