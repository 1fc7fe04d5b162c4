"""Each bad config is refused with one message that names the key, the value and what is allowed."""

from pathlib import Path

import pytest

from critwin.errors import CritwinError
from launch.preflight import preflight

EXP = "+exp=llm_math"
HF = "model=hf"

BAD = {
    "unknown key": (["sampler.temprature=1"], ["sampler.temprature", "'1'", "sampler.temperature"]),
    "unknown key behind +": (["+zzz=1"], ["zzz is 1", "no such key", "originals_per_problem"]),
    "unknown key behind ++": (["++sampler.fractoins=[.1]"], ["did you mean sampler.fractions"]),
    "unknown nested key": (["+model.zz=1"], ["model.zz is 1", "model.temperature"]),
    "unknown key of a component": (["temperature=1"], ["model.temperature or sampler.temperature"]),
    "unknown group": (["smapler.n=3"], ["smapler.n is '3'", "did you mean sampler.n?"]),
    "unknown tracker key": (["+tracker.zz=1"], ["tracker.zz is 1", "tracker.project"]),
    "unknown cluster key": (["+cluster.zz=1"], ["cluster.zz is 1", "cluster.timeout_min"]),
    "unknown model": (["model=foo"], ["model is 'foo'", "embedded_arithmetic, ", "markov_string"]),
    "unknown dataset": (["dataset=foo"], ["dataset is 'foo'", "arithmetic, ", "gsm8k"]),
    "unknown cluster": (["cluster=moon"], ["cluster is 'moon'", "debug, local, slurm"]),
    "no component": (["model=null"], ["model is null", "embedded_arithmetic"]),
    "component taken away": (["~sampler"], ["sampler is missing"]),
    "two models": (["+model=hf"], ["+model=hf adds a second model", "write model=hf"]),
    "missing path": ([HF], ["model.path is missing", "model.path=...", "a text"]),
    "missing file": (["dataset=own"], ["dataset.path is missing"]),
    "file that is not there": (["dataset=gsm8k", "dataset.path=/no"], ["dataset.path is '/no'"]),
    "override that cannot be read": (
        ["sampler.n=[1"],
        ["'sampler.n=[1' cannot be read", "key=value"],
    ),
    "override without a value": (["seed"], ["'seed' cannot be read", "key=value"]),
    "sweep without -m": (["sampler.n=1,2"], ["sampler.n is 1,2", "add -m", "sampler.n=[1,2]"]),
    "text for a number": (["sampler.n=abc"], ["sampler.n is 'abc'", "a whole number"]),
    "fraction for a whole number": (["seed=1.5"], ["seed is 1.5", "a whole number"]),
    "truth value for a number": (["seed=true"], ["seed is True", "a whole number"]),
    "number for a list": (["sampler.fractions=.5"], ["sampler.fractions is 0.5", "a list"]),
    "null that is not allowed": (["seed=null"], ["seed is None", "a whole number"]),
    "n = 0": (["sampler.n=0"], ["sampler.n is 0", ">= 1"]),
    "no original": (["originals_per_problem=0"], ["originals_per_problem is 0", ">= 1"]),
    "top_p": (["sampler.top_p=1.5"], ["sampler.top_p is 1.5", "(0, 1]"]),
    "top_p of the model": (["model.top_p=0"], ["model.top_p is 0", "(0, 1]"]),
    "temperature": (["sampler.temperature=-1"], ["sampler.temperature is -1", "[0, inf)"]),
    "fraction outside": (
        ["sampler.fractions=[.1,1.5]"],
        ["sampler.fractions", "1.5", "(found 1.5)"],
    ),
    "no fraction": (["sampler.fractions=[]"], ["sampler.fractions", "non-empty"]),
    "no precision": (
        ["sampler=forks", "sampler.half_width=null"],
        ["sampler.half_width is None", "(0, 1) where neither max_forks nor max_tokens is set"],
    ),
    "half-width": (["sampler=forks", "sampler.half_width=1"], ["sampler.half_width is 1", "(0, 1"]),
    "no fork": (["sampler=forks", "sampler.max_forks=0"], ["sampler.max_forks is 0", ">= 1"]),
    "pilot": (["sampler=forks", "sampler.pilot=-1"], ["sampler.pilot is -1", ">= 0"]),
    "over": (["sampler=forks", "sampler.over=most"], ["sampler.over is 'most'", "mean, maximum"]),
    "key of a grid": (["sampler=forks", "sampler.n=5"], ["sampler.n is '5'", "sampler.pilot"]),
    "dtype": (["model.dtype=int3"], ["model.dtype is 'int3'", "bfloat16"]),
    "rule against protocol": (
        ["window=paper_jump", "sampler.fractions=[.1,.5]"],
        ["window.fractions", "sampler.fractions", "missing: [0.05, 0.3, 0.7, 0.9]"],
    ),
    "threshold": (["window.threshold=1.5"], ["window.threshold is 1.5", "(0, 1)"]),
    "parameter that a sampler lacks": (
        ["model=markov_string", "sampler.temperature=.5"],
        ["sampler.temperature is 0.5", "MarkovString has no such parameter"],
    ),
    "template": (["prompt.template=hi"], ["prompt.template is 'hi'", "{question}"]),
    "dangling reference": (["sampler.n=${foo}"], ["sampler.n cannot be resolved", "'foo'"]),
    "foreign target": (
        ["model._target_=os.system"],
        ["model._target_ is 'os.system'", "critwin.*"],
    ),
    "foreign target in a list": (
        ["sampler.stop=[{_target_:os.system}]"],
        ["sampler.stop[0]._target_ is 'os.system'"],
    ),
    "foreign target by way of a room": (
        ["model._target_=critwin.provenance.subprocess.run"],
        ["model._target_", "a class of critwin.*"],
    ),
    "function as target": (["model._target_=critwin.seeds.fold_in"], ["model._target_", "a class"]),
    "class that is not there": (
        ["model._target_=critwin.no.X"],
        ["model._target_", "critwin.no.X"],
    ),
    "component of another kind": (
        ["window._target_=critwin.protocol.Fractions"],
        ["window is a Fractions", "a WindowRule"],
    ),
    "value for a component": (["++window=5"], ["window is '5'", "paper_jump"]),
    "tracker mode": (["tracker.mode=x"], ["tracker.mode is 'x'", "offline"]),
    "outputs": (["outputs=null"], ["outputs is None", "a folder"]),
    "outputs in a file": (["outputs=/etc/passwd"], ["outputs is '/etc/passwd'", "can be written"]),
    "outputs nowhere": (["outputs=/proc/foo"], ["outputs is '/proc/foo'", "can be written"]),
    "time limit of slurm": (
        ["cluster=slurm", "cluster.timeout_min=5"],
        ["cluster.timeout_min is 5"],
    ),
    "kind of a cluster's value": (["cluster.timeout_min=x"], ["cluster.timeout_min is 'x'"]),
    "unknown experiment": (["+exp=foo"], ["exp is 'foo'", "llm_math"]),
    "experiment without plus": (["exp=llm_math"], ["exp=llm_math lacks its plus sign"]),
    "config folder": (["--config-dir=/no"], ["--config-dir is '/no'", "a folder"]),
    "key of Hydra": (["hydra.zz=1"], ["hydra.zz is '1'", "no such key", "hydra.sweeper"]),
    "key of Hydra behind +": (["+hydra.foo=1"], ["hydra.foo is '1'", "no such key", "hydra.job"]),
    "key of Hydra behind ++": (["++hydra.job.foo.bar=1"], ["hydra.job.foo is '1'", "job.env_set"]),
    "key of a launcher": (["+hydra.launcher.foo=1"], ["hydra.launcher.foo is '1'", "timeout_min"]),
    "Hydra's folder": (["hydra.run.dir=/tmp/x"], ["hydra.run.dir is '/tmp/x'", "outputs=FOLDER"]),
    "Hydra's folder in a node": (["hydra.run={dir:x}"], ["hydra.run.dir is 'x'", "allowed: ., "]),
    "Hydra's copies": (["hydra.output_subdir=x"], ["hydra.output_subdir is 'x'", "allowed: None"]),
    "Hydra's chdir": (["hydra.job.chdir=true"], ["hydra.job.chdir is True", "allowed: False"]),
    "group behind ++": (["++model=hf"], ["++model=hf adds a second model", "write model=hf"]),
    "key that is there behind +": (["+seed=3"], ["+seed=3 adds a key", "write seed=3"]),
    "target behind +": (["+model._target_=x"], ["model._target_ is 'x'", "a class of critwin.*"]),
    "key of no tracker": (
        ["tracker=none", "tracker.mode=foo"],
        ["tracker.mode is 'foo'", "no such key; allowed: tracker has no keys"],
    ),
    "key of no tracker behind +": (
        ["tracker=none", "+tracker.mode=foo"],
        ["tracker.mode is 'foo'", "no such key; allowed: tracker has no keys"],
    ),
}

BAD_SWEEPS = {
    "second value": (["sampler.n=5,0"], ["cell 1 of 4", "sampler.n=0", "sampler.n is 0"]),
    "first value": (["sampler.n=0,5"], ["sampler.n is 0; allowed"]),
    "unknown model": (["model=embedded_arithmetic,foo"], ["model is 'foo'", "hf"]),
    "the same run twice": (["tracker.project=a,b"], ["cells 0 and", "same run", "leave one out"]),
    "two trackers": (["tracker=wandb,none"], ["tracker takes one value"]),
    "two experiments": (["+exp=llm_math,foo"], ["exp is 'llm_math,foo'", "one experiment"]),
    "no sbatch": (["cluster=slurm"], ["cluster is 'slurm'", "sbatch is not on the PATH"]),
    "folder of the sweep": (["hydra.sweep.dir=x"], ["hydra.sweep.dir", "multirun=FOLDER"]),
    "multirun in a file": (["multirun=/etc/passwd"], ["multirun is '/etc/passwd'", "written"]),
    "Hydra's sweep": (
        ["+hydra.sweeper.params.seed=1,2"],
        ["Sweeping over Hydra's configuration is not supported", "hydra.sweeper.params.seed"],
    ),
    "interval": (["sampler.n=interval(1,3)"], ["INTERVAL_SWEEP"]),
    "unknown launcher": (["hydra/launcher=foo"], ["hydra/launcher is 'foo'", "submitit_local"]),
}


@pytest.fixture(autouse=True)
def empty_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/nowhere")


def refusal(flags, *arguments: str) -> str:
    exp = () if any("exp=" in argument for argument in arguments) else (EXP,)
    if exp and not any(argument.startswith(("sampler=", "~sampler")) for argument in arguments):
        exp += ("sampler=fractions",)  # whose keys most cases are about
    with pytest.raises(CritwinError) as caught:
        preflight(flags(*exp, *arguments))
    assert not list(Path().iterdir())
    return str(caught.value)


@pytest.mark.parametrize("case", BAD)
def test_bad_config(case: str, flags) -> None:
    overrides, words = BAD[case]
    message = refusal(flags, *overrides)
    assert [word for word in words if word not in message] == [], message
    assert "\n" not in message


@pytest.mark.parametrize("case", BAD_SWEEPS)
def test_bad_sweep(case: str, flags) -> None:
    overrides, words = BAD_SWEEPS[case]
    message = refusal(flags, *overrides, "-m")
    assert [word for word in words if word not in message] == [], message
    assert "\n" not in message


def test_an_empty_dataset_file(flags, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    message = refusal(flags, "dataset=gsm8k", "dataset.path=../empty.jsonl")
    assert "empty.jsonl" in message


@pytest.mark.parametrize("sweep", [(), ("sampler.n=1,2", "-m")])
def test_a_model_folder_without_a_model(sweep: tuple[str, ...], flags) -> None:
    message = refusal(flags, HF, "model.path=/no/such/folder", *sweep)
    assert "/no/such/folder" in message


def test_a_good_config_passes(flags) -> None:
    plan = preflight(flags(EXP, "sampler.pilot=5", "originals_per_problem=2"))
    assert plan.sweep is None
    assert plan.arguments == ()
