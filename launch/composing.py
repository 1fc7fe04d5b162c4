"""Composes configs as Hydra is going to, before it does: same search path, parser and sweeper."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from hydra import version
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.hydra import Hydra
from hydra._internal.utils import compute_search_path_dir, create_config_search_path
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from critwin.errors import ParameterError
from launch.build import ConfigError, check_room, first_line, no_such_key
from launch.catalogue import CONF

CONFIG_NAME = "config"
CONFIG_PATH = "../conf"
VERSION_BASE = "1.3"
FIXED = {
    "run.dir": (".", "for another place write outputs=FOLDER"),
    "sweep.dir": ("${multirun}", "for another place write multirun=FOLDER"),
    "sweep.subdir": (".", "for another place write multirun=FOLDER"),
    "output_subdir": (None, "a run keeps its config in its own directory"),
    "job.chdir": (False, "a run stays in the folder in which it was started"),
}
"""Values of Hydra's node that the launcher relies on, and what to write instead of another."""

MAIN = Path(__file__).with_name("__main__.py")


class Composer:
    """Hydra's config loader with what the command line says about where configs are."""

    def __init__(self, flags: argparse.Namespace) -> None:
        config_path = flags.config_path or CONFIG_PATH
        search_path = create_config_search_path(
            compute_search_path_dir(str(MAIN), None, config_path)
        )
        if flags.config_dir is not None:
            own = Path(flags.config_dir).absolute()
            if not own.is_dir():
                raise ConfigError(f"--config-dir is {flags.config_dir!r}; allowed: a folder")
            anchor = SearchPathQuery(provider="schema")
            search_path.prepend("command-line", f"file://{own}", anchor)
        self._name = flags.config_name or CONFIG_NAME
        self._hydra = Hydra.create_main_hydra2("launch", search_path)
        loader = self._hydra.config_loader
        assert isinstance(loader, ConfigLoaderImpl)
        self.loader = loader
        self.overrides: list[str] = list(flags.overrides)

    def compose(self, overrides: Sequence[str], mode: RunMode) -> DictConfig:
        """Compose one config, Hydra's own node included.

        Raises:
            ConfigError: Hydra refuses; the message says which override, and what is allowed.
        """
        try:
            config = self._compose(overrides, mode)
        except HydraException as error:
            raise ConfigError(self._explain(overrides, error)) from None
        for override in self.parse(overrides):
            _check_hydra_key(config, override)
        _check_fixed(config)
        return config

    def _compose(self, overrides: Sequence[str], mode: RunMode) -> DictConfig:
        config = self.loader.load_configuration(self._name, list(overrides), mode)
        with open_dict(config.hydra):
            config.hydra.mode = mode if config.hydra.mode is None else config.hydra.mode
        HydraConfig.instance().set_config(config)  # for values that refer to Hydra's node
        return config

    def parse(self, overrides: Sequence[str]) -> list[Override]:
        """Read overrides.

        Raises:
            ConfigError: One cannot be read.
        """
        parser = OverridesParser.create(config_loader=self.loader)
        parsed = []
        for override in overrides:
            try:
                parsed += parser.parse_overrides([override])
            except HydraException as error:
                raise ConfigError(
                    f"{override!r} cannot be read ({_compact(error)}); allowed: key=value, "
                    "lists as key=[a,b], in quotes where the shell would read them"
                ) from None
        return parsed

    def cells(self, master: DictConfig) -> list[list[str]]:
        """Split a sweep into the overrides of its cells, as Hydra's basic sweeper does."""
        sweeper = str(master.hydra.sweeper._target_)
        if not sweeper.endswith(f".{BasicSweeper.__name__}"):
            raise ConfigError(f"hydra/sweeper is {sweeper}; allowed: basic")
        params = master.hydra.sweeper.params or {}
        task = OmegaConf.to_container(master.hydra.overrides.task, resolve=False)
        own = OmegaConf.to_container(master.hydra.overrides.hydra, resolve=False)
        assert isinstance(task, list)
        assert isinstance(own, list)
        parsed = self.parse([*(f"{key}={value}" for key, value in params.items()), *task])
        try:
            batches = BasicSweeper.split_arguments(parsed, None)
        except HydraException as error:
            raise ConfigError(_compact(error)) from None
        return [[*own, *cell] for cell in batches[0]]

    def check_choices(self, parsed: Sequence[Override]) -> None:
        """Refuse a choice that a group does not have.

        Raises:
            ConfigError: The message lists the choices.
        """
        for override in parsed:
            group = override.key_or_group
            if override.is_delete() or not self.loader.repository.group_exists(group):
                continue
            choices = self.loader.get_group_options(group)
            if override.value() is None:
                raise ConfigError(f"{group} is null; allowed: {', '.join(choices)}")
            found = (
                list(override.sweep_string_iterator())
                if override.is_sweep_override()
                else [override.get_value_element_as_str()]
            )
            for choice in found:
                if choice not in choices and not choice.startswith("["):
                    raise ConfigError(f"{group} is {choice!r}; allowed: {', '.join(choices)}")

    def _explain(self, overrides: Sequence[str], error: HydraException) -> str:
        """Say what an override did wrong, in our words where Hydra speaks of its insides."""
        parsed = self.parse(overrides)
        groups = [o for o in parsed if self.loader.repository.group_exists(o.key_or_group)]
        for override in groups:
            plus = "++" if override.is_force_add() else "+" if override.is_add() else ""
            if plus and override.key_or_group != "exp":
                key, value = override.key_or_group, _value(override)
                return f"{plus}{key}={value} adds a second {key}; write {key}={value}"
        try:
            chosen = [o.input_line for o in groups if o.input_line and not o.is_sweep_override()]
            base = self._compose(chosen, RunMode.MULTIRUN)
        except HydraException:
            return _compact(error)
        known = list(paths(base))
        for override in parsed:
            key, value = override.key_or_group, _value(override)
            _check_hydra_key(base, override)
            added = override.is_add() or override.is_force_add()
            ours = override not in groups and not override.is_hydra_override()
            if ours and not added and key not in known:
                return no_such_key(key, value, known)
            if ours and override.is_add() and key in known:
                if key.endswith("_target_"):
                    check_room(value, key)
                return f"+{key}={value} adds a key that is there already; write {key}={value}"
        return _compact(error)


@contextmanager
def composer(flags: argparse.Namespace) -> Iterator[Composer]:
    """Give a composer, and leave Hydra as if nothing had been asked of it."""
    version.setbase(VERSION_BASE)
    GlobalHydra.instance().clear()
    try:
        yield Composer(flags)
    finally:
        GlobalHydra.instance().clear()
        HydraConfig.instance().cfg = None


def paths(config: DictConfig, prefix: str = "") -> Iterator[str]:
    """Give the dotted path of every key of a config but Hydra's own."""
    for name in map(str, config):
        if prefix or name != "hydra":
            yield prefix + name
            node = None if OmegaConf.is_missing(config, name) else config._get_node(name)
            if isinstance(node, DictConfig) and not (node._is_none() or node._is_interpolation()):
                yield from paths(node, f"{prefix}{name}.")


def _check_hydra_key(config: DictConfig, override: Override) -> None:
    """Refuse a key that Hydra's node does not have, but takes behind a plus sign."""
    if not override.key_or_group.startswith("hydra."):
        return
    _check_launcher_key(override)
    node, path = config.hydra, "hydra"
    for name in override.key_or_group.split(".")[1:]:
        kind = node._metadata.object_type
        if isinstance(kind, type) and is_dataclass(kind):
            known = [f"{path}.{field.name}" for field in fields(kind)]
            if f"{path}.{name}" not in known:
                raise ConfigError(no_such_key(f"{path}.{name}", _value(override), known))
        node, path = node._get_node(name, validate_access=False), f"{path}.{name}"
        if not isinstance(node, DictConfig) or node._is_none() or node._is_interpolation():
            return


def _check_launcher_key(override: Override) -> None:
    """Refuse a key of the launcher's that submitit would be the first to miss."""
    group, _, name = override.key_or_group.removeprefix("hydra.").partition(".")
    if group == "launcher" and (override.is_add() or override.is_force_add()):
        known = OmegaConf.load(CONF / "hydra" / "launcher" / "submitit_slurm.yaml")
        if name not in known:
            names = [f"hydra.launcher.{key!s}" for key in known]
            raise ConfigError(no_such_key(f"hydra.launcher.{name}", _value(override), names))


def _check_fixed(config: DictConfig) -> None:
    """Refuse values of Hydra's that would put files where nobody looks for them."""
    hydra = OmegaConf.to_container(config.hydra, resolve=False)
    for key, (wanted, instead) in FIXED.items():
        value: Any = hydra
        for name in key.split("."):
            value = value[name]
        if value != wanted:
            raise ParameterError(f"hydra.{key}", value, f"{wanted}, nothing else; {instead}")


def _value(override: Override) -> str:
    return str(override.input_line).partition("=")[2]


def _compact(error: BaseException) -> str:
    """Put an error of Hydra's and its cause on one line."""
    cause = f" {first_line(error.__cause__)}" if error.__cause__ is not None else ""
    return " ".join(f"{error}{cause}".split())
