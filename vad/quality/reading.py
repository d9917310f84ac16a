"""Clips as components see them: at full size or resized, repaired as `repair` in params.yaml says."""

from pathlib import Path

from vad.data import clips
from vad.params import Repair
from vad.quality import repair


def at_full_size(
    frames: Path, validation: Path, split: str, diagnosis: repair.Diagnosis, undo: Repair
) -> list[clips.Clip]:
    """The zipped clips of a split, turned upright and cleaned of noise where `undo` says so.

    `frames` holds a folder a split, `validation` the clips of validation in its folder `clips`. Raises VadError for a
    frame that was not diagnosed.
    """
    denoise = undo.denoise != "none"
    return [
        repair.repaired(clip, diagnosis.of(split, clip), unflip=undo.unflip, denoise=denoise)
        for clip in clips.open_zips(clips.folder_of(frames, validation, split))
    ]


def resized(folder: Path, split: str, diagnosis: repair.Diagnosis, undo: Repair) -> list[clips.Clip]:
    """The resized clips of a split in `folder`, turned upright where `undo` says so: they are cleaned already.

    Raises VadError for a frame that was not diagnosed.
    """
    return [
        repair.repaired(clip, diagnosis.of(split, clip), unflip=undo.unflip)
        for clip in clips.open_resized(folder, split)
    ]
