"""Rows of a data set on the Hugging Face hub, or of a folder in its layout, through `datasets`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from critwin.errors import ParameterError, ProblemError
from critwin.problems.reading import Row

UNREADABLE = (OSError, ValueError, RuntimeError, KeyError)
"""What `datasets` raises beside its own errors about what it cannot find or read."""


def hub_rows(
    name: str, *, configs: Sequence[str | None], split: str, revision: str | None
) -> Iterator[Row]:
    """Give the rows of a split, config after config.

    Args:
        name: Name on the hub, `org/name`, or a local folder in its layout.
        configs: Configs (subsets) to read; None is the only or default one.
        split: The split.
        revision: Branch, tag or commit; None for the newest.

    Raises:
        ParameterError: `datasets` is not installed.
        ProblemError: The hub cannot be reached, or has no such data set, config or split.
    """
    try:
        import datasets
    except ImportError:
        allowed = "a hub data set needs: pip install 'critwin[hub]'; or dataset.path=FILE"
        raise ParameterError("hub", name, allowed) from None
    for config in configs:
        at = f"{name} ({', '.join(filter(None, (config, split, revision)))})"
        try:
            rows = datasets.load_dataset(name, config, split=split, revision=revision)
        except (*UNREADABLE, datasets.exceptions.DatasetsError) as e:
            (reason, *_) = str(e).strip().splitlines() or [type(e).__name__]
            raise ProblemError(
                f"the data set {at} cannot be read ({reason}); allowed: a name, config, split and "
                "revision that the hub has, with a network or a filled cache; or dataset.path=FILE"
            ) from None
        for number, values in enumerate(rows):
            yield Row(f"{at}, row {number}", values)
