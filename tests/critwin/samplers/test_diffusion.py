"""Pipelines of diffusers as samplers: against closed forms, and against their own calls."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from critwin.errors import ModelError, ParameterError
from critwin.picture import NoisedPicture, Picture
from critwin.prompt import Prompt
from critwin.samplers.diffusion import DiffusionSampler
from critwin.samplers.noise_schedule import SCHEDULERS
from critwin.seeds import fold_in
from tests.critwin.samplers.tiny_pipelines import (
    TRAIN_STEPS,
    random_ddpm,
    random_dit,
    random_stable_diffusion,
    random_stable_diffusion_3,
    random_stable_diffusion_xl,
    unit_normal,
)

DIFFUSIONS = [name for name in SCHEDULERS if name != "flow_match_euler"]
ROUNDING = 2e-5
"""Float32 products of other shapes: about 100 roundings of values near 1, times a margin of 2."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pipelines")


def sampler_of(path: Path, **settings: object) -> DiffusionSampler:
    return DiffusionSampler(path=str(path), device="cpu", **settings)  # type: ignore[arg-type]


def picture(shape: tuple[int, ...], condition: str = "") -> Picture:
    values = np.random.default_rng(3).standard_normal(shape).astype(np.float32)
    return Picture(condition, values)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_an_observation_is_signal_and_noise_in_closed_form(scheduler: str, folder: Path) -> None:
    """By the betas of the noise schedule itself, not by what a scheduler makes of them."""
    sampler = sampler_of(random_ddpm(folder), scheduler=scheduler, steps=10)
    x = picture((1, 8, 8))
    kept = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))
    for level in (1, 5, 9):
        (y,) = sampler.observe([x], [level], seeds=[7])
        noise = torch.randn((1, 8, 8), generator=torch.Generator().manual_seed(7)).numpy()
        step = sampler.timestep(level)
        if scheduler == "flow_match_euler":
            signal, spread = 1 - step / 1000, step / 1000
        else:
            # timesteps between two of training are interpolated by some schedulers
            between = np.interp(step, np.arange(1000), np.sqrt(1 / kept - 1))
            signal, spread = 1 / math.hypot(1, between), between / math.hypot(1, between)
            if scheduler.startswith("euler"):  # the variance grows: the picture is not shrunk
                signal, spread = 1.0, between
        np.testing.assert_allclose(y.values, signal * x.values + spread * noise, atol=2e-4)
        share = signal / math.hypot(signal, spread)
        assert sampler.time(level) == pytest.approx(-math.log(share), rel=1e-3)
    assert sampler.time(0) == math.inf
    assert sampler.time(10) == 0
    steps = [sampler.timestep(level) for level in range(10)]
    assert steps == sorted(steps, reverse=True)


def test_resamples_follow_the_exact_posterior(folder: Path) -> None:
    """For unit normal pixels E[x' x] is the share of the signal squared: no level is off by one."""
    sampler = sampler_of(unit_normal(folder), steps=TRAIN_STEPS, batch_size=2000)
    count = 2000
    (xs,) = sampler.resample(
        sampler.start([Prompt("")]), seeds=[[fold_in(0, i) for i in range(count)]]
    )
    before = np.stack([x.values.ravel() for x in xs])
    for level in range(1, TRAIN_STEPS):
        cuts = sampler.observe(xs, [level] * count, seeds=[fold_in(1, i) for i in range(count)])
        again = sampler.resample(cuts, seeds=[[fold_in(2, i)] for i in range(count)])
        after = np.stack([own[0].values.ravel() for own in again])
        share = math.exp(-2 * sampler.time(level))
        product = before * after
        error = product.std() / math.sqrt(product.size)
        # the last step of DDPM draws no noise, and shrinks by 1e-4
        assert abs(product.mean() - share) < 5 * error + 2e-4
        assert abs(after.std() - 1) < 5 / math.sqrt(2 * after.size) + 2e-4


@pytest.mark.parametrize("scheduler", DIFFUSIONS)
def test_a_batch_of_many_levels_gives_what_each_row_gives_alone(
    scheduler: str, folder: Path
) -> None:
    sampler = sampler_of(random_ddpm(folder), scheduler=scheduler, steps=8)
    levels = [0, 5, 3, 0, 7, 3]
    xs = [picture((1, 8, 8)) for _ in levels]
    cuts = sampler.observe(xs, levels, seeds=list(range(6)))
    seeds = [[fold_in(4, i), fold_in(5, i)] for i in range(6)]
    together = sampler.resample(cuts, seeds=seeds)
    small = sampler_of(random_ddpm(folder), scheduler=scheduler, steps=8, batch_size=1)
    for cut, own, found in zip(cuts, seeds, together, strict=True):
        (alone,) = small.resample([cut], seeds=[own])
        for one, other in zip(alone, found, strict=True):
            scale = np.abs(one.values).max()
            np.testing.assert_allclose(one.values, other.values, atol=ROUNDING * scale)


@pytest.mark.parametrize("scheduler", DIFFUSIONS)
def test_from_nothing_it_is_the_pipelines_own_call(scheduler: str, folder: Path) -> None:
    sampler = sampler_of(random_ddpm(folder), scheduler=scheduler, steps=6)
    pipeline = sampler.loaded.pipeline
    if scheduler.startswith("euler"):
        pytest.skip("DDPMPipeline neither scales its input nor its noise, as Euler asks for")
    ours = sampler.images(sampler.resample(sampler.start([Prompt("")]), seeds=[[11]])[0])[0]
    theirs = pipeline(
        batch_size=1,
        num_inference_steps=6,
        generator=torch.Generator().manual_seed(11),
        output_type="np",
    ).images[0]
    np.testing.assert_allclose(ours, np.rint(theirs * 255), atol=1)


@pytest.mark.parametrize(
    "make", [random_stable_diffusion, random_stable_diffusion_xl, random_stable_diffusion_3]
)
def test_prompts_and_guidance_are_the_pipelines_own(make: object, folder: Path) -> None:
    sampler = sampler_of(make(folder), steps=4, guidance=3.0)  # type: ignore[operator]
    prompts = ["a cat", "a dog"]
    starts = sampler.start([Prompt(text) for text in prompts])
    found = [own[0] for own in sampler.resample(starts, seeds=[[5], [6]])]
    ours = sampler.images(found)
    pipeline = sampler.loaded.pipeline
    theirs = pipeline(
        prompts,
        guidance_scale=3.0,
        num_inference_steps=4,
        generator=[torch.Generator().manual_seed(seed) for seed in (5, 6)],
        output_type="np",
    ).images
    np.testing.assert_allclose(np.stack(ours), np.rint(theirs * 255), atol=1)
    assert ours[0].shape == (16, 16, 3)
    assert not np.array_equal(ours[0], ours[1])
    # rows that wait are as if they were alone, whatever the loop hands to the denoiser
    cuts = sampler.observe(found, [1, 3], seeds=[1, 2])
    together = sampler.resample(cuts, seeds=[[7], [8]])
    for cut, seed, (one,) in zip(cuts, (7, 8), together, strict=True):
        ((alone,),) = sampler.resample([cut], seeds=[[seed]])
        scale = np.abs(alone.values).max()
        np.testing.assert_allclose(alone.values, one.values, atol=ROUNDING * scale)


def test_classes_are_the_pipelines_own(folder: Path) -> None:
    sampler = sampler_of(random_dit(folder), steps=4, guidance=4.0)
    ours = sampler.images(sampler.resample(sampler.start([Prompt("207")]), seeds=[[5]])[0])[0]
    theirs = sampler.loaded.pipeline(
        class_labels=[207],
        guidance_scale=4.0,
        num_inference_steps=4,
        generator=torch.Generator().manual_seed(5),
        output_type="np",
    ).images[0]
    np.testing.assert_allclose(ours, np.rint(theirs * 255), atol=1)


@pytest.mark.parametrize("make", [random_stable_diffusion, random_dit])
def test_rows_that_wait_do_not_disturb_guidance(make: object, folder: Path) -> None:
    sampler = sampler_of(make(folder), scheduler="dpm_solver", steps=6)  # type: ignore[operator]
    conditions = ["12", "3", "12", "40"]
    shape = sampler.loaded.shape(None, None)
    levels = [0, 4, 2, 4]
    cuts = sampler.observe([picture(shape, c) for c in conditions], levels, seeds=list(range(4)))
    together = sampler.resample(cuts, seeds=[[i] for i in range(4)])
    for cut, seed, found in zip(cuts, range(4), together, strict=True):
        (alone,) = sampler.resample([cut], seeds=[[seed]])
        scale = np.abs(alone[0].values).max()
        np.testing.assert_allclose(alone[0].values, found[0].values, atol=ROUNDING * scale)
        assert found[0].condition == cut.condition


@pytest.mark.parametrize("scheduler", ["ddim", "euler"])
def test_a_step_from_the_middle_is_the_schedulers_own(scheduler: str, folder: Path) -> None:
    """By hand, on the scheduler's own grid of timesteps, as the predecessor's scripts do.

    Euler asks for scaled rows, which the loop of a DDPM pipeline knows nothing of.
    """
    sampler = sampler_of(random_ddpm(folder), scheduler=scheduler, steps=10)
    x = picture((1, 8, 8))
    (cut,) = sampler.observe([x], [6], seeds=[1])
    ((found,),) = sampler.resample([cut], seeds=[[2]])
    stepper, unet = sampler.loaded.pipeline.scheduler, sampler.loaded.denoiser
    stepper.set_timesteps(10)
    state = torch.from_numpy(cut.values)[None]
    with torch.no_grad():
        for t in stepper.timesteps[-4:]:
            scaled = stepper.scale_model_input(state, t)
            state = stepper.step(unet(scaled, t).sample, t, state).prev_sample
    np.testing.assert_allclose(found.values, state[0].numpy(), atol=1e-5)


def test_ddim_draws_no_noise_and_ddpm_does(folder: Path) -> None:
    path = random_ddpm(folder)
    for settings, noisy in (
        ({"scheduler": "ddim"}, False),
        ({"scheduler": "ddim", "eta": 1.0}, True),
        ({"scheduler": "ddpm"}, True),
        ({"scheduler": "euler"}, False),
        ({"scheduler": "euler_ancestral"}, True),
        ({"scheduler": "dpm_solver"}, False),
        ({"scheduler": "dpm_solver_sde"}, True),
    ):
        sampler = sampler_of(path, steps=5, **settings)
        (cut,) = sampler.observe([picture((1, 8, 8))], [2], seeds=[1])
        ((one, other),) = sampler.resample([cut], seeds=[[2, 3]])
        assert sampler.draws_noise is noisy
        assert np.allclose(one.values, other.values, atol=1e-4) is not noisy


@pytest.mark.parametrize("scheduler", ["ddpm", "dpm_solver"])
def test_a_trajectory_is_the_path_of_its_picture(scheduler: str, folder: Path) -> None:
    sampler = sampler_of(random_ddpm(folder), scheduler=scheduler, steps=6)
    starts = sampler.start([Prompt(""), Prompt("")])
    paths = sampler.trajectories(starts, [2, 5], seeds=[8, 9])
    drawn = sampler.resample(starts, seeds=[[8], [9]])
    for (states, found), (own,) in zip(paths, drawn, strict=True):
        np.testing.assert_allclose(found.values, own.values, atol=1e-5)
        assert [cut.level for cut in states] == [2, 5]
        assert not np.array_equal(states[0].values, states[1].values)
    if scheduler == "dpm_solver":
        return
    # the last step of DDPM draws no noise: from the last state every seed gives the picture
    (branched,) = sampler.resample([paths[0][0][1]], seeds=[[1, 2]])
    np.testing.assert_allclose(branched[0].values, paths[0][1].values, atol=1e-5)


def test_real_pictures_come_back_from_the_sampler(folder: Path) -> None:
    images = [np.random.default_rng(i).integers(0, 256, (8, 8, 1), np.uint8) for i in range(3)]
    sampler = sampler_of(random_ddpm(folder), steps=5)
    for image, again in zip(
        images, sampler.images(sampler.pictures(images, [""] * 3)), strict=True
    ):
        assert np.array_equal(image, again)
    latent = sampler_of(random_stable_diffusion(folder), steps=5)
    coloured = [np.repeat(np.repeat(i, 2, 0), 2, 1).repeat(3, 2) for i in images]
    assert latent.pictures(coloured, ["a"] * 3)[0].values.shape == (4, 8, 8)


def test_observations_know_their_level_and_condition(folder: Path) -> None:
    sampler = sampler_of(random_stable_diffusion(folder), steps=5)
    x = picture(sampler.loaded.shape(None, None), "a cat")
    nothing, some, whole = sampler.observe([x] * 3, [0, 2, 9], seeds=[1, 2, 3])
    assert nothing == sampler.start([Prompt("a cat")])[0] == NoisedPicture("a cat")
    assert (some.level, some.condition) == (2, "a cat")
    assert sampler.resample([whole], seeds=[[1]]) == [[x]]
    with pytest.raises(ValueError, match="level is -1"):
        sampler.observe([x], [-1], seeds=[0])


def test_bad_settings_are_refused_before_anything_is_loaded(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("critwin.samplers.diffusion.load_pipeline", None)
    path = random_ddpm(folder)
    for settings, words in (
        ({"scheduler": "heun"}, "scheduler is 'heun'; allowed: null or one of ddpm"),
        ({"steps": 0}, "steps is 0"),
        ({"steps": 2000}, "steps is 2000; allowed: at most 1000"),
        ({"eta": 0.5}, "eta is 0.5; allowed: 0 with scheduler ddpm"),
        ({"eta": 2.0, "scheduler": "ddim"}, "eta is 2.0"),
        ({"guidance": 3.0}, "guidance is 3.0; allowed: null, for DDPMPipeline has none"),
        ({"negative_prompt": "x"}, "negative_prompt is 'x'"),
        ({"dtype": "int8"}, "dtype is 'int8'"),
        ({"height": 12}, "height is 12; allowed: null or a multiple of 8"),
        ({"batch_size": 0}, "batch_size is 0"),
    ):
        with pytest.raises(ParameterError) as refused:
            sampler_of(path, **settings)
        assert words in str(refused.value)
    with pytest.raises(ParameterError, match=r"a folder that holds model_index.json"):
        sampler_of(folder / "nowhere")


def test_a_scheduler_that_is_not_served_is_refused(folder: Path, tmp_path: Path) -> None:
    from diffusers import DDPMPipeline, HeunDiscreteScheduler

    unet = sampler_of(random_ddpm(folder)).loaded.pipeline.unet
    DDPMPipeline(unet=unet, scheduler=HeunDiscreteScheduler()).save_pretrained(tmp_path / "heun")
    with pytest.raises(ParameterError, match="HeunDiscreteScheduler, is not served"):
        sampler_of(tmp_path / "heun")
    assert sampler_of(tmp_path / "heun", scheduler="ddpm").draws_noise
    (tmp_path / "heun" / "unet" / "config.json").write_text("{")
    with pytest.raises(ModelError, match="cannot be loaded"):
        _ = sampler_of(tmp_path / "heun", scheduler="ddpm").loaded


def test_the_fingerprint_is_that_of_the_weights(folder: Path, tmp_path: Path) -> None:
    import shutil

    first = sampler_of(random_ddpm(folder)).fingerprint()
    shutil.copytree(random_ddpm(folder), tmp_path / "copy")
    assert sampler_of(tmp_path / "copy").fingerprint() == first
    with (tmp_path / "copy" / "unet" / "diffusion_pytorch_model.safetensors").open("ab") as file:
        file.write(b"\0")
    assert sampler_of(tmp_path / "copy").fingerprint() != first
