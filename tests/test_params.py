"""Parameters: a wrong one is refused in a line that names the key, the value and what is allowed."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from vad import VadError, params, registry, schema

DEFAULT = yaml.safe_load(Path("params.yaml").read_text())


def refused(tmp_path: Path, key: str, value: Any) -> str:
    values = yaml.safe_load(yaml.safe_dump(DEFAULT))
    target = values
    *path, last = key.split(".")
    for part in path:
        target = target[part]
    target[last] = value
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(VadError) as raised:
        params.load(tmp_path / "params.yaml")
    return str(raised.value).replace(f"{tmp_path}/", "")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("gamma", -1, "params.yaml: gamma = -1: must be a number above 0 and up to 10"),
        ("gamma", float("nan"), "params.yaml: gamma = nan: must be a number above 0 and up to 10"),
        ("train.epochs", "ten", "params.yaml: train.epochs = 'ten': must be an integer from 1 to 10000"),
        ("tta", ["sideways"], "params.yaml: tta.0 = 'sideways': must be a list of identity, hflip, vflip, rot180"),
        ("tta", [], "params.yaml: tta = []: must be a list of identity, hflip, vflip, rot180"),
        ("tta", ["hflip", "hflip"], "params.yaml: tta = ['hflip', 'hflip']: each view may be named once"),
        ("train.epoch", 3, "params.yaml: train.epoch: unknown key; did you mean epochs?"),
        ("gama", 1, "params.yaml: gama: unknown key; did you mean gamma?"),
        ("resize.size", 100, "params.yaml: resize.size = 100: must be a multiple of 32 from 32 to 1024"),
        (
            "aggregate.weights",
            {"layer9": 1},
            "params.yaml: aggregate.weights.layer9: unknown key; did you mean layer4?",
        ),
        ("aggregate.smooth.window", 4, "params.yaml: aggregate.smooth.window = 4: must be odd, to have a middle frame"),
        ("train", 3, "params.yaml: train = 3: must be a section"),
    ],
)
def test_a_wrong_value_is_explained_in_one_line(tmp_path: Path, key: str, value: Any, message: str) -> None:
    assert refused(tmp_path, key, value) == message


def test_a_negative_weight_is_explained(tmp_path: Path) -> None:
    message = refused(tmp_path, "aggregate.weights", {"pixel_l1": -0.5})
    assert message.startswith("params.yaml: aggregate.weights.pixel_l1 = -0.5: must be ")


def test_settings_that_exclude_each_other_are_refused(tmp_path: Path) -> None:
    assert "every weight is 0" in refused(tmp_path, "aggregate.weights", {"pixel_l1": 0})
    both = DEFAULT["train"] | {"pretrained": True, "weights": "model.pth"}
    assert "train.pretrained and train.weights exclude each other" in refused(tmp_path, "train", both)


def test_a_memory_of_a_predictor_that_is_off_is_refused(tmp_path: Path) -> None:
    remembered = DEFAULT["memory"] | {"enabled": True, "features": "predictor"}
    assert "memory.features = predictor: takes predict.enabled: true" in refused(tmp_path, "memory", remembered)


def test_a_detector_without_weights_is_refused(tmp_path: Path) -> None:
    assert refused(tmp_path, "objects.enabled", True) == (
        "params.yaml: objects.enabled = true: takes objects.weights, a file of "
        "fasterrcnn_mobilenet_v3_large_320_fpn's weights"
    )


def test_a_weight_on_what_is_not_computed_is_refused(tmp_path: Path) -> None:
    for name, remedy in {
        "prediction_max": "takes predict.enabled: true",
        "memory_local": "takes memory.enabled: true",
        "objects_velocity": "takes objects.enabled: true",
        "flow_top": "motion.components lacks flow: add it",
    }.items():
        values = DEFAULT | {"motion": DEFAULT["motion"] | {"components": ["change"]}}
        weights = {"aggregate": DEFAULT["aggregate"] | {"weights": {name: 1.0, "change_max": 1.0}}}
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(values | weights))
        with pytest.raises(VadError, match=rf"aggregate.weights.{name} = 1.0: {remedy}"):
            params.load(tmp_path / "params.yaml")


def test_a_missing_key_says_what_it_must_be(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({key: DEFAULT[key] for key in DEFAULT if key != "gamma"}))
    with pytest.raises(VadError, match=r"gamma: missing; must be a number above 0 and up to 10"):
        params.load(tmp_path / "params.yaml")


@pytest.mark.parametrize(
    ("text", "message"), [("a: [", "not valid YAML"), ("", "must be a mapping"), (None, "no such")]
)
def test_a_file_that_is_no_parameter_file_is_refused(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(VadError, match=message):
        params.load(tmp_path / "params.yaml")


@pytest.mark.parametrize(
    ("key", "value", "hint"),
    [
        ("validation.static", 0.2, "validation.static: unknown key; it is called noise now"),
        ("aggregate.weights.difference_local", 1.0, "difference_local: unknown key; it is called change_local now"),
        ("motion.components", ["difference"], "; difference is called change now"),
    ],
)
def test_an_old_name_is_refused_in_a_line_that_tells_the_new_one(
    tmp_path: Path, key: str, value: Any, hint: str
) -> None:
    assert hint in refused(tmp_path, key, value)


def dvc_reads(text: str) -> Any:
    from dvc.utils.serialize import parse_yaml

    return parse_yaml(text, "params.yaml")


SCALARS = [
    "010", "0o10", "0x1f", "1:40", "190:20:30", "on", "off", "yes", "no", "true", "True", "~", "null", "", "1e3",
    "2020-01-31",
    "1e-4", "1.0e-4", ".5", "5.", "1.e3", "+3", "-0", "1_000", ".inf", ".nan", "'010'", '"on"', "0b11", "0100",
]  # fmt: skip


@pytest.mark.parametrize("text", SCALARS)
def test_a_scalar_means_to_the_stages_what_it_means_to_dvc(tmp_path: Path, text: str) -> None:
    (tmp_path / "params.yaml").write_text(f"seed: {text}\n")
    assert repr(schema._read(tmp_path / "params.yaml")) == repr(dvc_reads(f"seed: {text}\n"))


def test_ten_with_a_zero_before_it_is_ten(tmp_path: Path) -> None:
    text = Path("params.yaml").read_text()
    assert "seed: 82\n" in text
    (tmp_path / "params.yaml").write_text(text.replace("seed: 82\n", "seed: 010\n", 1))
    assert params.load(tmp_path / "params.yaml").seed == 10


@pytest.mark.parametrize(
    "line",
    [
        "gamma: 2020-13-45",
        f"seed: {'9' * 5000}",
        f"gamma: {'[' * 2000}{']' * 2000}",
        "train: {epochs: true}",
        "seed: &a [1, *a]",
        "gamma: &a [&b [&c [x, x, x, x, x, x, x, x, x], *c, *c, *c, *c, *c, *c, *c], *b, *b, *b, *b, *b, *b, *b, *b]",
        "gamma: '1.2'",
        "a: 1\na: 2",
        "gamma: !!python/object/apply:os.system ['true']",
    ],
)
def test_yaml_that_means_mischief_ends_in_short_lines(tmp_path: Path, line: str) -> None:
    (tmp_path / "params.yaml").write_text(line + "\n")
    with pytest.raises(VadError) as raised:
        params.load(tmp_path / "params.yaml")
    lines = str(raised.value).splitlines()
    assert all(one.startswith(str(tmp_path)) and len(one) < 1000 for one in lines)


def fields(section: type[schema.Section], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every field that is no section, by its dotted key."""
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, schema.Section):
            yield from fields(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field


def test_the_comments_of_params_yaml_name_the_values_that_the_types_allow() -> None:
    known, section = dict(fields(params.Params)), ""
    compared = set()
    for line in Path("params.yaml").read_text().splitlines():
        key, _, comment = line.strip().partition(":")[0], *line.partition(" # ")[1:]
        section = key if not line.startswith(" ") else section
        words = [word.strip() for word in re.split(r"[;:]", comment)[0].split("|")]
        if len(words) > 1:
            name = next(name for name in (key, f"{section}.{key}", f"aggregate.smooth.{key}") if name in known)
            assert tuple(word.split()[0] for word in words) == schema.choices(known[name]), line
            compared.add(name)
    assert len(compared) >= 10


def test_every_parameter_says_what_it_may_be() -> None:
    for name, field in fields(params.Params):
        assert schema.allowed(field) and "annotated" not in schema.allowed(field).lower(), name


def test_the_default_is_the_reference_s_final_recipe() -> None:
    chosen = params.load(Path("params.yaml"))
    assert (chosen.seed, chosen.gamma, chosen.gamma_on, chosen.tta) == (82, 1.31, "score", registry.VIEWS)
    assert (chosen.resize.size, chosen.resize.interpolation) == (128, "bilinear")
    train = chosen.train
    assert (train.encoder, train.loss, train.epochs, train.batch_size, train.learning_rate) == (
        "resnet18", "mse", 10, 16, 1e-4,
    )  # fmt: skip
    assert chosen.aggregate.weights == pytest.approx({"pixel_l1": 0.795, "layer3": 0.205 * 0.4, "layer4": 0.205 * 0.6})
    assert (chosen.aggregate.normalise, chosen.aggregate.smooth.method) == ("none", "none")


def test_parameters_cannot_be_changed_once_read() -> None:
    with pytest.raises(ValueError, match="frozen"):
        params.load(Path("params.yaml")).gamma = 2.0  # type: ignore[misc]


def test_dvcs_run_cache_tells_every_tracked_parameter_apart() -> None:
    from dvc.stage.cache import _get_cache_hash

    stages = yaml.safe_load(Path("dvc.yaml").read_text())["stages"]

    def key(values: Any) -> str:
        return _get_cache_hash({"params": {"params.yaml": values}}, key=True)

    def leaves(value: Any) -> list[tuple[dict[str, Any], str]]:
        if not isinstance(value, dict):
            return []
        return [(value, name) for name in value] + [leaf for part in value.values() for leaf in leaves(part)]

    for stage in stages.values():
        tracked: dict[str, Any] = {}
        for name in stage.get("params", []):
            value: Any = yaml.safe_load(yaml.safe_dump(DEFAULT))
            for part in name.split("."):
                value = value[part]
            tracked[name] = value
        before = key(tracked)
        for section, name in leaves(tracked):
            kept, section[name] = section[name], "another"
            assert key(tracked) != before, f"{stage['cmd']}: {name}"
            section[name] = kept


@pytest.mark.parametrize(
    ("folds", "sections", "message"),
    [
        (0, {"predict": {"enabled": True}}, "data.folds = 0: prediction takes held-out frames; set it to 1"),
        (4, {"train": {"weights": "a.pth"}}, r"data.folds = 4: an autoencoder that is given \(train.weights\) can't"),
        (17, {}, "data.folds = 17: must be an integer from 0 to 16"),
    ],
)
def test_folds_that_a_component_can_t_have_are_refused(
    tmp_path: Path, folds: int, sections: dict[str, dict[str, object]], message: str
) -> None:
    values = yaml.safe_load(yaml.safe_dump(DEFAULT))
    values["data"]["folds"] = folds
    for name, section in sections.items():
        values[name] |= section
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(VadError, match=message):
        params.load(tmp_path / "params.yaml")
