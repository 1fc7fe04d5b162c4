"""What the benchmark refuses before any model is loaded, and that it is never done."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra._internal.utils import get_args_parser
from hydra.types import RunMode

from critwin.errors import CritwinError
from critwin.records import RunDirectory
from launch.build import Job, build
from launch.composing import composer


def job(*overrides: str) -> Job:
    arguments = ("+exp=benchmark_resampling", *overrides)
    with composer(get_args_parser().parse_args(arguments)) as hydra:
        return build(hydra.compose(arguments, RunMode.RUN))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("model=markov_string",), "model is a MarkovString; allowed: a LanguageSampler"),
        (("sampler=forks",), "sampler is a ForkProtocol; allowed: a Grid"),
        (("repeats=0",), "repeats is 0; allowed: a whole number >= 1"),
        (("sampled_cuts=0",), "sampled_cuts is 0; allowed: a whole number >= 1"),
        (("originals_per_problem=0",), "originals_per_problem is 0; allowed: a whole number >= 1"),
    ],
)
def test_refusals(overrides: tuple[str, ...], message: str) -> None:
    with pytest.raises(CritwinError) as caught:
        job(*overrides)
    assert str(caught.value) == message


def test_a_finished_benchmark_is_measured_anew(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    directory.write_json("provenance", {"status": "complete", "start": "", "restarts": 0})
    directory.write_json("summary", {})
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "time.png").touch()
    assert not job().experiment.is_done(directory)
