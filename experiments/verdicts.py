"""From the results of experiments to a verdict on each claim, by a rule that was written down before any was seen."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist, stdev
from typing import Any

FIGURE = "ap_at_prevalence"
SEEDS = ("bf16", "seed_1", "seed_2", "seed_3", "seed_4")
"""The same recipe trained from five seeds: their spread is what luck in training comes to."""
HOLDS, SHOWN, REFUTED, OPEN, UNTESTED = "holds", "shown by example", "refuted", "can't tell", "not run"
LEVEL = 0.05
RETRAINING = ("train", "seed", "resize", "data")
"""Sections of params.yaml with which the network is trained anew."""
Results = dict[str, dict[str, Any]]
"""Results of one data set by the name of the experiment."""

RULE = """\
- Looked at is AP re-weighted to 24.56 % anomalous frames, on the labels of the test clips. A difference is that of an
  experiment and what it is compared with, paired: both are weighed alike in each of 1,000 resamples.
- Resampled are clips; where those are fewer than ten, blocks of frames as long as the median event, which stand for
  other stretches of the same clips and say nothing about other clips: such verdicts are in brackets.
- Where the network was trained anew, the variance of the difference between two seeds, divided by the number of seeds
  that were run, is added to that of the clips.
- A claim expects a change of a sign. Changes below {effect:g} AP are of no interest. **holds**: the 95 % interval lies
  wholly beyond {effect:g} on the expected side. **refuted**: it lies wholly below that, so that whatever the change is,
  it is not one of interest in the expected direction. Else **can't tell**.
- A claim with several tests holds if all hold, and is refuted if any is; the p of a refutation is multiplied by the
  number of tests that could have given it.
- A test against chance compares with the AP of a random ranking, .2456, and its interval is that of the AP itself.
- Claim 11 says that something can happen: one experiment in which a kind gained {effect:g} and the whole lost as much
  shows it. That is an example without an interval, and no p is given.
- p is that of the border at {effect:g}, normal approximation, two-sided; a verdict stands where p is below {level:g}
  after Holm's correction over the claims that were tested on the data set.
- An open question is answered with the number of clips at which the same effect would pass that correction, where more
  clips could do it."""


@dataclass(frozen=True)
class Effect:
    """A change in AP with its 95 % interval and standard error, over `clips` clips; `blocks` instead where few."""

    value: float
    low: float
    high: float
    error: float
    clips: int
    blocks: bool

    def times(self, sign: int) -> "Effect":
        """The same, seen in the direction that a claim expects."""
        low, high = sorted((sign * self.low, sign * self.high))
        return Effect(sign * self.value, low, high, self.error, self.clips, self.blocks)

    def widened(self, variance: float) -> "Effect":
        """The same with more variance, normal."""
        error = math.sqrt(self.error**2 + variance)
        half = NormalDist().inv_cdf(0.975) * error
        return Effect(self.value, self.value - half, self.value + half, error, self.clips, self.blocks)


@dataclass(frozen=True)
class Verdict:
    """What a data set says of a claim; `p` is corrected, `clips_needed` what would decide it if the effect stayed."""

    word: str
    p: float = math.nan
    descriptive: bool = False
    clips_needed: int = 0

    def __str__(self) -> str:
        return f"({self.word})" if self.descriptive and self.word != UNTESTED else self.word


def read_results(folder: Path) -> dict[str, Results]:
    """Data set -> experiment -> its result."""
    found: dict[str, Results] = {}
    for path in sorted(folder.glob("*/*.json")):
        found.setdefault(path.parent.name, {})[path.stem] = json.loads(path.read_text(encoding="utf-8"))
    return found


def effect_of(compared: dict[str, Any], clips: int) -> Effect | None:
    """The change in AP that a comparison found; None where one class alone gives none."""
    drawn = compared["resampled"].get("blocks") or compared["resampled"]["clips"]
    value, interval = compared[FIGURE]["difference"], drawn[FIGURE]
    if value is None or interval["low"] is None:
        return None
    error = (interval["high"] - interval["low"]) / (2 * NormalDist().inv_cdf(0.975))
    return Effect(value, interval["low"], interval["high"], error, clips, "blocks" in compared["resampled"])


def over_chance(result: dict[str, Any]) -> Effect | None:
    """By how much an experiment's AP exceeds that of a random ranking, which is the share of anomalous frames."""
    found = result["figures"]["benchmark"]
    if found[FIGURE] is None or found[f"{FIGURE}_low"] is None:
        return None
    low, high = (found[f"{FIGURE}_{end}"] - found["prevalence"] for end in ("low", "high"))
    error = (high - low) / (2 * NormalDist().inv_cdf(0.975))
    descriptive = found["bootstrap"]["descriptive"]
    return Effect(found[FIGURE] - found["prevalence"], low, high, error, found["clips"], descriptive)


def seed_variance(results: Results) -> float:
    """Variance of AP over training seeds of the recipe; NaN with fewer than two."""
    values = [results[name]["figures"]["benchmark"][FIGURE] for name in SEEDS if name in results]
    return stdev(values) ** 2 if len(values) > 1 else math.nan


def effect_of_test(test: dict[str, Any], results: Results) -> Effect | None:
    """The effect that a claim's test is about, in the expected direction; None where it has not run."""
    names = [test["experiment"], *test.get("seeds", [])]
    names = [name for name in names if name in results]
    if test["experiment"] not in names:
        return None
    if test.get("against") == "chance":
        chance = over_chance(results[names[0]])
        return chance and chance.times(test["sign"])
    compared = [results[name]["difference"].get("benchmark") for name in names]
    if "group" in test:
        compared = [results[name]["groups"].get(test["group"]) for name in names]
    clips = results[names[0]]["figures"]["benchmark"]["clips"]
    effects = [effect_of(one, clips) for one in compared if one]
    if not effects or None in effects:
        return None
    known = [effect for effect in effects if effect]
    first = known[0]
    mean = Effect(sum(e.value for e in known) / len(known), first.low, first.high, first.error, clips, first.blocks)
    if set(RETRAINING) & {key.split(".")[0] for key in results[names[0]]["set"]}:
        luck = stdev([e.value for e in known]) ** 2 if len(known) > 1 else 2 * seed_variance(results)
        if math.isnan(luck):
            return None
        mean = mean.widened(luck / len(known))
    return mean.times(test["sign"])


def judge(claims: dict[int, dict[str, Any]], results: Results, border: float) -> dict[int, Verdict]:
    """Claim -> the verdict of a data set on it."""
    raw: dict[int, tuple[str, float, Effect]] = {}
    for number, claim in claims.items():
        if claim["tests"][0]["experiment"] == "any":
            continue
        effects = [effect_of_test(test, results) for test in claim["tests"]]
        # A test that can't be run leaves those that were: refuting takes one, holding takes all.
        known = [effect for effect in effects if effect]
        if known:
            raw[number] = _raw_verdict(known, border, len(known) == len(effects))
    corrected = holm({number: p for number, (_, p, _) in raw.items()})
    verdicts = dict.fromkeys(claims, Verdict(UNTESTED))
    for number, (word, _, effect) in raw.items():
        stands = corrected[number] < LEVEL
        single = len(claims[number]["tests"]) == 1
        needed = 0 if stands or not single else clips_needed(effect, border, len(raw))
        verdicts[number] = Verdict(word if stands else OPEN, corrected[number], effect.blocks, needed)
    for number, claim in claims.items():
        if claim["tests"][0]["experiment"] == "any" and kinds_of(results):
            verdicts[number] = Verdict(SHOWN if opposed(results, border) else OPEN)
    return verdicts


def clips_needed(effect: Effect, border: float, claims: int) -> int:
    """Clips at which an effect that stays as it is would pass Holm's first, strictest step; 0 where more can't help."""
    distance = abs(effect.value - border)
    quantile = NormalDist().inv_cdf(1 - LEVEL / claims / 2)
    needed = math.ceil(effect.clips * (quantile * effect.error / distance) ** 2) if distance else 0
    return needed if needed > effect.clips else 0


def _raw_verdict(effects: list[Effect], border: float, complete: bool) -> tuple[str, float, Effect]:
    """The verdict before correction, its p, and the effect that decided it."""
    against = [(_p(border - effect.value, effect.error), effect) for effect in effects]
    towards = [(_p(effect.value - border, effect.error), effect) for effect in effects]
    p_refuted, refuting = min(against, key=lambda pair: pair[0])
    p_refuted = min(1.0, len(effects) * p_refuted)
    p_holds, weakest = max(towards, key=lambda pair: pair[0])
    if refuting.high < border and p_refuted <= p_holds:
        return REFUTED, p_refuted, refuting
    if complete and weakest.low > border:
        return HOLDS, p_holds, weakest
    return OPEN, 1.0, weakest


def _p(distance: float, error: float) -> float:
    if error == 0:
        return 0.0 if distance > 0 else 1.0
    return 2 * (1 - NormalDist().cdf(distance / error)) if distance > 0 else 1.0


def holm(values: dict[int, float]) -> dict[int, float]:
    """Claim -> its p value after Holm's correction (1979), in [0, 1]; they keep their order."""
    corrected, highest = {}, 0.0
    for rank, key in enumerate(sorted(values, key=lambda key: values[key])):
        highest = max(highest, min(1.0, (len(values) - rank) * values[key]))
        corrected[key] = highest
    return corrected


def kinds_of(results: Results) -> list[str]:
    """The kinds of events that a data set's labels name."""
    kinds = results.get("base", {}).get("figures", {}).get("benchmark", {}).get("kinds", {})
    return [kind for kind in kinds if kind != "unnamed"]


def opposed(results: Results, border: float) -> list[tuple[str, str, float, float]]:
    """Where a kind's own AP gained at least `border` and the whole AP lost it: (experiment, kind, gain, change).

    The largest loss comes first. One example shows that it can happen; it needs no interval.
    """
    found = []
    for name, result in results.items():
        before = results.get(result.get("against", ""))
        if before is None or "benchmark" not in result["difference"]:
            continue
        whole = result["difference"]["benchmark"]
        change = whole[FIGURE]["difference"]
        for kind in kinds_of(results):
            gain = _kind(result, kind) - _kind(before, kind)
            if gain >= border and change <= -border:
                found.append((name, kind, gain, change))
    return sorted(found, key=lambda row: row[3])


def _kind(result: dict[str, Any], kind: str) -> float:
    return float(result["figures"]["benchmark"]["kinds"][kind][FIGURE])
