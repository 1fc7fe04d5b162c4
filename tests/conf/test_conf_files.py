"""The config tree as code: every file composes, says all of its target's keywords, and builds."""

import inspect
import itertools
from pathlib import Path

import pytest
from hydra._internal.utils import get_args_parser
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from critwin.records import RunDirectory
from experiments import train_arithmetic
from experiments.experiment import carry_out
from experiments.tracker import Silent
from launch.build import build, build_inquiry, component
from launch.catalogue import CONF, experiments
from launch.composing import composer, paths
from launch.values import field_names

COMPONENTS = ("model", "dataset", "prompt", "sampler", "feature", "window", "table")
GROUPS = (*COMPONENTS, "cluster", "tracker")
FILES = [path for group in GROUPS for path in sorted((CONF / group).glob("*.yaml"))]
INQUIRIES = ("status", "dashboard")
"""What is answered at once, and is no experiment."""
EXPERIMENTS = [entry.name for entry in experiments() if entry.name not in INQUIRIES]
WRITTEN = EXPERIMENTS
if not hasattr(train_arithmetic, "TrainArithmetic"):
    unwritten = pytest.mark.skip(reason="experiments.train_arithmetic.TrainArithmetic is to come")
    WRITTEN = [pytest.param(n, marks=unwritten) if "train" in n else n for n in EXPERIMENTS]
LINE = '{"question": "What is 1 + 1?", "answer": "1 + 1 = 2\\n#### 2"}\n'


READERS = {
    "relabel": "runs=[{run}]",
    "compare": "runs=[{run},{run}]",
    "detect_file": "path={rollouts}",
    "grade_file": "path={answers}",
    "paper_tables": "runs=[{run}]",
    "export": "runs=[{run}]",
}
"""Experiments that read runs or files, and how they are given them."""


def opened(name: str, run: Path) -> list[str]:
    """Give overrides for what an experiment leaves open."""
    rollouts = run / "rollouts.csv"
    rollouts.write_text("trajectory_id,position,agreeing,trials\na,0,1,2\n")
    answers = run / "answers.jsonl"
    answers.write_text('{"gold": "1", "pred": "2"}\n')
    given = {"run": run, "rollouts": rollouts, "answers": answers}
    return [READERS[name].format(**given)] if name in READERS else []


def compose(*overrides: str, mode: RunMode = RunMode.RUN) -> DictConfig:
    with composer(get_args_parser().parse_args(overrides)) as hydra:
        return hydra.compose(overrides, mode)


def name_of(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def given(path: Path, tmp_path: Path) -> list[str]:
    """Give overrides for what a file leaves open."""
    problems = tmp_path / "gsm8k.jsonl"
    problems.write_text(LINE)
    values = {
        "own": [f"dataset.path={problems}"],
        "attempt_file": [f"dataset.path={problems}"],
        "pattern": ["feature.pattern=x"],
        "structured_choice": ["feature.options=[a,b]"],
        "judged": ["feature.judge.path=some/model"],
        "strong_reject": ["feature.judge.path=some/model"],
        "clip": ["feature.prompts={cat: a photo of a cat, dog: a photo of a dog}"],
        **{name: ["model.path=some/model"] for name in ("hf", "server", "diffusion")},
    }
    return values.get(path.stem, [])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, as small as can be."""
    chain = ("model=markov_string", "model.max_new_tokens=3", "feature=final_word")
    tiny = ("sampler=fractions", "sampler.n=1", "dataset.n_problems=1", "originals_per_problem=1")
    job = build(compose("+exp=llm_math", *chain, *tiny))
    directory = RunDirectory(tmp_path_factory.mktemp("run"))
    silent = Silent()
    carry_out(job.experiment, directory, config=job.config, tracker=silent, progress=silent)
    return directory.path


def targets(node: object) -> list[dict]:
    """Give every node with a target."""
    if isinstance(node, dict):
        inner = itertools.chain.from_iterable(map(targets, node.values()))
        return ([node] if "_target_" in node else []) + list(inner)
    return []


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_component_file_names_every_keyword_of_its_target(path: Path, tmp_path: Path) -> None:
    group = path.parent.name
    if group == "table":
        config = compose("+exp=paper_tables").tables
        chosen = config[path.stem]
    else:
        config = compose("+exp=llm_math", f"{group}={path.stem}", *given(path, tmp_path))
        chosen = config[group]
    plain = OmegaConf.to_container(chosen, resolve=True)
    for node in targets(plain):
        module, _, name = node["_target_"].rpartition(".")
        target = getattr(__import__(module, fromlist=[name]), name)
        assert set(node) - {"_target_"} == set(inspect.signature(target).parameters)
    assert component(plain, group, object) is not None


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_every_key_of_a_component_file_is_commented(path: Path) -> None:
    lines = path.read_text().split("\nhydra:")[0].splitlines()
    comments = [line for line in lines if line.startswith("#") and not line.startswith("# @")]
    assert comments, "the first comment says what it is"
    if path.parent.name == "table":
        lines = [line for line in lines if not line.startswith(" ")]  # columns, lines of a caption
    without = [
        line
        for line in lines
        if ":" in line and not line.lstrip().startswith("#") and "  #" not in line
    ]
    bare = {line.strip().partition(":")[0] for line in without}
    # what several lines share is said at the first of them
    shared = {"account", "qos", "constraint", "cpus_per_task", "cells_per_job", "shards", "detach"}
    assert bare <= {"_target_", "cluster"} | shared


@pytest.mark.parametrize("name", WRITTEN)
def test_an_experiment_builds(name: str, run: Path) -> None:
    job = build(compose(f"+exp={name}", *opened(name, run)))
    assert job.experiment.name == name


@pytest.mark.parametrize("name", [*EXPERIMENTS, *INQUIRIES])
def test_an_experiment_is_described_with_its_command(name: str) -> None:
    lines = (CONF / "exp" / f"{name}.yaml").read_text().splitlines()
    assert lines[0] == "# @package _global_"
    assert len(lines[1]) > 20
    assert lines[2].startswith(f"# python -m launch +exp={name}")


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_keys_of_an_experiments_own_sweep_exist(name: str) -> None:
    config = compose(f"+exp={name}", mode=RunMode.MULTIRUN)
    known = set(paths(config))
    assert config.hydra.sweeper.params, "-m has something to do"
    assert set(config.hydra.sweeper.params) <= known


@pytest.mark.parametrize("name", WRITTEN)
def test_an_experiment_states_every_field_with_its_default(name: str) -> None:
    config = OmegaConf.to_container(compose(f"+exp={name}"), resolve=False)
    module, _, target = config["_target_"].rpartition(".")
    kind = getattr(__import__(module, fromlist=[target]), target)
    keys = {name: key for key, name in field_names(kind).items()}
    fields = {keys.get(k, k): f for k, f in inspect.signature(kind).parameters.items()}
    assert set(fields) <= set(config)
    defaults = {k: f.default for k, f in fields.items() if f.default is not inspect.Parameter.empty}
    plain = {k: list(v) if isinstance(v, tuple) else v for k, v in defaults.items()}
    assert {key: config[key] for key in defaults} == plain


@pytest.mark.parametrize("name", INQUIRIES)
def test_a_question_builds(name: str, run: Path) -> None:
    asked = [f"runs=[{run}]"] if name == "status" else []
    inquiry = build_inquiry(compose(f"+exp={name}", *asked))
    assert inquiry is not None
    assert inquiry.name == name


@pytest.mark.parametrize("cluster", ["local", "slurm", "debug"])
def test_each_cluster_has_its_launcher(cluster: str) -> None:
    config = compose("+exp=llm_math", f"cluster={cluster}")
    launcher = OmegaConf.to_container(config.hydra.launcher, resolve=True)
    assert launcher.pop("_target_") == "hydra_plugins.critwin.SweepLauncher"
    known = OmegaConf.to_container(config.cluster, resolve=True)
    given = {"name", "array_parallelism"}
    assert {key: known[key] for key in set(launcher) - given} == {
        key: launcher[key] for key in set(launcher) - given
    }


def test_the_environment_chooses_the_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRITWIN_CLUSTER", "slurm")
    assert compose("+exp=llm_math").cluster._target_ == "launch.clusters.Slurm"
    assert compose("+exp=llm_math", "cluster=debug").cluster._target_ == "launch.clusters.Debug"


def test_hydra_leaves_no_files(monkeypatch: pytest.MonkeyPatch) -> None:
    hydra = compose("+exp=llm_math").hydra
    assert hydra.run.dir == "."
    assert hydra.output_subdir is None
    assert hydra.job.chdir is False
    assert all("file" not in hydra[key].handlers for key in ("job_logging", "hydra_logging"))


def test_packaged_configs_are_found_from_anywhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert compose("+exp=llm_math").seed == 0
