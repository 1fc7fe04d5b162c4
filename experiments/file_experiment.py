"""What experiments share that read one file of rows from elsewhere: no model is needed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from critwin.errors import ParameterError
from experiments.experiment import Experiment


@dataclass(frozen=True, kw_only=True)
class FileExperiment(Experiment):
    """An experiment on the rows of a file.

    The run is told by what the file holds, not by where it lies.

    Attributes:
        path: The file.
        on_error: Whether a row that cannot be used stops everything, or is left out and counted.
    """

    path: str
    on_error: Literal["stop", "skip"] = "stop"

    execution: ClassVar[frozenset[str]] = frozenset({"path"})

    def located(self, holding: str) -> Path:
        """Give where the file lies.

        Args:
            holding: What it should hold, for the message.

        Raises:
            ParameterError: There is no such file.
        """
        file = Path(self.path).expanduser()
        if not file.is_file():
            raise ParameterError("path", self.path, f"a file of {holding}; there is no such file")
        return file

    def check(self) -> None:
        """Refuse a word that says nothing of bad rows."""
        if self.on_error not in ("stop", "skip"):
            raise ParameterError("on_error", self.on_error, "stop or skip")

    def fingerprint(self) -> str:
        """Hash the file."""
        return hashlib.sha256(Path(self.path).expanduser().read_bytes()).hexdigest()
