"""Run one of the complete settings of experiments/recipes.yaml as a DVC experiment, on the data of params.yaml.

    python -m experiments.recipe best
    python -m experiments.recipe with_prediction      # any of its steps, too

Stages that are up to date are not run again. The experiment is named after the recipe, with a number where that name
is taken.
"""

import argparse
import subprocess
import sys
from itertools import count

import yaml

from experiments import ablations
from experiments.experiment import Experiment, overrides
from project import workspaces
from vad import VadError

REFERENCE = "reference"


def recipes() -> dict[str, Experiment]:
    """Every recipe and every step by its name; `reference` is params.yaml with every frame in training."""
    stated = yaml.safe_load(ablations.RECIPES.read_text(encoding="utf-8"))
    known = ablations.load_recipes()
    names = (*stated["recipes"], *stated["steps"])
    return {REFERENCE: Experiment(REFERENCE, 0, {"data.folds": 0})} | {name: known[name] for name in names}


def free_name(recipe: str) -> str:
    """The recipe's name, or with the first number from 2 that no experiment of this repository has."""
    listed = workspaces.git(workspaces.TOP, "for-each-ref", "--format", "%(refname:lstrip=-1)", "refs/exps")
    taken = set(listed.split())
    return next(name for n in count(1) if (name := recipe if n == 1 else f"{recipe}-{n}") not in taken)


def main(name: str) -> int:
    """Run a recipe; DVC's exit status. Raises VadError for a recipe that is not there."""
    known = recipes()
    if name not in known:
        raise VadError(f"{name}: no such recipe; experiments/recipes.yaml has {', '.join(known)}")
    parameters = yaml.safe_load((workspaces.TOP / "params.yaml").read_text(encoding="utf-8"))
    settings = overrides(known[name].set, parameters)
    command = [sys.executable, "-m", "dvc", "exp", "run", "--name", free_name(name), *settings]
    return subprocess.run(command, cwd=workspaces.TOP, check=False).returncode


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    try:
        sys.exit(main(parser.parse_args().recipe))
    except VadError as error:
        sys.exit(str(error))
