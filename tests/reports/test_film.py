"""Films: what they show, that they are files which a browser plays, and what is said when there can be none."""

import dataclasses
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest
from PIL import ImageColor
from playwright.sync_api import Browser

from reports import content, film, film_picture, report
from reports.film_curve import Mark, Story
from stages import PARAMS
from tests.clone import TOP, Clone
from vad import VadError, params
from vad.evaluation import plots

ORANGE, BLUE = (ImageColor.getrgb(colour) for colour in (plots.ANOMALOUS, plots.NORMAL))
GREY = np.full((30, 40, 3), 120, np.uint8)
COLD = np.zeros((3, 4))


def story(count: int = 20, first: int = 3, labels: list[int] | None = None, title: str = "Clip 04") -> Story:
    """A clip of `count` frames whose scores rise; its frame 1 is flipped, its frame 2 noisy."""
    places = np.arange(count)
    scores = np.linspace(0.1, 0.2, count)
    marks = [Mark("flipped", "found: flipped", plots.FLIPPED, places == 1), Mark("noisy", "x", plots.BOTH, places == 2)]
    known = None if labels is None else np.array(labels)
    kinds = [""] * count
    return Story(title, places + first, scores, count - places, count, known, kinds, marks, 0.0, 0.3, "error")


def picture(told: Story, place: int, frame: np.ndarray = GREY, heat: np.ndarray = COLD) -> np.ndarray:
    return film_picture.compose(told, film_picture.sheet(told, frame.shape), place, frame, heat)


def image_in(picture: np.ndarray, shape: tuple[int, ...] = GREY.shape) -> np.ndarray:
    """The part of a picture that shows the frame."""
    width, height = film_picture.fitted(shape)
    left = (film_picture.WIDTH - width) // 2
    return picture[film_picture.HEADER : film_picture.HEADER + height, left : left + width]


def count_of(picture: np.ndarray, colour: tuple[int, ...]) -> int:
    return int((picture == colour[:3]).all(-1).sum())


# One picture


@pytest.mark.parametrize(
    "shape", [(240, 360), (158, 238), (360, 640), (1080, 1920), (1, 1), (48, 64), (1000, 20), (20, 3000), (2160, 3840)]
)
def test_frames_of_any_size_fill_the_width_or_the_height_and_keep_their_proportions(shape: tuple[int, int]) -> None:
    made = picture(story(), 0, np.full((*shape, 3), 90, np.uint8))
    width, height = film_picture.fitted(shape)
    assert made.dtype == np.uint8 and made.shape[1:] == (film_picture.WIDTH, 3) and made.shape[0] % 2 == 0
    assert width == film_picture.BOX[0] or height == film_picture.BOX[1]
    assert abs(width / height - shape[1] / shape[0]) <= max(shape[1] / shape[0] / height, 1 / height)
    assert (image_in(made, shape) == 90).all()


def test_heat_lies_over_its_place_and_leaves_the_rest_of_the_frame_as_it_is() -> None:
    heat = np.full((6, 8), 0.5)
    heat[0:2, 6:8] = 5.0
    shown = image_in(picture(story(), 0, heat=heat))
    height, width = shown.shape[:2]
    corner = shown[: height // 8, -width // 8 :].astype(int)
    assert (np.abs(corner - 120).sum(-1) > 100).all() and (corner[..., 0] > corner[..., 2]).all()
    assert (shown[height // 2 :] == 120).all() and (shown[:, : width // 2] == 120).all()
    hotter = image_in(picture(story(), 0, heat=heat * 0.2))
    assert (hotter != shown).any() and (hotter != 120).any()


def test_what_is_usual_gives_no_heat() -> None:
    assert (image_in(picture(story(), 0, heat=np.full((3, 4), film_picture.COOL))) == 120).all()


def test_anomalous_frames_have_a_border_and_others_none() -> None:
    told = story(labels=[0] * 10 + [1] * 10)
    row = film_picture.HEADER - film_picture.BORDER + 2
    for place in (0, 9, 10, 19):
        bordered = count_of(picture(told, place)[row], ORANGE) > film_picture.BOX[0] / 2
        assert bordered == (place >= 10)


def test_without_labels_nothing_looks_anomalous() -> None:
    told = story()
    assert told.runs() == [] and count_of(picture(told, 5), ORANGE) == 0
    labelled = story(labels=[1] * 20)
    assert count_of(picture(labelled, 5), ORANGE) > 1000


def test_curve_is_drawn_up_to_the_frame_and_its_dot_stands_at_the_score() -> None:
    told = story()
    shared = film_picture.sheet(told, GREY.shape)
    assert (np.diff(shared.points[:, 0]) > 0).all() and (np.diff(shared.points[:, 1]) < 0).all()
    for place in (0, 7, 19):
        made = film_picture.compose(told, shared, place, GREY, COLD)
        x, y = shared.points[place].round().astype(int)
        assert tuple(made[y, x]) == BLUE[:3]
        curve = made[-film_picture.CURVE :]
        drawn = np.flatnonzero((curve == BLUE[:3]).all(-1).any(0))
        assert drawn.max() <= x + 6


def test_found_corruption_is_named_on_the_frame_that_has_it() -> None:
    told, green = story(), ImageColor.getrgb(plots.FLIPPED)
    header = [picture(told, place)[: film_picture.HEADER] for place in range(3)]
    assert [count_of(part, green) > 500 for part in header] == [False, True, False]
    assert [count_of(part, (0, 0, 0)) > 100 for part in header] == [False, False, True]


@pytest.mark.parametrize("labels", [None, [0], [1]])
def test_clip_of_one_frame_has_its_picture(labels: list[int] | None) -> None:
    told = story(1, labels=labels)
    shared = film_picture.sheet(dataclasses.replace(told, low=0.1, high=0.1), GREY.shape)
    made = film_picture.compose(told, shared, 0, GREY, COLD)
    x, y = shared.points[0].round().astype(int)
    assert tuple(made[y, x]) == (ORANGE if labels == [1] else BLUE)[:3] and (image_in(made) == 120).all()


def test_names_of_any_length_and_markup_stay_inside_the_picture() -> None:
    plain, long = picture(story(), 0), picture(story(title="Clip $\\frac{a}$ <b> " + "x" * 300), 0)
    told = dataclasses.replace(story(labels=[1] * 20), kinds=["$\\wrong" + "y" * 300] * 20)
    assert picture(told, 0).shape == long.shape == plain.shape
    assert (long[:, 345:] == plain[:, 345:]).all()


def test_a_frame_of_another_size_than_the_first_still_fits() -> None:
    told = story()
    shared = film_picture.sheet(told, (100, 400))
    high = film_picture.compose(told, shared, 1, np.full((400, 100, 3), 90, np.uint8), COLD)
    flat = film_picture.compose(told, shared, 0, np.full((100, 400, 3), 90, np.uint8), COLD)
    below = slice(-film_picture.CURVE - film_picture.KEY, None)
    assert high.shape == flat.shape and (high[below, :60] == flat[below, :60]).all()


def test_runs_are_of_one_kind_and_do_not_end_where_numbers_are_missing() -> None:
    told = dataclasses.replace(
        story(6, labels=[1, 1, 0, 1, 1, 1]),
        numbers=np.array([3, 7, 8, 9, 10, 30]),
        kinds=["run", "run", "", "run", "throw", "throw"],
    )
    assert told.runs() == [(3, 7, "run"), (9, 9, "run"), (10, 30, "throw")]
    assert story(3, labels=[1, 0, 1]).runs() == [(3, 3, ""), (5, 5, "")]


# The heat


def settings(**aggregate: float) -> params.Params:
    loaded = params.load(TOP / "params.yaml")
    return loaded.model_copy(update={"aggregate": loaded.aggregate.model_copy(update={"weights": aggregate})})


def test_heat_is_of_the_weighted_components() -> None:
    assert film.weights(settings(pixel_l1=0.7, layer3=0.2, layer4=0.1)) == {"reconstruction": pytest.approx(1.0)}
    several = film.weights(
        settings(flow_local=2, flow_max=1, background_mean=1, memory_top=0, pixel_l1_max=4, change=3, noise=9)
    )
    assert several == {"flow": 3, "background": 1, "reconstruction": 4}
    assert film.weights(settings(change_local=1, pixel_l1=0)) == {"change": 1}


def test_score_of_what_has_no_place_has_no_heat_and_says_so() -> None:
    assert film.weights(settings(noise=1, change=1, objects_velocity=1)) == {} and (film.combined({}, {}) == 0).all()
    told = dataclasses.replace(story(), heat="")
    assert (picture(told, 0) != picture(story(), 0)).any() and (image_in(picture(told, 0)) == 120).all()


def test_combined_heat_is_the_weighted_mean_on_the_finest_grid() -> None:
    left = np.array([[8.0, 0.0]])
    found = film.combined({"flow": left, "background": np.full((4, 8), 2.0)}, {"flow": 3, "background": 1})
    assert found.shape == (4, 8)
    assert found[:, 0] == pytest.approx(6.5) and found[:, -1] == pytest.approx(0.5)


# In a run


@pytest.fixture
def inside(clone: Clone, restored: Clone, monkeypatch: pytest.MonkeyPatch) -> Clone:
    monkeypatch.chdir(clone.folder)
    for path in film.FILMS.glob("*.mp4"):
        path.unlink()
    return clone


@pytest.fixture(scope="module")
def made(clone: Clone, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The film of a clip of the clone, made as a user makes it."""
    printed = clone.run("python", "-m", "reports.film", "01")
    assert printed.startswith("metrics/films/test-01.mp4: 30 frames, ") and printed.count("\n") == 1
    return (clone.folder / film.path_of("test", "01")).rename(tmp_path_factory.mktemp("film") / "test-01.mp4")


def test_film_has_a_picture_for_each_frame_of_its_clip(made: Path) -> None:
    with av.open(made) as opened:
        frames = list(opened.decode(video=0))
    assert len(frames) == 30
    width, height = film_picture.fitted((48, 64))
    above = film_picture.HEADER + film_picture.KEY + film_picture.CURVE
    assert (frames[0].width, frames[0].height) == (film_picture.WIDTH, above + height) and width < film_picture.WIDTH
    pictures = [frame.to_ndarray(format="rgb24").astype(int) for frame in frames]
    assert all((np.abs(a - b) > 60).any() for a, b in pairwise(pictures))


def test_film_plays_in_a_browser(made: Path, browser: Browser) -> None:
    page_file = made.with_suffix(".html")
    page_file.write_text(f"<!doctype html><video muted src='{made.name}'></video>")
    context = browser.new_context(offline=True)
    page = context.new_page()
    page.goto(page_file.as_uri())
    video = "document.querySelector('video')"
    page.wait_for_function(f"{video}.readyState >= 2 || {video}.error")
    assert page.evaluate(f"{video}.error && {video}.error.message") is None
    assert page.evaluate(f"{video}.duration") == pytest.approx(30 / film.RATE, abs=0.01)
    assert page.evaluate(f"{video}.videoWidth") == film_picture.WIDTH
    page.evaluate(f"{video}.play()")
    page.wait_for_function(f"{video}.currentTime > 0.2 && {video}.getVideoPlaybackQuality().totalVideoFrames > 2")
    context.close()


def test_what_can_not_be_filmed_is_said_in_one_line_and_leaves_nothing(inside: Clone) -> None:
    printed = inside.run("python", "-m", "reports.film", "01", "7", fails=True)
    assert printed == "7: no such test clip; there are 01, 02, 03\n"
    printed = inside.run("python", "-m", "reports.film", "01", "--split", "validation", fails=True)
    assert printed.startswith("01: no such validation clip; there are ") and printed.count("\n") == 1
    for path in film.NEEDED:
        hidden = path.rename(path.with_suffix(".hidden"))
        with pytest.raises(VadError, match=f"^{path}: no such file; make it with `dvc repro`$"):
            film.make("test", ["01"])
        hidden.rename(path)
    assert list(film.FILMS.glob("*")) == []


def test_every_clip_is_filmed_where_none_is_named_labels_or_not(
    inside: Clone, capsys: pytest.CaptureFixture[str]
) -> None:
    labelled = content.LABELLED
    table = pd.read_csv(labelled, dtype={"video": str})
    labelled.unlink()  # never through the link into DVC's cache
    table[table["split"] != "test"].to_csv(labelled, index=False)
    film.make("test", [])
    assert [line.split(",")[0] for line in capsys.readouterr().out.splitlines()] == [
        f"metrics/films/test-0{clip}.mp4: 30 frames" for clip in (1, 2, 3)
    ]
    frames = content.read_frames()
    assert film.story(frames[frames["split"] == "test"], "01", params.load(PARAMS)).labels is None


def test_heat_of_a_flipped_frame_follows_the_score(inside: Clone) -> None:
    heat = film.Heat(params.load(PARAMS))
    upright, flipped = (heat.map("test", "01", 5, flipped) for flipped in (False, True))
    assert heat.turned and (flipped == upright[::-1]).all()
    inside.set(tta=["identity"])
    assert not film.Heat(params.load(PARAMS)).turned  # that score does change when a frame is flipped


def test_heat_of_motion_lies_where_something_moves_too_fast(inside: Clone) -> None:
    inside.set(**{"aggregate.weights": {"change_local": 1.0, "flow_local": 1.0}})
    heat = film.Heat(params.load(PARAMS))
    running, standing = (heat.map("test", "01", number, False) for number in (16, 6))
    assert running.max() > standing.max() and running.max() > 1


def test_page_links_to_the_films_that_are_there_and_says_which_are_of_other_scores(inside: Clone) -> None:
    film.make("test", ["02"])

    def links() -> list[dict[str, object] | None]:
        return [clip["film"] for clip in report.collect("HEAD")["parts"]["benchmark"]["clips"]]

    assert links() == [None, {"address": "films/test-02.mp4", "outdated": False}, None]
    for path in (content.SCORES, content.LABELLED):
        table = pd.read_csv(path, dtype={"video": str})
        path.unlink()
        table.assign(score=table["score"] + 1).to_csv(path, index=False)
    assert links() == [None, {"address": "films/test-02.mp4", "outdated": True}, None]
    rows = content.read_frames().query("split == 'test' and video == '02'")
    assert film.link(rows, Path())["address"] == "metrics/films/test-02.mp4"
    assert film.link(rows, Path("metrics/plots")) is None  # no way out of the page's folder is told


def test_report_needs_nothing_that_films_are_made_with() -> None:
    code = "import sys, reports.report; print('av' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], cwd=TOP, text=True).strip() == "False"
