"""Fetch: the data source -> a manifest of its clips; the sample is made here, other clips stay where they are."""

import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

from competition.download import download
from stages import PARAMS, run
from vad import VadError, params, registry
from vad.data import inventory, sources
from vad.storage import archives, files
from vad.storage.progress import parallel, progress

KAGGLE_INPUT = Path(os.environ.get("VAD_KAGGLE_INPUT", "/kaggle/input/pixel-play-26"))
"""Where the competition's files lie on Kaggle's own machines."""
MANIFEST, IGNORED, SAMPLE_SUBMISSION = "manifest.json", "ignored.json", "sample_submission.csv"
MADE, UNPACKED = "sample", "unpacked"
LABELS, MASKS, README = ("labels.csv", "corruption.csv"), "masks", "README.md"


def main(raw: Path, labels: Path) -> None:
    """Write manifest.json into `raw`, with the made or unpacked clips, and into `labels` what comes with them, unread.

    The manifest has, by split, each clip's name, its path and a digest of its content; ignored.json has, by reason, the
    number of files that are not used. Raises VadError for clips that are missing, damaged, or both in training and in
    test, and for what must not lie among clips.
    """
    data = params.load(PARAMS).data
    clear(raw, labels)
    source = registry.SOURCES[data.source]
    root = registry.load(source.locate)(data, raw)
    listing = inventory.look(root)
    dataset = sources.find_dataset(root) or root
    splits, hashes = {}, {}
    for split, names in (("training", sources.TRAINING), ("testing", sources.TESTING)):
        clips = sources.find_clips(sources.find_split(dataset, names))
        digests = list(progress(parallel(sources.digest, clips), f"reading {split}", len(clips)))
        splits[split] = [
            replace(clip, digest=digest.clip, contents=tuple(digest.files.tolist()))
            for clip, digest in zip(clips, digests, strict=True)
        ]
        hashes[split] = [(clip, digest.files) for clip, digest in zip(clips, digests, strict=True)]
    sources.refuse_shared(hashes["training"], hashes["testing"])
    inventory.refuse_changed(listing, inventory.look(root))
    sources.write_manifest(raw / MANIFEST, splits)
    tell_ignored(data, raw, root, listing, splits)
    if folder := sources.shallowest(root, lambda folder: (folder / SAMPLE_SUBMISSION).is_file()):
        files.copy(folder / SAMPLE_SUBMISSION, raw / SAMPLE_SUBMISSION)
    if source.labels:
        keep_labels(root, dataset, labels, made=not source.reads)
    if not any(labels.iterdir()):  # DVC warns of an empty folder
        files.write_text(labels / README, "No labels came with these clips. Those from elsewhere go into data/truth.\n")


def clear(raw: Path, labels: Path) -> None:
    """Empty the two folders. DVC leaves them alone, because only this stage knows which files it has made.

    Raises VadError, before anything is removed, for a file of somebody else's.
    """
    for folder, own, home in (
        (raw, {MANIFEST, IGNORED, SAMPLE_SUBMISSION, MADE, UNPACKED}, "data/external"),
        # Without a manifest this stage has not run: the labels are the user's.
        (labels, {*LABELS, MASKS, README} if (raw / MANIFEST).exists() else set(), "data/truth"),
    ):
        for path in sorted(folder.iterdir()) if folder.is_dir() else []:
            if path.name not in own and not files.is_temporary(path):
                raise VadError(f"{path}: not made by the pipeline, which empties {folder}; move it to {home}")
    for folder in (labels, raw):  # in this order: labels never lie there without a manifest
        folder.mkdir(parents=True, exist_ok=True)  # its content goes, not the folder: a disk may be mounted there
        for path in sorted(folder.iterdir()):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def make_sample(data: params.Data, raw: Path) -> Path:
    """The built-in sample, made here."""
    from vad.synthetic import sample

    sample.make_sample(raw / MADE, data.sample_seed, progress)
    return raw / MADE


def competition(data: params.Data, raw: Path) -> Path:
    """The competition's clips: what lies in `data.root`, Kaggle's own folder of them, or else a download."""
    if not _contents(data.root):
        if KAGGLE_INPUT.is_dir():
            return KAGGLE_INPUT
        if "KAGGLE_KERNEL_RUN_TYPE" in os.environ:
            raise VadError(f"{KAGGLE_INPUT}: no such folder; add the competition's data to the notebook's input")
        download(data.root)
    return given(data, raw)


def given(data: params.Data, raw: Path) -> Path:
    """The clips in `data.root` where they lie, or what its zips hold, unpacked."""
    root = data.root
    listing = inventory.look(root)
    zips = [root] if root.is_file() else [] if sources.find_dataset(root) else _zips(root)
    if not zips:
        return root
    for path in zips:
        archives.unpack(path, raw / UNPACKED / path.stem)
    inventory.refuse_changed(listing, inventory.look(root))
    return raw / UNPACKED


def _zips(root: Path) -> list[Path]:
    return [path for path in _contents(root) if path.suffix.lower() == ".zip"]


def _contents(root: Path) -> list[Path]:
    """What lies in `data.root`, the project's own README aside."""
    if not root.is_dir():
        return [root]
    return sorted(path for path in root.iterdir() if not path.name.startswith(".") and path.name != "README.md")


def tell_ignored(
    data: params.Data, raw: Path, root: Path, listing: inventory.Listing, splits: dict[str, list[sources.Source]]
) -> None:
    """Say what of the data is not used, on the screen and in data/raw."""
    used = sources.used([clip for clips in splits.values() for clip in clips])
    places = {clip.path.parent for clips in splits.values() for clip in clips}
    found = inventory.ignored(root, listing, used, places)
    if root == raw / UNPACKED and data.root.is_dir():
        beside = inventory.look(data.root)
        found |= inventory.ignored(data.root, beside, set(_zips(data.root)), None)
    inventory.write_ignored(raw / IGNORED, found)
    if found:
        print(inventory.told(root, found), file=sys.stderr)


def keep_labels(root: Path, dataset: Path, labels: Path, made: bool) -> None:
    """Copy the labels that come with the clips, or move those that were made with them; unread: see `evaluate`."""
    keep = shutil.move if made else files.copy
    for name in LABELS:
        if (dataset / name).is_file():
            keep(dataset / name, labels / name)
    if masks := sources.shallowest(root, lambda folder: folder.name == sources.MASKS):
        for mask in sorted(masks.glob("*.mat")):
            files.copy(mask, labels / MASKS / mask.name)


if __name__ == "__main__":
    run(main)
