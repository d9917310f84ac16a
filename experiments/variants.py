"""Settings of aggregation drawn at random, and their scores on one table of components: thousands without a stage."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from pydantic import ValidationError

from project import workspaces
from vad import registry, schema
from vad.params import Aggregate, Params, Smooth
from vad.scoring import fusion, smoothing

SCORED_TOGETHER = {"global", "per_video"}
"""Normalisations that look at the very frames that are scored: what they promise, a single new frame can't have."""
SPACE: dict[str, Sequence[Any]] = {
    "gamma": (0.5, 1.0, 1.31, 2.0),
    "gamma_on": schema.choices(Params.model_fields["gamma_on"]),
    "repair.interpolate": (False, True),
    "aggregate.views": schema.choices(Aggregate.model_fields["views"]),
    "aggregate.normalise": [
        name for name in schema.choices(Aggregate.model_fields["normalise"]) if name not in SCORED_TOGETHER
    ],
    "aggregate.normalise_on": schema.choices(Aggregate.model_fields["normalise_on"]),
    "aggregate.fuse": schema.choices(Aggregate.model_fields["fuse"]),
    "aggregate.smooth.method": schema.choices(Smooth.model_fields["method"]),
    "aggregate.smooth.sigma": (1.0, 2.0, 3.0, 5.0, 8.0),
    "aggregate.smooth.window": (3, 5, 9, 15),
    "aggregate.smooth.alpha": (0.1, 0.2, 0.3, 0.5),
}
"""What varies beside the weights, and the values that it may take. Other repairs change the components themselves."""
WEIGHTS = (0.25, 0.5, 1.0, 2.0, 4.0)
MOST_COMPONENTS = 4
USUAL = 0.25
"""Share of the variants that keep the weights of params.yaml."""
OF_METHOD = {"sigma": "gaussian", "window": "median", "alpha": "ema"}
CHUNK = 128
"""Variants that are smoothed together."""
KEPT = 50_000_000
"""Numbers that are kept at most, of components that are ready for fusion."""
LATER = {"weights", "views", "fuse", "smooth"}
"""Of `aggregate`, what comes after a component is made ready for fusion."""


@dataclass(frozen=True)
class Variant:
    """What differs from params.yaml, by dotted key, and all parameters."""

    changes: dict[str, Any]
    params: Params = field(compare=False)

    def components(self) -> int:
        """How many have a weight."""
        return sum(1 for weight in self.params.aggregate.weights.values() if weight)


def draw(base: Params, table: pd.DataFrame, count: int, seed: int) -> list[Variant]:
    """`count` different variants, that of params.yaml first; fewer where there are not as many.

    Their components are columns of `table`, without those that are alike on all validation frames: there is nothing to
    judge them by. Same seed, same variants.
    """
    rng = np.random.default_rng(seed)
    validated = table[table["split"] == "validation"]
    columns = {name: _column(table, name, base.tta[0]) for name in registry.COMPONENTS}
    there = [name for name, column in columns.items() if column in table and validated[column].nunique() > 1]
    found = {"{}": Variant({}, base)}
    for _ in range(20 * count):
        if len(found) >= count:
            break
        changes = _changes(rng, base, there)
        values = base.model_dump()
        for key, value in changes.items():
            if key == "aggregate.weights":
                values["aggregate"]["weights"] = value
            else:
                workspaces.put(values, {key: value})
        try:
            params = Params.model_validate(values)
        except ValidationError:  # of parameters that exclude each other
            continue
        found.setdefault(json.dumps(changes, sort_keys=True), Variant(changes, params))
    return list(found.values())


def _changes(rng: np.random.Generator, base: Params, there: Sequence[str]) -> dict[str, Any]:
    """One variant's changes; what equals `base` and what the variant does not use is left out."""
    drawn: dict[str, Any] = {key: values[int(rng.integers(len(values)))] for key, values in SPACE.items()}
    method = drawn["aggregate.smooth.method"]
    unused = {f"aggregate.smooth.{key}" for key, used_by in OF_METHOD.items() if used_by != method}
    usual = _flat(base)
    changes = {key: value for key, value in drawn.items() if key not in unused and usual[key] != value}
    if rng.random() >= USUAL:
        changes["aggregate.weights"] = _weights(rng, there)
    return changes


def _weights(rng: np.random.Generator, there: Sequence[str]) -> dict[str, float]:
    """Weights of one to four maps, each pooled in one way."""
    pooled = defaultdict(list)
    for name in there:
        pooled[registry.COMPONENTS[name].components()[name]].append(name)
    maps = rng.permutation(sorted(pooled))[: rng.integers(1, MOST_COMPONENTS + 1)]
    chosen = sorted(pooled[name][rng.integers(len(pooled[name]))] for name in maps)
    return {name: float(WEIGHTS[rng.integers(len(WEIGHTS))]) if len(chosen) > 1 else 1.0 for name in chosen}


def _flat(base: Params) -> dict[str, Any]:
    """The parameters of SPACE by dotted key."""
    result = {}
    for key in SPACE:
        value: Any = base
        for part in key.split("."):
            value = getattr(value, part)
        result[key] = value
    return result


def scores(variants: Sequence[Variant], table: pd.DataFrame) -> Iterator[tuple[int, np.ndarray]]:
    """The place of each variant in `variants` and its scores (T,), equal to those of `fusion.anomaly_scores`.

    Those that are smoothed alike come together: smoothing is what takes longest, and takes a matrix as well.
    """
    kept: dict[Any, np.ndarray] = {}
    alike: dict[Smooth, list[int]] = defaultdict(list)
    for place, variant in enumerate(variants):
        alike[variant.params.aggregate.smooth].append(place)
    for smooth, places in alike.items():
        for start in range(0, len(places), CHUNK):
            few = places[start : start + CHUNK]
            columns = [fusion.fused(table, variants[place].params, _keeping(kept, variants[place])) for place in few]
            smoothed = smoothing.smooth(np.stack(columns, axis=1), table, smooth)
            yield from zip(few, smoothed.T, strict=True)


def _keeping(kept: dict[Any, np.ndarray], variant: Variant) -> fusion.Reading:
    """`fusion.measured` that looks into `kept` first, by all that it can depend on."""
    aggregate, repair = variant.params.aggregate, variant.params.repair
    later = LATER if aggregate.normalise_on == "component" else LATER | {"normalise"}
    settings = aggregate.model_dump_json(exclude=later)
    gamma = variant.params.gamma if variant.params.gamma_on == "component" else None

    def look(key: Any, table: pd.DataFrame, work: Callable[[], np.ndarray]) -> np.ndarray:
        if key not in kept:
            if len(kept) * len(table) > KEPT:
                kept.clear()
            kept[key] = work()
        return kept[key]

    def repaired(table: pd.DataFrame, params: Params, name: str, view: str) -> np.ndarray:
        key = (_column(table, name, view), repair)
        return look(key, table, lambda: fusion.repaired(table, params, name, view))

    def measured(table: pd.DataFrame, params: Params, name: str, view: str) -> np.ndarray:
        key = (_column(table, name, view), repair, settings, gamma)
        return look(key, table, lambda: fusion.measured(table, params, name, view, repaired))

    return measured


def _column(table: pd.DataFrame, name: str, view: str) -> str:
    """Where a table has a component in a view."""
    column = f"{name}/{view}"
    return column if column in table else name
