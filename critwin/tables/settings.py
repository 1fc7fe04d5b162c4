"""In what the runs of one table differ besides model and problems: prompt, sampler, rule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from critwin.tables.facts import RunFacts

SAMPLING = frozenset(
    f"model.{name}"
    for name in (
        *("temperature", "top_k", "top_p", "min_p", "repetition_penalty"),
        *("max_new_tokens", "stop"),
    )
)
"""Keys of a model that say how it is sampled."""

SHOWN_KEYS, SHOWN_GROUPS = 2, 12
"""Up to so many keys get columns of their own; more are told by a letter, so many in the note."""


@dataclass(frozen=True)
class Difference:
    """A setting that the runs of a table do not share.

    Attributes:
        key: With dots, as in the config.
        values: Of each run that has the key, by its id.
    """

    key: str
    values: Mapping[str, Any]


def settings(run: RunFacts, *, everything: bool = False) -> dict[str, Any]:
    """Give what determined a run's numbers besides its model and its problems, keys with dots.

    Args:
        run: A run.
        everything: Whether model, problems and seeds are told too.
    """
    flat = dict(_flat({k: v for k, v in run.identity.items() if k != "class"}))
    if everything:
        return flat
    return {
        key: value
        for key, value in flat.items()
        if key in SAMPLING or not (key == "seed" or key.startswith(("model.", "dataset.")))
    }


def differences(runs: Sequence[RunFacts], *, everything: bool = False) -> list[Difference]:
    """Give the settings that runs of the same experiment do not share.

    A key that only one kind of component has is no difference: that the kinds differ is one.

    Args:
        runs: The runs of a table.
        everything: As for `settings`.
    """
    found: dict[str, dict[str, Any]] = {}
    kinds = {run.experiment for run in runs}
    for kind in sorted(kinds):
        of = {r.run_id: settings(r, everything=everything) for r in runs if r.experiment == kind}
        for key in dict.fromkeys(key for own in of.values() for key in own):
            values = {name: own[key] for name, own in of.items() if key in own}
            if len({repr(value) for value in values.values()}) > 1:
                found.setdefault(key, {}).update(values)
    return [Difference(key, values) for key, values in found.items()]


def distinguishing(runs: Sequence[RunFacts], same: Sequence[Sequence[str]]) -> list[Difference]:
    """Give what else tells runs apart whose rows would read the same.

    Args:
        runs: The runs of a table.
        same: Ids of runs whose rows read the same.
    """
    found: dict[str, Difference] = {}
    by_id = {run.run_id: run for run in runs}
    for ids in same:
        for one in differences([by_id[name] for name in ids], everything=True):
            if not one.key.endswith("content"):
                found.setdefault(one.key, one)
    of = {run.run_id: settings(run, everything=True) for run in runs}
    return [
        Difference(key, {name: own[key] for name, own in of.items() if key in own}) for key in found
    ]


def described(run_id: str, told: Sequence[Difference]) -> str:
    """Say in words what a run's settings are, as far as runs differ in them.

    Settings of a component stand behind its kind, in brackets, where the kinds differ.
    """
    own = {one.key: one.values[run_id] for one in told if run_id in one.values}
    parts: list[str] = []
    for group in dict.fromkeys(key.rpartition(".")[0] for key in own):
        kind = own.get(f"{group}.class")
        values = [
            f"{key.rpartition('.')[2].replace('_', ' ')} {value_text(value)}"
            for key, value in own.items()
            if key.rpartition(".")[0] == group and not key.endswith(".class")
        ]
        if kind is None:
            parts += [f"{group} {value}" if group else value for value in values]
        else:
            inside = f" ({', '.join(values)})" if values else ""
            parts.append(f"{group} {value_text(kind)}{inside}")
    return ", ".join(parts)


def short(key: str, among: Sequence[str]) -> str:
    """Name a key by its last part where no other has the same; its class by the component."""
    group, _, last = key.rpartition(".")
    if last == "class":
        return group.rpartition(".")[2] or key
    return last if sum(k.rpartition(".")[2] == last for k in among) == 1 else key


def value_text(value: Any) -> str:
    """Write a setting's value; classes by their last name."""
    if value is None:
        return "none"
    if isinstance(value, list):
        return "(" + ", ".join(map(value_text, value)) + ")"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    if text.startswith(("critwin.", "experiments.")):
        text = text.rpartition(".")[2]
    return text if len(text) <= 40 else f"{text[:37]}..."


def _flat(values: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value
