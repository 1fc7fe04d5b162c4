"""What of a served checkpoint is used here: its tokenizer, and which of its texts can be sent.

A server that takes nothing but text has to read a prefix as the token ids that are meant: otherwise
another cut would be resampled than is recorded. Texts for which that is not so are not sent.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from critwin.errors import ModelError
from critwin.samplers.checkpoint import context_of, end_ids_of, load_tokenizer


@dataclass(frozen=True)
class ServedText:
    """The tokenizer of a served checkpoint.

    Attributes:
        tokenizer: The tokenizer.
        end_ids: Tokens that end a generation.
        context: Tokens that the model takes.
        counts: Answers that came as text, and those of which the server drew another number of
            tokens than their text has here.
    """

    tokenizer: Any
    end_ids: tuple[int, ...]
    context: int
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def trial(self) -> tuple[tuple[int, ...], str]:
        """A short prompt to try a server with, as token ids and as text."""
        for text in ("Hello", "a", "1"):
            ids = self._ids(text)
            sent = self.sent(ids) if ids else None
            if sent is not None:
                return ids, sent
        return self.end_ids[:1], str(self.tokenizer.decode(list(self.end_ids[:1])))

    def sent(self, ids: tuple[int, ...]) -> str | None:
        """Give the text that a server reads as these token ids; None where there is none.

        The server's tokenizer puts a begin token in front where ours does: then the text lacks it.
        """
        text: str = self.tokenizer.decode(list(ids))
        begin = self.tokenizer.bos_token
        for sent in (text, text.removeprefix(begin) if begin else text):
            if self._ids(sent) == ids:
                return sent
        return None

    def level(self, prompt_ids: tuple[int, ...], token_ids: tuple[int, ...], level: int) -> int:
        """Give the greatest number of tokens kept, at most `level`, that can be sent as text."""
        while level > 0 and self.sent(prompt_ids + token_ids[:level]) is None:
            level -= 1
        return level

    def continuation(self, ids: tuple[int, ...], written: str) -> tuple[int, ...]:
        """Give the token ids of what was written behind `ids`.

        Args:
            ids: Token ids that can be sent as text.
            written: What came back.

        Returns:
            Those of the whole text behind `ids`; where a token of it would run across the border,
            as none that was drawn does, those of what was written alone.
        """
        if not written:
            return ()
        whole = self._ids((self.sent(ids) or "") + written)
        if whole[: len(ids)] == ids:
            return whole[len(ids) :]
        return tuple(self.tokenizer(written, add_special_tokens=False)["input_ids"])

    def _ids(self, text: str) -> tuple[int, ...]:
        return tuple(self.tokenizer(text)["input_ids"])


@lru_cache(maxsize=2)
def served_text(path: str, revision: str | None, *, trust_remote_code: bool) -> ServedText:
    """Load the tokenizer of a served checkpoint, without its weights.

    Raises:
        ModelError: There is none.
    """
    try:
        tokenizer = load_tokenizer(path, revision, trust_remote_code=trust_remote_code)
        return ServedText(
            tokenizer,
            end_ids_of(path, revision, tokenizer),
            context_of(path, revision, trust_remote_code=trust_remote_code),
        )
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise ModelError(
            f"model.path is {path!r}; its tokenizer cannot be loaded: {error}"
        ) from error
