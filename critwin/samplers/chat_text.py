"""Prompts to token ids, once, and token ids to text: what all samplers of tokens share.

Text is for people, features and tables. A cut is made in token ids and stays in token ids: what a
tokenizer makes of the text of a prefix need not be the prefix.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from critwin.errors import ModelError, ParameterError
from critwin.prompt import Prompt

OURS = frozenset({"conversation", "add_generation_prompt", "tokenize", "continue_final_message"})
"""Arguments of `apply_chat_template` that are not the user's to choose."""


@dataclass(frozen=True)
class ChatText:
    """A tokenizer with what a config says about the model's turn.

    Attributes:
        tokenizer: A tokenizer of transformers.
        arguments: What the chat template is given beside the messages, such as
            `enable_thinking: false`.
        opening: Beginning of the model's turn, before the prompt's own prefix, such as `<think>`.
        shown: Names of special tokens that stay in the text, such as the delimiters of reasoning;
            all others are left out of it.
    """

    tokenizer: Any
    arguments: Mapping[str, Any]
    opening: str
    shown: tuple[str, ...]

    def render(self, prompt: Prompt) -> tuple[int, ...]:
        """Give the token ids of a prompt: by the chat template where there is one.

        Raises:
            ModelError: The template refuses the prompt, for example a system message.
        """
        from jinja2 import TemplateError

        if prompt.rendered:
            sent = prompt.user + prompt.prefix
            return tuple(self.tokenizer(sent, add_special_tokens=False)["input_ids"])
        begin = self.opening + prompt.prefix
        if self.tokenizer.chat_template is None:
            if self.arguments:
                raise ModelError(
                    f"model.chat_arguments is {dict(self.arguments)!r}; allowed: nothing, because "
                    "the tokenizer has no chat template"
                )
            text = "\n".join(part for part in (prompt.system, prompt.user) if part)
            return tuple(self.tokenizer(f"{text}\n{begin}")["input_ids"])
        messages = [{"role": "user", "content": prompt.user}]
        if prompt.system:
            messages.insert(0, {"role": "system", "content": prompt.system})
        try:
            text = self.tokenizer.apply_chat_template(
                messages, add_generation_prompt=True, tokenize=False, **self.arguments
            )
        except TemplateError as error:
            raise ModelError(f"the model's chat template refuses the prompt: {error}") from error
        return tuple(self.tokenizer(text + begin, add_special_tokens=False)["input_ids"])

    def text(self, token_ids: Sequence[int]) -> str:
        """Give token ids as text, special tokens left out but for those that are shown."""
        (text,) = self.texts([token_ids])
        return text

    def texts(self, sequences: Sequence[Sequence[int]]) -> list[str]:
        """Give the text of each sequence of token ids."""
        if not self.shown:
            texts: list[str] = self.tokenizer.batch_decode(
                [list(ids) for ids in sequences], skip_special_tokens=True
            )
            return texts
        hidden = _hidden(self.tokenizer, self.shown)
        kept = [[i for i in ids if i not in hidden] for ids in sequences]
        texts = self.tokenizer.batch_decode(kept)
        return texts

    def tokens(self, token_ids: Sequence[int]) -> list[str]:
        """Give each token as text; special tokens as the tokenizer writes them."""
        return [self.tokenizer.decode([i]) for i in token_ids]

    def prompt_text(self, prompt_ids: Sequence[int]) -> str:
        """Give token ids as text, special tokens shown."""
        text: str = self.tokenizer.decode(list(prompt_ids))
        return text


@lru_cache(maxsize=8)
def _hidden(tokenizer: Any, shown: tuple[str, ...]) -> frozenset[int]:
    """Give the special tokens that are left out of texts."""
    names = special_tokens(tokenizer)
    unknown = [name for name in shown if name not in names.values()]
    if unknown:
        raise ModelError(
            f"model.shown is {list(shown)!r}; {unknown[0]!r} is no special token of the model; "
            f"allowed: {', '.join(names.values())}"
        )
    return frozenset(i for i, name in names.items() if name not in shown)


def special_tokens(tokenizer: Any) -> dict[int, str]:
    """Give the tokens that `skip_special_tokens` leaves out of a text, with their names."""
    added = tokenizer.added_tokens_decoder.items()
    own = dict(zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=True))
    return own | {i: str(token) for i, token in added if token.special}


def check_chat(arguments: object, shown: object, opening: object) -> None:
    """Refuse settings of the model's turn that are none.

    Raises:
        ParameterError: The message names the key.
    """
    if not isinstance(arguments, Mapping) or not all(isinstance(key, str) for key in arguments):
        raise ParameterError("chat_arguments", arguments, "names with values")
    for name in arguments:
        if name in OURS:
            raise ParameterError("chat_arguments", dict(arguments), f"names other than {name}")
    if isinstance(shown, str) or not all(isinstance(name, str) and name for name in shown):  # type: ignore[attr-defined]
        raise ParameterError("shown", shown, "a list of names of special tokens")
    if not isinstance(opening, str):
        raise ParameterError("opening", opening, "a text")
