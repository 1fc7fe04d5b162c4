"""The dashboard of a sweep at W&B: `python -m launch +exp=dashboard project=P sweep=S`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from rich.console import Console
from rich.text import Text

from critwin.errors import CritwinError, ParameterError
from critwin.files import write_text
from launch.dashboard_panels import SHELVES, workspace
from launch.inquiry import Inquiry
from launch.tracking import check_project, has_key

NOBODY = "the-account"
"""Stands for the account's own entity in a specification that is not sent."""


class DashboardError(CritwinError):
    """W&B cannot be told of a dashboard."""


@dataclass(frozen=True, kw_only=True)
class Dashboard(Inquiry):
    """Make the W&B workspace of a project or a sweep, or bring it up to date.

    Attributes:
        project: W&B project of the runs.
        entity: W&B user or team; None for the account's default.
        sweep: Name of the sweep whose runs are shown, as at W&B, or its folder; None for all runs.
        specification: Where `dry_run=true` writes what would be sent.
    """

    project: str = "critwin"
    entity: str | None = None
    sweep: str | None = None
    specification: str = "dashboard.json"

    name: ClassVar[str] = "dashboard"

    def check(self) -> None:
        """Refuse names that W&B does not take, and a folder that holds no sweep."""
        check_project(self.project)
        if self.entity is not None and (not self.entity or "/" in self.entity):
            raise ParameterError("entity", self.entity, "a W&B user or team, or null")
        if not self.specification:
            raise ParameterError("specification", self.specification, "a file")
        if self.sweep is not None and not self._sweep():
            raise ParameterError("sweep", self.sweep, "the name of a sweep, its folder, or null")
        if self.sweep and "/" in self.sweep and not (Path(self.sweep) / "manifest.json").is_file():
            raise ParameterError("sweep", self.sweep, "a folder of a sweep (multirun/...)")

    def answer(self, out: Console) -> int:
        """Send the dashboard; say where it is."""
        if not has_key():
            raise DashboardError(
                "W&B has no key; allowed: WANDB_API_KEY or ~/.netrc (`wandb login`); "
                "dry_run=true writes what would be sent without one"
            )
        made = self._described(self.entity or _default_entity())
        known = _known_view(made)
        made._internal_id = known or ""
        try:
            made.save()
        except Exception as error:  # noqa: BLE001  (whatever W&B raises is told in one line)
            raise DashboardError(_refusal(error)) from None
        done = "brought up to date" if known else "made"
        out.print(Text(f"The dashboard is {done}: {made.url}"), soft_wrap=True)
        return 0

    def rehearse(self, out: Console) -> int:
        """Write what would be sent into a file, and send nothing."""
        view = self._described(self.entity or NOBODY)._to_model()
        spec = json.loads(view.spec.model_dump_json(by_alias=True, exclude_none=True))
        names = {"entity": self.entity, "project": self.project, "name": view.name}
        told = {**names, "displayName": view.display_name, "spec": spec}
        path = Path(self.specification)
        write_text(path, json.dumps(told, indent=1, ensure_ascii=False) + "\n")
        panels = sum(len(shelf.panels) for shelf in SHELVES)
        line = f"{path}: {panels} panels in {len(SHELVES)} sections; nothing was sent"
        out.print(Text(line), soft_wrap=True)
        return 0

    def _sweep(self) -> str | None:
        return Path(self.sweep).name if self.sweep else None

    def _described(self, entity: str) -> Any:
        try:
            return workspace(entity=entity, project=self.project, sweep=self._sweep())
        except ImportError as error:
            raise DashboardError(
                f"the dashboard needs wandb-workspaces, which cannot be imported ({error}); "
                "allowed: pip install 'critwin[dashboard]'"
            ) from None


def _default_entity() -> str:
    try:
        import wandb

        entity = wandb.Api().default_entity
    except Exception as error:  # noqa: BLE001  (whatever W&B raises is told in one line)
        raise DashboardError(_refusal(error)) from None
    if not entity:
        raise ParameterError("entity", None, "a W&B user or team: the account has no default one")
    return str(entity)


def _known_view(made: Any) -> str | None:
    """Give the id of the view that an earlier call made; None for the first one."""
    from wandb_workspaces.workspaces import internal

    try:
        return internal.View.from_name(made.entity, made.project, made._internal_name).id
    except ValueError as error:
        if str(error).startswith("Workspace"):  # there is none of this name yet
            return None
        raise DashboardError(_refusal(error)) from None
    except Exception as error:  # noqa: BLE001  (whatever W&B raises is told in one line)
        raise DashboardError(_refusal(error)) from None


def _refusal(error: Exception) -> str:
    first = str(error).strip().partition("\n")[0]
    return f"W&B did not take the dashboard ({type(error).__name__}: {first})"
