"""Which tool a model calls."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from critwin.errors import ParameterError
from critwin.feature import UNSCORED, Feature
from critwin.problem import Problem
from critwin.thoughts import spoken

NONE = "none"
NAMES = ("name", "tool", "tool_name", "function")
ARGUMENTS = ("arguments", "parameters", "args", "input")

_OPENED = re.compile(
    r"<tool_call>|\[TOOL_CALLS\]|<\|python_tag\|>"
    r"|(?:<function=|<\|channel\|>commentary to=(?:functions\.)?)(?P<name>[\w.-]+)"
)
"""Marks of a call. Source: chat templates of Qwen2.5 and Hermes (`<tool_call>`), Mistral
(`[TOOL_CALLS]`), Llama 3.1 (`<|python_tag|>`, `<function=name>`), gpt-oss (its channel)."""


@dataclass(frozen=True, kw_only=True)
class ToolCall(Feature):
    """Labels a text by the name of the tool that it calls, `none` where it calls none.

    A call is a JSON object with a name and arguments, as the chat templates of today's models write
    it, bare, in a list or between their marks, or `<function=name>`. A mark behind which no call
    can be read leaves the text unscored.

    Attributes:
        which: Whether the first or the last call counts.
        tools: Names that count; another one is unscored. Empty: any.
    """

    which: Literal["first", "last"] = "first"
    tools: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.which not in ("first", "last"):
            raise ParameterError("which", self.which, "first or last")
        if isinstance(self.tools, str) or not all(self.tools):
            raise ParameterError("tools", self.tools, "a list of names")

    def labels(self, texts: Sequence[str], problem: Problem) -> list[str]:
        """Give the tool of each text."""
        return [self._label(text) for text in texts]

    def truth(self, problem: Problem) -> str | None:
        """Give the reference answer, taken for a tool's name, or `none`."""
        return None if problem.truth is None else problem.truth.strip()

    def _label(self, text: str) -> str:
        text = spoken(text)
        calls = [*_calls(text)]
        if not calls:
            return UNSCORED if _OPENED.search(text) else NONE
        name = calls[0 if self.which == "first" else -1]
        return name if not self.tools or name in self.tools else UNSCORED


def _calls(text: str) -> Iterator[str]:
    """Give the names of the tools that a text calls, in its order."""
    found = [(match.start(), match["name"]) for match in _OPENED.finditer(text) if match["name"]]
    decoder, at = json.JSONDecoder(), text.find("{")
    while at >= 0:
        try:
            value, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            end = at + 1
        else:
            name = _called(value)
            if name is not None:
                found.append((at, name))
        at = text.find("{", end)
    yield from (name for _, name in sorted(found))


def _called(value: Any) -> str | None:
    if not isinstance(value, dict):
        return None
    inner = value.get("function")
    if isinstance(inner, dict):
        return _called(inner)
    named = next((value[key] for key in NAMES if isinstance(value.get(key), str)), None)
    return named if named and any(key in value for key in ARGUMENTS) else None
