"""All that is known of the claims, gathered once: results, effects, verdicts by data set, on real clips, and before."""

from dataclasses import dataclass
from typing import Any

from experiments import ablations, effects, verdicts
from experiments.effects import BY_PERCENTILE, Reading, Results
from experiments.experiment import BASE, Experiment
from experiments.verdicts import Tested, Verdict
from project import workspaces

PAGE = "failure_analysis"


@dataclass(frozen=True)
class Evidence:
    """What the pages are made of; data sets are those that have a column."""

    stated: dict[str, Any]
    experiments: dict[str, Experiment]
    found: dict[str, Results]
    readings: dict[str, Reading]
    tested: dict[str, Tested]
    judged: dict[str, dict[int, Verdict]]
    before: dict[str, dict[int, Verdict]]
    """Verdicts by the intervals that the page had first."""
    scenes: dict[str, list[str]]
    """The scenes of real clips, and the data sets of each that have results."""
    pooled: Tested
    on_real_clips: dict[int, Verdict]
    seeds: dict[str, list[str]]
    """Such words as "sample, 8 seeds", and the data sets of it that have results."""
    over_seeds: dict[str, Tested]
    by_seeds: dict[str, dict[int, Verdict]]
    """Their effects and verdicts over the clips of all seeds."""

    @property
    def border(self) -> float:
        """The smallest change in AP that is of interest."""
        return float(self.stated["effect"])


def reading(dataset: str, results: Results) -> Reading:
    """How a data set's intervals over source videos are read from its results."""
    return effects.over_videos(effects.videos_are_separate(results, workspaces.sources(dataset)))


def gather() -> Evidence:
    """The evidence as experiments/results/ and experiments/ablations.yaml have it."""
    stated, experiments = ablations.load()
    claims, border = stated["claims"], stated["effect"]
    everything = {name: ran for name, ran in effects.read_results(ablations.RESULTS).items() if BASE in ran}
    readings = {name: reading(name, results) for name, results in everything.items()}
    tested = {name: verdicts.tested(claims, results, readings[name]) for name, results in everything.items()}
    scenes = {
        scene: ran
        for scene, names in workspaces.scenes().items()
        if (ran := [name for name in names if name in tested])
    }
    pooled = verdicts.pooled(claims, {scene: [tested[name] for name in names] for scene, names in scenes.items()})
    seeds = {
        f"{origin}, {len(ran)} seeds": ran
        for origin, names in workspaces.seeds().items()
        if len(ran := [name for name in names if name in tested]) > 1
    }
    over_seeds = {
        words: verdicts.pooled(claims, {name: [tested[name]] for name in ran}) for words, ran in seeds.items()
    }
    found = {name: everything[name] for name in workspaces.of_page(PAGE) if name in everything}
    return Evidence(
        stated,
        experiments,
        found,
        readings,
        tested,
        {name: verdicts.judge(claims, results, border, readings[name]) for name, results in found.items()},
        {name: verdicts.judge(claims, results, border, BY_PERCENTILE) for name, results in found.items()},
        scenes,
        pooled,
        verdicts.decide(claims, pooled, border),
        seeds,
        over_seeds,
        {words: verdicts.decide(claims, effects_of, border) for words, effects_of in over_seeds.items()},
    )
