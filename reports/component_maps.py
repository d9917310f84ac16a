"""Component maps: which component raised an alarm, and where in the frame.

    python -m reports.component_maps maps docs/images/maps.png test/04/100 validation/05-1/60
    python -m reports.component_maps timelines docs/images/timelines.png 01 04 101

`maps` draws frames, repaired as `repair` in params.yaml says, with the heat map of every component that has one beside
them: those of motion, and of the predictor and the memory where they are enabled. `timelines` draws, for test clips,
every component with a weight, calibrated, on top of each other. Both read what the pipeline of this folder left.
"""

import argparse
import sys
from collections.abc import Callable, Collection, Sequence
from functools import cache, partial
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pandas as pd

from stages import PARAMS
from vad import VadError, params, registry
from vad.components import memory, motion, out_of_fold, pairs, pooling, prediction, residual
from vad.data import clips
from vad.evaluation import plots
from vad.models import autoencoder, predictor
from vad.quality import diagnosis, repair
from vad.scoring import calibration, fusion
from vad.storage import tables

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

FRAMES, COMPONENTS, DIAGNOSIS = Path("data/frames"), Path("data/components"), Path("data/diagnosis.csv")
VALIDATION, RESIZED = Path("data/validation"), Path("data/resized")
AUTOENCODER = out_of_fold.Weights(Path("models/autoencoder.safetensors"), Path("models/autoencoder_halves"))
PREDICTOR = out_of_fold.Weights(Path("models/predictor.safetensors"), Path("models/predictor_halves"))
LABELLED = Path("data/labelled_scores.csv")
ERROR = "reconstruction"
MAPPED = (*registry.maps("motion"), *registry.maps("prediction"), *registry.maps("memory"), ERROR)
"""All maps of a frame that there may be. The components of the reconstruction share one, the autoencoder's error."""
CALIBRATED = ("calibrated", "calibrated_above")


def pair(clip: clips.Clip, number: int, size: pairs.Size) -> pairs.Pair:
    """A frame of a clip by its number, with the one before it: as `pairs.pairs` has it."""
    place = position(clip, number)
    second = min(max(place, 1), len(clip) - 1)
    numbers = clip.numbers[[max(second - 1, 0), second]].tolist()
    before, image = (pairs.scaled(diagnosis.luma(clip, n), size) for n in numbers)
    return pairs.Pair(before, image, max(1, numbers[1] - numbers[0]))


def position(clip: clips.Clip, number: int) -> int:
    """Where in a clip the frame of that number is. Raises VadError when it is absent."""
    place = int(np.searchsorted(clip.numbers, number))
    if place == len(clip) or clip.numbers[place] != number:
        raise VadError(f"{clip.path}: frame {number} is not in the clip")
    return place


class Maps:
    """How unusual each block of a frame is to each component: in units of what is usual at its place, as in `local`."""

    def __init__(self, settings: params.Params, wanted: Collection[str]) -> None:
        """`wanted` are names of maps; there are those in MAPPED.

        `prediction` and `memory` must be enabled in the settings. What is usual is learned anew, as the stages do.
        """
        self.undo = settings.repair
        self.diagnosed = repair.Diagnosis(tables.read_csv(DIAGNOSIS, repair.COLUMNS))
        moving = tuple(name for name in registry.maps("motion") if name in wanted)
        asked = settings.motion.model_copy(update={"components": moving})
        self.normality = motion.Normality(clips.open_zips(FRAMES / "train"), asked) if moving else None
        names = [name for name in MAPPED if name in wanted and name not in moving]
        folds = out_of_fold.folds_in(RESIZED) if names else {}
        self._small = {
            (split, clip.video): self._upright(split, clip)
            for split in (out_of_fold.scored_splits(folds) if names else ())
            for clip in clips.open_resized(RESIZED, split)
        }
        self._halves = out_of_fold.halves(folds)
        self.of_clip = {name: cache(partial(self._network, name, settings)) for name in names}
        normal = [(split, clip) for (split, _), clip in self._small.items() if split in pooling.NORMAL]
        self.places = {
            name: pooling.PlaceScales([cells for split, clip in normal for cells in self._cells(name, split, clip)])
            for name in names
        }
        self._seen: dict[tuple[str, str, str], list[np.ndarray]] = {}
        self._opened: tuple[tuple[str, str], clips.Clip | None] = (("", ""), None)

    def names(self) -> list[str]:
        """The maps that there are of every frame."""
        return [*(self.normality.places if self.normality else ()), *self.of_clip]

    def frame(self, split: str, video: str, number: int) -> np.ndarray:
        """A frame (H, W, 3) uint8 as the components saw it: repaired. Raises VadError when it is absent."""
        return self._whole(split, video).frame(number)

    def maps(self, split: str, video: str, number: int) -> dict[str, np.ndarray]:
        """Name -> its map (h, w) of a test or validation frame. Raises VadError when the frame is absent."""
        found: dict[str, np.ndarray] = {}
        if self.normality:
            clip = self._whole(split, video)
            background = self.normality.background_of(clip)
            moved = self.normality.maps(pair(clip, number, self.normality.size), background)
            found |= {name: self.normality.places[name].relative_to_place(cells) for name, cells in moved.items()}
        for name in self.of_clip:
            clip = self._small[split, video]
            if (split, video, name) not in self._seen:
                self._seen[split, video, name] = self._cells(name, split, clip)
            cells = self._seen[split, video, name][position(clip, number)]
            found[name] = self.places[name].relative_to_place(cells)
        return found

    def _cells(self, name: str, split: str, clip: clips.Clip) -> list[np.ndarray]:
        return self.of_clip[name](self._halves[split, clip.video])(clip)

    def _network(self, name: str, settings: params.Params, half: int) -> Callable[[clips.Clip], list[np.ndarray]]:
        """What gives the cells of a map for the clips of a half, which had no part in it."""
        encoder, forecaster = AUTOENCODER.of(half), PREDICTOR.of(half)
        if name == "prediction":
            return partial(prediction.cells_of, predictor.load(forecaster), batch_size=settings.predict.batch_size)
        if name == ERROR:
            return partial(residual.cells_of, autoencoder.load(encoder))
        training = clips.open_resized(RESIZED, "train")
        others = [clip for clip in training if half < 0 or self._halves["train", clip.video] != half]
        return partial(memory.cells_of, memory.learned(settings, encoder, forecaster, others))

    def _whole(self, split: str, video: str) -> clips.Clip:
        key, clip = self._opened
        if clip is None or key != (split, video):
            stored = clips.open_zip(clips.folder_of(FRAMES, VALIDATION, split) / f"{video}.zip")
            found = self.diagnosed.of(split, stored)
            clip = repair.repaired(stored, found, unflip=self.undo.unflip, denoise=self.undo.denoise != "none")
            self._opened = (split, video), clip
        return clip

    def _upright(self, split: str, clip: clips.Clip) -> clips.Clip:
        return repair.repaired(clip, self.diagnosed.of(split, clip), unflip=self.undo.unflip)


def draw_maps(path: Path, frames: Sequence[str]) -> None:
    """Draw each frame and the maps of its components, a row a frame, a column's maps on one scale."""
    settings = params.load(PARAMS)
    networks = {"prediction": settings.predict.enabled, "memory": settings.memory.enabled}
    every = Maps(settings, [*settings.motion.components, *(name for name, on in networks.items() if on)])
    looked = []
    for name in frames:
        split, video, number = name.split("/")
        key = split, video, int(number)
        looked.append((f"clip {video}, frame {number}", every.frame(*key), every.maps(*key)))
    figure, axes = plt.subplots(
        len(frames), 1 + len(every.names()), figsize=(11.5, 1.75 * len(frames) + 0.3), squeeze=False
    )
    highest = {name: max(float(maps[name].max()) for *_, maps in looked) for name in every.names()}
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
    plots.save(figure, path, 90)


def parts(settings: params.Params) -> pd.DataFrame:
    """What each weighted component adds to the score of every frame: keys, then a column a component (T,)."""
    table = fusion.read(COMPONENTS, DIAGNOSIS)
    result = table[tables.KEYS].copy()
    for name, weight in settings.aggregate.weights.items():
        if weight:
            views = [fusion.component(table, name, view, settings.repair.unflip) for view in settings.tta]
            values = np.mean(views, axis=0)
            if settings.repair.interpolate:
                values = fusion.interpolate(values, table, registry.frames_back(name, settings))
            how = settings.aggregate.normalise
            result[name] = weight * calibration.normalise(values, table, how if how in CALIBRATED else "calibrated")
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
    plots.save(figure, path, 90)


def _stack(axis: Axes, clip: pd.DataFrame) -> None:
    frames = clip["frame"].to_numpy()
    names = [str(name) for name in clip if name not in (*tables.KEYS, "label")]
    colours = plt.get_cmap("viridis")(np.linspace(0, 0.95, len(names)))
    axis.stackplot(frames, *(clip[name].clip(lower=0) for name in names), labels=names, colors=colours)
    axis.fill_between(
        frames, 0, 1, where=clip["label"] == 1, step="mid", color=plots.ANOMALOUS, alpha=0.25, linewidth=0,
        transform=axis.get_xaxis_transform(), label="anomalous", zorder=0,
    )  # fmt: skip
    axis.set_yscale("symlog", linthresh=10)
    axis.tick_params(labelsize=7)


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
