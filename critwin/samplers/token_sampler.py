"""What samplers of language models share, wherever the model runs: prompts, lengths, texts."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

from critwin.errors import ModelError
from critwin.generation import Generation, Prefix, TextSampler, truncate
from critwin.prompt import Prompt
from critwin.protocol import Sampling
from critwin.sampler import ForkingSampler
from critwin.samplers.chat_text import ChatText, check_chat
from critwin.samplers.checkpoint import check_path, warn_unpinned
from critwin.samplers.conversation import follow_up_ids
from critwin.samplers.token_law import Drawn, Request, TokenLaw


@dataclass(frozen=True, kw_only=True)
class TokenSampler(TextSampler, ForkingSampler[Generation, Prefix]):
    """A causal language model, drawn from with temperature, top-k and top-p.

    Attributes:
        path: Local checkpoint folder, hub name such as `org/name`, or `embedded:arithmetic`.
        revision: Branch, tag or commit of a hub model; None for its default.
        temperature: Divides the logits, >= 0; 0 takes the most probable token.
        top_k: Keep the k most probable tokens; None keeps all.
        top_p: Keep the most probable tokens that together reach this probability, in (0, 1].
        min_p: Drop tokens less probable than this share of the most probable one, in [0, 1].
        repetition_penalty: Divides the logits of tokens that stand in prompt or sample already
            (multiplies those below 0), > 0; 1 for none.
        max_new_tokens: Length limit from the end of the prompt, >= 1; the model's context is one
            too. Both depend on the prompt alone, so originals and resamples share them.
        stop: Strings that end a generation; they stay part of it. Names of special tokens may
            stand in them; the token ends it then, though no text shows it.
        chat_arguments: What the chat template is given beside the messages, such as
            `enable_thinking: false`.
        opening: Beginning of the model's turn, before the prompt's own prefix, such as `<think>`;
            it counts as prompt.
        shown: Names of special tokens that stay in the text, such as the delimiters of reasoning.
        trust_remote_code: Run Python code that comes with the checkpoint.
    """

    path: str
    revision: str | None = None
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    max_new_tokens: int = 512
    stop: tuple[str, ...] = ()
    chat_arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)
    opening: str = ""
    shown: tuple[str, ...] = ()
    trust_remote_code: bool = False

    converses: ClassVar[bool] = True

    def __post_init__(self) -> None:
        checked = Sampling(
            temperature=self.temperature,
            top_k=self.top_k,
            top_p=self.top_p,
            min_p=self.min_p,
            repetition_penalty=self.repetition_penalty,
            max_new_tokens=self.max_new_tokens,
            stop=self.stop,
        )
        for name, value in checked.chosen().items():
            object.__setattr__(self, name, value)
        check_path(self.path)
        check_chat(self.chat_arguments, self.shown, self.opening)
        object.__setattr__(self, "shown", tuple(self.shown))

    def with_sampling(self, sampling: Sampling) -> Self:
        """Return this sampler with its defaults replaced by the parameters that are set."""
        chosen: dict[str, Any] = sampling.chosen()
        return replace(self, **chosen)

    @property
    @abstractmethod
    def chat(self) -> ChatText:
        """The tokenizer with what the config says about the model's turn, loaded on first use."""

    @property
    @abstractmethod
    def end_ids(self) -> tuple[int, ...]:
        """Tokens that end a generation."""

    @property
    @abstractmethod
    def context(self) -> int:
        """Tokens that prompt and sample may have together."""

    def start(self, prompts: Sequence[Prompt]) -> list[Prefix]:
        """Render each prompt to token ids, once, by the chat template where there is one."""
        warn_unpinned(self.path, self.revision)
        chat = self.chat
        return [Prefix(chat.render(prompt)) for prompt in prompts]

    def follow_up(self, y: Sequence[Prefix], prompts: Sequence[Prompt]) -> list[Prefix | None]:
        """Continue each conversation with a further turn of the user, by the chat template."""
        chat, ends = self.chat, self.end_ids
        asked = [
            follow_up_ids(chat, p, said, end_ids=ends) for p, said in zip(y, prompts, strict=True)
        ]
        return [Prefix(ids) if len(ids) < self.context else None for ids in asked]

    def tokens(self, token_ids: Sequence[int]) -> list[str]:
        """Give each token as text; special tokens as the tokenizer writes them."""
        return self.chat.tokens(token_ids)

    def text(self, token_ids: Sequence[int]) -> str:
        """Give token ids as text, special tokens left out but for those that are shown."""
        return self.chat.text(token_ids)

    def prompt_text(self, prompt_ids: Sequence[int]) -> str:
        """Give the prompt as it was sent, special tokens shown."""
        return self.chat.prompt_text(prompt_ids)

    def resample(
        self, y: Sequence[Prefix], *, seeds: Sequence[Sequence[int]]
    ) -> list[list[Generation]]:
        """Continue each prefix, once per seed; a generation that was kept whole is returned."""
        limits = [self.limit(prefix) for prefix in y]
        open_ = [i for i, p in enumerate(y) if p.whole is None and p.level < limits[i]]
        requests = [
            Request(
                prompt_ids=y[i].prompt_ids,
                sample_ids=_known(y[i]),
                kept=y[i].level,
                limit=limits[i],
                seeds=tuple(seeds[i]),
            )
            for i in open_
        ]
        by_item = dict(zip(open_, self.decode(requests), strict=True))
        return [
            self.join(prefix, by_item[i]) if i in by_item else self.unchanged(prefix, len(s))
            for i, (prefix, s) in enumerate(zip(y, seeds, strict=True))
        ]

    def fork(
        self, x: Sequence[Generation], position: Sequence[int], *, seeds: Sequence[int]
    ) -> list[Generation]:
        """Replace token `position` of each generation by another one and go on to the end.

        Forks of one generation at one token share the computation of what stands before it.
        """
        alike: dict[tuple[Generation, int], list[int]] = {}
        for item, (g, at) in enumerate(zip(x, position, strict=True)):
            if not 1 <= at <= len(g.token_ids):
                raise ValueError(f"position is {at}; allowed: 1 to {len(g.token_ids)}")
            alike.setdefault((g, at), []).append(item)
        prefixes = [truncate(g, at - 1) for g, at in alike]
        requests = [
            Request(
                prompt_ids=prefix.prompt_ids,
                sample_ids=g.token_ids,
                kept=prefix.level,
                limit=self.limit(prefix),
                seeds=tuple(seeds[item] for item in items),
                excluded=g.token_ids[at - 1],
            )
            for prefix, ((g, at), items) in zip(prefixes, alike.items(), strict=True)
        ]
        forks: dict[int, Generation] = {}
        for prefix, items, drawn in zip(
            prefixes, alike.values(), self.decode(requests), strict=True
        ):
            forks.update(zip(items, self.join(prefix, drawn), strict=True))
        return [forks[item] for item in range(len(x))]

    @abstractmethod
    def decode(self, requests: Sequence[Request]) -> list[list[Drawn]]:
        """Draw continuations; for each request its draws, in the order of its seeds."""

    def law(self) -> TokenLaw:
        """Say what tokens are drawn from, and when a generation ends."""
        return TokenLaw(
            tokenizer=self.chat.tokenizer,
            end_ids=self.end_ids,
            temperature=self.temperature,
            top_k=self.top_k,
            top_p=self.top_p,
            min_p=self.min_p,
            repetition_penalty=self.repetition_penalty,
            stop=self.stop,
        )

    def limit(self, prefix: Prefix) -> int:
        """Give the length limit of samples with this prompt."""
        room = self.context - len(prefix.prompt_ids)
        if room < 1:
            raise ModelError(
                f"a prompt has {len(prefix.prompt_ids)} tokens; the model's context holds "
                f"{self.context}, and one has to be left for the answer"
            )
        return min(self.max_new_tokens, room)

    def join(self, prefix: Prefix, drawn: Sequence[Drawn]) -> list[Generation]:
        """Put what was drawn behind its prefix."""
        ids = [prefix.token_ids + d.token_ids for d in drawn]
        # draws that follow their original to its end are all alike
        distinct = [*dict.fromkeys(ids)]
        text = dict(zip(distinct, self.chat.texts(distinct), strict=True))
        return [
            Generation(
                prefix.prompt_ids, i, prefix.surprisal + d.surprisal, text[i], d.finish_reason
            )
            for i, d in zip(ids, drawn, strict=True)
        ]

    def unchanged(self, prefix: Prefix, count: int) -> list[Generation]:
        """Give what nothing can be drawn behind: a whole generation, or a prefix at its limit."""
        if prefix.whole is not None:
            return [prefix.whole] * count
        text = self.text(prefix.token_ids)
        return [
            Generation(prefix.prompt_ids, prefix.token_ids, prefix.surprisal, text, "length")
        ] * count


def _known(prefix: Prefix) -> tuple[int, ...]:
    """Give the tokens of a sample that begins with the prefix."""
    whole = prefix.origin
    if whole is None or whole.token_ids[: prefix.level] != prefix.token_ids:
        return prefix.token_ids
    return whole.token_ids
