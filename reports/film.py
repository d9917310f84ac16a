"""Films: videos that show what the pipeline found in each clip.

    python -m reports.film                       # every test clip: metrics/films/test-01.mp4 and so on
    python -m reports.film 04 --split validation

Each shows the frames, the heat of the score's components over them, the score over time with the truth where it is
known, and what `diagnose` found. Reads what the pipeline of this folder left.
"""

import argparse
import hashlib
import sys
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import cv2
import numpy as np
import pandas as pd

from reports import component_maps, content, film_curve, film_picture
from stages import PARAMS
from vad import VadError, params, registry
from vad.evaluation import plots
from vad.scoring import fusion
from vad.storage.progress import parallel, progress

FILMS = Path("metrics/films")
SPLITS = ("test", "validation")
RATE = 12
"""Frames a second: half the speed of a camera, so that one sees what happens."""
ERROR = component_maps.ERROR
NEEDED = [content.SCORES, content.LABELLED, content.DIAGNOSIS]


class Heat:
    """Where the weighted components find a frame unusual, combined by their weights."""

    def __init__(self, settings: params.Params) -> None:
        """Learns what is usual anew, which takes a while."""
        self.weights = weights(settings)
        self.unflip = settings.repair.unflip
        self.maps = component_maps.Maps(settings, self.weights.keys() - {ERROR})
        # The mean over views that a flip only permutes is that of the upright frame, so the heat is as well.
        self.turned = {fusion.UPRIGHT[view] for view in settings.tta} == set(settings.tta)
        undo = settings.repair.model_copy(update={"unflip": self.unflip or self.turned})
        upright = settings.model_copy(update={"repair": undo})
        self.errors = component_maps.Maps(upright, self.weights.keys() & {ERROR})

    def frame(self, split: str, clip: str, number: int) -> np.ndarray:
        """A frame (H, W, 3) uint8 as the components saw it: repaired where `repair` says so."""
        return self.maps.frame(split, clip, number)

    def map(self, split: str, clip: str, number: int, flipped: bool) -> np.ndarray:
        """The heat (h, w) over that frame, 1 being about the largest that is usual. `flipped`: found to be."""
        found = dict(self.maps.maps(split, clip, number))
        for name, cells in self.errors.maps(split, clip, number).items():
            found[name] = cells[::-1] if flipped and self.turned and not self.unflip else cells
        return combined(found, self.weights)


def weights(settings: params.Params) -> dict[str, float]:
    """Name of a map that the score is made of -> its weight: that of its components, summed.

    Components that have no map, such as those of the diagnosis, are left out.
    """
    found: dict[str, float] = {}
    for component, weight in settings.aggregate.weights.items():
        family = registry.COMPONENTS[component]
        name = ERROR if family.name == ERROR else family.components()[component]
        # `change` is a map of motion, and a component of the diagnosis, which has no pools.
        mapped = name == ERROR or (bool(family.pools) and name in component_maps.MAPPED)
        if weight and mapped:
            found[name] = found.get(name, 0.0) + weight
    return found


def combined(maps: dict[str, np.ndarray], weights: dict[str, float]) -> np.ndarray:
    """The weighted mean of maps (h, w), which may differ in size -> a map as large as the largest; of none, no heat."""
    if not maps:
        return np.zeros((1, 1), np.float32)
    height, width = max((cells.shape for cells in maps.values()), key=lambda shape: shape[0] * shape[1])
    total = np.zeros((height, width), np.float32)
    for name, cells in maps.items():
        total += weights[name] * cv2.resize(cells.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    return total / sum(weights[name] for name in maps)


def path_of(split: str, clip: str) -> Path:
    """Where the film of a clip lies."""
    return FILMS / f"{split}-{clip}.mp4"


def link(rows: pd.DataFrame, folder: Path) -> dict[str, Any] | None:
    """The film of a clip, for a page in `folder`: its `address` from there; whether it is `outdated`, of other scores.

    `rows` are the clip's of `content.read_frames`. None where there is no film, or it lies outside the folder: the
    address would tell where things are on this machine.
    """
    ((split, clip),) = set(rows[["split", "video"]].itertuples(index=False, name=None))
    path = path_of(split, clip)
    if not path.is_file() or not path.resolve().is_relative_to(folder.resolve()):
        return None
    # Here and below: a report takes no PyAV where there are no films, and Kaggle's image lacks it.
    from vad.storage import video

    address = quote(path.resolve().relative_to(folder.resolve()).as_posix())
    return {"address": address, "outdated": video.read_comment(path) != stamp(rows)}


def stamp(rows: pd.DataFrame) -> str:
    """A digest of what a film shows of a clip's frames, rows of `content.read_frames`: kept in the film."""
    text = rows.sort_values("frame").to_csv(index=False, columns=sorted(rows.columns))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def story(frames: pd.DataFrame, clip: str, settings: params.Params) -> film_curve.Story:
    """What the film of a clip tells, from the scored frames of its split."""
    ranks = frames["score"].rank(ascending=False, method="min").astype(int)
    low, high = plots.score_axis(frames["score"].to_numpy())
    rows = frames.assign(rank=ranks)[frames["video"] == clip].sort_values("frame")
    (split,) = rows["split"].unique()
    undo = settings.repair
    says = {
        "flipped": ("flipped", "flipped, shown upright" if undo.unflip else "flipped", plots.FLIPPED),
        "noisy": ("noisy", "noisy, shown cleaned" if undo.denoise != "none" else "noisy", plots.BOTH),
        "frozen": ("frozen", "frozen", plots.NORMAL),
    }
    return film_curve.Story(
        title=f"{split.capitalize()} clip {clip}",
        numbers=rows["frame"].to_numpy(np.int64),
        scores=rows["score"].to_numpy(np.float64),
        ranks=rows["rank"].to_numpy(),
        ranked=len(frames),
        labels=rows["label"].to_numpy(int) if content.labelled(rows) else None,
        kinds=rows["kind"].str.replace("_", " ").tolist(),
        marks=[
            film_curve.Mark(name, f"found: {text}", colour, rows[column].to_numpy() == 1)
            for column, (name, text, colour) in says.items()
        ],
        low=low,
        high=high,
        heat=" + ".join("autoencoder's error" if name == ERROR else name for name in weights(settings)),
    )


def pictures(frames: pd.DataFrame, clip: str, settings: params.Params, heat: Heat) -> Iterator[np.ndarray]:
    """The pictures of a clip's film, one a frame, from the scored frames of its split."""
    told = story(frames, clip, settings)
    (split,) = frames["split"].unique()
    numbers = told.numbers.tolist()
    (flipped,) = (mark.frames for mark in told.marks if mark.name == "flipped")
    shared = film_picture.sheet(told, heat.frame(split, clip, numbers[0]).shape)
    heat.map(split, clip, numbers[0], False)  # networks look at the whole clip at once, and threads at what they saw

    def picture(place: int) -> np.ndarray:
        key = split, clip, numbers[place]
        return film_picture.compose(told, shared, place, heat.frame(*key), heat.map(*key, bool(flipped[place])))

    return parallel(picture, range(len(numbers)))


def make(split: str, clips: Collection[str]) -> None:
    """Write the films of the named clips of a split, or of all, and print a line for each.

    Raises VadError when a clip is unknown or an output of the pipeline is missing.
    """
    from vad.storage import video

    content.require(NEEDED)
    every = content.read_frames()
    frames = every[every["split"] == split]
    known = sorted(set(frames["video"]))
    unknown = [clip for clip in clips if clip not in known]
    if unknown:
        raise VadError(f"{', '.join(unknown)}: no such {split} clip; there are {', '.join(known)}")
    settings = params.load(PARAMS)
    heat = Heat(settings)
    for clip in clips or known:
        start = time.perf_counter()
        path = path_of(split, clip)
        rows = frames[frames["video"] == clip]
        shown = progress(pictures(frames, clip, settings, heat), f"filming {clip}", len(rows))
        count = video.write(path, shown, RATE, stamp(rows))
        size, took = path.stat().st_size / 1e6, time.perf_counter() - start
        print(f"{path}: {count} frames, {size:.1f} MB, {took:.1f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="*", metavar="CLIP", help="its name; every clip where none is given")
    parser.add_argument("--split", choices=SPLITS, default=SPLITS[0], help="whose clips, test if not given")
    arguments = parser.parse_args()
    try:
        make(arguments.split, arguments.clips)
    except VadError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
