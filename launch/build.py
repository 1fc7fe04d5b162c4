"""From a resolved config to components: plain values in, checked against each constructor.

The config's `_target_` names are looked up here, and only in the project's own rooms: nothing is
called that is not a class defined in one of them. (Hydra's `instantiate` wraps constructor errors,
turns component arguments into configs again and follows any name, so it is not used.)
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any, get_args

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from critwin.errors import CritwinError, ParameterError
from experiments.experiment import Experiment
from launch.clusters import Cluster
from launch.inquiry import Inquiry
from launch.secrets import refuse_secrets
from launch.tracking import Tracking
from launch.values import as_tuples, describe, field_names, fits, hints_of, value_class
from launch.wandb_runs import fetched

ROOMS = ("critwin", "experiments", "launch")
TARGETS = "a class of " + ", ".join(f"{room}.*" for room in ROOMS)
MISSING = "???"
ALIKE = 0.75
"""Likeness above which a key is offered in place of one that does not exist."""
LAUNCHER_KEYS = ("outputs", "multirun", "dry_run", "dry_run_cost", "cluster", "tracker")


class ConfigError(CritwinError):
    """A config cannot be run; the message names the key, the value and what is allowed."""


@dataclass(frozen=True)
class Job:
    """One run, ready to start.

    Attributes:
        experiment: What to run.
        tracking: Who mirrors it.
        cluster: What a sweep runs on.
        outputs: The folder of all runs.
        config: The resolved config as YAML.
        values: The same as plain values.
    """

    experiment: Experiment
    tracking: Tracking
    cluster: Cluster
    outputs: Path
    config: str
    values: Mapping[str, Any]

    def directory(self) -> Path:
        """Give the run directory; this hashes the dataset and the weights."""
        return self.outputs / self.experiment.name / self.experiment.run_id()


def build(cfg: DictConfig) -> Job:
    """Build and check everything that a config names, without loading a model.

    Args:
        cfg: A composed config; Hydra's own node is not looked at.

    Raises:
        CritwinError: The config cannot be run; the message is meant for the user.
    """
    return build_values(resolved(cfg))


def build_values(config: Mapping[str, Any]) -> Job:
    """Build and check everything that a resolved config names, without loading a model.

    Args:
        config: The config as plain values, without Hydra's node.

    Raises:
        CritwinError: The config cannot be run; the message is meant for the user.
    """
    values = dict(config)
    refuse_secrets(values)
    launcher = {key: values.pop(key, MISSING) for key in LAUNCHER_KEYS}
    for key in ("dry_run", "dry_run_cost"):
        if type(launcher[key]) is not bool:
            raise ParameterError(key, launcher[key], "true or false")
    parts = {key: launcher[key] for key in ("cluster", "tracker")}
    folders = {key: _folder(key, launcher[key]) for key in ("outputs", "multirun")}
    if "_target_" not in values:
        raise ConfigError("no experiment is chosen; write +exp=NAME")
    _check_targets({**values, **parts}, "")
    local = fetched(values, folders["outputs"])
    experiment = component(local, "", Experiment, launcher_keys=LAUNCHER_KEYS)
    tracking = component(parts["tracker"], "tracker", Tracking)
    cluster = component(parts["cluster"], "cluster", Cluster)
    experiment.check()
    if cluster.shards > 1 and not experiment.shared:
        allowed = f"1, because a run of {experiment.name} is made by one process"
        raise ParameterError("cluster.shards", cluster.shards, allowed)
    whole = {**values, **launcher}
    text = OmegaConf.to_yaml(OmegaConf.create(whole))
    return Job(experiment, tracking, cluster, folders["outputs"], text, whole)


def build_inquiry(cfg: DictConfig) -> Inquiry | None:
    """Build the question that a config asks; None where it names an experiment.

    Raises:
        CritwinError: It cannot be asked.
    """
    values = resolved(cfg)
    if "_target_" not in values:
        return None
    _check_targets(values, "")
    if not issubclass(_look_up(values["_target_"], "_target_"), Inquiry):
        return None
    refuse_secrets(values)
    own = {key: value for key, value in values.items() if key not in LAUNCHER_KEYS}
    own = fetched(own, _folder("outputs", values.get("outputs")))
    inquiry: Inquiry = component(own, "", Inquiry, launcher_keys=LAUNCHER_KEYS)
    inquiry.check()
    return inquiry


def resolved(cfg: DictConfig) -> dict[str, Any]:
    """Give a config without Hydra's node as plain values, interpolations filled in."""
    try:
        plain = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])
        values = OmegaConf.to_container(plain, resolve=True)
    except OmegaConfBaseException as error:
        key = error.full_key or error.key
        raise ConfigError(f"{key} cannot be resolved: {first_line(error)}") from None
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def component(values: object, path: str, kind: type, *, launcher_keys: Sequence[str] = ()) -> Any:
    """Build the component that a node of the config describes, its own components first.

    Args:
        values: The node: `_target_` and the constructor's keyword arguments.
        path: Where it stands in the config, for messages; empty at the top.
        kind: What the component has to be.
        launcher_keys: Keys that are allowed beside the constructor's, for suggestions.

    Raises:
        CritwinError: The node does not describe such a component.
    """
    if not isinstance(values, dict) or "_target_" not in values:
        raise ParameterError(path, values, f"a {kind.__name__}, chosen by {path}=NAME")
    target = _look_up(values["_target_"], _join(path, "_target_"))
    if not issubclass(target, kind):
        name = path or "the experiment"
        raise ConfigError(f"{name} is a {target.__name__}; allowed: a {kind.__name__}")
    given = {str(key): value for key, value in values.items() if key != "_target_"}
    _check_keys(given, target, path, launcher_keys)
    hints, fields_of = hints_of(target), field_names(target)
    arguments: dict[str, Any] = {}
    for key, value in given.items():
        name = fields_of.get(key, key)
        arguments[name] = _argument(value, _join(path, key), hints.get(name, Any))
    try:
        return target(**arguments)
    except ParameterError as error:
        raise (error.within(path) if path else error) from None
    except (TypeError, ValueError, OSError) as error:
        raise ConfigError(f"{path or target.__name__}: {error}") from None


def _argument(value: Any, path: str, hint: Any) -> object:
    if isinstance(value, dict) and "_target_" in value:
        return component(value, path, hint if inspect.isclass(hint) else object)
    kind = value_class(hint)
    if isinstance(value, dict) and (kind is not None or _holds_components(value)):
        kind = kind or next((k for k in get_args(hint)[1:] if inspect.isclass(k)), object)
        return {key: component(node, _join(path, key), kind) for key, node in value.items()}
    if value == MISSING:
        raise ConfigError(f"{path} is missing; give it as {path}=...; allowed: {describe(hint)}")
    if not fits(value, hint):
        raise ParameterError(path, value, describe(hint))
    return as_tuples(value, hint)


def _holds_components(value: object) -> bool:
    """Tell whether a node gives names to several components."""
    if not isinstance(value, dict) or not value:
        return False
    return any(isinstance(each, dict) and "_target_" in each for each in value.values())


def _check_keys(
    arguments: Mapping[str, object], target: type, path: str, launcher_keys: Sequence[str]
) -> None:
    keys = {name: key for key, name in field_names(target).items()}
    signature = inspect.signature(target).parameters
    parameters = {keys.get(name, name): signature[name] for name in signature}
    known = [_join(path, key) for key in (*parameters, *launcher_keys)]
    for key, value in arguments.items():
        if key not in parameters:
            raise ConfigError(no_such_key(_join(path, str(key)), value, known))
    for key, parameter in parameters.items():
        if parameter.default is inspect.Parameter.empty and key not in arguments:
            raise ConfigError(f"{_join(path, key)} is missing; add it as +{_join(path, key)}=...")


def no_such_key(key: str, value: object, known: Iterable[str]) -> str:
    """Say that a key does not exist, what was probably meant and what is allowed."""
    names = [name for name in dict.fromkeys(known) if "_target_" not in name]
    within, _, last = key.rpartition(".")
    siblings = [name for name in names if name.rpartition(".")[0] == within]
    exists = not names or within in names or bool(within and siblings)

    def likeness(name: str) -> float:
        parent, _, own = name.rpartition(".")
        if exists and parent != within and own != last:
            return 0.0  # the component was meant, so no key of another is
        return SequenceMatcher(None, last, own).ratio() + 0.1 * (parent == within)

    near = sorted((n for n in names if likeness(n) > ALIKE), key=likeness, reverse=True)
    meant = f"did you mean {' or '.join(near[:2])}? " if near else ""
    if exists and not siblings:
        return f"{key} is {value!r}, but there is no such key; {meant}allowed: {within} has no keys"
    siblings = siblings or [name for name in names if "." not in name]
    return f"{key} is {value!r}, but there is no such key; {meant}allowed: {', '.join(siblings)}"


def _check_targets(node: object, path: str) -> None:
    """Refuse every name outside the project's rooms, wherever it stands, before importing any."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "_target_":
                check_room(value, _join(path, key))
            _check_targets(value, _join(path, str(key)))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            _check_targets(value, f"{path}[{index}]")


def check_room(name: object, path: str) -> None:
    """Refuse the name of a class outside the project's rooms."""
    if str(name).split(".")[0] not in ROOMS:
        raise ParameterError(path, name, TARGETS)


def _look_up(name: object, path: str) -> type:
    module, _, attribute = str(name).rpartition(".")
    check_room(name, path)
    try:
        found = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        if not f"{module}.".startswith(f"{error.name}."):
            raise  # a module of ours lacks one that it needs: no fault of the config
        raise ParameterError(path, name, TARGETS) from None
    except AttributeError:
        raise ParameterError(path, name, TARGETS) from None
    # os.system by way of a module that imports it is no class of ours
    if not inspect.isclass(found) or found.__module__.split(".")[0] not in ROOMS:
        raise ParameterError(path, name, TARGETS)
    return found


def _folder(key: str, value: object) -> Path:
    if not isinstance(value, str) or not value or value == MISSING:
        raise ParameterError(key, value, "a folder")
    return Path(value)


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def first_line(error: BaseException) -> str:
    """Give the first line of an error's message."""
    return str(error).strip().partition("\n")[0]
