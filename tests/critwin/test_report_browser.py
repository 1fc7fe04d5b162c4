"""The page in a real browser: what clicks, keys, filters and phones do, and what a text cannot."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from critwin.records import RunDirectory
from critwin.report import write_report
from tests.critwin.page_runs import (
    EVERY,
    decided_at,
    write_forked_run,
    write_picture_run,
)

CHROMIUM = shutil.which("chromium")
EVIL = (
    "</script><img src=x onerror=\"document.title='owned'\">{{ 7*7 }}{% x %}"
    "<!-- <script>document.title='owned'</script> <!--put:script-->&lt;b&gt;&amp;\u2028\u2029"
)
ORIGINALS, TOKENS = 12, 60
WIDE, PHONE = (1440, 900), (390, 844)

Open = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        if os.environ.get("CRITWIN_CI"):
            pytest.fail("CI installs chromium, and it is not there")
        pytest.skip("chromium is not installed: the page is not looked at in a browser")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # as root, which CI often is, chromium works without its sandbox only
        flags = ["--no-sandbox"] if os.geteuid() == 0 else []
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield running
        running.close()


@pytest.fixture
def show(browser: Any) -> Iterator[Open]:
    """Open a page; at the end nothing was complained of, and nothing but the file was asked for."""
    contexts, told, asked = [], [], []

    def opened(
        page: Path, *, size: tuple[int, int] = WIDE, dark: bool = False, at: str = ""
    ) -> Any:
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme="dark" if dark else "light",
        )
        contexts.append(context)
        tab = context.new_page()
        tab.set_default_timeout(20_000)
        tab.on("console", lambda message: told.append(message.text))
        tab.on("pageerror", lambda error: told.append(str(error)))
        tab.on("dialog", lambda dialog: told.append(dialog.message))
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto(f"{page.as_uri()}{at}")
        tab.wait_for_selector("html[data-ready]")
        return tab

    yield opened
    for context in contexts:
        context.close()
    assert told == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("answers")
    write_forked_run(run, originals=ORIGINALS, tokens=TOKENS)
    return write_report(run)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("hostile")
    write_forked_run(run, originals=4, tokens=TOKENS, evil=EVIL)
    return write_report(run)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("pictures")
    write_picture_run(run)
    return write_report(run)


def listed(tab: Any) -> list[str]:
    return [item.get_attribute("title") for item in tab.query_selector_all("#list [role=option]")]


def looked_at(tab: Any, name: str) -> None:
    """Wait until an original is shown; asking in JavaScript again and again is forbidden there."""
    tab.wait_for_selector(f"#detail .title h3:text-is('{name}')")


def focused(tab: Any) -> str:
    return str(tab.evaluate("document.activeElement.id"))


def place_of(tab: Any, name: str) -> list[float]:
    """Give left, top, width and height of a node."""
    box = tab.evaluate(f"find('{name}').getBoundingClientRect().toJSON()")
    return [box[key] for key in ("left", "top", "width", "height")]


def pinned(tab: Any) -> int:
    return int(tab.get_attribute(".token.pinned", "data-i"))


def test_the_list_is_searched_filtered_and_sorted(answers: Path, show: Open) -> None:
    table = RunDirectory(answers.parent).read("originals").to_pandas()
    ids = dict(zip(table["original_id"], table.index, strict=True))
    tab = show(answers)
    assert set(listed(tab)) == set(ids)
    tab.select_option("#verdict", "right")
    assert set(listed(tab)) == {name for name, i in ids.items() if i % 3 == 0}
    tab.select_option("#window", "undecided")
    assert set(listed(tab)) == {name for name, i in ids.items() if i % 3 == 0 and i % 4 == 3}
    assert tab.inner_text("#shown") == "1 of 12 answers"
    tab.select_option("#verdict", "unscored")
    tab.select_option("#window", "window")
    assert set(listed(tab)) == {name for name, i in ids.items() if i % 3 == 2 and i % 4 < 2}
    tab.select_option("#verdict", "all")
    tab.select_option("#window", "all")
    tab.fill("#search", "PROBLEM-0003 how many")
    assert set(listed(tab)) == {"problem-0003/0", "problem-0003/1"}
    tab.fill("#search", "nowhere to be found")
    assert listed(tab) == []
    tab.fill("#search", "")
    tab.select_option("#order", "run")
    assert listed(tab) == list(ids)
    tab.select_option("#order", "jump")
    shown = tab.evaluate("state.shown.map((entry) => entry.jump)")
    assert shown == sorted(shown, reverse=True)
    assert len(set(shown)) > 1


def test_a_click_on_a_token_shows_where_else_it_could_have_gone(answers: Path, show: Open) -> None:
    tab = show(answers)
    tab.click("#list [title='problem-0000/1']")
    looked_at(tab, "problem-0000/1")
    at = decided_at(1, TOKENS)
    assert pinned(tab) == at  # where it was decided, first of all
    assert tab.query_selector(f".frame #t{at}") is not None
    tab.click(f"#t{2 * EVERY}")
    told = tab.inner_text("#token")
    assert f"Token {2 * EVERY + 1} of {TOKENS}" in told
    assert "probability 0.300" in told
    assert "+0.01 [\u22120.19, +0.11]" in told
    instead = [item.inner_text() for item in tab.query_selector_all(".instead li")]
    assert [text.split()[1].strip("”") for text in instead] == ["other", "rare"]
    assert "83 %" in instead[0]
    changed, kept = tab.query_selector_all(".draws")
    assert {item.inner_text().split()[1] for item in changed.query_selector_all(".label")} == {
        "12",
        "no",
    }
    assert "turn 0" in changed.inner_text()
    assert "41" in kept.inner_text()
    tab.click(f"#t{2 * EVERY + 1}")
    assert "turn" not in tab.inner_text("#token")  # nothing was drawn there, and it says so
    assert "hardly a choice" in tab.inner_text("#token") or "No fork" in tab.inner_text("#token")


def test_text_and_curve_point_at_each_other(answers: Path, show: Open) -> None:
    tab = show(answers)
    curves = pd.read_parquet(answers.parent / "curves.parquet")
    name = tab.evaluate("state.chosen.id")
    own = curves[(curves["original_id"] == name) & curves["own"]].set_index("position")["agreement"]
    box = place_of(tab, "slider")
    for token in (5, 33):
        tab.hover(f"#t{token}")
        left, _, width, _ = place_of(tab, "column")
        assert left + width / 2 == pytest.approx(box[0] + box[2] * (token + 0.5) / TOKENS, abs=1.5)
        assert f"{100 * own[token + 1]:.0f} %" in tab.inner_text("#readout")
    for token in (8, 40):
        tab.mouse.move(box[0] + box[2] * (token + 0.5) / TOKENS, box[1] + box[3] / 2)
        assert tab.get_attribute(".token.hover", "data-i") == str(token)
    tab.mouse.click(box[0] + box[2] * 20.5 / TOKENS, box[1] + box[3] / 2)
    assert pinned(tab) == 20
    shade = tab.evaluate(
        "[...document.querySelectorAll('#text .token')]"
        ".map((token) => +token.style.getPropertyValue('--p'))"
    )
    assert shade == pytest.approx(own.loc[1:].tolist(), abs=6e-4)  # per mille
    tab.click(".legend button:has-text('12')")
    assert tab.evaluate("+find('t0').style.getPropertyValue('--p')") == pytest.approx(
        (1 - own[1]) / 3, abs=6e-4
    )


def test_everything_is_reached_by_keyboard(answers: Path, show: Open) -> None:
    tab = show(answers)
    tab.keyboard.press("/")
    assert focused(tab) == "search"
    tab.keyboard.type("problem-0002")
    tab.keyboard.press("Enter")
    assert focused(tab) == "list"
    assert tab.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    first = tab.evaluate("state.chosen.id")
    assert first.startswith("problem-0002")
    tab.keyboard.press("ArrowDown")
    second = tab.evaluate("state.chosen.id")
    assert second != first
    looked_at(tab, second)
    tab.keyboard.press("Enter")
    assert focused(tab) == "text"
    assert tab.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    tab.keyboard.press("Home")
    tab.keyboard.press("ArrowRight")
    assert pinned(tab) == 1
    tab.keyboard.press("Shift+ArrowRight")
    assert pinned(tab) == EVERY
    assert tab.get_attribute("#text", "aria-activedescendant") == f"t{EVERY}"
    assert f"token {EVERY + 1} of {TOKENS}" in tab.inner_text("#said")
    tab.keyboard.press("ArrowDown")
    moved = pinned(tab)
    assert moved > EVERY
    tab.keyboard.press("ArrowUp")
    assert pinned(tab) < moved
    tab.keyboard.press("End")
    assert pinned(tab) == TOKENS - 1
    for key, place in (("Enter", "token"), ("Escape", "text"), ("Escape", "list")):
        tab.keyboard.press(key)
        assert focused(tab) == place
    tab.keyboard.press("Escape")
    tab.keyboard.press("Escape")
    assert tab.input_value("#search") == ""
    names = tab.evaluate(
        "[...document.querySelectorAll('button, input, select, [tabindex=\"0\"]')]"
        ".filter((node) => !(node.labels?.length || node.ariaLabel || node.textContent.trim()))"
        ".map((node) => node.outerHTML)"
    )
    assert names == []


def test_hostile_text_stays_text(hostile: Path, show: Open) -> None:
    tab = show(hostile)
    for place in range(4):
        tab.evaluate(f"choose(index.originals[{place}], false)")
        assert "<img src=x" in tab.text_content("#text")
        assert EVIL in tab.text_content(".question")
        assert EVIL in tab.text_content("#token .draws")
        assert EVIL in tab.text_content("#token .instead")
    tab.fill("#search", "onerror=")
    assert len(listed(tab)) == 4
    assert EVIL in tab.text_content("#list")
    assert EVIL in tab.text_content("header")
    assert EVIL in tab.text_content(".cards")
    assert tab.evaluate("document.querySelectorAll('img').length") == 0
    assert tab.evaluate("document.querySelectorAll('script').length") == 4
    assert tab.title().startswith("llm_math</script>")


def test_the_page_forbids_itself_the_network(answers: Path, browser: Any) -> None:
    tab = browser.new_page()
    reached: list[str] = []
    tab.on("response", lambda response: reached.append(response.url))
    tab.goto(answers.as_uri())
    tab.wait_for_selector("html[data-ready]")
    blocked = tab.evaluate(
        """async () => {
          const found = [];
          const note = (event) => found.push(event.effectiveDirective);
          document.addEventListener('securitypolicyviolation', note);
          await fetch('https://example.org/').catch(() => {});
          const image = new Image();
          const failed = new Promise((done) => { image.onerror = done; });
          image.src = 'https://example.org/x.png';
          await failed;
          return found;
        }"""
    )
    tab.close()
    assert blocked == ["connect-src", "img-src"]
    assert [url for url in reached if url.startswith("http")] == []


@pytest.mark.parametrize("dark", [False, True])
def test_a_phone_shows_it_without_sideways_scrolling(
    answers: Path, hostile: Path, pictures: Path, show: Open, dark: bool
) -> None:
    for page in (answers, hostile, pictures):
        tab = show(page, size=PHONE, dark=dark)
        for fold in tab.query_selector_all("details"):
            fold.evaluate("(node) => { node.open = true; }")
        assert tab.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
        sizes = tab.evaluate(
            "['#token', '#list', '#detail', '#said + *, #readout'].map((q) =>"
            "parseFloat(getComputedStyle(document.querySelector(q)).fontSize))"
        )
        assert min(sizes) >= 13
    tab = show(answers, size=PHONE, dark=dark)
    tab.click("#list [title='problem-0001/0']")
    looked_at(tab, "problem-0001/0")
    top = tab.evaluate("find('detail').getBoundingClientRect().top")
    assert -5 <= top < PHONE[1] / 2  # a tap leads to the answer


CONTRAST = """() => {
  const pixel = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgb = (...colours) => {
    pixel.clearRect(0, 0, 1, 1);
    for (const colour of colours) { pixel.fillStyle = colour; pixel.fillRect(0, 0, 1, 1); }
    return [...pixel.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const linear = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const light = (colour) => colour.map((v) => linear(v / 255))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ratio = (a, b) => {
    const [more, less] = [light(a), light(b)].sort((m, n) => n - m);
    return (more + 0.05) / (less + 0.05);
  };
  const paper = getComputedStyle(document.body).backgroundColor;
  const found = {};
  const texts = ['.lead', '#shown', 'summary', '.mark.right', '.mark.wrong', '.chip', '.special'];
  for (const query of texts) {
    found[query] = ratio(rgb(getComputedStyle(document.querySelector(query)).color), rgb(paper));
  }
  const token = document.querySelector('#text .token:not(.special)');
  token.style.setProperty('--p', 1);
  const style = getComputedStyle(token);
  found.shaded = ratio(rgb(style.color), rgb(paper, style.backgroundColor));
  found.seen = ratio(rgb(paper), rgb(paper, style.backgroundColor));
  found.dark = light(rgb(paper)) < .2;
  return found;
}"""


@pytest.mark.parametrize("dark", [False, True])
def test_dark_and_light_can_be_read(answers: Path, show: Open, dark: bool) -> None:
    tab = show(answers, dark=dark)
    found = tab.evaluate(CONTRAST)
    assert found.pop("dark") is dark
    assert found.pop("seen") >= 1.5  # the deepest shade stands out from none
    assert min(found.values()) >= 4.5, found  # WCAG 2.2, 1.4.3
    tab.click("#theme")
    other = tab.evaluate(CONTRAST)
    assert other.pop("dark") is not dark
    assert min(value for name, value in other.items() if name != "seen") >= 4.5
    tab.reload()
    tab.wait_for_selector("html[data-ready]")
    assert tab.evaluate(CONTRAST)["dark"] is not dark  # it is remembered


def test_long_answers_are_made_when_they_are_looked_at(tmp_path: Path, show: Open) -> None:
    write_forked_run(tmp_path, originals=10, tokens=2000)
    page = write_report(tmp_path)
    assert page.stat().st_size < 10 * 60_000
    tab = show(page)
    # one answer of 2000 tokens, and of the curve a handful of nodes
    assert tab.evaluate("document.querySelectorAll('*').length") < 2600
    assert tab.evaluate("document.querySelectorAll('#curve *').length") < 40
    tab.click(".legend .near")
    assert tab.evaluate("chart.high - chart.low") == 80
    at = pinned(tab)
    assert tab.evaluate("chart.low") == at - 40


def test_pictures_stand_over_the_noise_levels(pictures: Path, show: Open) -> None:
    tab = show(pictures)
    assert len(tab.query_selector_all(".level")) == 6
    loaded = (
        "[...document.images].filter((image) => image.complete && image.naturalWidth === 12).length"
    )
    tab.click(".level[data-position='1']")
    assert "1 of 6 steps" in tab.inner_text("#token h3")
    told = tab.inner_text("#token")
    assert "digit 0" in told
    assert "another digit" in told
    assert "20 %" in tab.inner_text("#readout")
    assert tab.evaluate(loaded) >= 7
    tab.focus("#slider")
    tab.keyboard.press("ArrowRight")
    assert "2 of 6 steps" in tab.inner_text("#token h3")
    assert tab.get_attribute(".level[aria-current=true]", "data-position") == "2"


def test_an_address_leads_to_a_token(answers: Path, show: Open) -> None:
    tab = show(answers, at="#problem-0003%2F1@17")
    assert tab.evaluate("state.original.id") == "problem-0003/1"
    assert pinned(tab) == 17
    tab.click("#t4")
    assert tab.url.endswith("#problem-0003%2F1@4")
