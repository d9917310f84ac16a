"""Checkpoints: damaged or another training's they are not believed, and nothing in them is ever run."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors
import torch

from vad import VadError
from vad.data.clips import MappedClip
from vad.models import checkpoint

MADE_OF = {"train": {"epochs": 3}, "seed": 82, "data": "a", "holdout": "b", "code": "c"}


def kept(folder: Path, **others: object) -> checkpoint.Checkpoints:
    return checkpoint.Checkpoints(folder / "autoencoder", MADE_OF | others)


def tensors(value: float) -> dict[str, torch.Tensor]:
    """As a training has them: of several types and shapes, and not all in one piece."""
    return {
        "weights": torch.full((2, 3, 4, 4), value).to(memory_format=torch.channels_last),
        "rounded": torch.full((3,), value, dtype=torch.bfloat16),
        "steps": torch.tensor(7),
        "random": torch.arange(8, dtype=torch.uint8),
        "none": torch.empty(0),
    }


def both(folder: Path) -> checkpoint.Checkpoints:
    """A checkpoint of epoch 2, and one of epoch 1 before it."""
    checkpoints = kept(folder)
    for epoch in (1, 2):
        checkpoints.write(tensors(epoch), {"epoch": epoch, "loss": float("nan") if epoch == 1 else 0.1 + 0.2})
    return checkpoints


def test_what_is_read_is_what_was_written_to_the_bit(tmp_path: Path) -> None:
    content = both(tmp_path).read()
    assert content is not None
    assert content[1] == {"epoch": 2, "loss": 0.1 + 0.2}
    for name, tensor in tensors(2).items():
        assert content[0][name].dtype == tensor.dtype and torch.equal(content[0][name], tensor)


def test_one_flipped_bit_anywhere_is_seen_and_the_checkpoint_before_is_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoints = both(tmp_path)
    newest, before = checkpoints.path.read_bytes(), checkpoints.before.read_bytes()
    for at in range(len(newest)):
        changed = bytearray(newest)
        changed[at] ^= 1 << at % 8
        checkpoints.path.write_bytes(changed)
        content = checkpoints.read()
        assert content is not None
        told = capsys.readouterr().err
        if content[1]["epoch"] == 1:
            assert told.startswith(f"{checkpoints.path}: damaged checkpoint (") and told.count("\n") == 1
            assert told.endswith("); the one before is used\n") and not checkpoints.path.exists()
        else:  # a space that pads the header
            assert not told and all(torch.equal(content[0][name], tensor) for name, tensor in tensors(2).items())
    assert checkpoints.before.read_bytes() == before


@pytest.mark.parametrize(
    "damage",
    [lambda data: b"", lambda data: data[:5], lambda data: data[: len(data) // 2], lambda data: data[:-1],
     lambda data: bytes(len(data)), lambda data: pickle.dumps({"model": 1}) * 50],
    ids=["empty", "a few bytes", "half", "all but one byte", "zeros", "a pickle"],
)  # fmt: skip
def test_a_damaged_checkpoint_is_named_in_one_line_and_training_starts_over_without_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: Callable[[bytes], bytes]
) -> None:
    checkpoints = both(tmp_path)
    for path in (checkpoints.path, checkpoints.before):
        path.write_bytes(damage(path.read_bytes()))
    assert checkpoints.read() is None
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(f"{checkpoints.path}: damaged checkpoint (") and first.endswith("the one before is used")
    assert second.startswith(f"{checkpoints.before}: damaged checkpoint (") and second.endswith("training starts over")
    assert not list(tmp_path.iterdir())


class Trap:
    """What a malicious checkpoint does: run code when unpickled."""

    def __init__(self, touched: Path) -> None:
        self.touched = touched

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.touched),)


def test_a_checkpoint_never_runs_code(tmp_path: Path) -> None:
    checkpoints = kept(tmp_path / "kept")
    checkpoints.path.parent.mkdir()
    torch.save({"model": Trap(tmp_path / "touched")}, checkpoints.path)
    assert checkpoints.read() is None and not (tmp_path / "touched").exists()


@pytest.mark.parametrize("name", MADE_OF)
def test_the_checkpoint_of_a_training_that_differs_in_one_thing_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    own, another = kept(tmp_path), kept(tmp_path, **{name: "other"})
    another.write(tensors(1), {})
    assert own.path != another.path and own.read() is None and not capsys.readouterr().err
    os.replace(another.path, own.path)
    assert own.read() is None
    expected = f"{own.path}: checkpoint of another training ({name}); training starts over\n"
    assert capsys.readouterr().err == expected


def test_a_kill_between_the_two_files_leaves_one_that_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoints = both(tmp_path)
    replace = os.replace

    def killed(source: Path, target: Path) -> None:
        if target == checkpoints.path:
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        checkpoints.write(tensors(3), {"epoch": 3})
    content = checkpoints.read()
    assert content is not None and content[1]["epoch"] == 2 and not capsys.readouterr().err


def test_a_checkpoint_that_cant_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints = both(tmp_path)

    def forbidden(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(safetensors, "safe_open", forbidden)
    with pytest.raises(VadError, match=r"autoencoder-\w+\.safetensors: can't be read \(.*Permission denied\); mend"):
        checkpoints.read()
    assert checkpoints.path.exists()


def test_nothing_is_left_when_the_results_are_in_place(tmp_path: Path) -> None:
    both(tmp_path).remove()
    assert not list(tmp_path.iterdir())


def test_digests_see_every_pixel_every_frame_number_and_every_line_of_code(tmp_path: Path) -> None:
    array = np.zeros((3, 2, 2, 3), np.uint8)

    def digest(numbers: list[int]) -> str:
        return checkpoint.digest_of_clips([MappedClip("1", np.array(numbers), Path("1.npy"), array)])

    first = digest([0, 1, 2])
    assert digest([0, 1, 2]) == first != digest([0, 1, 3])
    array[2, 1, 1, 2] = 1
    assert digest([0, 1, 2]) != first
    files = [tmp_path / "a.py", tmp_path / "b.py"]
    for path, text in zip(files, ("one", "two"), strict=True):
        path.write_text(text)
    before = checkpoint.digest_of_files(files)
    files[1].write_text("two ")
    assert checkpoint.digest_of_files(files) != before != checkpoint.digest_of_files(files[::-1])
