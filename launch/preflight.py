"""Checks every run that a command line asks for before Hydra acts on it.

Nothing is written, submitted or loaded before all cells have passed; torch is not imported.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from critwin.errors import CritwinError, ParameterError
from critwin.identity import identity, loading
from critwin.records import RunDirectory
from launch.build import ConfigError, Job, build, build_inquiry, first_line
from launch.composing import Composer, composer
from launch.inquiry import Inquiry
from launch.rehearsal import Rehearsal
from launch.run import words_of
from launch.secrets import refuse_secrets
from launch.sweep import Cell, Sweep, twins

LAUNCHER = "hydra_plugins.critwin.SweepLauncher"


@dataclass(frozen=True)
class Plan:
    """A command line that can be run.

    Attributes:
        arguments: What Hydra is to be given beside the user's own arguments.
        sweep: The sweep, for `-m`; None for one run.
        rehearsal: What would be done, where nothing is to be done but to say so.
        inquiry: What is asked for, where it is no run.
        rehearsing: Whether that is only to be rehearsed.
    """

    arguments: tuple[str, ...] = ()
    sweep: Sweep | None = None
    rehearsal: Rehearsal | None = None
    inquiry: Inquiry | None = None
    rehearsing: bool = False


def preflight(flags: argparse.Namespace) -> Plan:
    """Check all runs of a command line.

    Args:
        flags: The arguments as Hydra's own parser reads them.

    Returns:
        What to run; the folder of a sweep is named in it, but not made.

    Raises:
        CritwinError: A run cannot be started; one message, of the first that cannot.
    """
    with composer(flags) as hydra:
        parsed = hydra.parse(hydra.overrides)
        for override in parsed:
            refuse_secrets(str(override.input_line), override.key_or_group)
        _check_experiment(parsed)
        hydra.check_choices(parsed)
        if not _is_sweep(flags, parsed):
            _check_no_sweep(parsed)
            config = hydra.compose(hydra.overrides, RunMode.RUN)
            inquiry = build_inquiry(config)
            if inquiry is not None:
                return Plan(inquiry=inquiry, rehearsing=bool(config.dry_run))
            job = build(config)
            run = check_outputs(job)
            if config.dry_run:
                cell = _cell(job, run, hydra.overrides, config)
                return Plan(rehearsal=Rehearsal((cell,), (job,), measure=config.dry_run_cost))
            return Plan()
        return _plan_sweep(hydra, parsed)


def _is_sweep(flags: argparse.Namespace, parsed: Sequence[Override]) -> bool:
    asked = [o.value() for o in parsed if o.key_or_group == "hydra.mode"]
    return bool(flags.multirun) or "MULTIRUN" in (str(value).upper() for value in asked)


def _check_experiment(parsed: Sequence[Override]) -> None:
    for override in parsed:
        if override.key_or_group == "exp":
            choice = str(override.input_line).partition("=")[2]
            if not override.is_add():
                raise ConfigError(f"exp={choice} lacks its plus sign; write +exp={choice}")
            if override.is_sweep_override():
                raise ConfigError(f"exp is {choice!r}; allowed: one experiment")


def _check_no_sweep(parsed: Sequence[Override]) -> None:
    for override in parsed:
        if override.is_sweep_override():
            key = override.key_or_group
            value = str(override.input_line).partition("=")[2]
            raise ConfigError(
                f"{key} is {value}, several values; add -m to run each of them, "
                f"or write '{key}=[{value}]' for a list"
            )


def _plan_sweep(hydra: Composer, parsed: Sequence[Override]) -> Plan:
    master = hydra.compose(hydra.overrides, RunMode.MULTIRUN)
    for override in parsed:
        if override.key_or_group in ("cluster", "tracker") and override.is_sweep_override():
            raise ConfigError(f"{override.key_or_group} takes one value in a sweep")
    refuse_secrets(dict(master.hydra.sweeper.params or {}), "hydra.sweeper.params")
    cells = hydra.cells(master)
    found: list[Cell] = []
    jobs: list[Job] = []
    for index, overrides in enumerate(cells):
        try:
            hydra.check_choices(hydra.parse(overrides))
            config = hydra.compose(overrides, RunMode.RUN)
            if build_inquiry(config) is not None:
                raise ConfigError("this is asked at once, without -m")
            job = build(config)
            run = check_outputs(job)
        except CritwinError as error:
            where = f"cell {index} of {len(cells)} ({' '.join(overrides)}): " if index else ""
            raise ConfigError(f"{where}{error}") from None
        jobs.append(job)
        found.append(_cell(job, run, overrides, config))
    jobs[0].cluster.check()
    _check_launcher(master)
    same = twins(found)
    if same is not None:
        raise ConfigError(
            f"cells {same[0]} and {same[1]} are the same run {found[same[0]].run_id}: "
            "they differ in nothing that determines the numbers; leave one out"
        )
    root = Path(str(master.multirun))
    sweep = Sweep(jobs[0].experiment.name, root, tuple(found))
    _check_writable("multirun", str(root), sweep.folder)
    if master.dry_run:
        return Plan(
            rehearsal=Rehearsal(sweep.cells, tuple(jobs), sweep, measure=master.dry_run_cost)
        )
    return Plan((f"hydra.sweep.dir='{sweep.folder}'",), sweep)


def _cell(job: Job, run: Path, overrides: Sequence[str], config: DictConfig) -> Cell:
    experiment = job.experiment
    model = getattr(experiment, "model", None)
    return Cell(
        run_id=run.name,
        directory=str(run),
        overrides=tuple(overrides),
        config=job.values,
        identity=json.loads(json.dumps(identity(experiment.determining()))),
        words=words_of(config.hydra.runtime.choices),
        loads=json.dumps(loading(model), sort_keys=True),
        always=experiment.always,
    )


def check_outputs(job: Job) -> Path:
    """Give the run directory of a job that is complete or can be written.

    Raises:
        CritwinError: Its record is damaged, or nothing can be written there.
    """
    path = job.directory()
    if not job.experiment.is_done(RunDirectory(path)):
        _check_writable("outputs", str(job.outputs), path.parent)
    return path


def _check_writable(key: str, value: str, folder: Path) -> None:
    """Refuse a folder that can be neither written nor made; nothing is left behind."""
    try:
        there = next(path for path in (folder, *folder.parents) if path.exists())
        with TemporaryFile(dir=there):
            pass
    except OSError as error:
        why = error.strerror or error
        raise ParameterError(key, value, f"a folder that can be written ({why})") from None


def _check_launcher(master: DictConfig) -> None:
    """Refuse another launcher, and values that Hydra would be the first to miss."""
    target = str(master.hydra.launcher.get("_target_"))
    if target != LAUNCHER:
        raise ParameterError("hydra.launcher._target_", target, f"{LAUNCHER}, nothing else")
    try:
        OmegaConf.to_container(master.hydra.launcher, resolve=True)
    except OmegaConfBaseException as error:
        key = str(error.full_key or error.key).replace("hydra.launcher", "cluster")
        raise ConfigError(f"{key}: {first_line(error)}") from None
