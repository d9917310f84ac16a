"""From the results of experiments to effects: a change in AP with its interval, over source videos or as it was before.

A `Reading` says how an interval is made of what a comparison recorded. Verdicts are made by either.
"""

import json
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist, fmean, variance
from typing import Any

from scipy import stats

FIGURE = "ap_at_prevalence"
SEEDS = ("bf16", "seed_1", "seed_2", "seed_3", "seed_4")
"""The same recipe trained from five seeds: their spread is what luck in training comes to, of this encoder."""
RETRAINING = ("train", "seed", "resize", "data")
"""Sections of params.yaml with which the network is trained anew."""
SIDED = 0.975
"""Quantile at the upper end of a 95 % interval."""
Results = dict[str, dict[str, Any]]
"""Results of one data set by the name of the experiment."""


@dataclass(frozen=True)
class Effect:
    """A change in AP with its 95 % interval and standard error, over `clips` videos; `blocks` instead where few."""

    value: float
    low: float
    high: float
    error: float
    clips: int
    blocks: bool = False
    degrees: float = math.inf
    """Degrees of freedom of the error: infinite where the interval is taken for normal."""
    lucky: bool = False
    """Whether its error is of training as well: more videos alone don't narrow it."""

    def times(self, sign: int) -> "Effect":
        """The same, seen in the direction that a claim expects."""
        low, high = sorted((sign * self.low, sign * self.high))
        return Effect(sign * self.value, low, high, self.error, self.clips, self.blocks, self.degrees, self.lucky)

    def widened(self, luck: float, degrees: float = math.inf) -> "Effect":
        """The same with the variance `luck` added, itself known by so many degrees of freedom."""
        error = math.hypot(self.error, math.sqrt(luck))
        left = satterthwaite([(self.error, self.degrees), (math.sqrt(luck), degrees)])
        return around(self.value, error, self.clips, left, self.blocks, lucky=True)

    def p(self, border: float) -> float:
        """Two-sided p value of the effect being `border`; 0 where it can't be, 1 where it is."""
        distance = abs(self.value - border)
        if self.error == 0:
            return 0.0 if distance > 0 else 1.0
        return float(2 * stats.t.sf(distance / self.error, self.degrees))


def around(
    value: float, error: float, clips: int, degrees: float = math.inf, blocks: bool = False, lucky: bool = False
) -> Effect:
    """An effect whose interval is Student's, or normal with infinite `degrees` of freedom."""
    half = float(stats.t.ppf(SIDED, degrees)) * error
    return Effect(value, value - half, value + half, error, clips, blocks, degrees, lucky)


def satterthwaite(errors: Collection[tuple[float, float]]) -> float:
    """Degrees of freedom of a sum of independent errors, each (error, its degrees): Satterthwaite, 1946."""
    spread = sum(error**4 / degrees for error, degrees in errors)
    return sum(error**2 for error, _ in errors) ** 2 / spread if spread else math.inf


@dataclass(frozen=True)
class Reading:
    """How a change in AP, an AP over chance and the luck of a new training are read from results."""

    difference: Callable[[dict[str, Any], int], Effect | None]
    """(a comparison, clips) -> effect."""
    chance: Callable[[dict[str, Any]], Effect | None]
    """An experiment's result -> by how much its AP exceeds that of a random ranking."""
    luck: Callable[[Sequence[float], Results], tuple[float, float]]
    """(changes by seed, results) -> variance of one of them by luck in training, degrees of freedom; NaN: not known."""


def read_results(folder: Path) -> dict[str, Results]:
    """Data set -> experiment -> its result."""
    found: dict[str, Results] = {}
    for path in sorted(folder.glob("*/*.json")):
        found.setdefault(path.parent.name, {})[path.stem] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _by_percentile(compared: dict[str, Any], clips: int) -> Effect | None:
    drawn = compared["resampled"].get("blocks") or compared["resampled"]["clips"]
    value, interval = compared[FIGURE]["difference"], drawn[FIGURE]
    if value is None or interval["low"] is None:
        return None
    error = _half(interval["low"], interval["high"])
    return Effect(value, interval["low"], interval["high"], error, clips, "blocks" in compared["resampled"])


def _chance_by_percentile(result: dict[str, Any]) -> Effect | None:
    found = result["figures"]["benchmark"]
    if found[FIGURE] is None or found[f"{FIGURE}_low"] is None:
        return None
    low, high = (found[f"{FIGURE}_{end}"] - found["prevalence"] for end in ("low", "high"))
    descriptive = found["bootstrap"]["descriptive"]
    return Effect(found[FIGURE] - found["prevalence"], low, high, _half(low, high), found["clips"], descriptive)


def _half(low: float, high: float) -> float:
    """The standard error to which a 95 % interval comes."""
    return (high - low) / (2 * NormalDist().inv_cdf(SIDED))


def seed_variance(results: Results) -> float:
    """Variance of AP over training seeds of the recipe; NaN with fewer than two."""
    values = [results[name]["figures"]["benchmark"][FIGURE] for name in SEEDS if name in results]
    return variance(values) if len(values) > 1 else math.nan


def _luck_of_the_recipe(changes: Sequence[float], results: Results) -> tuple[float, float]:
    return (variance(changes) if len(changes) > 1 else 2 * seed_variance(results)), math.inf


BY_PERCENTILE = Reading(_by_percentile, _chance_by_percentile, _luck_of_the_recipe)
"""As verdicts were first made: percentile intervals over clips, over blocks of frames where clips are few."""


def over_videos(separate: bool) -> Reading:
    """Student's interval with the bootstrap's error over source videos.

    Results that were recorded before videos were have clips alone, which are videos where they are `separate`.
    """

    def error_of(resampled: dict[str, Any]) -> tuple[float, int] | None:
        drawn = resampled.get("videos") or (resampled.get("clips") if separate else None)
        if not drawn or drawn[FIGURE]["low"] is None or drawn["units"] < 2:
            return None
        found, units = drawn[FIGURE], drawn["units"]
        error = found.get("error", _half(found["low"], found["high"]))
        # A bootstrap over n videos has the variance of a mean with n, not n - 1, below: too little by that factor.
        return error * math.sqrt(units / (units - 1)), units

    def difference(compared: dict[str, Any], clips: int) -> Effect | None:
        found, value = error_of(compared["resampled"]), compared[FIGURE]["difference"]
        return None if found is None or value is None else around(value, found[0], found[1], found[1] - 1)

    def chance(result: dict[str, Any]) -> Effect | None:
        own = result["figures"]["benchmark"]
        alone = {FIGURE: {end: own[f"{FIGURE}_{end}"] for end in ("low", "high")}, "units": own["clips"]}
        found = error_of(result.get("own", {}).get("resampled", {"clips": alone}))
        return found and around(own[FIGURE] - own["prevalence"], found[0], found[1], found[1] - 1)

    return Reading(difference, chance, _luck_of_its_own)


def _luck_of_its_own(changes: Sequence[float], results: Results) -> tuple[float, float]:
    """Pairs of seeds of this very encoder alone: how lucky another encoder's trainings are says nothing of it."""
    return (variance(changes), len(changes) - 1) if len(changes) > 1 else (math.nan, 0)


def videos_are_separate(results: Results, source: Mapping[str, str]) -> bool:
    """Whether every clip of a data set is of a video of its own; `source` names the video of those that are cut."""
    clips = [row["name"] for row in results["base"]["difference"]["benchmark"]["by_clip"]]
    return len({source.get(clip, clip) for clip in clips}) == len(clips)


def of_test(test: dict[str, Any], results: Results, reading: Reading) -> Effect | None:
    """The effect that a claim's test is about, in the expected direction; None where it has not run."""
    names = [name for name in (test["experiment"], *test.get("seeds", [])) if name in results]
    if test["experiment"] not in names:
        return None
    if test.get("against") == "chance":
        chance = reading.chance(results[names[0]])
        return chance and chance.times(test["sign"])
    compared = [results[name]["difference"].get("benchmark") for name in names]
    if "group" in test:
        compared = [results[name]["groups"].get(test["group"]) for name in names]
    clips = results[names[0]]["figures"]["benchmark"]["clips"]
    known = [effect for one in compared if one and (effect := reading.difference(one, clips))]
    if not known or len(known) < len([one for one in compared if one]):
        return None
    first, value = known[0], fmean(effect.value for effect in known)
    low, high = first.low + value - first.value, first.high + value - first.value
    mean = Effect(value, low, high, first.error, first.clips, first.blocks, first.degrees)
    if set(RETRAINING) & {key.split(".")[0] for key in results[names[0]]["set"]}:
        luck, degrees = reading.luck([effect.value for effect in known], results)
        if math.isnan(luck):
            return None
        mean = mean.widened(luck / len(known), degrees)
    return mean.times(test["sign"])


def pooled(by_scene: Mapping[str, Sequence[Effect]]) -> Effect | None:
    """One effect over the videos of all scenes; None without any.

    Of a scene's data sets, the same videos corrupted anew, the mean counts: its error is taken for that of one of them,
    as if they told the same. Scenes weigh as many as they have videos; their errors are independent.
    """
    scenes = []
    for effects in by_scene.values():
        if effects:
            videos = max(effect.clips for effect in effects)
            mean = fmean(effect.value for effect in effects), fmean(effect.error for effect in effects)
            scenes.append((videos, *mean, min(effect.degrees for effect in effects), any(e.lucky for e in effects)))
    videos = sum(scene[0] for scene in scenes)
    if not videos:
        return None
    value = sum(count * value for count, value, *_ in scenes) / videos
    errors = [(count / videos * error, degrees) for count, _, error, degrees, _ in scenes]
    error = math.sqrt(sum(error**2 for error, _ in errors))
    return around(value, error, videos, satterthwaite(errors), lucky=any(scene[4] for scene in scenes))
