"""Keeps keys out of records: config values may come from the environment."""

from __future__ import annotations

import os
import re

SECRET_NAMES = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE)
SHORTEST = 8
"""Shorter values are no keys; replacing them would spoil ordinary words."""


def without_secrets(text: str) -> str:
    """Replace the value of every environment variable that is named like a secret by its name."""
    for name, value in os.environ.items():
        if len(value) >= SHORTEST and SECRET_NAMES.search(name):
            text = text.replace(value, f"<{name}>")
    return text
