"""What determines a run's numbers, as plain values, and the run id made from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass

from critwin.records import SCHEMA_VERSION


def identity(component: object) -> object:
    """Describe a component by its class, its fields and the content it stands on.

    Fields named in the class's `execution` (device, batch size, paths whose content is hashed) are
    left out; `fingerprint()` is asked where there is one.

    Args:
        component: A frozen dataclass, or a plain value, or a list, tuple or mapping of those.

    Returns:
        The same as strings, numbers, lists and dicts, fit for JSON.
    """
    if is_dataclass(component) and not isinstance(component, type):
        execution: frozenset[str] = getattr(component, "execution", frozenset())
        described: dict[str, object] = {
            "class": f"{type(component).__module__}.{type(component).__qualname__}"
        }
        for field in fields(component):
            if field.name not in execution and not field.name.startswith("_"):
                described[field.name] = identity(getattr(component, field.name))
        if hasattr(component, "fingerprint"):
            described["content"] = component.fingerprint()
        return described
    if isinstance(component, Mapping):
        return {str(key): identity(value) for key, value in component.items()}
    if isinstance(component, list | tuple):
        return [identity(value) for value in component]
    if component is None or isinstance(component, str | int | float | bool):
        return component
    raise TypeError(f"{type(component).__name__} has no identity; use a frozen dataclass")


def loading(component: object) -> object:
    """Describe what a component loads: those of which it is the same share what is in memory.

    A class says in `loaded_by` which of its fields decide; all do where it does not.
    """
    names: frozenset[str] | None = getattr(component, "loaded_by", None)
    if names is None:
        return identity(component)
    return {name: identity(getattr(component, name)) for name in sorted(names)}


def run_id(experiment: str, components: Mapping[str, object]) -> str:
    """Hash what determines a run's numbers.

    Args:
        experiment: The experiment's name.
        components: Its components and plain settings, without tracker, cluster and the like.

    Returns:
        16 hex digits; the same for the same numbers, on every machine.
    """
    described = {"experiment": experiment, "schema": SCHEMA_VERSION, **_plain(components)}
    text = json.dumps(described, sort_keys=True, ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(components: Mapping[str, object]) -> dict[str, object]:
    return {name: identity(value) for name, value in components.items()}
