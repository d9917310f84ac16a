"""Run the ablations of experiments/ablations.yaml as DVC experiments, and write what each came to into results/.

    python -m experiments.ablations sample
    python -m experiments.ablations ped2 ped2-replica --only per_video gaussian_3

Each data set has a clone of its own (`project/workspaces.py`) whose commit `base` is the recipe as it is. What has
run on it is not run again, so a run that was cut off goes on where it was. At the outset it says how many minutes it is
going to take; other encoders come last. One failure doesn't stop the rest; all are named at the end.
"""

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml

from experiments import costs, effects, results
from experiments.experiment import BASE, Experiment, overrides
from project import workspaces
from vad import VadError, registry
from vad.storage import files
from vad.storage.progress import progress

ABLATIONS = Path(__file__).with_name("ablations.yaml")
RESULTS = Path(__file__).with_name("results")
RECIPES = Path(__file__).with_name("recipes.yaml")


def load(path: Path = ABLATIONS, recipes: Path | None = RECIPES) -> tuple[dict[str, Any], dict[str, Experiment]]:
    """What a file states, and name -> experiment, `base` included. Raises VadError for a name that is not there."""
    stated = yaml.safe_load(path.read_text(encoding="utf-8"))
    experiments = {BASE: Experiment(BASE, 0, {})}
    experiments |= {name: Experiment(name, **entry) for name, entry in stated["experiments"].items()}
    if recipes:
        experiments |= load_recipes(recipes)
    for experiment in experiments.values():
        if experiment.against not in experiments:
            raise VadError(f"{path}: {experiment.name} is compared with {experiment.against}, which is not there")
    return stated, experiments


def load_recipes(path: Path = RECIPES) -> dict[str, Experiment]:
    """Name -> experiment: recipes, their steps, components alone. Of no claim."""
    stated = yaml.safe_load(path.read_text(encoding="utf-8"))
    entries = {name: {"set": entry["set"]} for name, entry in stated["recipes"].items()} | stated["steps"]
    for component in stated["alone"]["components"]:
        switch = registry.COMPONENTS[component].switch
        switches = {switch: True} if switch.endswith(".enabled") else {}
        alone = stated["alone"]["set"] | switches | {"aggregate.weights": {component: 1}}
        entries[f"{component}_only"] = {"set": alone, "against": "blocks"}
    return {name: Experiment(name, 0, **entry) for name, entry in entries.items()}


def chosen(experiments: dict[str, Experiment], dataset: str, only: list[str]) -> list[Experiment]:
    """What to run on a data set: cheap ones first, and whatever they are compared with before them.

    Raises VadError for an unknown name.
    """
    if unknown := set(only) - set(experiments):
        raise VadError(f"{', '.join(sorted(unknown))}: no such experiment in {ABLATIONS.name}")
    wanted = {e.name for e in experiments.values() if (e.name in only if only else dataset in e.data or not e.data)}
    for name in list(wanted):
        while (name := experiments[name].against) not in wanted:
            wanted.add(name)
    rows = sorted((e for e in experiments.values() if e.name in wanted), key=lambda e: (e.name != BASE, e.cost()))
    ordered = dict.fromkeys(name for e in rows for name in (e.against, e.name))
    return [experiments[name] for name in ordered]


class Runner:
    """Runs experiments in a data set's clone and keeps their scored frames there."""

    def __init__(self, dataset: str) -> None:
        self.dataset = dataset
        self.folder = workspaces.prepare(dataset)
        self.scores = self.folder / ".dvc" / "tmp" / "scores"
        self.parameters = yaml.safe_load((self.folder / "params.yaml").read_text(encoding="utf-8"))

    def base(self, wanted: list[Experiment]) -> None:
        """The recipe as it is: run as far as it is not up to date, and committed, for experiments to start from.

        Where nothing that is wanted takes a network, the stages that the first of it needs are run in its place.
        """
        light = not any(one.name == BASE or one.networks() for one in wanted) and workspaces.stale(self.folder)
        settings = self.folder / "params.yaml"
        stated = settings.read_text(encoding="utf-8")
        if light:
            workspaces.set_parameters(settings, wanted[0].set)
        start = time.perf_counter()
        for line in workspaces.dvc(self.folder, "repro"):
            _say(self.dataset, line)
        files.write_text(settings, stated)
        workspaces.commit(self.folder)
        if not light:
            self._keep(Experiment(BASE, 0, {}), time.perf_counter() - start)

    def run(self, experiment: Experiment) -> None:
        """Run an experiment unless it has run on this very base. Raises VadError when it fails."""
        if (self._folder(experiment) / "done").exists():
            return
        start = time.perf_counter()
        workspaces.git(self.folder, "checkout", "--quiet", "--force", "base")
        # Of a run that was cut off after DVC had finished. Not `exp run --force`: that would run every stage again.
        base = workspaces.git(self.folder, "rev-parse", "base").strip()
        left = f"refs/exps/{base[:2]}/{base[2:]}/{experiment.name}"
        if workspaces.git(self.folder, "for-each-ref", left):
            workspaces.git(self.folder, "update-ref", "-d", left)
        settings = overrides(experiment.set, self.parameters)
        for line in workspaces.dvc(self.folder, "exp", "run", "--name", experiment.name, *settings):
            _say(f"{self.dataset} {experiment.name}", line)
        self._keep(experiment, time.perf_counter() - start)

    def result(self, experiment: Experiment, experiments: dict[str, Experiment]) -> dict[str, Any]:
        """For JSON: `experiment`, `data`, `seed`, `against`, `set`, `minutes`, and what `results.compare` gives."""
        against = experiments[experiment.against]
        seed = experiment.set.get("seed", self.parameters["seed"])
        stated = {"experiment": experiment.name, "data": self.dataset, "seed": seed, "against": against.name}
        # Made otherwise, the validation clips are other frames, which can't be paired.
        made = [
            {key: value for key, value in one.set.items() if key.startswith(("validation.", "data.folds"))}
            for one in (experiment, against)
        ]
        parts = list(results.PARTS) if made[0] == made[1] else ["benchmark"]
        sources = workspaces.sources(self.dataset)
        compared = results.compare(self._folder(against), self._folder(experiment), parts, sources)
        minutes = float((self._folder(experiment) / "done").read_text(encoding="utf-8") or 0)
        return stated | {"set": experiment.set, "minutes": minutes} | compared

    def _folder(self, experiment: Experiment) -> Path:
        # What DVC knows of the base: a commit that changes a document alone is no other base.
        known = "".join(workspaces.git(self.folder, "show", f"base:{file}") for file in ("dvc.lock", "params.yaml"))
        base, settings = (
            hashlib.sha256(text.encode()).hexdigest() for text in (known, json.dumps(experiment.set, sort_keys=True))
        )
        return self.scores / base[:12] / f"{experiment.name}-{settings[:8]}"

    def _keep(self, experiment: Experiment, seconds: float) -> None:
        kept = self._folder(experiment)
        if (kept / "done").exists():
            return
        for file in results.READ:
            kept.mkdir(parents=True, exist_ok=True)
            files.copy(self.folder / file, kept / Path(file).name)
        files.write_text(kept / "done", f"{seconds / 60:.2f}")


def _say(what: str, line: str) -> None:
    if sys.stderr.isatty() and line.startswith("Running stage"):
        print(f"\r\033[K{what}: {line}", end="", file=sys.stderr)


def run(dataset: str, only: list[str]) -> Iterator[tuple[Experiment, str]]:
    """Run experiments on a data set and write their results; yields each, with what went wrong or nothing."""
    _, experiments = load()
    wanted = chosen(experiments, dataset, only)
    print(costs.told(dataset, wanted, effects.read_results(RESULTS)), flush=True)
    runner = Runner(dataset)
    runner.base(wanted)

    def write(experiment: Experiment) -> None:
        target = RESULTS / dataset / f"{experiment.name}.json"
        files.write_json(target, runner.result(experiment, experiments))

    # The figures of one experiment are worked out while DVC runs the next.
    with ThreadPoolExecutor(1) as pool:
        pending: list[tuple[Experiment, Future[None]]] = []
        failed: set[str] = set()
        for experiment in progress(wanted, f"ablations on {dataset}", len(wanted)):
            if experiment.against in failed:
                failed.add(experiment.name)
                yield experiment, f"{experiment.against}, which it is compared with, failed"
                continue
            try:
                if experiment.name != BASE:
                    runner.run(experiment)
                pending.append((experiment, pool.submit(write, experiment)))
            except VadError as error:
                failed.add(experiment.name)
                yield experiment, str(error)
        for experiment, written in pending:
            try:
                written.result()
                yield experiment, ""
            except VadError as error:
                yield experiment, str(error)


def main(datasets: list[str], only: list[str]) -> int:
    failures = []
    for dataset in datasets:
        start, count = time.perf_counter(), 0
        for experiment, problem in run(dataset, only):
            count += 1
            failures += [f"{dataset} {experiment.name}: {problem}"] if problem else []
        print(f"{dataset}: {count} experiments in {(time.perf_counter() - start) / 60:.1f} minutes")
    print(*failures, sep="\n", end="\n" if failures else "", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="+", metavar="DATASET")
    parser.add_argument("--only", nargs="+", default=[], metavar="EXPERIMENT")
    arguments = parser.parse_args()
    try:
        sys.exit(main(arguments.datasets, arguments.only))
    except VadError as error:
        sys.exit(str(error))
