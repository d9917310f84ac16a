"""What a run of experiments is going to cost, from how long they took before."""

from collections.abc import Sequence
from statistics import median

from experiments.effects import Results
from experiments.experiment import BASE, Experiment
from project import workspaces

SHARES = (0.0, 0.3, 1.0, 9.0)
"""By `Experiment.cost()`, of the minutes of the recipe as it is: docs/RESULTS.md; ViT took nine times ResNet-18's."""
LEAST = 0.1
"""Minutes of an experiment that aggregates again."""


def minutes(experiment: Experiment, dataset: str, found: dict[str, Results]) -> float | None:
    """Minutes that an experiment is to be expected to take on a data set; None where nothing was timed there.

    As long as it took there; else what its like took there by the share of the recipe that it runs again.
    """
    recorded = found.get(dataset, {}).get(experiment.name, {}).get("minutes")
    if recorded:
        return float(recorded)
    whole = workspaces.datasets()[dataset].get("minutes")
    if whole is None:
        return None
    return float(whole) if experiment.name == BASE else LEAST + SHARES[experiment.cost()] * float(whole)


def told(dataset: str, wanted: Sequence[Experiment], found: dict[str, Results]) -> str:
    """What a user reads at the outset: how many experiments, how many minutes, and which take most of them."""
    each = {one.name: minutes(one, dataset, found) for one in wanted}
    known = {name: value for name, value in each.items() if value is not None}
    if not known:
        return f"{dataset}: {len(wanted)} experiments; none was timed on this data set"
    usual = median(known.values())
    long = [f"{name} {value:.0f}" for name, value in known.items() if value >= 1 and value > 3 * usual]
    most = f", of these {', '.join(long)}" if long else ""
    return (
        f"{dataset}: {len(wanted)} experiments, some {sum(known.values()):.0f} minutes on two cores{most}; "
        "what has run is not run again"
    )
