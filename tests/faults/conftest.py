"""A SLURM where there is one: CI promises it, elsewhere the tests that need it are skipped."""

from __future__ import annotations

import os
import subprocess

import pytest


@pytest.fixture(scope="session")
def slurm() -> None:
    """Make sure that SLURM answers."""
    try:
        shown = subprocess.run(
            ["sinfo", "--noheader", "--format=%T"], capture_output=True, text=True, timeout=30
        )
        answers = shown.returncode == 0
    except (OSError, subprocess.SubprocessError):
        answers = False
    if not answers:
        if os.environ.get("CRITWIN_CI"):
            pytest.fail("CI promises a SLURM (.ci/slurm start), and none answers")
        pytest.skip("no SLURM answers here; .ci/slurm starts one, as root on a Debian")
