"""The parameters of params.yaml: typed, frozen, each with its range. Unknown keys are refused."""

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from vad import VadError

View = Literal["identity", "hflip", "vflip", "rot180"]
VIEWS: tuple[View, ...] = get_args(View)

Reconstruction = Literal[
    "pixel_l1", "pixel_l1_max", "pixel_l1_top", "pixel_l2", "pixel_l2_max", "pixel_l2_top",
    "layer1", "layer2", "layer3", "layer4",
]  # fmt: skip
"""Errors of the autoencoder's reconstruction, one for each view."""
RECONSTRUCTION: tuple[Reconstruction, ...] = get_args(Reconstruction)
Measured = Literal["flipped", "noise", "change"]
"""What `diagnose` measures and a score may use: flipped (0 or 1), noise and change (grey levels)."""
MEASURED: tuple[Measured, ...] = get_args(Measured)
Motion = Literal["background", "difference", "flow", "direction"]
"""Maps of the `motion` stage: residual to the background, change, optical flow's size, its rarity at that place."""
MOTION: tuple[Motion, ...] = get_args(Motion)
Pooled = Literal[
    "background_mean", "background_max", "background_top", "background_local",
    "background_scales", "background_spectrum",
    "difference_mean", "difference_max", "difference_top", "difference_local",
    "difference_scales", "difference_spectrum",
    "flow_mean", "flow_max", "flow_top", "flow_local",
    "flow_scales", "flow_spectrum",
    "direction_mean", "direction_max", "direction_top", "direction_local",
    "direction_scales", "direction_spectrum",
    "prediction_mean", "prediction_max", "prediction_top", "prediction_local",
    "prediction_scales", "prediction_spectrum",
    "memory_mean", "memory_max", "memory_top", "memory_local",
    "memory_scales", "memory_spectrum",
]  # fmt: skip
"""A map over the frame and how it is pooled to one number: vad/components/pooling.py."""
POOLED: tuple[Pooled, ...] = get_args(Pooled)
Component = Literal[Reconstruction, Measured, Pooled]
COMPONENTS: tuple[Component, ...] = RECONSTRUCTION + MEASURED + POOLED

Encoder = Literal["resnet18", "convnext_tiny", "vit_b_16"]
ENCODERS: tuple[Encoder, ...] = get_args(Encoder)

Network = Literal["unet", "convlstm"]
"""What predicts a frame."""
NETWORKS: tuple[Network, ...] = get_args(Network)

Backbone = Literal["resnet18", "resnet50", "wide_resnet50_2", "convnext_tiny"]
"""What gives features for the memory, pretrained on ImageNet."""

Precision = Literal["32-true", "bf16-mixed"]

Share = Annotated[float, Field(ge=0, lt=1)]


class Section(BaseModel):
    """A group of parameters that can't be changed once read."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Data(Section):
    """Where the clips come from."""

    source: Literal["sample", "folder", "avenue", "pixel-play-26"] = Field(
        description="sample, folder, avenue or pixel-play-26"
    )
    root: Path = Field(description="a folder of clips, or a zip of one; the sample needs none")
    benchmark_labels: Path = Field(description="a folder of masks N_label.mat, or a CSV file, or an empty folder")
    on_bad_frame: Literal["fail", "impute"] = Field(description="fail or impute")
    sample_seed: int = Field(ge=0, lt=2**32, description="an integer from 0 to 4294967295")
    holdout_clips: int = Field(ge=1, le=1000, description="an integer from 1 to 1000")


class Validation(Section):
    """The labelled clips made from held-out training frames: synthetic events, and the competition's corruption."""

    seed: int = Field(ge=0, lt=2**32, description="an integer from 0 to 4294967295")
    copies: int = Field(ge=1, le=100, description="an integer from 1 to 100")
    event_share: float = Field(gt=0, lt=1, description="a share between 0 and 1, both excluded")
    visibility: float = Field(gt=0, le=1, description="a number above 0 and up to 1")
    flip: Share = Field(description="a share from 0 to below 1")
    static: Share = Field(description="a share from 0 to below 1")
    drop: float = Field(ge=0, le=0.5, description="a share from 0 to 0.5")


class Resize(Section):
    """What the networks see of a frame."""

    size: int = Field(ge=32, le=1024, multiple_of=32, description="a multiple of 32 from 32 to 1024")
    interpolation: Literal["nearest", "box", "bilinear", "bicubic", "lanczos"] = Field(
        description="nearest, box, bilinear, bicubic or lanczos (PIL's, antialiased)"
    )


class Stress(Section):
    """What is done to scored frames on purpose, to see whether it looks anomalous."""

    jpeg_quality: Annotated[int, Field(ge=1, le=100)] | None = Field(
        description="null, or a JPEG quality from 1 to 100 at which frames are saved again"
    )
    share: float = Field(gt=0, le=1, description="the share of scored frames, above 0 and up to 1")


class Repair(Section):
    """What is undone of the corruption that `diagnose` finds."""

    unflip: bool = Field(description="true or false")
    denoise: Literal["none", "temporal_median"] = Field(description="none or temporal_median")
    interpolate: bool = Field(description="true or false")


class MotionStage(Section):
    """What is measured of consecutive frames and of what should not be there, without training a network."""

    components: tuple[Motion, ...] = Field(description="a list, maybe empty, of " + ", ".join(MOTION))


class Predict(Section):
    """The network that predicts a frame from those before it; its error is a component."""

    enabled: bool = Field(description="true or false")
    network: Network = Field(description="unet or convlstm")
    history: int = Field(ge=1, le=16, description="frames it looks at, an integer from 1 to 16")
    epochs: int = Field(ge=1, le=10_000, description="an integer from 1 to 10000")
    batch_size: int = Field(ge=1, le=4096, description="an integer from 1 to 4096")
    learning_rate: float = Field(gt=0, le=1, description="a number above 0 and up to 1")
    precision: Precision = Field(description="32-true or bf16-mixed")


class Memory(Section):
    """The memory of what patches of normal frames look like to a network; the distance to it is a component."""

    enabled: bool = Field(description="true or false")
    features: Literal["autoencoder", "predictor", Backbone] = Field(
        description="autoencoder, predictor, or resnet18, resnet50, wide_resnet50_2, convnext_tiny from ImageNet"
    )
    weights: Path | None = Field(description="null, or a file of the backbone's weights instead of a download")
    layers: tuple[Literal["layer1", "layer2", "layer3"], ...] = Field(
        min_length=1, description="a list of layer1, layer2, layer3"
    )
    patches: int = Field(ge=1, le=1_000_000, description="patches remembered, an integer from 1 to 1000000")
    neighbours: int = Field(ge=1, le=100, description="an integer from 1 to 100")


class Train(Section):
    """The autoencoder and how it is trained."""

    encoder: Encoder = Field(description="resnet18, convnext_tiny or vit_b_16")
    pretrained: bool = Field(description="true or false")
    weights: Path | None = Field(description="null, or a .pth or .safetensors file used instead of training")
    loss: Literal["mse", "l1"] = Field(description="mse or l1")
    epochs: int = Field(ge=1, le=10_000, description="an integer from 1 to 10000")
    batch_size: int = Field(ge=1, le=4096, description="an integer from 1 to 4096")
    learning_rate: float = Field(gt=0, le=1, description="a number above 0 and up to 1")
    precision: Precision = Field(description="32-true or bf16-mixed")

    @model_validator(mode="after")
    def _one_origin_of_weights(self) -> "Train":
        if self.pretrained and self.weights:
            raise ValueError("train.pretrained and train.weights exclude each other: unset one of them")
        return self


class Smooth(Section):
    """Temporal smoothing of the scores of a clip, by frame number."""

    method: Literal["none", "gaussian", "median", "ema"] = Field(description="none, gaussian, median or ema")
    sigma: float = Field(gt=0, le=1000, description="frames, above 0 and up to 1000 (gaussian)")
    window: int = Field(ge=1, le=10_001, description="frames, an odd integer from 1 (median)")
    alpha: float = Field(gt=0, le=1, description="weight of the newest frame, above 0 and up to 1 (ema)")

    @model_validator(mode="after")
    def _odd_window(self) -> "Smooth":
        if self.window % 2 == 0:
            raise ValueError(f"aggregate.smooth.window = {self.window}: must be odd, to have a middle frame")
        return self


class Aggregate(Section):
    """How the components of a frame become its anomaly score."""

    weights: dict[Component, Annotated[float, Field(ge=0)]] = Field(
        description="component: weight of at least 0; components are " + ", ".join(COMPONENTS)
    )
    views: Literal["mean", "min", "max"] = Field(description="mean, min or max")
    normalise: Literal["none", "global", "per_video", "calibrated", "calibrated_above"] = Field(
        description="none, global, per_video, calibrated or calibrated_above"
    )
    normalise_on: Literal["score", "component"] = Field(description="score or component")
    smooth: Smooth = Field(description="method, sigma, window, alpha")

    @model_validator(mode="after")
    def _some_weight(self) -> "Aggregate":
        if not any(self.weights.values()):
            raise ValueError("aggregate.weights: every weight is 0; give at least one component a weight above 0")
        return self


class Evaluate(Section):
    """What is reported of the scores."""

    prevalence: float = Field(gt=0, lt=1, description="a share between 0 and 1, both excluded")
    bootstrap: int = Field(ge=1, le=100_000, description="an integer from 1 to 100000")
    onset_precision: float = Field(gt=0, le=1, description="a precision above 0 and up to 1")


class Params(Section):
    """Everything in params.yaml."""

    seed: int = Field(ge=0, lt=2**32, description="an integer from 0 to 4294967295")
    gamma: float = Field(gt=0, le=10, description="a number above 0 and up to 10")
    gamma_on: Literal["score", "view", "component"] = Field(description="score, view or component")
    tta: tuple[View, ...] = Field(min_length=1, description="a list of identity, hflip, vflip, rot180")
    data: Data = Field(description="a section")
    validation: Validation = Field(description="a section")
    resize: Resize = Field(description="a section")
    stress: Stress = Field(description="a section")
    repair: Repair = Field(description="a section")
    train: Train = Field(description="a section")
    motion: MotionStage = Field(description="a section")
    predict: Predict = Field(description="a section")
    memory: Memory = Field(description="a section")
    aggregate: Aggregate = Field(description="a section")
    evaluate: Evaluate = Field(description="a section")

    @model_validator(mode="after")
    def _weights_of_what_is_computed(self) -> "Params":
        for name, weight in self.aggregate.weights.items():
            family = name.rpartition("_")[0]
            if not weight or name not in POOLED:
                continue
            if family in MOTION and family not in self.motion.components:
                raise ValueError(f"aggregate.weights.{name} = {weight}: motion.components lacks {family}: add it")
            for stage, made in (("predict", "prediction"), ("memory", "memory")):
                if family == made and not getattr(self, stage).enabled:
                    raise ValueError(f"aggregate.weights.{name} = {weight}: takes {stage}.enabled: true")
        return self

    @model_validator(mode="after")
    def _predictor_to_remember_with(self) -> "Params":
        if self.memory.enabled and self.memory.features == "predictor" and not self.predict.enabled:
            raise ValueError("memory.features = predictor: takes predict.enabled: true")
        return self

    @model_validator(mode="after")
    def _views_once(self) -> "Params":
        if len(set(self.tta)) < len(self.tta):
            raise ValueError(f"tta = {list(self.tta)}: each view may be named once")
        return self


def load(path: Path) -> Params:
    """Read and check a parameter file.

    Raises VadError with one line a problem: the file, the key, its value and what is allowed.
    """
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise VadError(f"{path}: no such file; run this from the top folder of the project") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise VadError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise VadError(f"{path}: must be a mapping of parameters; `git checkout {path}` restores it")
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        problems = error.errors()
        # An item that is refused makes its list too short as well: the item says it all.
        nested = {problem["loc"][:-1] for problem in problems if problem["loc"]}
        lines = dict.fromkeys(
            _explain(problem) for problem in problems if not problem["loc"] or problem["loc"] not in nested
        )
        raise VadError("\n".join(f"{path}: {line}" for line in lines)) from None


def _explain(problem: Any) -> str:
    """One pydantic error as `key = value: what is allowed`."""
    location = problem["loc"]
    key = ".".join(str(part) for part in location if part != "[key]")
    section, allowed = _describe(location)
    if problem["type"] == "extra_forbidden" or location[-1:] == ("[key]",):
        name = str(location[-1] if location[-1] != "[key]" else location[-2])
        known = list(section.model_fields) if section else list(COMPONENTS)
        close = difflib.get_close_matches(name, known, 1)
        return f"{key}: unknown key; " + (f"did you mean {close[0]}?" if close else f"known: {', '.join(known)}")
    if problem["type"] == "missing":
        return f"{key}: missing; must be {allowed}"
    if problem["type"] == "value_error":
        return str(problem["ctx"]["error"])
    return f"{key} = {problem['input']!r}: must be {allowed}"


def _describe(location: tuple[Any, ...]) -> tuple[type[Section] | None, str]:
    """The section that holds a key and the description of the key's field."""
    section: type[Section] | None = Params
    allowed = ""
    for part in location:
        if section is None or part not in section.model_fields:
            break
        field = section.model_fields[part]
        allowed = field.description or ""
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, Section):
            section = inner
        elif part != location[-1]:
            section = None
    return section, allowed
