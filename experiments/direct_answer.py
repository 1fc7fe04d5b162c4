"""The direct answer at a cut beside resampling: the paper's Figure 11, and their calibration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from critwin.asking import REPLY_TOKENS
from critwin.direct_answers import direct_table, direct_tables, summarise_direct
from critwin.direct_figure import write_direct_figure
from critwin.errors import ParameterError
from critwin.features.answers import AnswerFeature
from critwin.features.correctness import Correctness
from critwin.prompt import Prompt
from critwin.protocol import Grid, check_number, check_whole
from critwin.records import RunDirectory
from critwin.report import write_report
from experiments.direct_resampling import DirectResampling
from experiments.estimates import Cost
from experiments.resampling import Resampling
from experiments.text_windows import TextWindows
from experiments.tracker import Progress

PAPER = "paper"
"""Value of `question` that stands for the feature's own question, in the paper's words."""


@dataclass(frozen=True, kw_only=True)
class DirectAnswer(TextWindows):
    """Resample originals at the cuts of a grid, ask for the answer at each, compare the two.

    Attributes:
        question: What the user asks at a cut; `paper`: the feature's question, in the paper's
            words; empty: nothing, the model goes on in its own turn after `lead`.
        lead: Words put at the beginning of the reply.
        direct_n: Direct answers per original and cut, >= 1.
        direct_temperature: Their temperature, >= 0; at 0 one of them says it all.
        reply_tokens: Their length limit in tokens, >= 1.
    """

    question: str = ""
    lead: str = " The answer is"
    direct_n: int = 1
    direct_temperature: float = 0.0
    reply_tokens: int = REPLY_TOKENS

    name: ClassVar[str] = "direct_answer"

    @property
    def products(self) -> tuple[str, ...]:
        """What every run by a grid leaves, and the direct answers beside the resamples."""
        return (*super().products, "direct.parquet")

    def check(self) -> None:
        """Refuse what a run refuses, protocols without cuts, and models that cannot be asked."""
        if not isinstance(self.sampler, Grid):
            allowed = "fractions or every_token, because direct answers are asked for at cuts"
            raise ParameterError("sampler", "forks", allowed)
        check_whole("direct_n", self.direct_n, low=1)
        check_whole("reply_tokens", self.reply_tokens, low=1)
        check_number(
            "direct_temperature", self.direct_temperature, low=0, low_in=True, high=float("inf")
        )
        if self.direct_n is None or self.direct_temperature is None or self.reply_tokens is None:
            raise ParameterError("direct_n", None, "numbers, like direct_temperature's")
        if self.direct_temperature == 0 and self.direct_n > 1:
            allowed = "1, because at direct_temperature=0 all are alike"
            raise ParameterError("direct_n", self.direct_n, allowed)
        if not self.model.converses:
            why = f"a model that can be asked; {type(self.model).__name__} cannot"
            raise ParameterError("model", type(self.model).__name__, why)
        _ = self.said
        super().check()

    def cost(self, *, progress: Progress) -> Cost | None:
        """Tell what a run would cost, its direct answers among it."""
        resamples = super().cost(progress=progress)
        asking = self._resampling()
        assert isinstance(asking, DirectResampling)
        direct = asking.direct_cost(progress=progress)
        return None if resamples is None else resamples.joined(direct)

    @property
    def said(self) -> Prompt:
        """What is asked at a cut.

        Raises:
            ParameterError: Nothing is, or the feature has no question in the paper's words.
        """
        question = self.question
        if question == PAPER:
            of = self.feature.of if isinstance(self.feature, Correctness) else self.feature
            if not isinstance(of, AnswerFeature):
                allowed = f"a question, because {type(of).__name__} has none of the paper's"
                raise ParameterError("question", question, allowed)
            question = of.question
        if not question and not self.lead:
            raise ParameterError("question", question, "a question, where lead is empty")
        return Prompt(question, prefix=self.lead)

    def _analyse(self, directory: RunDirectory, progress: Progress) -> None:
        super()._analyse(directory, progress)
        originals, resamples = (
            directory.read(name).to_pandas() for name in ("originals", "resamples")
        )
        table = direct_table(originals, resamples)
        assert isinstance(self.sampler, Grid)
        found = summarise_direct(table.to_pandas(), self.sampler.shown_fractions())
        directory.write("direct", table)
        summary = directory.read_json("summary") or {}
        summary |= {"direct": found, "tables": direct_tables(found)}
        directory.write_json("summary", summary)
        write_direct_figure(directory.path / "figures", found)
        write_report(directory.path)  # once more, as it shows the figure

    def _resampling(self) -> Resampling:
        assert isinstance(self.sampler, Grid)
        return DirectResampling(
            drawing=self._drawing(),
            protocol=self.sampler,
            said=self.said,
            direct_n=self.direct_n,
            temperature=float(self.direct_temperature),
            reply_tokens=self.reply_tokens,
        )
