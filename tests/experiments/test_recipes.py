"""A recipe is one command away, and one can see which component raised an alarm and where."""

import json
import re

import cv2
import yaml

from experiments import recipe
from tests.clone import Clone, ran
from vad import params


def test_a_recipe_runs_as_an_experiment_on_the_user_s_own_data(restored: Clone) -> None:
    printed = restored.run("python", "-m", "experiments.recipe", "best")
    # Nothing weighs the autoencoder, so its stages leave nothing; the clips are not fetched again.
    again = (
        "extract validation diagnose resize train infer motion train_predictor predict memory objects given "
        "aggregate evaluate submission"
    )
    assert json.loads((restored.folder / "metrics/train.json").read_text()) == {"needed": False}
    assert sorted(ran(printed)) == sorted(again.split())
    chosen = params.load(restored.folder / "params.yaml")
    weighted = {name: weight for name, weight in chosen.aggregate.weights.items() if weight}
    assert weighted == recipe.recipes()["best"].set["aggregate.weights"]
    assert chosen.repair.unflip and chosen.data.root.name == "mine"
    assert "best" in restored.run("dvc", "exp", "list", "--name-only").split()

    restored.run("python", "-m", "reports.report")
    page = (restored.folder / "metrics/report.html").read_text()
    (text,) = re.findall(r'id="everything">(.*?)</script>', page, re.DOTALL)
    # No network looks at resized frames, so there are none, and the page has the clips' own.
    assert not list((restored.folder / "data/resized").rglob("*.npy")) and json.loads(text)["size"] == 0
    for part in ("benchmark", "validation"):
        told = json.loads(text)["parts"][part]
        for clip in told["clips"]:
            assert set(clip["components"]) == set(weighted)
            assert {len(values) for values in clip["components"].values()} == {len(clip["frame"])}
        rows = [row for group in told["worst"] for row in group["frames"]]
        for name in ("background", "flow"):  # of a frame in which nothing moves the map of velocity is empty
            shown = [next(one for one in row["maps"] if one["name"] == name) for row in rows]
            # Copies of a validation clip share frames.
            assert len({one["picture"] for one in shown}) > 0.7 * len(rows)
            assert all(one["highest"] > 0 for one in shown)

    restored.run("python", "-m", "reports.component_maps", "maps", "metrics/maps.png", "test/01/12", "test/03/3")
    restored.run("python", "-m", "reports.component_maps", "timelines", "metrics/timelines.png", "01", "02")
    for name in ("metrics/maps.png", "metrics/timelines.png"):
        image = cv2.imread(str(restored.folder / name))
        assert image.shape[0] > 200 and image.std() > 10
    wrong = restored.run("python", "-m", "reports.component_maps", "maps", "metrics/no.png", "test/01/99", fails=True)
    assert wrong.strip().endswith("01.zip: frame 99 is not in the clip")
    code = "from experiments import recipe; print(recipe.free_name('best'))"
    assert restored.run("python", "-c", code).strip() == "best-2"

    settings = ("data.folds=1", "predict.enabled=true", "predict.epochs=1", "memory.enabled=true", "memory.patches=20")
    restored.run("dvc", "exp", "run", *(part for setting in settings for part in ("-S", setting)))
    restored.run(
        "python", "-m", "reports.component_maps", "maps", "metrics/all.png", "test/01/12", "validation/05-1/40"
    )
    assert cv2.imread(str(restored.folder / "metrics/all.png")).std() > 10
    code = (
        "from reports import component_maps; from stages import PARAMS; from vad import params; "
        "every = component_maps.Maps(params.load(PARAMS), ['prediction', 'memory', 'pixel_l1']); "
        "print({name: map.shape for name, map in every.maps('test', '01', 12).items()}); every.maps('test', '01', 99)"
    )
    printed = restored.run("python", "-c", code, fails=True)
    assert "{'prediction': (32, 32), 'memory': (4, 4)}" in printed and "frame 99 is not in the clip" in printed


def test_an_unknown_recipe_is_one_line_that_names_those_there_are(clone: Clone) -> None:
    printed = clone.run("python", "-m", "experiments.recipe", "bets", fails=True)
    assert printed.startswith(
        "bets: no such recipe; experiments/recipes.yaml has reference, repaired, motion, blocks, best, "
    )
    assert printed.count("\n") == 1 and ", with_prediction, " in printed


def test_every_recipe_says_what_it_is() -> None:
    stated = yaml.safe_load((recipe.ablations.RECIPES).read_text())
    assert all(entry["says"].endswith(".") for entry in stated["recipes"].values())
    assert list(recipe.recipes()) == ["reference", *stated["recipes"], *stated["steps"]]
