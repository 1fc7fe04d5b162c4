"""Tables in a manuscript: they compile, fit its page, and show what the records say, as it is."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from critwin.tables.latex import PREAMBLE, ROWS, escaped, latex
from critwin.tables.trace import write_table
from tests.critwin.tables.paper_descriptions import DESCRIPTIONS, filled
from tests.critwin.tables.runs_on_paper import summary, write_run

HOSTILE = r"\input{/etc/passwd} $x_1^2$ 50% #&~{}<>|\"`',,--?`!` 模型 é"
NEEDED = ("pdflatex", "pdftotext", "pdftoppm")
DOCUMENT = (
    "\\documentclass[twocolumn]{article}\n%s\\begin{document}\n%s\n\\noindent %s\n\\end{document}\n"
)


@pytest.fixture(scope="module")
def tools() -> None:
    """LaTeX and poppler: CI has them (.ci/latex), elsewhere their absence is no fault."""
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing and "CRITWIN_CI" in os.environ:
        pytest.fail(f"CI has no {', '.join(missing)}: see .ci/latex")
    if missing:
        pytest.skip(f"no {', '.join(missing)} here; .ci/latex installs them on Debian")


@pytest.fixture(scope="module")
def manuscript(tools: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A two-column article with every table that runs of a language model give, compiled."""
    folder = tmp_path_factory.mktemp("manuscript")
    llama = "meta-llama/Llama-3.1-8B-Instruct"
    runs = [
        write_run(
            folder / "runs",
            f"{i:016x}",
            model=(llama, "Qwen/Qwen2.5-7B-Instruct", "org/hostile")[i % 3],
            changed={
                "dataset.class": ("x.CompetitionMath", "x.Aqua")[i // 3 % 2],
                "sampler.n": 25 * (i // 6),
            },
            numbers=summary(i / 40 - 0.2),
        )
        for i in range(12)
    ]
    tables = filled(runs, names={"hostile": HOSTILE})
    assert {"table1", "matched", "windows", "cost", "published"} <= tables.keys()
    for table in tables.values():
        write_table(table, folder)
    inputs = "".join(f"\\input{{{name}}}\n" for name in tables)
    (folder / "all.tex").write_text(
        DOCUMENT % (PREAMBLE, inputs, escaped(HOSTILE)), encoding="utf-8"
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    shown = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stdout[-2000:]
    return folder


def test_the_tables_fit_a_two_column_article(manuscript: Path) -> None:
    log = (manuscript / "all.log").read_text(encoding="utf-8", errors="replace")
    assert not re.findall(r"Overfull \\hbox \((\d+\.\d+)pt", log)
    assert not re.findall(r"Float too large|undefined", log)
    assert "Package siunitx Warning" not in log


def test_what_a_model_is_called_stays_text(manuscript: Path) -> None:
    subprocess.run(["pdftotext", "-raw", "all.pdf"], cwd=manuscript, check=True)
    text = (manuscript / "all.txt").read_text(encoding="utf-8")
    squeezed = re.sub(r"\s", "", text)
    wanted = HOSTILE.replace("模型", "[U+6A21][U+578B]")
    assert re.sub(r"\s", "", wanted) in squeezed
    assert "root:" not in text


def test_numbers_stand_in_the_page_as_in_the_table(manuscript: Path) -> None:
    text = (manuscript / "table1.md").read_text(encoding="utf-8")
    subprocess.run(["pdftotext", "-layout", "all.pdf"], cwd=manuscript, check=True)
    page = (manuscript / "all.txt").read_text(encoding="utf-8").replace("\N{MINUS SIGN}", "-")
    squeezed = re.sub(r"\s", "", page)
    cells = re.findall(r"(-?\d\.\d\d) \[(-?\d\.\d\d), (-?\d\.\d\d)\]", text)
    assert len(cells) == 24
    assert all(f"{a}[{b},{c}]" in squeezed for a, b, c in cells)


def test_the_pages_are_not_empty(manuscript: Path) -> None:
    from PIL import Image

    subprocess.run(["pdftoppm", "-r", "50", "-png", "all.pdf", "page"], cwd=manuscript, check=True)
    pages = sorted(manuscript.glob("page-*.png"))
    assert pages
    dark = [sum(Image.open(page).convert("L").histogram()[:128]) for page in pages]
    assert max(dark) > 1000, "there are tables on a page"


def test_a_long_table_goes_on_in_another_float(tmp_path: Path) -> None:
    runs = [write_run(tmp_path, f"{i:016x}", changed={"seed": i}) for i in range(ROWS + 1)]
    text = latex(filled(runs)["table1"])
    assert text.count("\\begin{table*}") == 2
    assert text.count("\\label{") == 1
    assert "continued, 2 of 2" in text
    assert text.count("\\addtocounter{table}{-1}") == 1


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a_b & 50%", r"a\_b \& 50\%"),
        ("\\evil{}", r"\textbackslash{}evil\{\}"),
        ("x\n\n y", "x y"),
        ("模", "[U+6A21]"),
        ("Δ ≤ ∞", r"$\Delta$ $\le$ $\infty$"),
    ],
)
def test_escapes(text: str, written: str) -> None:
    assert escaped(text) == written


def test_captions_and_notes_hold_nothing_that_is_shown_by_its_code() -> None:
    for described in DESCRIPTIONS.values():
        words = [described.caption, described.note, *(c.heading for c in described.table_columns)]
        assert "U+" not in escaped(" ".join(words))
