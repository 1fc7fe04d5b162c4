"""Who may know whom: launch -> experiments -> critwin, never back; heavy libraries on first use."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("critwin", "experiments", "launch")
FORBIDDEN = {
    "critwin": {"experiments", "launch", "hydra", "omegaconf", "wandb", "submitit", "rich"},
    "experiments": {"launch", "hydra", "omegaconf", "wandb", "submitit", "rich"},
    "launch": set[str](),
}
ON_FIRST_USE = {"torch", "transformers", "diffusers", "matplotlib", "math_verify", "wandb"}
KNOWS_TORCH = {
    "critwin/samplers/ladder.py",
    "critwin/samplers/shared_attention.py",
    "critwin/samplers/stop_strings.py",
}
"""Modules that are imported inside functions only, so that they may import torch at their head."""


def modules(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def imports(tree: ast.AST) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module)
    return {name.split(".")[0] for name in found}


def at_import(tree: ast.Module) -> set[str]:
    """Names imported when the module is: not in functions, not for the type checker only."""
    found: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            found |= imports(node)
        elif isinstance(node, ast.ClassDef | ast.Try):
            found |= {name for child in node.body for name in imports(child)} - {
                name
                for child in ast.walk(node)
                if isinstance(child, ast.FunctionDef)
                for name in imports(child)
            }
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_no_arrow_points_back(room: str) -> None:
    for path in modules(room):
        known = imports(ast.parse(path.read_text(encoding="utf-8")))
        assert not known & FORBIDDEN[room], f"{path.relative_to(ROOT)} knows {known}"


@pytest.mark.parametrize("room", ROOMS)
def test_heavy_libraries_are_imported_on_first_use(room: str) -> None:
    for path in modules(room):
        name = str(path.relative_to(ROOT))
        if name not in KNOWS_TORCH:
            known = at_import(ast.parse(path.read_text(encoding="utf-8")))
            assert not known & ON_FIRST_USE, f"{name} imports {known & ON_FIRST_USE} at its head"


def test_contracts_and_experiments_import_without_heavy_libraries() -> None:
    code = (
        "import sys, critwin, critwin.samplers.language, critwin.problems.arithmetic,"
        "critwin.windows.paper_jump, critwin.features.math_answer, experiments.llm_math,"
        "experiments.train_arithmetic\n"
        f"print(sorted(set({sorted(ON_FIRST_USE)!r}) & sys.modules.keys()))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip() == "[]"


def test_every_module_and_file_stays_small() -> None:
    for room in ROOMS:
        for path in modules(room):
            lines = path.read_text(encoding="utf-8").count("\n")
            assert lines <= 400, f"{path.relative_to(ROOT)} has {lines} lines"


def test_top_level_is_the_agreed_one() -> None:
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split()
    if not tracked:
        pytest.skip("not a git checkout: the list of tracked files is not known")
    assert {name.split("/")[0] for name in tracked} <= {
        ".ci",
        ".gitignore",
        ".pre-commit-config.yaml",
        "CHANGELOG.md",
        "CITATION.cff",
        "CONTRIBUTING.md",
        "LICENSE",
        "Makefile",
        "README.md",
        "conf",
        "constraints.txt",
        "critwin",
        "docs",
        "experiments",
        "launch",
        "pyproject.toml",
        "tests",
    }
