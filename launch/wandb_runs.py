"""Runs that are named by where W&B has them: `wandb:entity/project` or `wandb:entity/project/run`.

A finished run uploads its records as an artifact (launch/wandb_media.py). Here they are downloaded
into folders, so that experiments read them as they read any other run.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from critwin.errors import ParameterError, RecordsError

SCHEME = "wandb:"
KEY = "runs"
"""The key whose values may name runs at W&B, of whatever experiment."""

FOLDER = "from_wandb"
"""Beside the runs of this machine, in the folder of all runs."""

TYPE, PREFIX = "records", "records-"
"""Type of the artifacts, and how their names begin; the run id follows."""

NAME = re.compile(rf"{PREFIX}[0-9a-f]{{16}}")

ALLOWED = "wandb:entity/project, or wandb:entity/project/RUN for one run"


def fetched(values: Mapping[str, Any], outputs: Path) -> dict[str, Any]:
    """Give a config's values with runs at W&B replaced by the folders that hold their records.

    Args:
        values: The values of an experiment.
        outputs: The folder of all runs.

    Raises:
        ParameterError: The name cannot be read, or there are no records.
        RecordsError: W&B does not answer, or refuses.
    """
    names = values.get(KEY)
    if not isinstance(names, list) or not any(_is_there(name) for name in names):
        return dict(values)
    api = _api()
    found: list[Any] = []
    for name in names:
        if not _is_there(name):
            found.append(name)
            continue
        folders = [str(folder) for folder in _download(api, name, outputs / FOLDER)]
        if not folders:
            raise ParameterError(KEY, name, "a project to which finished runs uploaded records")
        found += folders
    return {**values, KEY: found}


def _is_there(name: object) -> bool:
    return isinstance(name, str) and name.startswith(SCHEME)


def _api() -> Any:
    """Open W&B's public interface; it asks for a key itself where there is none."""
    import wandb

    from launch.tracking import has_key

    if not has_key():
        raise RecordsError("W&B has no key; allowed: WANDB_API_KEY, or `wandb login`")
    return wandb.Api()


def _download(api: Any, name: str, folder: Path) -> Iterator[Path]:
    """Download the newest records of each run; what lies there already is not downloaded again."""
    parts = name.removeprefix(SCHEME).strip("/").split("/")
    if len(parts) not in (2, 3) or not all(parts):
        raise ParameterError(KEY, name, ALLOWED)
    project = "/".join(parts[:2])
    try:
        for collection in _collections(api, project):
            run_id = collection.removeprefix(PREFIX)
            # a name from elsewhere becomes a folder here: nothing but a run id does
            if not NAME.fullmatch(collection) or (len(parts) == 3 and run_id != parts[2]):
                continue
            artifact = api.artifact(f"{project}/{collection}:latest", type=TYPE)
            target = folder.joinpath(*parts[:2], run_id)
            if _stamp(target) != artifact.digest:
                shutil.rmtree(target, ignore_errors=True)
                artifact.download(root=str(target))
                (target / ".digest").write_text(json.dumps(artifact.digest), encoding="utf-8")
            yield target
    except (ParameterError, RecordsError):
        raise
    except Exception as error:  # noqa: BLE001  (whatever W&B raises, the user is told in one line)
        first = str(error).strip().partition("\n")[0]
        raise RecordsError(f"{name}: W&B failed ({type(error).__name__}: {first})") from None


def _collections(api: Any, project: str) -> list[str]:
    """Give the names of a project's artifacts that hold records, in an order of their own."""
    return sorted(one.name for one in api.artifact_type(TYPE, project=project).collections())


def _stamp(target: Path) -> str | None:
    try:
        found: str = json.loads((target / ".digest").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found
