"""The command line around Hydra: lists experiments, refuses what cannot run, tells how it ended."""

from __future__ import annotations

import os
import re
import shutil
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from critwin.errors import CritwinError
from launch.catalogue import CONF, experiments, listing

if TYPE_CHECKING:
    from launch.sweep import Sweep

HOME = re.compile(r"(?<=[=\[,])~(?=/)")
"""Where a path begins in the home folder: neither the shell nor Hydra reads it behind a key."""

PLAN = "+exp=plan"

FAILED = 1
REFUSED = 2
INTERRUPTED = 130
"""Exit codes: something was not computed; nothing that can be run was named; Ctrl-C."""


def command(main: Callable[[], None]) -> None:
    """Check the command line, then hand it to Hydra.

    Args:
        main: The function that `hydra.main` made.
    """
    # idle threads of torch sleep: spinning, they make a machine that has other work 6 times slower
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("CRITWIN_CLUSTER", "slurm" if shutil.which("sbatch") else "local")
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    home = str(Path.home())
    sys.argv[1:] = planned([HOME.sub(lambda _: home, argument) for argument in sys.argv[1:]])
    if not any("exp=" in argument or argument.startswith("-") for argument in sys.argv[1:]):
        _list_experiments()
    from hydra._internal.utils import get_args_parser  # here, because listing takes no Hydra

    flags = get_args_parser().parse_intermixed_args()
    sys.argv[1:] = _overrides_first(sys.argv[1:], flags.overrides)
    if flags.help:
        os.environ["CRITWIN_EXPERIMENTS"] = listing(experiments(_folders(flags)))
    if not _starts_runs(flags):
        main()
        return
    if not any(override.lstrip("+").startswith("exp=") for override in flags.overrides):
        _list_experiments(flags)
    _run(main, flags)


def planned(arguments: list[str]) -> list[str]:
    """Write `+exp=plan of=NAME` as what it means: a dry run of that experiment, with its cost."""
    names = [argument.removeprefix("of=") for argument in arguments if argument.startswith("of=")]
    if PLAN not in arguments or len(names) != 1:
        return arguments
    rest = [own for own in arguments if own != PLAN and not own.startswith("of=")]
    return [f"+exp={names[0]}", *rest, "dry_run=true"]


def _run(main: Callable[[], None], flags: Namespace) -> None:
    from launch.preflight import preflight
    from launch.terminal import console, progress_for

    try:
        plan = preflight(flags)
        if plan.inquiry is not None:
            ask = plan.inquiry.rehearse if plan.rehearsing else plan.inquiry.answer
            sys.exit(ask(console()))
        if plan.rehearsal is not None:
            plan.rehearsal.show(console(), progress=progress_for(console(stderr=True)))
            return
        if plan.sweep is not None:
            plan.sweep.write_manifest()
    except CritwinError as error:
        sys.stderr.write(f"critwin: {error}\n")
        sys.exit(REFUSED)
    sys.argv[1:1] = plan.arguments
    if plan.sweep is None:
        main()
        return
    _run_sweep(main, plan.sweep)


def _run_sweep(main: Callable[[], None], sweep: Sweep) -> None:
    """Let Hydra launch a sweep, and end with 0 only where no cell is left undone."""
    from launch.launcher import register
    from launch.status import show_sweep
    from launch.terminal import console

    register()
    code = FAILED
    try:
        main()
        code = 0
    except KeyboardInterrupt:
        code = INTERRUPTED
    except SystemExit as stop:  # Hydra has said why
        code = FAILED if stop.code else 0
    finally:
        code = max(code, show_sweep(console(), sweep))
    sys.exit(code)


def _overrides_first(arguments: list[str], overrides: list[str]) -> list[str]:
    """Put flags last: Hydra's parser does not take overrides on both sides of one."""
    rest = list(arguments)
    for override in overrides:
        rest.remove(override)
    return [*overrides, *rest]


def _starts_runs(flags: Namespace) -> bool:
    asks = flags.help, flags.hydra_help, flags.cfg, flags.info, flags.shell_completion
    return not any(asks) and flags.experimental_rerun is None


def _list_experiments(flags: Namespace | None = None) -> None:
    folders = _folders(flags) if flags is not None else [CONF]
    sys.stdout.write(
        f"Experiments:\n{listing(experiments(folders))}\n\n"
        "Run one:       python -m launch +exp=llm_math\n"
        "Its keys:      python -m launch +exp=llm_math --help\n"
        "Sweep:         python -m launch +exp=llm_math sampler.temperature=0.7,1.0 -m\n"
    )
    sys.exit(REFUSED)


def _folders(flags: Namespace) -> list[Path]:
    return [CONF, *([Path(flags.config_dir)] if flags.config_dir else [])]
