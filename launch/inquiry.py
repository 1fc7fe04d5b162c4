"""Requests that are answered at once, in this process: questions about runs, a dashboard."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from rich.console import Console


class Inquiry(ABC):
    """A request. Subclasses are frozen dataclasses: their fields are the keys of the config."""

    name: ClassVar[str]
    """Name on the command line: `+exp=<name>`."""

    @abstractmethod
    def check(self) -> None:
        """Refuse what cannot be asked.

        Raises:
            CritwinError: The message names the key, the value and what is allowed.
        """

    @abstractmethod
    def answer(self, out: Console) -> int:
        """Write the answer; give the exit code."""

    def rehearse(self, out: Console) -> int:
        """Answer under `dry_run=true`: say what would be done, and do nothing.

        A question does nothing anyway: it is answered.
        """
        return self.answer(out)
