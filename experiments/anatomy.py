"""The anatomy of an alarm: which component raised it and where in the frame.

    python -m experiments.anatomy maps docs/images/maps.png test/04/100 test/01/60
    python -m experiments.anatomy timelines docs/images/timelines.png 01 04 101

`maps` draws frames, repaired as `repair` in params.yaml says, with the heat map of every motion component beside them.
`timelines` draws, for test clips, every component with a weight, calibrated, on top of each other. Both read what the
pipeline of this folder left: data/frames, data/components, data/diagnosis.csv and data/labelled_scores.csv.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pandas as pd

from stages import PARAMS
from vad import VadError, clips, figures, files, motion, params, ranking, repair, tables

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

FRAMES, COMPONENTS, DIAGNOSIS = Path("data/frames"), Path("data/components"), Path("data/diagnosis.csv")
LABELLED = Path("data/labelled_scores.csv")


def pair(clip: clips.Clip, number: int, size: motion.Size) -> motion.Pair:
    """A frame of a clip by its number, with the one before it, or after it where it is the first."""
    place = int(np.searchsorted(clip.numbers, number))
    if place == len(clip) or clip.numbers[place] != number:
        raise VadError(f"{clip.path}: frame {number} is not in the clip")
    first, second = clip.numbers[max(place, 1) - 1], clip.numbers[max(place, 1)]
    before, image = (motion.scaled(motion.luma(clip, int(n)), size) for n in (first, second))
    return motion.Pair(before, image, int(second - first))


def draw_maps(path: Path, frames: Sequence[str]) -> None:
    """Draw each frame and the maps of its motion components, a row a frame, a column's maps on one scale."""
    settings = params.load(PARAMS)
    diagnosed = tables.read_csv(DIAGNOSIS, repair.COLUMNS)
    normality = motion.Normality(clips.open_zips(FRAMES / "train"), params.MOTION)
    looked = []
    for name in frames:
        split, video, number = name.split("/")
        stored = clips.open_zip(FRAMES / split / f"{video}.zip")
        undo, found = settings.repair, repair.found_in(diagnosed, split, stored)
        clip = repair.repaired(stored, found, unflip=undo.unflip, denoise=undo.denoise != "none")
        maps = normality.maps(pair(clip, int(number), normality.size))
        # As `local` pools them: blocks, in units of what is usual at that place.
        strange = {name: normality.places[name].strangeness(cells) for name, cells in maps.items()}
        looked.append((f"clip {video}, frame {number}", clip.frame(int(number)), strange))
    figure, axes = plt.subplots(
        len(frames), 1 + len(params.MOTION), figsize=(11.5, 1.75 * len(frames) + 0.3), squeeze=False
    )
    highest = {name: max(float(maps[name].max()) for *_, maps in looked) for name in params.MOTION}
    for row, (title, image, maps) in zip(axes, looked, strict=True):
        row[0].imshow(image)
        row[0].set_title(title, fontsize=8)
        for axis, (name, cells) in zip(row[1:], maps.items(), strict=True):
            large = cv2.resize(cells, image.shape[1::-1], interpolation=cv2.INTER_NEAREST)
            axis.imshow(large, cmap="magma", vmin=0, vmax=highest[name])
            axis.set_title(f"{name}, at most {cells.max():.1f}", fontsize=8)
        for axis in row:
            axis.axis("off")
    figure.tight_layout()
    _save(path)


def parts(settings: params.Params) -> pd.DataFrame:
    """What each weighted component adds to the score of every frame: keys, then a column a component (T,)."""
    diagnosed = tables.read_csv(DIAGNOSIS, [*tables.KEYS, ranking.STATIC, *params.MEASURED])
    families = [tables.read_components(COMPONENTS / f"{name}.npz") for name in tables.FAMILIES]
    table = ranking.with_diagnosis(tables.join(families), diagnosed)
    result = table[tables.KEYS].copy()
    for name, weight in settings.aggregate.weights.items():
        if weight:
            views = [ranking.component(table, name, view, settings.repair.unflip) for view in settings.tta]
            values = np.mean(views, axis=0)
            if settings.repair.interpolate:
                values = ranking.interpolate(values, table, of_two_frames=name in ranking.OF_TWO_FRAMES)
            result[name] = weight * ranking.normalise(values, table, "calibrated")
    return result


def draw_timelines(path: Path, videos: Sequence[str]) -> None:
    """Draw what each component adds, above the normal, over the frame numbers of test clips; the truth is shaded."""
    table = parts(params.load(PARAMS))
    labelled = tables.read_csv(LABELLED, [*tables.KEYS, "label"])
    table = table[table["split"] == "test"].merge(labelled[[*tables.KEYS, "label"]], on=tables.KEYS, how="left")
    figure, axes = plt.subplots(
        len(videos), 1, figsize=(9, 1.6 * len(videos) + 0.6), squeeze=False, sharex=True, sharey=True
    )
    for axis, video in zip(axes.flat, videos, strict=True):
        clip = table[table["video"] == video].sort_values("frame")
        if clip.empty:
            raise VadError(f"{video}: no such test clip; there are {', '.join(sorted(set(table['video'])))}")
        _stack(axis, clip)
        axis.set_title(f"clip {video}", fontsize=8, loc="left", pad=2)
    axes.flat[0].legend(fontsize=7, loc="upper right", ncols=4)
    figure.supxlabel("frame number", fontsize=8)
    figure.supylabel("standard deviations of normal frames, summed", fontsize=8)
    figure.tight_layout()
    _save(path)


def _stack(axis: Axes, clip: pd.DataFrame) -> None:
    frames = clip["frame"].to_numpy()
    names = [str(name) for name in clip if name not in (*tables.KEYS, "label")]
    colours = plt.get_cmap("viridis")(np.linspace(0, 0.95, len(names)))
    axis.stackplot(frames, *(clip[name].clip(lower=0) for name in names), labels=names, colors=colours)
    axis.fill_between(
        frames, 0, 1, where=clip["label"] == 1, step="mid", color=figures.ANOMALOUS, alpha=0.25, linewidth=0,
        transform=axis.get_xaxis_transform(), label="anomalous", zorder=0,
    )  # fmt: skip
    axis.set_yscale("symlog", linthresh=10)
    axis.tick_params(labelsize=7)


def _save(path: Path) -> None:
    with files.replacing(path) as temporary:
        plt.savefig(temporary, dpi=90, metadata={"Software": None})
    plt.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["maps", "timelines"])
    parser.add_argument("picture", type=Path)
    parser.add_argument("of", nargs="+", metavar="SPLIT/CLIP/NUMBER or CLIP")
    arguments = parser.parse_args()
    try:
        {"maps": draw_maps, "timelines": draw_timelines}[arguments.what](arguments.picture, arguments.of)
    except VadError as error:
        sys.exit(str(error))
