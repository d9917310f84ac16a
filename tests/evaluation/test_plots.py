"""The timelines of an evaluation show every clip, what is anomalous, and where frames are missing."""

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageColor

from vad.evaluation import plots

LEFT, TOP = plots._GAP[0], 45
WIDTH, HEIGHT = plots._PANEL


def table(
    video: str, scores: list[float], anomalous: tuple[int, ...] = (), missing: tuple[int, ...] = ()
) -> pd.DataFrame:
    numbers = np.arange(len(scores))
    rows = pd.DataFrame({"video": video, "frame": numbers, "score": scores, "label": np.isin(numbers, anomalous) * 1})
    return rows[~np.isin(numbers, missing)]


def colours(path: Path, clip: int = 0) -> np.ndarray:
    """What lies inside the panel of a clip in the first row, (H, W, 3)."""
    left = LEFT + clip * (WIDTH + LEFT) + 1
    return np.asarray(Image.open(path).convert("RGB"))[TOP + 1 : TOP + HEIGHT - 1, left : left + WIDTH - 2].astype(int)


def blue(pixels: np.ndarray) -> np.ndarray:
    """Where the line of the scores is."""
    return pixels[..., 2] - pixels[..., 0] > 40


def test_anomalous_frames_are_shaded_and_no_others(tmp_path: Path) -> None:
    plots.timeline(tmp_path / "a.png", table("01", [0.0, 1.0] * 5, anomalous=(5, 6, 7, 8, 9)), "title")
    shade = ImageColor.getrgb(plots.SHADE)
    shaded = (np.abs(colours(tmp_path / "a.png") - shade).max(-1) < 5).any(0)
    assert not shaded[: WIDTH // 2 - 20].any() and shaded[WIDTH // 2 + 20 : WIDTH - 10].mean() > 0.9


def test_the_line_is_as_high_as_the_score_and_breaks_where_frames_are_missing(tmp_path: Path) -> None:
    falling = [float(value) for value in range(10, 0, -1)]
    plots.timeline(tmp_path / "a.png", table("01", falling, missing=(5, 6)), "title")
    line = blue(colours(tmp_path / "a.png"))
    drawn = line.any(0)
    assert drawn[10:120].all() and not drawn[150:195].any() and drawn[235:285].all()
    heights = line[:, 10:120].argmax(0)
    assert (np.diff(heights) >= 0).all() and heights[-1] - heights[0] > 10


def test_clips_share_the_scale_of_the_scores(tmp_path: Path) -> None:
    low, high = table("01", [1.0] * 9), table("02", [2.0] * 9)
    plots.timeline(tmp_path / "a.png", pd.concat([high, low]), "title")
    first, second = (blue(colours(tmp_path / "a.png", clip)).any(1).argmax() for clip in (0, 1))
    assert first > HEIGHT - 15 and second < 15


def test_without_frames_or_labels_there_is_a_picture_all_the_same(tmp_path: Path) -> None:
    rows = table("01", [1.0, 2.0])
    for name, given in (("none", rows.iloc[:0]), ("single", rows.iloc[:1]), ("unlabelled", rows.drop(columns="label"))):
        plots.timeline(tmp_path / f"{name}.png", given, "title")
        assert Image.open(tmp_path / f"{name}.png").format == "PNG"


def test_a_few_scores_far_above_all_others_do_not_flatten_the_rest() -> None:
    usual = np.linspace(0, 10, 101)
    assert plots.score_axis(usual) == (0, 10)
    assert plots.score_axis(np.append(usual, 40.0)) == (0, 40)
    low, high = plots.score_axis(np.append(usual, [500.0, 20_000.0]))
    assert low == 0 and 100 < high < 130
    assert plots.score_axis(np.array([2.0, 2.0, 2.0, 2.0, 7.0])) == (2, 7)
