"""One experiment: what it sets, what it is compared with, what it costs, and how DVC is told."""

import json
from dataclasses import dataclass, field
from typing import Any

import yaml

from experiments.effects import RETRAINING
from project import workspaces
from vad import params, registry

BASE = "base"
SWITCHED = {row.switch.split(".")[0] for row in registry.FAMILIES if row.switch}
REINFERRING = {*RETRAINING, "stress", "validation", *SWITCHED}


@dataclass(frozen=True)
class Experiment:
    """One entry of ablations.yaml: parameters by dotted key, and what the outcome is compared with."""

    name: str
    claim: int
    set: dict[str, Any]
    against: str = BASE
    data: list[str] = field(default_factory=list)

    def cost(self) -> int:
        """0 for what aggregating again gives, 1 for new inference, 2 for training, 3 for training another encoder."""
        sections = {key.split(".")[0] for key in self.set}
        if "train.encoder" in self.set:
            return 3
        again = sections & REINFERRING or "repair.denoise" in self.set
        return 2 if sections & set(RETRAINING) else int(bool(again))

    def networks(self) -> int:
        """How many networks are trained for its components."""
        values = yaml.safe_load((workspaces.TOP / "params.yaml").read_text(encoding="utf-8"))
        workspaces.put(values, self.set)
        needed = registry.needs(params.Params.model_validate(values))
        return sum(needed[stage] for stage in registry.NETWORKS.values())


def overrides(changes: dict[str, Any], parameters: dict[str, Any]) -> list[str]:
    """Changes by dotted key as arguments of `dvc exp run`. A mapping replaces a mapping of weights: the rest gets 0."""
    arguments = []
    for key, value in changes.items():
        if not isinstance(value, dict):
            arguments.append(f"{key}={_hydra(value)}")
            continue
        there: Any = parameters
        for part in key.split("."):
            there = there[part]
        arguments += [f"{key}.{name}=0" for name in there if name not in value]
        arguments += [f"{'' if name in there else '+'}{key}.{name}={_hydra(part)}" for name, part in value.items()]
    return [part for argument in arguments for part in ("-S", argument)]


def _hydra(value: Any) -> str:
    """A value as Hydra reads it, which is as JSON but for bare words."""
    if isinstance(value, list):
        return f"[{','.join(map(_hydra, value))}]"
    return value if isinstance(value, str) else json.dumps(value)
