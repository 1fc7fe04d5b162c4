"""Starts the command line as a user does, in a folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def launch_in(
    folder: Path, *arguments: str, columns: int = 120, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run `python -m launch` with arguments and without a tracker, and give what it printed."""
    return subprocess.run(
        [sys.executable, "-m", "launch", "tracker=none", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": str(columns), **environment},
    )
