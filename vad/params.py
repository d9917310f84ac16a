"""The parameters of params.yaml: typed, frozen, each with its range. Unknown keys are refused."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from vad import registry, schema
from vad.schema import Integer, Number, OneOf, Section

View = Annotated[str, OneOf(registry.VIEWS)]
Component = Annotated[str, OneOf(registry.COMPONENTS)]
Encoder = Annotated[str, OneOf(registry.ENCODERS)]
Precision = Literal["32-true", "bf16-mixed"]
Seed = Annotated[Integer, Field(ge=0, le=2**32 - 1)]
Share = Annotated[Number, Field(ge=0, lt=1)]
Count = Annotated[Integer, Field(ge=1, le=10_000)]
Rate = Annotated[Number, Field(gt=0, le=1)]

RENAMED = {"static": "noise", "difference": "change"}
"""Earlier names of keys, components and maps -> the names of now; also for names that begin with an earlier one."""


class Data(Section):
    """Where the clips come from."""

    source: Annotated[str, OneOf(registry.SOURCES)]
    root: Path = Field(description="of a folder of clips, or of a zip of one; the sample needs none")
    benchmark_labels: Path = Field(description="of a folder of masks N_label.mat, of a CSV file, or of an empty folder")
    scores: Path = Field(description="of a CSV of scores of your own, or of a folder that holds one, or none")
    on_bad_frame: Literal["fail", "impute"]
    sample_seed: Seed
    folds: Annotated[Integer, Field(ge=0, le=16)] = Field(
        description="0: all clips train; 1: some are held out; more: each fold is scored by the others"
    )
    holdout_clips: Annotated[Integer, Field(ge=1, le=1000)] = Field(description="where folds is 1")


class Validation(Section):
    """The labelled clips made from held-out training frames: synthetic events, and the competition's corruption."""

    seed: Seed
    copies: Annotated[Integer, Field(ge=1, le=100)]
    event_share: Annotated[Number, Field(gt=0, lt=1)]
    visibility: Rate
    flip: Share
    noise: Share
    drop: Annotated[Number, Field(ge=0, le=0.5)]


class Resize(Section):
    """What the networks see of a frame."""

    size: Annotated[Integer, Field(ge=32, le=1024, multiple_of=32)]
    interpolation: Literal["nearest", "box", "bilinear", "bicubic", "lanczos"] = Field(description="PIL's, antialiased")
    decode: Literal["exact", "scaled"] = Field(description="of JPEGs")


class Stress(Section):
    """Damage done to validation and test frames on purpose, to see whether it looks anomalous."""

    jpeg_quality: Annotated[Integer, Field(ge=1, le=100)] | None = Field(
        description="a JPEG quality at which frames are saved again"
    )
    share: Rate = Field(description="of the validation and test frames")


class Repair(Section):
    """Which corruption that `diagnose` finds is undone."""

    unflip: bool
    denoise: Literal["none", "temporal_median"]
    interpolate: bool


class Motion(Section):
    """Motion, and what differs from the empty scene: measured without a network."""

    components: tuple[Annotated[str, OneOf(registry.maps("motion"))], ...]
    flow: Literal["fast", "medium"] = Field(description="OpenCV's preset of DIS optical flow")
    flow_rows: Annotated[Integer, Field(ge=0, le=10_000)] = Field(
        description="to which a frame of more is reduced for the flow; 0: never"
    )
    registration: bool
    light: bool
    shrink: Annotated[Number, Field(ge=0, le=1000)] = Field(description="clips that the scale of all places counts")


class Predict(Section):
    """The network that predicts a frame from those before it; its error is a component."""

    enabled: bool
    network: Annotated[str, OneOf(registry.PREDICTORS)]
    history: Annotated[Integer, Field(ge=1, le=16)] = Field(description="frames that it looks at")
    epochs: Count
    batch_size: Annotated[Integer, Field(ge=1, le=4096)]
    learning_rate: Rate
    precision: Precision


class Memory(Section):
    """The memory of normal patches, as features of a network; the distance to the nearest is a component."""

    enabled: bool
    features: Annotated[str, OneOf((*registry.NETWORKS, *registry.BACKBONES))]
    weights: Path | None = Field(description="of a file of the backbone's weights instead of a download")
    layers: Annotated[tuple[Literal["layer1", "layer2", "layer3"], ...], Field(min_length=1)]
    patches: Annotated[Integer, Field(ge=1, le=1_000_000)] = Field(description="remembered")
    neighbours: Annotated[Integer, Field(ge=1, le=100)]


class Objects(Section):
    """A detector's boxes; how unlike those of training frames they look and move is a component each."""

    enabled: bool
    detector: Annotated[str, OneOf(registry.DETECTORS)]
    weights: Path | None = Field(description="of a .pth or .safetensors file of its weights; none is downloaded")
    min_score: Annotated[Number, Field(gt=0, lt=1)] = Field(description="of a box")
    remembered: Annotated[Integer, Field(ge=1, le=100_000)] = Field(description="boxes of training frames")
    neighbours: Annotated[Integer, Field(ge=1, le=100)]

    @model_validator(mode="after")
    def _weights_to_detect_with(self) -> "Objects":
        if self.enabled and not self.weights:
            raise ValueError(f"objects.enabled = true: takes objects.weights, a file of {self.detector}'s weights")
        return self


class Train(Section):
    """The autoencoder and how it is trained."""

    encoder: Encoder
    pretrained: bool
    weights: Path | None = Field(description="of a .pth or .safetensors file used instead of training")
    loss: Literal["mse", "l1"]
    epochs: Count
    batch_size: Annotated[Integer, Field(ge=1, le=4096)]
    learning_rate: Rate
    precision: Precision

    @model_validator(mode="after")
    def _one_origin_of_weights(self) -> "Train":
        if self.pretrained and self.weights:
            raise ValueError("train.pretrained and train.weights exclude each other: unset one of them")
        return self


class Infer(Section):
    """The autoencoder on the frames that are scored."""

    precision: Precision


class Smooth(Section):
    """Temporal smoothing of the scores of a clip, by frame number."""

    method: Literal["none", "gaussian", "median", "ema"]
    sigma: Annotated[Number, Field(gt=0, le=1000)] = Field(description="frames, gaussian")
    window: Annotated[Integer, Field(ge=1, le=10_001)] = Field(description="frames, odd, median")
    alpha: Rate = Field(description="weight of the newest frame, ema")

    @model_validator(mode="after")
    def _odd_window(self) -> "Smooth":
        if self.window % 2 == 0:
            raise ValueError(f"aggregate.smooth.window = {self.window}: must be odd, to have a middle frame")
        return self


class Aggregate(Section):
    """How the components of a frame become its anomaly score."""

    weights: dict[Component, Annotated[Number, Field(ge=0)]]
    views: Literal["mean", "min", "max"] = Field(description="over the views in tta")
    normalise: Literal[
        "none", "global", "per_video", "calibrated", "calibrated_above", "calibrated_log", "calibrated_tail"
    ]
    normalise_on: Literal["score", "component"]
    fuse: Literal["sum", "max", "l2"] = Field(description="of the weighted components")
    smooth: Smooth

    @model_validator(mode="after")
    def _some_weight(self) -> "Aggregate":
        if not any(self.weights.values()):
            raise ValueError("aggregate.weights: every weight is 0; give at least one component a weight above 0")
        return self


class Evaluate(Section):
    """What is reported of the scores."""

    prevalence: Annotated[Number, Field(gt=0, lt=1)] = Field(description="share of anomalous frames")
    bootstrap: Annotated[Integer, Field(ge=1, le=100_000)] = Field(description="resamples")
    onset_precision: Rate
    false_alarms_per_hour: Annotated[Number, Field(gt=0, le=3600)] = Field(description="of normal frames")
    frames_per_second: Annotated[Number, Field(gt=0, le=1000)]


class Params(Section):
    """Everything in params.yaml."""

    seed: Seed
    gamma: Annotated[Number, Field(gt=0, le=10)]
    gamma_on: Literal["score", "view", "component"]
    tta: Annotated[tuple[View, ...], Field(min_length=1)]
    data: Data
    validation: Validation
    resize: Resize
    stress: Stress
    repair: Repair
    train: Train
    infer: Infer
    motion: Motion
    predict: Predict
    memory: Memory
    objects: Objects
    aggregate: Aggregate
    evaluate: Evaluate

    @model_validator(mode="after")
    def _weights_of_what_is_computed(self) -> "Params":
        for name, weight in self.aggregate.weights.items():
            family = registry.COMPONENTS[name]
            wanted = registry.switched(family, self)
            if not weight or wanted is True:
                continue
            if wanted is False:
                raise ValueError(f"aggregate.weights.{name} = {weight}: takes {family.switch}: true")
            if (made := family.components()[name]) not in wanted:
                raise ValueError(f"aggregate.weights.{name} = {weight}: {family.switch} lacks {made}: add it")
        return self

    @model_validator(mode="after")
    def _folds_for_what_is_wanted(self) -> "Params":
        if self.data.folds == 0 and self.aggregate.normalise.startswith("calibrated"):
            raise ValueError(
                f"aggregate.normalise = {self.aggregate.normalise}: takes normal frames that nothing was learned from; "
                "set data.folds to 1 or more"
            )
        for family in registry.FAMILIES:
            if not family.code or not registry.is_on(family, self):
                continue
            if self.data.folds == 0 and family.held_out:
                raise ValueError(
                    f"data.folds = 0: {family.name} takes held-out frames; set it to 1 or more, or turn that off"
                )
            if self.data.folds > 1 and not family.out_of_fold:
                raise ValueError(
                    f"data.folds = {self.data.folds}: {family.name} can't be scored out of fold; set it to 0 or 1, or "
                    "turn that off"
                )
        if self.data.folds > 1 and self.train.weights and registry.needs(self)[registry.NETWORKS["autoencoder"]]:
            raise ValueError(
                f"data.folds = {self.data.folds}: an autoencoder that is given (train.weights) can't be scored out of "
                "fold; unset train.weights, or set data.folds to 0 or 1"
            )
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
    return schema.load(path, Params, RENAMED)
