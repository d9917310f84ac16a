"""What the pipeline can be made of: a row for each component family, network, encoder, backbone and data source.

Parameters, fusion, stages, experiments and reports read it here. It imports nothing of the project and nothing heavy.
Code is named by a dotted string `module:object`; `load` imports it where it runs.
"""

import importlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

POOLS = ("mean", "max", "top", "local", "scales", "spectrum")
"""How a map over the frame becomes one number: vad/components/pooling.py."""
VIEWS = ("identity", "hflip", "vflip", "rot180")
"""The views of test-time augmentation: a group, so their mean does not change when a frame is flipped."""

NETWORKS = {"autoencoder": "train", "predictor": "train_predictor"}
"""What is trained -> the stage that trains it."""
ENCODERS = {
    "resnet18": "vad.models.encoders:resnet",
    "convnext_tiny": "vad.models.encoders:convnext",
    "vit_b_16": "vad.models.encoders:vision_transformer",
}
"""Encoders of the autoencoder, by torchvision's name -> the function that takes that network apart."""
PREDICTORS = {"unet": "vad.models.predictor:UNet", "convlstm": "vad.models.predictor:ConvLSTM"}
"""Networks that predict a frame from those before it -> their class."""
BACKBONES = {
    "resnet18": "layer1 layer2 layer3",
    "resnet50": "layer1 layer2 layer3",
    "wide_resnet50_2": "layer1 layer2 layer3",
    "convnext_tiny": "features.1 features.3 features.5",
}
"""Pretrained networks of torchvision, for a memory -> the modules whose outputs are layer1, layer2 and layer3."""
DETECTORS = (
    "fasterrcnn_mobilenet_v3_large_320_fpn",
    "fasterrcnn_mobilenet_v3_large_fpn",
    "fasterrcnn_resnet50_fpn_v2",
)
"""Detectors of torchvision. The first ResNet-50 is not among them: published weights take other batch norms there."""


@dataclass(frozen=True)
class Family:
    """Score components that one stage makes of every frame, into one table, data/components/NAME.npz."""

    name: str
    stage: str
    """The stage of dvc.yaml that makes them; where `code` is empty they are columns of its diagnosis."""
    maps: tuple[str, ...]
    code: str = ""
    """What makes them: (parameters, store, the stage's inputs...) -> table of split, video, frame and components."""
    pools: tuple[str, ...] = POOLS
    """Each map gives a component MAP_POOL a pool; without pools the maps are the components."""
    views: bool = False
    """Whether there is a component for each view, COMPONENT/VIEW."""
    small: bool = False
    """Whether it looks at resized frames, as the networks do."""
    held_out: bool = False
    """Whether it needs held-out frames: with `data.folds: 0` there are none."""
    out_of_fold: bool = False
    """Whether it can score each fold of training clips by the other folds, as `data.folds` above 1 asks."""
    switch: str = ""
    """The parameter that turns it on: true, or a list that names the map. Empty: on where a component has a weight."""
    networks: Callable[[Any], Collection[str]] = lambda _: ()
    """Of all parameters -> the networks whose weights it takes."""
    frames_back: Callable[[Any, str], int] = lambda *_: 0
    """Of all parameters and a map -> how many frames before the one that is scored it looks at."""

    def components(self) -> dict[str, str]:
        """Every component -> the map that it comes from."""
        return {f"{name}_{pool}" if pool else name: name for name in self.maps for pool in self.pools or ("",)}


FAMILIES = (
    Family(
        "reconstruction",
        stage="infer",
        maps=(
            "pixel_l1", "pixel_l1_max", "pixel_l1_top", "pixel_l2", "pixel_l2_max", "pixel_l2_top",
            "layer1", "layer2", "layer3", "layer4",
        ),
        code="vad.components.reconstruction:measure",
        out_of_fold=True,
        pools=(),
        small=True,
        views=True,
        networks=lambda _: ("autoencoder",),
    ),
    Family(
        "diagnosis",
        stage="diagnose",
        maps=("flipped", "noise", "change"),
        pools=(),
        frames_back=lambda _, name: int(name == "change"),
    ),
    Family(
        "motion",
        stage="motion",
        maps=("background", "change", "flow", "direction", "velocity"),
        code="vad.components.motion:measure",
        out_of_fold=True,
        switch="motion.components",
        frames_back=lambda _, name: int(name != "background"),
    ),
    Family(
        "prediction",
        stage="predict",
        maps=("prediction",),
        code="vad.components.prediction:measure",
        out_of_fold=True,
        small=True,
        held_out=True,
        switch="predict.enabled",
        networks=lambda _: ("predictor",),
        frames_back=lambda params, _: params.predict.history,
    ),
    Family(
        "memory",
        stage="memory",
        maps=("memory",),
        code="vad.components.memory:measure",
        out_of_fold=True,
        small=True,
        held_out=True,
        switch="memory.enabled",
        networks=lambda params: {params.memory.features} & NETWORKS.keys(),
        frames_back=lambda params, _: params.predict.history - 1 if params.memory.features == "predictor" else 0,
    ),
    Family(
        "objects",
        stage="objects",
        maps=("objects_appearance", "objects_velocity"),
        code="vad.components.objects:measure",
        pools=(),
        out_of_fold=True,
        switch="objects.enabled",
        frames_back=lambda _, name: int(name == "objects_velocity"),
    ),
    Family(
        "given",
        stage="given",
        maps=("given",),
        code="vad.components.given:measure",
        pools=(),
        out_of_fold=True,
    ),
)  # fmt: skip
COMPONENTS = {name: family for family in FAMILIES for name in family.components()}
"""Every component that a score may weigh -> its family."""


@dataclass(frozen=True)
class Source:
    """Where clips come from."""

    locate: str
    """(the section `data`, the folder data/raw) -> the folder in or below which the clips lie."""
    reads: bool = True
    """Whether it reads `data.root`."""
    labels: bool = True
    """Whether labels may lie beside the clips."""
    whole: bool = False
    """Whether the clips are as long as their masks: nothing was cut or dropped."""


SOURCES = {
    "sample": Source("stages.fetch:make_sample", reads=False),
    "folder": Source("stages.fetch:given"),
    "avenue": Source("stages.fetch:given", whole=True),
    "pixel-play-26": Source("stages.fetch:competition", labels=False),
}


def load(code: str) -> Any:
    """What a dotted string `module:object` names, its module imported."""
    module, _, name = code.partition(":")
    return getattr(importlib.import_module(module), name)


def maps(family: str) -> tuple[str, ...]:
    """The maps of the family of that name."""
    return next(row.maps for row in FAMILIES if row.name == family)


def switched(family: Family, params: Any) -> bool | Collection[str]:
    """What a family's switch says: true, false, or the maps that are wanted. True for a family without one."""
    if not family.switch:
        return True
    section, key = family.switch.split(".")
    return getattr(getattr(params, section), key)


def is_on(family: Family, params: Any) -> bool:
    """Whether the parameters ask for a family: by its switch, or, without one, by a weight of its components."""
    if family.switch:
        return bool(switched(family, params))
    return any(weight and COMPONENTS[name] is family for name, weight in params.aggregate.weights.items())


def needs(params: Any) -> dict[str, bool]:
    """Stage that resizes, trains a network or measures a family -> whether anything takes what it makes."""
    on = [family for family in FAMILIES if family.code and is_on(family, params)]
    wanted = {family.name for family in on} | {network for family in on for network in family.networks(params)}
    makers = NETWORKS | {family.name: family.stage for family in FAMILIES if family.code}
    return {"resize": any(family.small for family in on)} | {stage: name in wanted for name, stage in makers.items()}


def frames_back(component: str, params: Any) -> int:
    """How many frames before the one that is scored a component looks at."""
    family = COMPONENTS[component]
    return family.frames_back(params, family.components()[component])
