"""One run, from its config to its run directory."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.text import Text

from critwin.errors import CritwinError
from critwin.records import RunDirectory
from experiments.experiment import carry_out, is_complete
from launch.build import Job, build
from launch.results import show_results
from launch.sweep import Sweep
from launch.terminal import progress_for
from launch.tracking import RunInfo

log = logging.getLogger(__name__)

FAILED = 1
INTERRUPTED = 130


class CellError(RuntimeError):
    """A cell of a sweep failed. Its message is all it holds, so it survives pickling."""


def run(cfg: DictConfig) -> None:
    """Do one run, alone or as a cell of a sweep.

    Raises:
        CellError: The run failed, in a sweep; its log holds the traceback.
        SystemExit: It failed for a reason the user can mend, or was interrupted, alone.
    """
    alone = HydraConfig.get().mode != RunMode.MULTIRUN
    group = None if alone else Path(HydraConfig.get().sweep.dir).name
    try:
        start(build(cfg), group=group)
    except KeyboardInterrupt:
        log.warning("stopped; the same command goes on from here")
        if alone:
            sys.exit(INTERRUPTED)
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


def start(job: Job, *, group: str | None) -> None:
    """Carry a job out, or show what it gave where it is complete.

    Args:
        job: What to run.
        group: Name of the sweep it belongs to; None for none.
    """
    out = Console(soft_wrap=False, highlight=False)
    path = job.directory()
    directory = RunDirectory(path)
    if is_complete(directory):
        out.print(Text(f"Already complete: {path}. Nothing is computed again."), soft_wrap=True)
        show_results(out, path, directory.read_json("summary") or {})
        return
    out.print(Text(f"{job.experiment.name}, run {path.name}"), soft_wrap=True)
    tracker = job.tracking.open(_info(job, path, group))
    status = "failed"
    try:
        summary = carry_out(
            job.experiment,
            directory,
            config=job.config,
            tracker=tracker,
            progress=progress_for(Console(stderr=True, highlight=False)),
        )
        tracker.publish(path)
        status = "complete"
    finally:
        line = tracker.finish("complete" if status == "complete" else "failed")
    show_results(out, path, summary)
    if line:
        out.print(Text(f"  {'tracker:':<11}{line}"), soft_wrap=True)


def _info(job: Job, path: Path, group: str | None) -> RunInfo:
    experiment = job.experiment
    config = OmegaConf.to_container(OmegaConf.create(job.config))
    assert isinstance(config, dict)
    tags = tuple(dict.fromkeys(experiment.tags()))
    return RunInfo(
        run_id=path.name,
        name=f"{' '.join(tags)} {path.name[:6]}",
        group=group or experiment.name,
        job_type=experiment.stage,
        tags=tags,
        config={str(key): value for key, value in config.items()},
        directory=path,
    )


def show_sweep(sweep: Sweep) -> None:
    """Print where each cell of a sweep stands."""
    out = Console(highlight=False)
    out.print()
    out.print(Text(f"sweep {sweep.sweep_id}: {sweep.folder}"), soft_wrap=True)
    for cell in sweep.cells:
        record = RunDirectory(Path(cell.directory)).read_json("provenance") or {}
        own = [override for override in cell.overrides if not override.startswith("hydra.")]
        state = str(record.get("status", "not started"))
        out.print(Text(f"  {state:<12}{cell.directory}  {' '.join(own)}"), soft_wrap=True)
