"""Where a run was made: code, packages, machine."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
from pathlib import Path

PACKAGES = (
    "critwin",
    "numpy",
    "scipy",
    "pandas",
    "pyarrow",
    "torch",
    "transformers",
    "tokenizers",
    "math-verify",
    "hydra-core",
    "submitit",
    "wandb",
)


def environment() -> dict[str, object]:
    """Describe the code and the machine, for a run's provenance record.

    Returns:
        git_commit and git_dirty (null outside a checkout), python, packages, host, machine.
    """
    commit, dirty = git_state(Path(__file__).parent)
    return {
        "git_commit": commit,
        "git_dirty": dirty,
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "host": platform.node(),
        "machine": f"{platform.system()} {platform.machine()}",
    }


def git_state(folder: Path) -> tuple[str | None, bool | None]:
    """Give the commit that `folder` is at and whether tracked files were changed since."""
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None, None
    return commit.strip(), bool(_git(folder, "status", "--porcelain", "--untracked-files=no"))


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        return subprocess.run(
            ["git", *arguments], cwd=folder, check=True, capture_output=True, text=True, timeout=20
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
