"""Errors that a user can meet: each says what was asked, what was found and what is allowed."""

from __future__ import annotations


class CritwinError(Exception):
    """Base of all errors that critwin raises on purpose; its message is meant for the user."""


class ParameterError(CritwinError):
    """A parameter has a value that is not allowed.

    The launcher puts the config group before `name`, so that the user reads `sampler.top_p`.
    """

    def __init__(self, name: str, value: object, allowed: str) -> None:
        super().__init__(f"{name} is {value!r}; allowed: {allowed}")
        self.name = name
        self.value = value
        self.allowed = allowed

    def within(self, group: str) -> ParameterError:
        """Return the same error with `group` put before the parameter's name."""
        return ParameterError(f"{group}.{self.name}", self.value, self.allowed)


class ProblemError(CritwinError):
    """A problem set cannot be read; the message names the file and the line."""


class RolloutError(CritwinError):
    """A file of rollouts cannot be used; the message names the file, the line and the reason."""


class ModelError(CritwinError):
    """A model cannot be loaded or cannot do what was asked of it."""


class RecordsError(CritwinError):
    """A run directory does not hold what its contract promises."""
