"""From effects to a verdict on each claim, by a rule that was written down before any result was seen."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scipy import stats

from experiments import effects
from experiments.effects import FIGURE, Effect, Reading, Results

HOLDS, SHOWN, REFUTED, OPEN, UNTESTED = "holds", "shown by example", "refuted", "can't tell", "not run"
DECIDED = (HOLDS, SHOWN, REFUTED)
LEVEL = 0.05
MANY = 100_000
"""More videos than this are not worth naming."""

RULE = """\
- Looked at is AP re-weighted to 24.56 % anomalous frames, on the labels of the test clips. A difference is that of an
  experiment and what it is compared with, paired: both are weighed alike in each of 1,000 resamples.
- Resampled are source videos: what was cut from one video counts as one, and the same video corrupted anew is not
  another. The interval is Student's, with the error of those resamples; how often such intervals hold the truth with
  few videos was simulated ([METHODS](../docs/METHODS.md#4-intervals-differences-verdicts)).
- A claim expects a change of a sign. Changes below {effect:g} AP are of no interest. **holds**: the 95 % interval lies
  wholly beyond {effect:g} on the expected side. **refuted**: it lies wholly below that, so that whatever the change is,
  it is not one of interest in the expected direction. Else **can't tell**.
- **On real clips** is one verdict over the videos of all replicas: the effect of each scene weighs as many as it has
  videos, and the mean over draws of the corruption stands for a scene. It speaks of more videos of these scenes, not of
  other scenes. Clean Ped2 is the same videos as its replica without the corruption; it stands beside.
- **sample, several seeds** is one verdict over the test clips that the sample's maker drew from so many seeds, each a
  video of its own, all scored by the network that was trained on the first seed's clips.
- A claim with several tests holds if all hold, and is refuted if any is; the p of a refutation is multiplied by the
  number of tests that could have given it.
- Where a network was trained anew, luck in training is part of the error: the variance of the difference over pairs of
  seeds of this very encoder, divided by their number. With one seed that luck is not known: the test decides nothing.
- A test against chance compares with the AP of a random ranking, .2456, and its interval is that of the AP itself.
- Claim 11 says that something can happen: one experiment in which a kind gained {effect:g} and the whole lost as much
  shows it. That is an example without an interval, and no p is given. Labels of real clips name no kinds.
- p is that of the border at {effect:g}, two-sided, by the same distribution as the interval; a verdict stands where p
  is below {level:g} after Holm's correction over the claims that were tested there.
- An open question is answered with the number of source videos at which the same effect would pass that correction,
  where more videos could do it.
- **Before** is the verdict by the intervals that this page had first: percentiles over clips; where clips are fewer
  than ten, over blocks of frames, which say nothing about other clips (in brackets); p by the normal approximation; and
  the luck of ResNet-18's seeds for every encoder."""


@dataclass(frozen=True)
class Verdict:
    """What there is to say of a claim; `p` is corrected, `videos` would decide it if the effect stayed as it is."""

    word: str
    p: float = math.nan
    descriptive: bool = False
    videos: int = 0

    def __str__(self) -> str:
        return f"({self.word})" if self.descriptive and self.word != UNTESTED else self.word


Claims = dict[int, dict[str, Any]]
Tested = dict[int, list[Effect | None]]
"""The effects of each claim's tests, in the direction that the claim expects."""


def tested(claims: Claims, results: Results, reading: Reading) -> Tested:
    """The effects of each claim's tests on a data set, None for a test that has not run; without claims on examples."""
    return {
        number: [effects.of_test(test, results, reading) for test in claim["tests"]]
        for number, claim in claims.items()
        if claim["tests"][0]["experiment"] != "any"
    }


def judge(claims: Claims, results: Results, border: float, reading: Reading) -> dict[int, Verdict]:
    """Claim -> the verdict of a data set on it."""
    verdicts = decide(claims, tested(claims, results, reading), border)
    for number, claim in claims.items():
        if claim["tests"][0]["experiment"] == "any" and kinds_of(results):
            verdicts[number] = Verdict(SHOWN if opposed(results, border) else OPEN)
    return verdicts


def pooled(claims: Claims, by_scene: Mapping[str, Sequence[Tested]]) -> Tested:
    """The effects of each claim's tests over all scenes, from those on the data sets of each."""
    found = {}
    for number, claim in claims.items():
        if claim["tests"][0]["experiment"] != "any":
            found[number] = [
                effects.pooled(
                    {
                        scene: [effect for one in datasets if (effect := one[number][place])]
                        for scene, datasets in by_scene.items()
                    }
                )
                for place in range(len(claim["tests"]))
            ]
    return found


def decide(claims: Claims, found: Tested, border: float) -> dict[int, Verdict]:
    """Claim -> the verdict that effects give, Holm's correction over all claims that any effect is known of."""
    raw: dict[int, tuple[str, float, Effect]] = {}
    for number, tests in found.items():
        # A test that can't be run leaves those that were: refuting takes one, holding takes all.
        known = [effect for effect in tests if effect]
        if known:
            raw[number] = _raw_verdict(known, border, len(known) == len(tests))
    corrected = holm({number: p for number, (_, p, _) in raw.items()})
    verdicts = dict.fromkeys(claims, Verdict(UNTESTED))
    for number, (word, _, effect) in raw.items():
        stands = corrected[number] < LEVEL
        needed = 0 if stands else videos_needed(found[number], border, len(raw))
        verdicts[number] = Verdict(word if stands else OPEN, corrected[number], effect.blocks, needed)
    return verdicts


def videos_needed(tests: Sequence[Effect | None], border: float, claims: int) -> int:
    """Videos at which effects that stay as they are would pass Holm's first, strictest step; 0 where more can't help.

    One test beyond the border refutes, with p times the number of tests; all of them must hold.
    """
    known = [effect for effect in tests if effect]
    refuting = [_needed(effect, border, claims * len(known)) for effect in known if effect.value < border]
    holding = [_needed(effect, border, claims) for effect in known if effect.value > border]
    ways = [count for count in refuting if count]
    if len(holding) == len(tests) and all(holding):
        ways.append(max(holding))
    return min(ways, default=0)


def _needed(effect: Effect, border: float, tests: int) -> int:
    """The videos for one effect at a level divided by so many tests; 0 where luck in training is part of its error."""
    distance = abs(effect.value - border)
    if effect.lucky or not distance or not math.isfinite(effect.error):
        return 0
    needed = float(effect.clips)
    # The quantile depends on the number of videos as well: a few rounds settle it.
    for _ in range(20):
        quantile = float(stats.t.ppf(1 - LEVEL / tests / 2, max(1.0, needed - 1)))
        needed = effect.clips * (quantile * effect.error / distance) ** 2
    return math.ceil(needed) if effect.clips < needed < MANY else 0


def _raw_verdict(found: list[Effect], border: float, complete: bool) -> tuple[str, float, Effect]:
    """The verdict before correction, its p, and the effect that decided it."""
    against = [(effect.p(border) if effect.value < border else 1.0, effect) for effect in found]
    towards = [(effect.p(border) if effect.value > border else 1.0, effect) for effect in found]
    p_refuted, refuting = min(against, key=lambda pair: pair[0])
    p_refuted = min(1.0, len(found) * p_refuted)
    p_holds, weakest = max(towards, key=lambda pair: pair[0])
    if refuting.high < border and p_refuted <= p_holds:
        return REFUTED, p_refuted, refuting
    if complete and weakest.low > border:
        return HOLDS, p_holds, weakest
    return OPEN, 1.0, weakest


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
