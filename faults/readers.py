"""Every kind of file that comes from elsewhere, small and sound, and the narrowest reader of it."""

import contextlib
import hashlib
import io
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import pandas as pd
import safetensors.torch
import scipy.io
import torch
from PIL import Image

from faults import damage, stage_runner
from faults.stage_runner import ROOT, TOP, frames
from vad import VadError, params
from vad.data import clips, decode, labels, submission
from vad.data.sources import Source
from vad.models import predictor, saving, weights
from vad.models.checkpoint import Checkpoints
from vad.storage import archives

COUNT = 12
"""Frames of the clips here."""


class WrongRows(Exception):
    """A reader gave another number of rows than the frames that there are."""


class Kind(NamedTuple):
    """A kind of file: how a sound one is written, and what is read from it, as bytes or text to compare.

    `read` raises VadError for what the user must mend. `head` is where mutations fall, in bytes from the start: all of
    the file where it is 0. `text`: mutated bytes stay ASCII. `guarded`: checksums must see whatever changes the result.
    """

    name: str
    write: Callable[[Path], object]
    read: Callable[[Path], object]
    head: int = 0
    text: bool = False
    guarded: bool = False


def scores() -> pd.DataFrame:
    """Scored frames of one clip, to which labels must fit."""
    return pd.DataFrame({"split": "test", "video": "01", "frame": np.arange(COUNT), "score": np.arange(COUNT) / COUNT})


def of(parts: Iterable[object]) -> str:
    """A hash of what was read."""
    state = hashlib.blake2b()
    for part in parts:
        state.update(part if isinstance(part, bytes) else repr(part).encode())
    return state.hexdigest()


def rows(found: int, expected: int) -> None:
    if found != expected:
        raise WrongRows(f"{found} rows of {expected} frames")


def write_image(path: Path) -> None:
    Image.fromarray(frames(1, 1)[0]).save(path)


def read_image(path: Path) -> str:
    image = clips.decode(path.read_bytes(), f"{path}")
    return of([image.size, image.mode, image.tobytes()])


def read_video(path: Path) -> str:
    clip = Source("01", path, None)
    found = list(decode.frames(clip))
    rows(len(found), len(decode.numbers(clip)))
    return of(found)


def marked() -> np.ndarray:
    """A cell array (1, COUNT) of masks (48, 64), some of which mark something."""
    cells = np.empty((1, COUNT), object)
    for number in range(COUNT):
        cells[0, number] = np.zeros((48, 64), np.uint8)
        cells[0, number][5:20, 5:20] = number > 7
    return cells


def write_matlab5(path: Path) -> None:
    scipy.io.savemat(path, {"volLabel": marked()}, do_compression=True)


def write_hdf5(path: Path) -> None:
    """MATLAB 7.3: each cell is a data set, and the array holds references to them."""
    with h5py.File(path, "w", userblock_size=512) as file:
        cells = [
            file.create_dataset(f"cells/{at}", data=mask.T, compression="gzip") for at, mask in enumerate(marked()[0])
        ]
        references = file.create_dataset("volLabel", (COUNT, 1), h5py.ref_dtype)
        for at, cell in enumerate(cells):
            references[at, 0] = cell.ref


def read_mask(path: Path) -> str:
    found = labels.read_masks(path.parent, scores(), whole=True)
    rows(len(found), COUNT)
    return of([found.to_csv()])


def write_labels(path: Path) -> None:
    lines = [f"01,{number},{int(number > 7)},{'running' if number > 7 else ''}" for number in range(COUNT)]
    path.write_text("\n".join(["video,frame,label,kind", *lines, ""]))


def read_labels(path: Path) -> str:
    found = labels.join(scores(), labels.read(path), path)
    rows(len(found), COUNT)
    return of([found.to_csv()])


def write_sample_submission(path: Path) -> None:
    path.write_text("\n".join(["Id,Predicted", *(f"1_{number},0.0" for number in range(COUNT)), ""]))


def read_sample_submission(path: Path) -> str:
    found = submission.build(scores(), path)
    rows(len(found), COUNT)
    return of([found.to_csv()])


def write_archive(path: Path) -> None:
    """The competition's, of few frames."""
    folder = path.parent / "packed"
    for split in ("training", "testing"):
        stage_runner.write_folder(folder / ROOT / split / "01", frames(4, 1))
    (folder / ROOT / "sample_submission.csv").write_text("Id,Predicted\n1_0,0\n")
    damage.pack(folder)
    shutil.move(folder / damage.ARCHIVE, path)
    shutil.rmtree(folder)


def read_archive(path: Path) -> str:
    folder = path.parent / "unpacked"
    shutil.rmtree(folder, ignore_errors=True)
    archives.unpack(path, folder)
    found = sorted(file for file in folder.rglob("*") if file.is_file())
    return of((file.relative_to(folder).as_posix(), file.read_bytes()) for file in found)


def write_clip(path: Path) -> None:
    clips.write_zip(path, ((number, *clips.encode(image)) for number, image in enumerate(frames(COUNT, 1))), "digest")


def read_clip(path: Path) -> str:
    with clips.open_zip(path) as clip:
        found = [(int(number), clip.frame(int(number)).tobytes()) for number in clip.numbers]
    return of(found)


def write_weights(path: Path) -> None:
    torch.manual_seed(1)
    saving.save(predictor.make("convlstm", 1), path, {"predict": {"network": "convlstm", "history": 1}})


def read_weights(path: Path) -> str:
    return _of_tensors(predictor.load(path).state_dict())


def write_pth(path: Path) -> None:
    torch.manual_seed(1)
    torch.save(torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.BatchNorm1d(8)).state_dict(), path)


def read_pth(path: Path) -> str:
    try:
        return _of_tensors(weights.read(path))
    except Exception as error:  # as all do who call it
        raise VadError(f"{path}: {' '.join(str(error).split())}") from None


def _checkpoints(path: Path) -> Checkpoints:
    found = Checkpoints(path.with_suffix(""), {"seed": 1})
    found.path = path  # its own name has a hash of what the training is made of
    return found


def write_checkpoint(path: Path) -> None:
    """The state of a training."""
    torch.manual_seed(1)
    tensors = torch.nn.Linear(8, 8).state_dict()
    _checkpoints(path).write(
        tensors, {"history": [{"epoch": 0, "holdout": 0.5}], "order": list(range(20)), "losses": []}
    )


def read_checkpoint(path: Path) -> str:
    with contextlib.redirect_stderr(io.StringIO()) as said:
        found = _checkpoints(path).read()
    if found is None:  # training starts over, and says so
        raise VadError(said.getvalue().removesuffix("\n"))
    return of([_of_tensors(found[0]), found[1]])


def _of_tensors(tensors: dict[str, Any]) -> str:
    return of(sorted((name, safetensors.torch.save({"": tensor.contiguous()})) for name, tensor in tensors.items()))


KINDS = (
    Kind("frame.jpg", write_image, read_image),
    Kind("frame.png", write_image, read_image),
    Kind("clip.avi", lambda path: stage_runner.write_video(path, frames(COUNT, 1)), read_video),
    Kind("1_label.mat", write_matlab5, read_mask),
    Kind("hdf5/1_label.mat", write_hdf5, read_mask),
    Kind("labels.csv", write_labels, read_labels, text=True),
    Kind("sample_submission.csv", write_sample_submission, read_sample_submission, text=True),
    Kind(
        "params.yaml",
        lambda path: shutil.copy(TOP / "params.yaml", path),
        lambda path: params.load(path).model_dump_json(),
        text=True,
    ),
    Kind("pixel-play-26.zip", write_archive, read_archive, guarded=True),
    Kind("clip.zip", write_clip, read_clip, guarded=True),
    Kind("predictor.safetensors", write_weights, read_weights, head=4096),
    Kind("weights.pth", write_pth, read_pth),
    Kind("checkpoint.safetensors", write_checkpoint, read_checkpoint, guarded=True),
)
