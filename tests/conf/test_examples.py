"""Each example of the calculator composes, says all of its keys, and builds."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from hydra._internal.utils import get_args_parser
from hydra.types import RunMode
from omegaconf import OmegaConf

from launch.build import LAUNCHER_KEYS, build
from launch.catalogue import CONF
from launch.composing import composer

EXAMPLES = sorted((CONF / "example").glob("*.yaml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_states_every_key_with_its_default(path: Path) -> None:
    arguments = ["+exp=theory", f"example={path.stem}"]
    with composer(get_args_parser().parse_args(arguments)) as hydra:
        config = hydra.compose(arguments, RunMode.RUN)
    keys = OmegaConf.to_container(config)
    module, _, name = keys["_target_"].rpartition(".")
    fields = inspect.signature(getattr(__import__(module, fromlist=[name]), name)).parameters
    assert set(fields) == set(keys) - {"_target_", "hydra", *LAUNCHER_KEYS}
    given = build(config).experiment
    assert given == type(given)()
    for line in path.read_text().splitlines()[3:]:
        assert "  #" in line
