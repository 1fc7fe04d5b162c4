"""Asking after a text: what was said stays the token ids that it is, and replies are labelled."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from critwin.asking import REPLY_TOKENS, ask, check_asking, draw_replies, label_samples
from critwin.direct_answers import calibration_bins, direct_table, summarise_direct
from critwin.errors import ParameterError
from critwin.feature import UNSCORED
from critwin.features.correctness import Correctness
from critwin.features.free_text import FreeText
from critwin.features.math_answer import MathAnswer
from critwin.features.multiple_choice import MultipleChoice
from critwin.generation import Generation, truncate
from critwin.problem import Problem
from critwin.prompt import Prompt
from critwin.relabelling import relabel
from critwin.samplers.language import LanguageSampler
from critwin.samplers.markov_string import MarkovString

PROBLEM = Problem("p", "?", "1")


@pytest.fixture(scope="module")
def chat(tiny_llama: Path) -> LanguageSampler:
    return LanguageSampler(path=str(tiny_llama), max_new_tokens=6, device="cpu")


def test_the_conversation_goes_on_as_token_ids(chat: LanguageSampler) -> None:
    (start,) = chat.start([Prompt("how many?", system="count")])
    ((x,),) = chat.resample([start], seeds=[[3]])
    for level in (0, 2, len(x.token_ids)):
        cut = truncate(x, level)
        (asked,) = chat.follow_up([cut], [Prompt("so?", prefix="The answer is")])
        assert asked is not None
        kept = [i for i in cut.token_ids if i not in chat.loaded.end_ids]
        spoken = (*x.prompt_ids, *kept)
        assert asked.prompt_ids[: len(spoken)] == spoken
        rest = chat.prompt_text(asked.prompt_ids[len(spoken) :])
        assert rest == "</s><|user|>so?</s><|assistant|>The answer is"
        assert asked.token_ids == ()
        (forced,) = chat.follow_up([cut], [Prompt("", prefix=" is")])
        assert forced is not None
        assert chat.prompt_text(forced.prompt_ids[len(spoken) :]) == " is"


THINKS = "<think>\n"


@pytest.mark.parametrize(
    ("said", "question", "after"),
    [
        ("hm", "so?", f"\n</think>\n\n</s><|user|>so?</s><|assistant|>{THINKS}\n</think>\n\n"),
        ("hm</think>4", "so?", f"</s><|user|>so?</s><|assistant|>{THINKS}\n</think>\n\n"),
        ("hm", "", "\n</think>\n\n"),
        ("hm</think>4", "", ""),
    ],
)
def test_a_model_that_thinks_is_asked_for_its_answer_not_for_another_thought(
    chat: LanguageSampler, said: str, question: str, after: str
) -> None:
    thinks = replace(chat, opening=THINKS)
    (start,) = thinks.start([Prompt("how many?", prefix="Well,")])
    ids = tuple(thinks.loaded.tokenizer(said, add_special_tokens=False)["input_ids"])
    x = Generation(start.prompt_ids, ids, (0.0,) * len(ids), said, "length")
    (asked,) = thinks.follow_up([truncate(x, len(ids))], [Prompt(question, prefix="It is")])
    assert asked is not None
    before = len(start.prompt_ids) + len(ids)
    assert asked.prompt_ids[:before] == (*start.prompt_ids, *ids)
    assert thinks.prompt_text(asked.prompt_ids[before:]) == f"{after}It is"


def test_a_thought_that_the_prompt_begins_is_no_answer(chat: LanguageSampler) -> None:
    """Its opening mark stands in the prompt, so that the text alone does not tell."""
    texts = ["The answer is 41.", "The answer is 41.</think>The answer is 42."]
    labels = {}
    for opening in ("", THINKS):
        (start,) = replace(chat, opening=opening).start([Prompt("how many?")])
        xs = [Generation(start.prompt_ids, (1,), (0.0,), text, "length") for text in texts]
        (found,) = label_samples(MathAnswer(), [(xs, PROBLEM)], replace(chat, opening=opening))
        labels[opening] = found.labels
        originals = pa.Table.from_pylist(
            [
                {
                    **{"original_id": f"p/{i}", "problem_id": "p", "text": x.text},
                    **{"prompt": chat.prompt_text(x.prompt_ids), "label": "", "truth": ""},
                    **{"correct": False, "unscored": False},
                }
                for i, x in enumerate(xs)
            ]
        )
        resamples = pa.table(
            {
                **{"original_id": ["p/0"], "text_start": [4], "text": [texts[0][4:]]},
                **{"label": [""], "agrees": [False], "unscored": [False]},
            }
        )
        again, drawn = relabel(originals, resamples, problems=[PROBLEM], feature=MathAnswer())
        assert again["label"].to_pylist() == found.labels
        assert drawn["label"].to_pylist() == found.labels[:1]
    assert labels == {"": ["41", "42"], THINKS: [UNSCORED, "42"]}


def test_a_question_that_does_not_fit_is_unscored(tiny_letters: Path) -> None:
    letters = LanguageSampler(path=str(tiny_letters), device="cpu", max_new_tokens=8)
    starts = letters.start([Prompt("abc")])
    (full, short) = ask(letters, starts * 2, [Prompt("a" * 40), Prompt("ab")])
    assert (full.text, full.tokens, full.finish_reason) == ("", 0, "full")
    assert short.tokens > 0
    (again,) = ask(letters, starts, [Prompt("ab")])
    assert again == short  # at temperature 0, in another batch
    ((one, two),) = draw_replies(
        letters, starts, [Prompt("ab")], seeds=[[1, 2]], temperature=1.0, tokens=5
    )
    assert one != two
    assert one.tokens <= 5 < REPLY_TOKENS


@dataclass(frozen=True, kw_only=True)
class Asked(FreeText):
    answer: str = "asked"  # type: ignore[assignment]
    question: str = "so?"
    most_words: int = 1000


def test_replies_are_what_is_labelled(chat: LanguageSampler) -> None:
    (start,) = chat.start([Prompt("how many?")])
    ((x, y),) = chat.resample([start], seeds=[[1, 2]])
    feature = Asked(lead="The answer is 42. ")
    (labelled, plain) = label_samples(feature, [([x, y, x], PROBLEM), ([y], PROBLEM)], chat)
    assert labelled.labels == ["42"] * 3
    assert labelled.replies[0] == labelled.replies[2]
    assert plain.replies[0] == labelled.replies[1]
    reply = labelled.replies[0]
    assert reply is not None
    assert reply.text.startswith("The answer is 42. ")
    (read,) = label_samples(FreeText(), [([x], PROBLEM)], chat)
    assert read.replies == [None]


def test_who_cannot_be_asked_is_refused() -> None:
    feature = Correctness(of=MathAnswer(answer="asked"))
    assert feature.follow_up(PROBLEM) is not None
    with pytest.raises(ParameterError, match=r"feature\.answer is 'asked'.*MarkovString"):
        check_asking(feature, MarkovString())
    check_asking(MultipleChoice(), MarkovString())


ORIGINALS = pd.DataFrame(
    {
        "original_id": ["a/0", "b/0", "c/0"],
        "problem_id": ["a", "b", "c"],
        "label": ["1", "2", UNSCORED],
        "token_ids": [[0] * 10, [0] * 10, [0] * 10],
    }
)
GRID = {("a/0", 0): "1112", ("a/0", 5): "1111", ("b/0", 0): "1122", ("b/0", 5): "2222"}
DIRECT = {("a/0", 0): "1", ("a/0", 5): "1", ("b/0", 0): "1", ("b/0", 5): "2"}


def rows() -> pd.DataFrame:
    made = [
        {"original_id": name, "position": at, "label": label, "kind": kind}
        for kind, cuts in (("grid", GRID), ("direct", DIRECT))
        for (name, at), labels in [*cuts.items(), (("c/0", 0), "1")]
        for label in labels
    ]
    return pd.DataFrame([*made, {**made[0], "kind": "pilot", "label": "9"}])


def test_direct_answers_beside_resamples_by_hand() -> None:
    table = direct_table(ORIGINALS, rows()).to_pandas()
    assert len(table) == 4  # the unscored original says nothing
    first = table[(table["original_id"] == "b/0") & (table["position"] == 0)].iloc[0]
    assert (first["resampled"], first["direct"]) == (0.5, 0.0)
    assert (first["direct_label"], first["direct_label_resampled"]) == ("1", 0.5)
    summary = summarise_direct(table, (0.0, 0.5))
    start, half = summary["by_fraction"]
    assert start["resampled"]["estimate"] == pytest.approx((0.75 + 0.5) / 2)
    assert start["direct"]["estimate"] == 0.5
    assert start["difference"]["estimate"] == pytest.approx(0.5 - 0.625)
    assert half["direct"]["estimate"] == half["resampled"]["estimate"] == 1.0
    calibration = summary["calibration"]
    agrees, differs = (
        calibration[f"resampled_where_{key}"] for key in ("direct_agrees", "it_differs")
    )
    assert agrees["estimate"] == pytest.approx((0.75 + 1 + 1) / 3)
    assert (differs["estimate"], differs["n"]) == (0.5, 1)
    # squares .0625, 0, .25, 0 less the noise p(1-p)/3: .0625, 0, .08333, 0
    wanted = (0.0625 + 0.25 - 0.0625 - 0.25 / 3) / 4
    assert calibration["mean_squared_difference"] == pytest.approx(wanted)
    assert [(b["from"], b["direct"]["n"]) for b in calibration_bins(table)] == [
        (0.4, 1),
        (0.6, 1),
        (0.8, 2),
    ]
    assert len(direct_table(ORIGINALS, rows().query("kind == 'grid'"))) == 0
