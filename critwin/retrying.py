"""Second tries: a model is shown a stretch of its own answer, and what becomes of the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa

from critwin.drawing import QUIET, SINGLE, drawing
from critwin.errors import ParameterError
from critwin.prompt import Prompt
from critwin.seeds import fold_in
from critwin.statistics import Interval, clustered_difference, clustered_share, plain
from critwin.window import Window

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ARMS = ("window", "random", "plain")
"""Shown is the answer's window, a random stretch of as many tokens, or nothing at all."""

AFTER = {
    "window": "the window is shown",
    "random": "a random stretch is",
    "plain": "a plain retry",
}

RETRIES = pa.schema(
    [
        ("original_id", pa.string()),
        ("problem_id", pa.string()),
        ("arm", pa.string()),  # window, random, plain
        ("replicate", pa.int32()),
        ("position_start", pa.int32()),  # of the stretch, in tokens kept; null: none was shown
        ("position_end", pa.int32()),
        ("stretch", pa.string()),
        ("prompt", pa.string()),  # the user's turn
        ("prefix", pa.string()),  # the beginning of the model's turn
        ("prompt_ids", pa.list_(pa.int32())),  # both as they were sent
        ("text", pa.string()),
        ("token_ids", pa.list_(pa.int32())),
        ("label", pa.string()),
        ("right", pa.bool_()),  # unscored is not right
        ("was_right", pa.bool_()),  # the original
        ("unscored", pa.bool_()),
        ("tokens_generated", pa.int32()),
        ("seed", pa.int64()),
    ]
)

PIECES = ("{question}", "{answer}", "{before}", "{stretch}")


@dataclass(frozen=True, kw_only=True)
class RetryPrompts:
    """How a second try is asked for: the `retry` group of a config.

    In the texts `{question}` stands for what the user asked, `{answer}` for the whole first answer,
    `{before}` for what stands in it before the stretch, `{stretch}` for the stretch itself.

    Attributes:
        shown: The user's turn where a stretch is shown.
        shown_prefix: Beginning of the model's turn there.
        plain: The user's turn of a plain retry; it may not name the stretch.
        plain_prefix: Beginning of the model's turn there.
        source: Where the words come from; not part of what is sent.
    """

    shown: str
    plain: str = "{question}"
    shown_prefix: str = ""
    plain_prefix: str = ""
    source: str = ""

    execution = frozenset({"source"})

    def __post_init__(self) -> None:
        if not any(piece in self.shown + self.shown_prefix for piece in PIECES[2:]):
            allowed = "a text that shows {stretch}, in it or in shown_prefix"
            raise ParameterError("shown", self.shown, allowed)
        if any(piece in self.plain + self.plain_prefix for piece in PIECES[2:]):
            raise ParameterError("plain", self.plain, "a text without {before} and {stretch}")

    def render(
        self, asked: Prompt, tokens: Sequence[str], stretch: tuple[int, int] | None
    ) -> Prompt:
        """Put a second try into words.

        Args:
            asked: How the question was put.
            tokens: The first answer's tokens as text, special ones as empty texts.
            stretch: The tokens shown, [start, end) from 0; None for a plain retry.
        """
        said = {"question": asked.user, "answer": "".join(tokens), "before": "", "stretch": ""}
        user, prefix = self.plain, self.plain_prefix
        if stretch is not None:
            start, end = stretch
            said |= {"before": "".join(tokens[:start]), "stretch": "".join(tokens[start:end])}
            user, prefix = self.shown, self.shown_prefix
        for name, text in said.items():
            user = user.replace(f"{{{name}}}", text)
            prefix = prefix.replace(f"{{{name}}}", text)
        return Prompt(user, system=asked.system, prefix=prefix or asked.prefix)

    @property
    def in_place(self) -> bool:
        """Whether the model goes on after the stretch rather than answering anew."""
        return "{stretch}" in self.shown_prefix


def shown_window(windows: Sequence[Window]) -> tuple[int, int] | None:
    """Give the tokens of the certified rise with the highest jump; None without one."""
    risen = [w for w in windows if w.direction == "rise" and w.jump_lower > 0]
    if not risen:
        return None
    most = max(risen, key=lambda window: (window.jump, -window.position_start))
    return most.position_start, most.position_end


def random_stretch(length: int, window: tuple[int, int], *, seed: int) -> tuple[int, int] | None:
    """Draw a stretch of as many tokens as the window, apart from it; None where none fits.

    Args:
        length: Tokens of the answer that may be shown.
        window: Tokens of the window, [start, end).
        seed: Decides it.
    """
    width = window[1] - window[0]
    fits = [s for s in range(length - width + 1) if s + width <= window[0] or s >= window[1]]
    if not fits:
        return None
    start = fits[fold_in(seed, "random stretch") % len(fits)]
    return start, start + width


def summarise_retries(retries: pd.DataFrame, originals: int) -> dict[str, Any]:
    """Give the summary of a run, fit for JSON.

    Args:
        retries: The retries table.
        originals: Originals that were drawn, with a window or without.

    Returns:
        wrong and right (what the first answer was): for each arm the share of right second tries,
        and the differences between arms, over problems, with tokens; headline and tables.
    """
    found: dict[str, Any] = {}
    for name, own in (
        ("wrong", retries[~retries["was_right"]]),
        ("right", retries[retries["was_right"]]),
    ):
        arms = {arm: own[own["arm"] == arm] for arm in ARMS}
        found[name] = {
            "arms": {arm: plain(_share(rows)) for arm, rows in arms.items()},
            "tokens": {arm: int(rows["tokens_generated"].sum()) for arm, rows in arms.items()},
            "window_less_random": plain(_difference(arms["window"], arms["random"])),
            "window_less_plain": plain(_difference(arms["window"], arms["plain"])),
        }
    counts = {
        "originals": originals,
        "with_a_window": int(retries["original_id"].nunique()),
        "wrong_with_a_window": int(retries[~retries["was_right"]]["original_id"].nunique()),
        "unscored": int(retries["unscored"].sum()),
    }
    return found | {"counts": counts, "headline": _headline(found, counts), "tables": []}


def _share(rows: pd.DataFrame) -> Interval | None:
    by = rows.groupby("problem_id")["right"]
    return clustered_share(by.sum(), by.size())


def _difference(first: pd.DataFrame, other: pd.DataFrame) -> Interval | None:
    problems = sorted({*first["problem_id"]} | {*other["problem_id"]})
    sums, sizes = [], []
    for rows in (first, other):
        by = rows.groupby("problem_id")["right"]
        sums.append(by.sum().reindex(problems, fill_value=0))
        sizes.append(by.size().reindex(problems, fill_value=0))
    return clustered_difference(sums[0], sizes[0], sums[1], sizes[1])


def _headline(found: Mapping[str, Any], counts: Mapping[str, int]) -> list[dict[str, Any]]:
    rows = []
    for was in ("wrong", "right"):
        for arm in ARMS:
            tokens = found[was]["tokens"][arm]
            name = f"{was} answers: right after {AFTER[arm]}"
            rows.append({"name": name, **found[was]["arms"][arm], "note": f"{tokens} tokens"})
        for other in ("random", "plain"):
            note = f"of {counts['with_a_window']} answers with a window of {counts['originals']}"
            row = found[was][f"window_less_{other}"]
            rows.append({"name": f"  the window less {other}", **row, "note": note})
    return rows


def retries_figure(summary: Mapping[str, Any]) -> Figure:
    """Draw the share of right second tries by arm, for wrong and for right first answers."""
    with drawing(SINGLE, 2.2) as figure:
        axes = figure.subplots()
        for shift, was, mark in ((-0.1, "wrong", "o"), (0.1, "right", "s")):
            arms = [(at, summary[was]["arms"][arm]) for at, arm in enumerate(ARMS)]
            drawn = [(at, own) for at, own in arms if own["estimate"] is not None]
            for number, (at, own) in enumerate(drawn):
                ends = [[own["estimate"] - own["lower"]], [own["upper"] - own["estimate"]]]
                axes.errorbar(
                    [at + shift],
                    [own["estimate"]],
                    ends,
                    fmt=mark,
                    color="#0072B2" if was == "right" else "#C24E00",
                    capsize=2,
                    label=f"first answer {was}" if number == 0 else None,
                )
        axes.set_xticks(range(len(ARMS)), ["window shown", "random stretch", "plain retry"])
        axes.set(ylabel="right second tries", ylim=(0, 1.02))
        if axes.get_legend_handles_labels()[1]:
            figure.legend(loc="outside upper center", ncols=2)
        else:
            axes.text(1, 0.5, "no answer had a window to be shown", ha="center", color=QUIET)
    return figure
