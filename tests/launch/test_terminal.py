"""Progress and results as a person reads them."""

import io
from pathlib import Path

import pyarrow as pa
import pytest
from rich.console import Console

from critwin.records import ATTRIBUTION, CURVES, ORIGINALS, VERDICTS, WINDOWS, RunDirectory
from launch.results import marked_text, number, share, show_headline, show_results, show_table
from launch.terminal import Bars, Lines, duration, progress_for
from launch.trajectories import Trajectory, printable, read_trajectories


def console(*, terminal: bool = False) -> Console:
    colour = "standard" if terminal else None
    return Console(
        file=io.StringIO(), force_terminal=terminal, color_system=colour, width=100, _environ={}
    )


def text_of(made: Console) -> str:
    return made.file.getvalue()


def trajectory(**changed: object) -> Trajectory:
    fields = {
        "problem_id": "p",
        "label": "5",
        "truth": "4",
        "tokens": ("Two", " [red]", " and", " two", "."),
        "windows": ((2, 4),),
        "position": (0, 2, 5),
        "kept": (0.0, 0.5, 1.0),
        "agreement": (0.1, 0.25, 1.0),
    }
    return Trajectory(**(fields | changed))


def test_lines_tell_rate_and_time_left() -> None:
    made = console()
    lines = Lines(made, every=0.0)
    lines.begin("resamples", 10, unit="cuts", done=4)
    lines.advance(3, tokens_per_second=1520.4)
    lines.end()
    told = text_of(made).splitlines()
    assert told[0] == "resamples: 10 cuts, 4 there already"
    assert told[1].startswith("resamples: 7/10 cuts, ")
    assert "cuts/s, " in told[1]
    assert " left, tokens per second 1520" in told[1]
    assert told[2].startswith("resamples: 7/10 cuts in ")


def test_lines_are_few() -> None:
    made = console()
    lines = Lines(made)
    lines.begin("resamples", 1000, unit="cuts")
    for _ in range(1000):
        lines.advance(1)
    lines.end()
    assert len(text_of(made).splitlines()) == 2


def test_progress_outside_a_stage_is_nothing() -> None:
    for progress in (Lines(console()), Bars(console(terminal=True))):
        progress.advance(1)
        progress.end()


def test_bars_on_a_terminal() -> None:
    made = console(terminal=True)
    bars = progress_for(made)
    assert isinstance(bars, Bars)
    bars.begin("[bold]originals", 4, unit="originals", done=1)
    bars.advance(3, windows=2)
    bars.end()
    assert "[bold]originals" in text_of(made)
    assert "4/4" in text_of(made)
    assert "windows 2" in text_of(made)
    assert isinstance(progress_for(console()), Lines)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0.2 s"), (42, "42 s"), (185, "3 min 05 s"), (7800, "2 h 10 min")]
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_windows_are_marked_without_colour() -> None:
    assert marked_text(trajectory(), colour=False).plain == "Two [red]⟦ and two⟧."


def test_windows_are_marked_with_colour() -> None:
    marked = marked_text(trajectory(), colour=True)
    assert marked.plain == "Two [red] and two."
    assert [marked.plain[s.start : s.end] for s in marked.spans] == [" and two"]


def test_overlapping_windows_mark_each_token_once() -> None:
    text = marked_text(trajectory(windows=((0, 2), (1, 3))), colour=False).plain
    assert text == "⟦Two [red]⟧⟦ and⟧ two."


def test_a_long_text_is_cut_outside_its_windows() -> None:
    long = trajectory(tokens=("a" * 3000, "WINDOW", "b" * 3000), windows=((1, 2),))
    text = marked_text(long, colour=False).plain
    assert len(text) < 800
    assert "⟦WINDOW⟧" in text
    assert "[...]" in text


def test_numbers() -> None:
    values = [number(v) for v in (None, 0.12345, 2.0, 7, 1234.567)]
    assert values == ["-", "0.123", "2.000", "7", "1234.6"]
    assert [share(v) for v in (0.0, 0.05, 0.999, 1.0)] == ["0", ".05", "1", "1"]


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_shows_what_could_not_be_estimated(width: int) -> None:
    made = console()
    made.width = width
    row = {"name": "  of x", "estimate": None, "lower": None, "upper": None, "n": 0}
    show_headline(made, [row | {"problems": 0, "note": "[too] few"}])
    assert text_of(made).count("[too] few") == 1
    assert ("of x: [too] few" in text_of(made)) is (width == 80)


def test_results_of_a_run(fake, job) -> None:
    made = console()
    from launch.run import start

    ready = job("+exp=fake", "tracker=none")
    start(ready, group=None)
    run = ready.directory()
    show_results(made, run, RunDirectory(run).read_json("summary"))
    told = text_of(made)
    assert "accuracy" in told
    assert "[0.100, 0.900]" in told
    assert "A wrong answer with a window" in told
    assert "Two [bold]and⟦ two is four⟧." in told
    assert "tokens        0    3    6" in told
    assert "kept          0  .43  .86" in told
    assert "A right answer with a window" not in told
    assert "An answer without a window" in told
    assert str(run / "report.html") in told


def write_originals(
    folder: Path, rows: dict[str, tuple[bool | None, float, bool]]
) -> list[tuple[str, str]]:
    """Write originals as name: (right, rise, has a window); give what is shown of them."""
    directory = RunDirectory(folder)
    originals, curves, windows = [], [], []
    for name, (right, rise, found) in rows.items():
        shared = {"original_id": name, "label": "x"}
        originals.append(shared | {"problem_id": name, "correct": right, "tokens": ["a", "b"]})
        own = shared | {"estimator": "grid", "own": True}
        points = ((1, 0.5, rise), (0, 0.0, 0.0))
        curves += [own | {"position": p, "kept": k, "agreement": a} for p, k, a in points]
        windows += [shared | {"position_start": 0, "position_end": 1}] if found else []
    for table, values, schema in (
        ("originals", originals, ORIGINALS),
        ("curves", curves, CURVES),
        ("windows", windows, WINDOWS),
    ):
        directory.write(table, pa.Table.from_pylist(values, schema=schema))
    return [(caption, shown.problem_id) for caption, shown in read_trajectories(folder)]


def test_an_empty_kind_is_filled_with_the_largest_rise(tmp_path: Path) -> None:
    right = {f"r{i}": (True, rise, False) for i, rise in enumerate((0.1, 0.2, 0.4, 0.3))}
    wrong = {"w0": (False, 0.9, True), "w1": (False, 0.8, False)}
    assert write_originals(tmp_path / "a", right | wrong) == [
        ("A right answer without a window", "r2"),
        ("A wrong answer with a window", "w0"),
        ("An answer without a window", "r0"),
    ]
    assert write_originals(tmp_path / "b", {f"r{i}": (True, i / 9, True) for i in range(5)}) == [
        ("A right answer with a window", "r0"),
        ("Another right answer with a window", "r4"),
        ("Another right answer with a window", "r3"),
    ]
    assert write_originals(tmp_path / "c", {"u": (None, 0.1, True)}) == [
        ("An answer with a window", "u")
    ]


def test_undecided_is_not_without(tmp_path: Path) -> None:
    verdicts = {"r": "window", "w": "undecided", "v": "none"}
    asked = {"direction": "rise", "threshold": 0.5, "unit": "tokens", "change_upper": 0.7}
    rows = [
        {"original_id": name, "label": "x", **asked, "verdict": verdict}
        for name, verdict in verdicts.items()
    ]
    RunDirectory(tmp_path).write("verdicts", pa.Table.from_pylist(rows, schema=VERDICTS))
    originals = {name: (name == "r", 0.1, name == "r") for name in ("r", "w", "v")}
    assert write_originals(tmp_path, originals) == [
        ("A right answer with a window", "r"),
        ("A wrong answer of which it is undecided whether it has a window", "w"),
        ("An answer without a window", "v"),
    ]
    del originals["v"]
    (_, (caption, shown)) = write_originals(tmp_path, originals)
    assert (caption, shown) == (
        "A wrong answer of which it is undecided whether it has a window",
        "w",
    )


def test_the_token_that_decided_is_named(tmp_path: Path) -> None:
    """Of a curve at every token the points where it changes, then the token with its forks."""
    directory = RunDirectory(tmp_path)
    name = {"original_id": "o", "label": "5"}
    tokens = [" a", " b\x1b", " c", " d"] * 10
    original = name | {"problem_id": "p", "correct": True, "tokens": tokens}
    agreement = [0.1] * 22 + [0.104] * 5 + [0.9] * 13 + [1.0]
    curve = [
        name | {"estimator": "forks", "own": True, "position": p, "kept": p / 40, "agreement": a}
        for p, a in enumerate(agreement)
    ]
    alternatives = [
        {"token_id": 1, "token": " x", "forks": 7, "labels": [{"label": "6", "forks": 7}]}
    ]
    interval = {"jump_lower": 0.7, "jump_upper": 0.85, "probability": 0.25}
    jumps = [
        name | interval | {"position": p, "token": tokens[p], "jump": j}
        for p, j in ((4, 0.004), (25, -0.8))
    ]
    attribution = [jump | {"alternatives": alternatives} for jump in jumps]
    for table, rows, schema in (
        ("originals", [original], ORIGINALS),
        ("curves", curve, CURVES),
        ("windows", [], WINDOWS),
        ("attribution", attribution, ATTRIBUTION),
    ):
        directory.write(table, pa.Table.from_pylist(rows, schema=schema))
    made = console()
    show_results(made, tmp_path, {})
    told = text_of(made)
    assert "tokens        0   26   27   39   40" in told
    assert "agreement   .10  .10  .90  .90    1" in told
    decided = "token 26 ' b\ufffd' (probability .25): -0.80 [+0.70, +0.85]; ' x' leads to 6"
    assert decided in told
    directory.write("attribution", pa.Table.from_pylist(attribution[:1], schema=ATTRIBUTION))
    made = console()
    show_results(made, tmp_path, {})
    assert "leads to" not in text_of(made)


def test_a_run_without_trajectories(tmp_path: Path) -> None:
    assert read_trajectories(tmp_path) == []
    made = console()
    show_results(made, tmp_path, {})
    assert "run directory" in text_of(made)


def test_a_model_cannot_steer_the_terminal() -> None:
    assert printable("a\x1b[31mb\x07\x9bc\td\n") == "a\ufffd[31mb\ufffd\ufffdc\td\n"


def test_a_table_of_a_summary_is_printed_as_it_is() -> None:
    made = console()
    table = {
        "title": "Methods",
        "columns": ["method", "per second", "how"],
        "rows": [["A [b]", 12.5, "measured"], ["B", None, "not [/b] run"]],
    }
    show_table(made, table)
    lines = [line.split() for line in text_of(made).splitlines() if line.strip()]
    assert lines[0] == ["Methods"]
    assert lines[1] == ["method", "per", "second", "how"]
    assert lines[3] == ["A", "[b]", "12.500", "measured"]
    assert lines[4] == ["B", "-", "not", "[/b]", "run"]


def test_lines_tell_the_time_that_the_work_expects() -> None:
    out = io.StringIO()
    lines = Lines(Console(file=out, width=120), every=0.0)
    lines.begin("resamples", 4, unit="originals")
    lines.remaining(3700.0)
    lines.remaining(130.0)
    lines.advance(1)
    lines.end()
    shown = out.getvalue().splitlines()
    assert shown[1] == "resamples: about 1 h 01 min left"
    assert "1/4 originals" in shown[2]
    assert ", 2 min 10 s left" in shown[2]


def test_a_bar_counts_down_what_the_work_expects() -> None:
    out = io.StringIO()
    bars = Bars(Console(file=out, width=120, force_terminal=True))
    bars.begin("resamples", 4, unit="originals")
    bars.remaining(3725.0)
    bars.advance(1)
    bars.end()
    assert "1:02:0" in out.getvalue()
