"""Where a run was made: code, packages, machine."""

from __future__ import annotations

import hashlib
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
    "diffusers",
    "scikit-learn",
    "tokenizers",
    "math-verify",
    "hydra-core",
    "submitit",
    "wandb",
    "accelerate",
    "bitsandbytes",
    "httpx",
    "peft",
)


ROOMS = ("critwin", "experiments", "launch")


def environment() -> dict[str, object]:
    """Describe the code and the machine, for a run's provenance record.

    Returns:
        git_commit and git_dirty (null outside a checkout), code_sha256, python, packages, host,
        machine.
    """
    commit, dirty = git_state(Path(__file__).parent)
    return {
        "git_commit": commit,
        "git_dirty": dirty,
        "code_sha256": code_hash(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "host": platform.node(),
        "machine": f"{platform.system()} {platform.machine()}",
    }


def code_hash() -> str:
    """Hash the Python files of the project's rooms, as they are on the disk now."""
    digest = hashlib.sha256()
    root = Path(__file__).parents[1]
    for room in ROOMS:
        for file in sorted((root / room).rglob("*.py")):
            digest.update(f"{file.relative_to(root)}\0".encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()


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
