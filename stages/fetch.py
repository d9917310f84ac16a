"""Fetch: the data source -> a manifest of its clips; the sample is made here, other clips stay where they are."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

from competition.download import download
from stages import PARAMS, run
from vad import VadError, params, registry
from vad.data import sources
from vad.storage import archives, files
from vad.storage.progress import parallel, progress

KAGGLE_INPUT = Path(os.environ.get("VAD_KAGGLE_INPUT", "/kaggle/input/pixel-play-26"))
"""Where the competition's files lie on Kaggle's own machines."""
MANIFEST, SAMPLE_SUBMISSION = "manifest.json", "sample_submission.csv"
MADE, UNPACKED = "sample", "unpacked"
LABELS, MASKS = ("labels.csv", "corruption.csv"), "masks"


def main(raw: Path, labels: Path) -> None:
    """Write manifest.json into `raw`, with the made or unpacked clips, and into `labels` what comes with them, unread.

    The manifest has, by split, each clip's name, path and digest of its content. Raises VadError for clips that are
    missing, damaged, or on both sides.
    """
    data = params.load(PARAMS).data
    clear(raw, labels)
    source = registry.SOURCES[data.source]
    root = registry.load(source.locate)(data, raw)
    dataset = sources.find_dataset(root) or root
    splits, hashes = {}, {}
    for split, names in (("training", sources.TRAINING), ("testing", sources.TESTING)):
        clips = sources.find_clips(sources.find_split(dataset, names))
        digests = list(progress(parallel(sources.digest, clips), f"reading {split}", len(clips)))
        splits[split] = [replace(clip, digest=digest.clip) for clip, digest in zip(clips, digests, strict=True)]
        hashes[split] = [(clip, digest.files) for clip, digest in zip(clips, digests, strict=True)]
    sources.refuse_shared(hashes["training"], hashes["testing"])
    sources.write_manifest(raw / MANIFEST, splits)
    if folder := sources.shallowest(root, lambda folder: (folder / SAMPLE_SUBMISSION).is_file()):
        files.copy(folder / SAMPLE_SUBMISSION, raw / SAMPLE_SUBMISSION)
    if source.labels:
        keep_labels(root, dataset, labels, made=not source.reads)


def clear(raw: Path, labels: Path) -> None:
    """Empty the two folders, which DVC leaves alone: here is known what this stage has made.

    Raises VadError, before anything is removed, for a file of somebody else's.
    """
    for folder, own, home in (
        (raw, {MANIFEST, SAMPLE_SUBMISSION, MADE, UNPACKED}, "data/external"),
        # Without a manifest this stage has not run: the labels are the user's.
        (labels, {*LABELS, MASKS} if (raw / MANIFEST).exists() else set(), "data/truth"),
    ):
        for path in sorted(folder.iterdir()) if folder.is_dir() else []:
            if path.name not in own:
                raise VadError(f"{path}: not made by the pipeline, which empties {folder}; move it to {home}")
    for folder in (labels, raw):  # in this order: labels never lie there without a manifest
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)


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
    if root.is_file():
        zips = [root]
    elif sources.find_dataset(root):
        return root
    else:
        zips = [path for path in _contents(root) if path.suffix.lower() == ".zip"]
    if not zips:
        return root
    for path in zips:
        archives.unpack(path, raw / UNPACKED / path.stem)
    return raw / UNPACKED


def _contents(root: Path) -> list[Path]:
    """What lies in `data.root`, the project's own README aside."""
    if not root.is_dir():
        return [root]
    return sorted(path for path in root.iterdir() if not path.name.startswith(".") and path.name != "README.md")


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
