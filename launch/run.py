"""One run, from its config to its run directory."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.text import Text

from critwin.errors import CritwinError
from critwin.records import RunDirectory
from experiments.experiment import carry_out
from launch.build import Job, build
from launch.results import show_results
from launch.terminal import console, progress_for
from launch.tracking import CHOSEN, RunInfo

log = logging.getLogger(__name__)

GROUPS = ("model", "dataset", "feature")
"""Groups whose choices name a run at a tracking service."""

FAILED = 1
INTERRUPTED = 130
TERMINATED = 143


class Terminated(KeyboardInterrupt):
    """The process was asked to end."""


def run(cfg: DictConfig) -> None:
    """Do one run.

    Raises:
        SystemExit: It failed for a reason the user can mend, or was interrupted.
    """
    choices = HydraConfig.get().runtime.choices
    try:
        with _termination_told():
            start(build(cfg), group=None, words=words_of(choices))
    except KeyboardInterrupt as stop:
        log.warning("stopped; the same command goes on from here")
        sys.exit(TERMINATED if isinstance(stop, Terminated) else INTERRUPTED)
    except CritwinError as error:
        log.error("%s", error)
        sys.exit(FAILED)


def words_of(choices: Mapping[str, object]) -> tuple[str, ...]:
    """Name the components that were chosen, for the run's name and tags at a tracking service."""
    return tuple(str(choices[key]) for key in GROUPS if choices.get(key))


@contextmanager
def _termination_told() -> Iterator[None]:
    """Let SIGTERM end a run as Ctrl-C does, where nobody else listens to it."""
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


def start(
    job: Job,
    *,
    group: str | None,
    words: Sequence[str] = (),
    submitted: Mapping[str, object] | None = None,
) -> None:
    """Carry a job out, or show what it gave where it is complete.

    Args:
        job: What to run.
        group: Name of the sweep it belongs to; None for none.
        words: Names of the components chosen, for its name and tags at a tracking service.
        submitted: What is known of the code when the sweep was submitted.
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
            submitted=submitted,
        )
        tracker.publish(path)
        status = "complete"
    finally:
        line = tracker.finish("complete" if status == "complete" else "failed")
    show_results(out, path, summary)
    if line:
        out.print(Text(f"  {'tracker:':<11}{line}"), soft_wrap=True)


def _chosen(job: Job, words: Sequence[str]) -> dict[str, str]:
    """Name the components of a run by their groups; their classes where no names are known."""
    groups = [group for group in GROUPS if group in job.values]
    if len(words) == len(groups):
        return dict(zip(groups, words, strict=True))
    return {group: type(getattr(job.experiment, group)).__name__ for group in groups}


def _info(job: Job, path: Path, group: str | None, words: Sequence[str]) -> RunInfo:
    experiment = job.experiment
    names = [experiment.name, *words] if words else experiment.tags()
    return RunInfo(
        run_id=path.name,
        name=f"{' '.join(names)} {path.name[:6]}",
        group=group or experiment.name,
        job_type=experiment.stage,
        axis=experiment.axis,
        tags=tuple(dict.fromkeys([*names, *experiment.tags()])),
        config={**job.values, CHOSEN: _chosen(job, words)},
        directory=path,
    )
