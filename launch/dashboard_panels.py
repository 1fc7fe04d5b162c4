"""What the dashboard of a sweep shows at W&B: panels over keys that runs log.

A key that no run logs makes an empty panel, so `tests/launch/dashboard_keys.py` holds every key
here against the file that a real run leaves.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal

from launch.tracking import CHOSEN

Kind = Literal["line", "bar", "scatter", "media", "table"]


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One panel.

    Attributes:
        title: What it shows.
        kind: `line`: scalars over `over`, as runs go on; `bar`: summaries of runs, or of groups of
            them; `scatter`: two summaries of each run; `media`: pages and pictures; `table`: one
            table, the rows of all runs.
        keys: What is shown, as runs log it.
        over: The scalar on the axis of a line panel: one that runs log, or a clock of W&B's.
        by: What bars are grouped by: a key of `CHOSEN`; None: one bar per run.
    """

    title: str
    kind: Kind
    keys: tuple[str, ...]
    over: str = "originals_done"
    by: str | None = None


@dataclass(frozen=True)
class Shelf:
    """A section of the dashboard.

    Attributes:
        name: What it is about.
        columns: Panels beside each other.
        panels: The panels.
    """

    name: str
    columns: int
    panels: tuple[Panel, ...]


SHARE = "share_with_window"
WITH_WINDOW = "with_window/all/estimate"
RIGHT_AND_WRONG = ("with_window/right/estimate", "with_window/wrong/estimate")
ACCURACIES = ("accuracy_with_window/estimate", "accuracy_without_window/estimate")
FIGURES = ("figures/mean_curves", "figures/window_positions", "figures/trajectory")

SHELVES = (
    Shelf(
        "Progress",
        2,
        (
            Panel(
                title="answers done",
                kind="line",
                keys=("originals_done",),
                over="RelativeTime(Wall)",
            ),
            Panel(title="tokens per second", kind="line", keys=("tokens_per_second",)),
            Panel(
                title="share with a window, 95 % over problems",
                kind="line",
                keys=(SHARE, f"{SHARE}_lower", f"{SHARE}_upper"),
            ),
            Panel(title="half-width reached", kind="line", keys=("half_width",)),
        ),
    ),
    Shelf(
        "Share of answers with a window",
        3,
        (
            Panel(title="by model, mean of runs", kind="bar", keys=(WITH_WINDOW,), by="model"),
            Panel(title="by dataset, mean of runs", kind="bar", keys=(WITH_WINDOW,), by="dataset"),
            Panel(title="right and wrong answers, by run", kind="bar", keys=RIGHT_AND_WRONG),
        ),
    ),
    Shelf(
        "Accuracy with and without a window",
        3,
        (
            Panel(title="by model, mean of runs", kind="bar", keys=ACCURACIES, by="model"),
            Panel(title="by run", kind="bar", keys=ACCURACIES),
            Panel(
                title="accuracy, share with a window",
                kind="scatter",
                keys=("accuracy/estimate", WITH_WINDOW),
            ),
        ),
    ),
    Shelf("Curves", 1, (Panel(title="curves of each run", kind="media", keys=FIGURES),)),
    Shelf("Windows", 1, (Panel(title="windows of all runs", kind="table", keys=("windows",)),)),
    Shelf(
        "Pages",
        1,
        (Panel(title="each run's page; its menu opens it whole", kind="media", keys=("report",)),),
    ),
)
"""The sections, in order."""

COLUMNS = (
    f"config:{CHOSEN}.model",
    f"config:{CHOSEN}.dataset",
    f"summary:{WITH_WINDOW}",
    "summary:accuracy/estimate",
)
"""Columns of the list of runs."""


def workspace(*, entity: str, project: str, sweep: str | None) -> Any:
    """Describe the dashboard in W&B's words.

    Args:
        entity: W&B user or team.
        project: W&B project.
        sweep: Name of the sweep whose runs are shown; None: all runs of the project.
    """
    from wandb_workspaces import expr
    from wandb_workspaces import workspaces as ws

    filters = "" if sweep is None else expr.And(expr.Metric("Group") == sweep)
    made = ws.Workspace(
        entity=entity,
        project=project,
        name="critwin" if sweep is None else f"critwin {sweep}",
        sections=[_section(shelf) for shelf in SHELVES],
        settings=ws.WorkspaceSettings(max_runs=30),
        runset_settings=ws.RunsetSettings(filters=filters, pinned_columns=list(COLUMNS)),
    )
    made._internal_name = view_name(sweep)
    return made


def view_name(sweep: str | None) -> str:
    """Name the view as W&B keeps it: the same for the same sweep, so that it is updated."""
    return f"nw-{_hashed('critwin', sweep or '')}-v"


def _hashed(*words: object) -> str:
    return sha256(" ".join(map(str, words)).encode()).hexdigest()[:11]


def _section(shelf: Shelf) -> Any:
    from wandb_workspaces import workspaces as ws

    layout = ws.SectionLayoutSettings(
        columns=shelf.columns, rows=-(-len(shelf.panels) // shelf.columns)
    )
    panels = [_panel(shelf, number) for number in range(len(shelf.panels))]
    return ws.Section(name=shelf.name, panels=panels, is_open=True, layout_settings=layout)


def _panel(shelf: Shelf, number: int) -> Any:
    import importlib

    # its names are made when it is imported
    wr: Any = importlib.import_module("wandb_workspaces.reports.v2")
    panel = shelf.panels[number]
    made: Any
    if panel.kind == "line":
        made = wr.LinePlot(title=panel.title, x=panel.over, y=list(panel.keys))
    elif panel.kind == "bar":
        grouped: dict[str, Any] = {}
        if panel.by is not None:
            grouped = {
                "groupby": wr.Config(f"{CHOSEN}.{panel.by}"),
                "groupby_aggfunc": "mean",
                "groupby_rangefunc": "minmax",
            }
        made = wr.BarPlot(title=panel.title, metrics=list(panel.keys), **grouped)
    elif panel.kind == "scatter":
        x, y = map(wr.SummaryMetric, panel.keys)
        made = wr.ScatterPlot(title=panel.title, x=x, y=y)
    elif panel.kind == "media":
        made = wr.MediaBrowser(title=panel.title, media_keys=list(panel.keys), num_columns=1)
    else:
        (key,) = panel.keys
        made = wr.WeavePanelSummaryTable(table_name=key)
    made._id = _hashed(shelf.name, number)  # not drawn anew: the same panels, the same bytes
    return made
