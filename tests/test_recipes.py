"""A recipe is one command away, and one can see which component raised an alarm and where."""

import cv2
import yaml

from experiments import recipe
from tests.clone import Clone, ran
from vad import params


def test_a_recipe_runs_as_an_experiment_on_the_user_s_own_data(restored: Clone) -> None:
    printed = restored.run("python", "-m", "experiments.recipe", "best")
    # What the recipe leaves as it was is not run again: no network is trained.
    again = "check resize infer motion predict memory aggregate evaluate submission"
    assert ran(printed) == again.split()
    chosen = params.load(restored.folder / "params.yaml")
    weighted = {name: weight for name, weight in chosen.aggregate.weights.items() if weight}
    assert weighted == recipe.recipes()["best"].set["aggregate.weights"]
    assert chosen.repair.unflip and chosen.data.root.name == "mine"
    assert "best" in restored.run("dvc", "exp", "list", "--name-only").split()

    restored.run("python", "-m", "experiments.anatomy", "maps", "metrics/maps.png", "test/01/12", "test/03/3")
    restored.run("python", "-m", "experiments.anatomy", "timelines", "metrics/timelines.png", "01", "02")
    for name in ("metrics/maps.png", "metrics/timelines.png"):
        image = cv2.imread(str(restored.folder / name))
        assert image.shape[0] > 200 and image.std() > 10
    wrong = restored.run("python", "-m", "experiments.anatomy", "maps", "metrics/no.png", "test/01/99", fails=True)
    assert wrong.strip().endswith("01.zip: frame 99 is not in the clip")
    code = "from experiments import recipe; print(recipe.free_name('best'))"
    assert restored.run("python", "-c", code).strip() == "best-2"


def test_an_unknown_recipe_is_one_line_that_names_those_there_are(clone: Clone) -> None:
    printed = clone.run("python", "-m", "experiments.recipe", "bets", fails=True)
    assert printed == "bets: no such recipe; experiments/recipes.yaml has reference, repaired, motion, best\n"


def test_every_recipe_says_what_it_is() -> None:
    stated = yaml.safe_load((recipe.ablations.RECIPES).read_text())
    assert all(entry["says"].endswith(".") for entry in stated["recipes"].values())
    assert list(recipe.recipes()) == ["reference", *stated["recipes"]]
