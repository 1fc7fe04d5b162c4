"""Stop strings matched on token ids, for a whole batch at once and on its device."""

from __future__ import annotations

from typing import Any

from transformers import StopStringCriteria


class StopStrings(StopStringCriteria):
    """What `generate` uses, for tokenizers of whole words too.

    transformers reads each token's text behind a fixed prefix, which a tokenizer of words does not
    know. Here the prefix is a token of its own vocabulary. Special tokens have no text.
    """

    @staticmethod
    def clean_tokenizer_vocab(
        tokenizer: Any, static_prefix: str = "", stop_string_matching_mode: str | None = None
    ) -> tuple[tuple[str | bytes, ...], tuple[int, ...]]:
        """Give the text of each token in the middle of a sample, and its id."""

        def read(ids: list[int]) -> str:
            text: str = tokenizer.decode(ids, skip_special_tokens=True)
            return text

        vocabulary = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
        special = set(tokenizer.all_special_ids)
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
