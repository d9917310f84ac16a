"""Fetch: the data source -> a manifest of its clips; the sample is made here, other clips stay where they are."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

from competition.download import download
from stages import PARAMS, run
from vad import VadError, params
from vad.data import sources
from vad.storage import archives, files
from vad.storage.progress import parallel, progress

KAGGLE_INPUT = Path(os.environ.get("VAD_KAGGLE_INPUT", "/kaggle/input/pixel-play-26"))
"""Where the competition's files lie on Kaggle's own machines."""
SAMPLE_SUBMISSION = "sample_submission.csv"


def main(raw: Path, labels: Path) -> None:
    data = params.load(PARAMS).data
    for output in (raw, labels):
        shutil.rmtree(output, ignore_errors=True)
        output.mkdir(parents=True)
    root = locate(data, raw)
    dataset = sources.find_dataset(root) or root
    splits, hashes = {}, {}
    for split, names in (("training", sources.TRAINING), ("testing", sources.TESTING)):
        clips = sources.find_clips(sources.find_split(dataset, names))
        digests = list(progress(parallel(sources.digest, clips), f"reading {split}", len(clips)))
        splits[split] = [replace(clip, digest=digest.clip) for clip, digest in zip(clips, digests, strict=True)]
        hashes[split] = [(clip, digest.files) for clip, digest in zip(clips, digests, strict=True)]
    sources.refuse_shared(hashes["training"], hashes["testing"])
    sources.write_manifest(raw / "manifest.json", splits)
    if folder := sources.shallowest(root, lambda folder: (folder / SAMPLE_SUBMISSION).is_file()):
        files.copy(folder / SAMPLE_SUBMISSION, raw / SAMPLE_SUBMISSION)
    keep_labels(data, root, dataset, labels)


def locate(data: params.Data, raw: Path) -> Path:
    """The folder in or below which the clips lie: made, unpacked, or as it was found."""
    if data.source == "sample":
        from vad.synthetic.sample import make_sample

        make_sample(raw / "sample", data.sample_seed, progress)
        return raw / "sample"
    root = data.root
    if data.source == "pixel-play-26" and not _contents(root):
        if KAGGLE_INPUT.is_dir():
            return KAGGLE_INPUT
        if "KAGGLE_KERNEL_RUN_TYPE" in os.environ:
            raise VadError(f"{KAGGLE_INPUT}: no such folder; add the competition's data to the notebook's input")
        download(root)
    if root.is_file():
        zips = [root]
    elif sources.find_dataset(root):
        return root
    else:
        zips = [path for path in _contents(root) if path.suffix.lower() == ".zip"]
    if not zips:
        return root
    for path in zips:
        archives.unpack(path, raw / "unpacked" / path.stem)
    return raw / "unpacked"


def _contents(root: Path) -> list[Path]:
    """What lies in `data.root`, the project's own README aside."""
    if not root.is_dir():
        return [root]
    return sorted(path for path in root.iterdir() if not path.name.startswith(".") and path.name != "README.md")


def keep_labels(data: params.Data, root: Path, dataset: Path, labels: Path) -> None:
    """Move or copy the labels that come with the clips, unread: only `evaluate` opens them."""
    if data.source == "pixel-play-26":
        return
    keep = shutil.move if data.source == "sample" else files.copy
    for name in ("labels.csv", "corruption.csv"):
        if (dataset / name).is_file():
            keep(dataset / name, labels / name)
    if masks := sources.shallowest(root, lambda folder: folder.name == sources.MASKS):
        for mask in sorted(masks.glob("*.mat")):
            files.copy(mask, labels / "masks" / mask.name)


if __name__ == "__main__":
    run(main)
