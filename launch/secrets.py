"""Keeps keys out of records: whatever a config holds ends in them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from critwin.errors import CritwinError

SECRET_NAMES = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE)
SHORTEST = 8
"""Shorter values are no keys, but ordinary words."""


class SecretError(CritwinError):
    """A config holds a key; the message names where and which variable, never the value."""


def refuse_secrets(values: object, path: str = "") -> None:
    """Refuse values that hold what an environment variable named like a secret holds.

    Args:
        values: Plain values, nested in mappings and lists.
        path: Where they stand in the config, for messages; empty at the top.

    Raises:
        SecretError: One does, wherever it came from.
    """
    keys = {variable: value for variable, value in os.environ.items() if _is_key(variable, value)}
    for where, text in _texts(values, path):
        for variable, key in keys.items():
            if key in text:
                raise SecretError(
                    f"{where} holds the value of {variable}; allowed: no secrets in a config, "
                    "they would end in its records"
                )


def _is_key(variable: str, value: str) -> bool:
    if len(value) < SHORTEST or not SECRET_NAMES.search(variable):
        return False
    return not (value.startswith("/") and Path(value).exists())  # KEY_FILE and the like


def _texts(node: object, path: str) -> Iterator[tuple[str, str]]:
    """Give every key and value as text, each with its place."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield path or "a key", str(key)
            yield from _texts(value, f"{path}.{key}" if path else str(key))
    elif isinstance(node, list | tuple):
        for index, value in enumerate(node):
            yield from _texts(value, f"{path}[{index}]")
    else:
        yield path, str(node)
