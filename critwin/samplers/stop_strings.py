"""Stop strings matched on token ids, for a whole batch at once and on its device."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from transformers import StopStringCriteria

from critwin.errors import ParameterError
from critwin.samplers.chat_text import special_tokens


@lru_cache(maxsize=4)
def stop_strings_of(tokenizer: Any, strings: tuple[str, ...]) -> StopStrings:
    """Give the stop strings of a tokenizer; reading all of its tokens is done once.

    Raises:
        ParameterError: No tokens spell one of them.
    """
    return StopStrings(tokenizer, list(strings))


class StopStrings(StopStringCriteria):
    """What `generate` uses, for tokenizers of whole words too.

    transformers reads each token's text behind a fixed prefix, which a tokenizer of words does not
    know. Here the prefix is a token of its own vocabulary. A special token that a stop string
    names, such as <|im_end|>, is matched by its name; all others have no text.
    """

    def clean_and_embed_tokens_with_cache(
        self, token_list: tuple[str, ...], token_indices: tuple[int, ...], tokenizer: Any
    ) -> tuple[torch.Tensor, int, int]:
        """Give what the match looks up for each token.

        transformers 5.23 looks in a cache of its own first, by a vocabulary whose order changes
        from call to call: nothing is found there, and large tables stay.
        """
        mode = self._stop_string_matching_mode
        texts, ids = self.clean_tokenizer_vocab(tokenizer, stop_string_matching_mode=mode)
        texts = self._with_names(tokenizer, texts, ids)
        for stop, wanted in zip(self.stop_strings, self._stop_strings_for_matching, strict=True):
            if not _can_be_written(wanted, frozenset(texts)):
                raise ParameterError("stop", stop, "strings that tokens of the model can spell")
        base: Any = StopStringCriteria  # its own annotation says otherwise
        found: tuple[torch.Tensor, int, int] = base._stop_string_create_embedding_vec(
            texts, ids, self._stop_strings_for_matching
        )
        return found

    def _with_names(
        self, tokenizer: Any, texts: tuple[str | bytes, ...], ids: tuple[int, ...]
    ) -> tuple[str | bytes, ...]:
        """Give special tokens the text of their names where stop strings have them in it."""
        named = {
            i: name if self._stop_string_matching_mode is None else name.encode()
            for i, name in special_tokens(tokenizer).items()
            if any(name in stop for stop in self.stop_strings)
        }
        return tuple(named.get(i, text) for i, text in zip(ids, texts, strict=True))

    @staticmethod
    def clean_tokenizer_vocab(
        tokenizer: Any, static_prefix: str = "", stop_string_matching_mode: str | None = None
    ) -> tuple[tuple[str | bytes, ...], tuple[int, ...]]:
        """Give the text of each token in the middle of a sample, and its id."""

        def read(ids: list[int]) -> str:
            text: str = tokenizer.decode(ids, skip_special_tokens=True)
            return text

        vocabulary = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
        special = special_tokens(tokenizer)
        anchor = next(i for _, i in vocabulary if i not in special and read([i]).strip())
        begin = len(read([anchor]))
        base: Any = StopStringCriteria
        bytes_of = base._byte_level_decoder() if stop_string_matching_mode == "byte_level" else None
        texts: list[str | bytes] = []
        for token, i in vocabulary:
            raw = base._token_to_bytes(token, stop_string_matching_mode, bytes_of)
            text = "" if i in special else read([anchor, i])[begin:]
            as_bytes = stop_string_matching_mode is not None
            plain = text.encode() if as_bytes else text
            texts.append(plain if raw is None or i in special else raw)
        return tuple(texts), tuple(i for _, i in vocabulary)


def _can_be_written(stop: Any, texts: frozenset[Any]) -> bool:
    """Tell whether tokens can be put together so that a stop string stands in their text."""
    if any(stop in text for text in texts):
        return True
    length = len(stop)
    missing = {length - n for n in range(1, length) if any(t.startswith(stop[-n:]) for t in texts)}
    while missing:
        begin = missing.pop()
        if any(text.endswith(stop[:begin]) for text in texts):
            return True
        missing |= {first for first in range(1, begin) if stop[first:begin] in texts}
    return False
