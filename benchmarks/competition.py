"""What a recipe costs at the competition's size: 9,204 training frames in 16 clips, 11,706 test frames in 21.

    python -m benchmarks.competition pixel-play-26.zip --recipe best --set data.folds=8

The archive, of JPEGs, has fewer frames: each clip here plays one of its clips forth and back, from a place of its own,
with a comment in every JPEG, so that no two clips share a frame and each may have a fold of its own. The stages of
dvc.yaml run one after the other, each in a process of its own, in a temporary folder. Prints a table in Markdown.
"""

import argparse
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from benchmarks import page, scale
from experiments import markdown, recipe
from project import workspaces
from vad import VadError
from vad.data import sources
from vad.storage import archives

SIZES = {"training": (16, 9_204), "testing": (21, 11_706)}
"""Split -> clips and frames."""


def lengths(clips: int, frames: int) -> list[int]:
    """Frames of each clip, as equal as can be."""
    return [frames // clips + (number < frames % clips) for number in range(clips)]


def jpegs(clip: sources.Source) -> list[Path]:
    """The images of a clip by number. Raises VadError for a clip that is no folder of JPEGs."""
    images = [clip.file(number) for number in clip.images or ()]
    if not images or any(image.suffix.lower() not in (".jpg", ".jpeg") for image in images):
        raise VadError(f"{clip.path}: this benchmark takes clips of JPEG files; give it the competition's archive")
    return images


def forth_and_back(images: list[Path], start: int, length: int) -> list[Path]:
    """So many images from a place on, turning round at both ends."""
    round_trip = images + images[-2:0:-1]
    return [round_trip[(start + place) % len(round_trip)] for place in range(length)]


def with_comment(jpeg: bytes, comment: str) -> bytes:
    """The same picture in other bytes: a comment segment after the start of the image (ITU-T T.81, B.2.4.5)."""
    text = comment.encode()
    return jpeg[:2] + b"\xff\xfe" + (len(text) + 2).to_bytes(2, "big") + text + jpeg[2:]


def make_clips(dataset: Path, root: Path, sizes: Mapping[str, tuple[int, int]]) -> None:
    """Write clips of the competition's number and length into `root`, made of the frames of `dataset`."""
    for (split, size), names in zip(sizes.items(), (sources.TRAINING, sources.TESTING), strict=True):
        found = sources.find_clips(sources.find_split(dataset, names))
        for number, length in enumerate(lengths(*size)):
            images = jpegs(found[number % len(found)])
            folder = root / split / f"{number + 1:02d}"
            folder.mkdir(parents=True)
            for place, image in enumerate(forth_and_back(images, 17 * number, length)):
                (folder / f"frame_{place:05d}.jpg").write_bytes(with_comment(image.read_bytes(), folder.name))


def costs(folder: Path, settings: Mapping[str, Any]) -> dict[str, scale.Cost]:
    """Stage of dvc.yaml -> what it takes, in a folder that has `clips`."""
    values = yaml.safe_load((page.TOP / "params.yaml").read_text(encoding="utf-8"))
    workspaces.put(values, {**settings, "data.source": "folder", "data.root": "clips"})
    (folder / "params.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    for name in ("models", "metrics/plots", "data/truth", "data/given"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    stages = yaml.safe_load((page.TOP / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    return {stage: scale.run(scale.command(stage), folder) for stage in stages}


def main(archive: Path, name: str, changes: Mapping[str, Any]) -> str:
    """The table. Raises VadError for a recipe that is not there, or an archive without clips."""
    known = recipe.recipes()
    if name not in known:
        raise VadError(f"{name}: no such recipe; experiments/recipes.yaml has {', '.join(known)}")
    with tempfile.TemporaryDirectory() as temporary:
        dataset = sources.find_dataset(archives.unpack(archive, Path(temporary) / "unpacked"))
        if dataset is None:
            raise VadError(f"{archive}: no training and testing clips in it")
        folder = Path(temporary) / "folder"
        make_clips(dataset, folder / "clips", SIZES)
        found = costs(folder, {**known[name].set, **changes})
    rows = [
        [stage, f"{cost.seconds:.0f}", f"{cost.processor:.0f}", f"{cost.megabytes:.0f}"]
        for stage, cost in found.items()
        if cost.seconds >= 1
    ]
    whole = [f"{sum(getattr(cost, what) for cost in found.values()) / 60:.1f} min" for what in ("seconds", "processor")]
    rows.append(["together", *whole, f"{max(cost.megabytes for cost in found.values()):.0f}"])
    return f"{page.machine()}\n\n" + markdown.table(["stage", "seconds", "of the processor", "MB at the peak"], rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=Path)
    parser.add_argument("--recipe", default="best")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    given = parser.parse_args()
    changes = dict(change.split("=", 1) for change in given.set)
    try:
        print(main(given.archive, given.recipe, {key: yaml.safe_load(value) for key, value in changes.items()}))
    except VadError as error:
        sys.exit(str(error))
