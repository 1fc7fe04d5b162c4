"""Features of pictures: computed by hand where they can be, by tiny real files elsewhere."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from critwin.digits import PARTS, load_digits
from critwin.errors import ModelError, ParameterError
from critwin.feature import UNSCORED
from critwin.features.clip_classes import ClipClasses
from critwin.features.grouped import Grouped
from critwin.features.hub_classifier import HubClassifier
from critwin.features.label_scores import confident_labels
from critwin.features.layer_classifier import LayerClassifier
from critwin.features.region_statistic import RegionStatistic
from critwin.features.sklearn_classes import SklearnClasses
from tests.critwin.samplers.tiny_pipelines import random_clip

RED = np.zeros((4, 4, 3), np.uint8)
RED[..., 0] = 255
HALF = np.zeros((4, 4, 1), np.uint8)
HALF[2:] = 255


def test_the_most_probable_label_counts_where_it_is_sure() -> None:
    shares = [[0.7, 0.3], [0.45, 0.55], [float("nan"), float("nan")], [0.5, 0.5]]
    names = confident_labels(shares, ["a", "b"], min_confidence=0.55)
    assert names == ["a", "b", UNSCORED, UNSCORED]


@pytest.mark.parametrize(
    ("statistic", "region", "image", "value"),
    [
        ("brightness", (0, 0, 1, 1), HALF, 0.5),
        ("brightness", (0, 0, 0.5, 1), HALF, 0.0),
        ("brightness", (0.5, 0, 1, 1), HALF, 1.0),
        ("contrast", (0, 0, 1, 1), HALF, 0.5),
        ("red", (0, 0, 1, 1), RED, 2 / 3),
        ("blue", (0, 0, 1, 1), RED, -1 / 3),
        ("saturation", (0, 0, 1, 1), RED, 1.0),
        ("saturation", (0, 0, 1, 1), HALF, 0.0),
        ("brightness", (0.99, 0.99, 1, 1), HALF, 1.0),
    ],
)
def test_a_statistic_of_a_region(
    statistic: str, region: tuple[float, ...], image: np.ndarray, value: float
) -> None:
    feature = RegionStatistic(statistic=statistic, region=region)
    assert feature.value(image) == pytest.approx(value)


def test_classes_of_a_statistic_begin_at_their_edges() -> None:
    feature = RegionStatistic(edges=(0.25, 0.5))
    dark, bright = np.full((2, 2, 1), 63, np.uint8), np.full((2, 2, 1), 128, np.uint8)
    assert feature.labels([dark, HALF, bright]) == [
        "brightness below 0.25",
        "brightness from 0.5",
        "brightness from 0.5",
    ]
    named = RegionStatistic(edges=(0.6,), names=("low", "high"))
    assert named.labels([HALF, bright]) == ["low", "low"]


@pytest.mark.parametrize(
    "settings",
    [
        {"statistic": "hue"},
        {"region": (0.5, 0, 0.5, 1)},
        {"region": (0, 0, 2, 1)},
        {"edges": ()},
        {"edges": (0.5, 0.5)},
        {"names": ("one",)},
        {"names": ("a", "a")},
        {"names": ("a", UNSCORED)},
    ],
)
def test_statistics_that_mean_nothing_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ParameterError, match=next(iter(settings))):
        RegionStatistic(**settings)  # type: ignore[arg-type]


def write_classifier(folder: Path) -> Path:
    """Write a classifier whose logits are 2 and -2 times the sum of the four pixels."""
    import torch
    from safetensors.torch import save_file

    folder.mkdir()
    layers = [{"kind": "flatten"}, {"kind": "linear", "in_features": 4, "out_features": 2}]
    (folder / "config.json").write_text(json.dumps({"labels": ["light", "dark"], "layers": layers}))
    weight = torch.full((2, 4), 2.0)
    weight[1] = -2.0
    save_file({"1.weight": weight, "1.bias": torch.zeros(2)}, folder / "model.safetensors")
    return folder


def test_layers_and_weights_make_a_classifier(tmp_path: Path) -> None:
    folder = write_classifier(tmp_path / "net")
    judge = LayerClassifier(path=str(folder))
    white, black = np.full((2, 2, 1), 255, np.uint8), np.zeros((2, 2, 1), np.uint8)
    grey = np.full((2, 2, 1), 128, np.uint8)
    assert judge.labels([white, black]) == ["light", "dark"]
    # pixels are 128 / 127.5 - 1 each, four of them, twice, and the same with the other sign
    expected = 1 / (1 + np.exp(-2 * 2 * 4 * (128 / 127.5 - 1)))
    assert judge.probabilities([grey])[0, 0] == pytest.approx(expected, abs=1e-6)
    unsure = LayerClassifier(path=str(folder), min_confidence=0.6)
    assert unsure.labels([grey]) == [UNSCORED]
    assert judge.labels([]) == []
    before = judge.fingerprint()
    with (folder / "model.safetensors").open("ab") as file:
        file.write(b"\0")
    assert judge.fingerprint() != before


def test_layers_that_are_not_known_are_refused(tmp_path: Path) -> None:
    folder = write_classifier(tmp_path / "net")
    described = {"labels": ["a"], "layers": [{"kind": "exec", "code": "1"}]}
    (folder / "config.json").write_text(json.dumps(described))
    with pytest.raises(ModelError, match="is not known"):
        LayerClassifier(path=str(folder)).labels([HALF])
    (folder / "config.json").write_text("{}")
    with pytest.raises(ParameterError, match="layers and labels"):
        LayerClassifier(path=str(folder)).known_labels()


@pytest.mark.parametrize("model", ["support_vectors", "nearest_neighbours"])
def test_a_model_of_scikit_learn_reads_digits_that_it_has_not_seen(model: str) -> None:
    images, classes = load_digits("held_out")
    found = SklearnClasses(model=model, min_confidence=0.0).labels(list(images))
    right = np.mean([label == str(c) for label, c in zip(found, classes, strict=True)])
    # 350 digits teach it; 0.9 is far below what either gives, and far above a shifted part
    assert right > 0.9
    with pytest.raises(ModelError, match=r"allowed for digits: \(8, 8, 1\)"):
        SklearnClasses().labels([RED])


def test_parts_of_the_digits_do_not_overlap() -> None:
    seen = [image.tobytes() for part in PARTS for image in load_digits(part)[0]]  # type: ignore[arg-type]
    assert len(seen) == 1797
    # equal pictures are equal digits of the data set itself, and they are few
    assert len(set(seen)) > 1790
    assert [len(load_digits(part)[0]) for part in PARTS] == list(PARTS.values())  # type: ignore[arg-type]


def test_groups_make_coarse_labels() -> None:
    fine = RegionStatistic(edges=(0.2, 0.4), names=("a", "b", "c"))
    coarse = Grouped(of=fine, groups={"low": ("a", "b")})
    assert coarse.known_labels() == ("low", "c")
    assert coarse.labels([HALF, np.zeros((2, 2, 1), np.uint8)]) == ["c", "low"]
    assert coarse.group(UNSCORED) == UNSCORED
    for groups in ({"low": ("a", "x")}, {"low": ("a",), "high": ("a",)}, {"b": ("a",)}, {}):
        with pytest.raises(ParameterError, match="groups"):
            Grouped(of=fine, groups=groups)


def test_clip_chooses_among_prompts(tmp_path: Path) -> None:
    """Against the model's own features, by cosine and its scale."""
    import torch
    from transformers import AutoImageProcessor, AutoTokenizer, CLIPModel

    path = random_clip(tmp_path)
    prompts = {"cat": "a cat", "dog": "the dog"}
    judge = ClipClasses(path=str(path), prompts=prompts, device="cpu")
    images = [np.random.default_rng(i).integers(0, 256, (12, 12, 3), np.uint8) for i in range(3)]
    shares = judge.probabilities(images)
    model = CLIPModel.from_pretrained(path).eval()
    asked = AutoTokenizer.from_pretrained(path)(
        list(prompts.values()), return_tensors="pt", padding=True
    )
    seen = AutoImageProcessor.from_pretrained(path, backend="pil")(images, return_tensors="pt")
    with torch.inference_mode():
        text = model.get_text_features(**asked).pooler_output
        image = model.get_image_features(**seen).pooler_output
    cosine = torch.nn.functional.normalize(image) @ torch.nn.functional.normalize(text).T
    expected = (cosine * model.logit_scale.exp()).softmax(dim=1)
    np.testing.assert_allclose(shares, expected.detach().numpy(), atol=1e-5)
    best = [list(prompts)[i] for i in shares.argmax(axis=1)]
    assert judge.labels(images) == best
    # grey pictures are shown as colour
    assert judge.labels([images[0][..., :1]])[0] in prompts


def test_bad_prompts_are_refused(tmp_path: Path) -> None:
    path = str(random_clip(tmp_path))
    for prompts in (
        {"a": "x"},
        {"a": "x", "b": "x"},
        {"a": "x", "b": " "},
        {"a": "x", UNSCORED: "y"},
    ):
        with pytest.raises(ParameterError, match="prompts"):
            ClipClasses(path=path, prompts=prompts)


def test_any_classifier_of_transformers_judges(tmp_path: Path) -> None:
    import torch
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessorPil

    torch.manual_seed(0)
    config = ViTConfig(
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=8,
        patch_size=4,
        id2label={0: "a", 1: "b", 2: "c"},
        label2id={"a": 0, "b": 1, "c": 2},
    )
    model = ViTForImageClassification(config)
    with torch.no_grad():  # one class wins, whatever is seen
        model.classifier.weight.zero_()
        model.classifier.bias.copy_(torch.tensor([0.0, 9.0, 0.0]))
    model.save_pretrained(tmp_path)
    ViTImageProcessorPil(size={"height": 8, "width": 8}).save_pretrained(tmp_path)
    assert HubClassifier(path=str(tmp_path), device="cpu").labels([RED, HALF]) == ["b", "b"]
