"""Training: reproducible, resumable, and loud when it goes wrong."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from tests.synthetic import walking_square
from vad import VadError, autoencoder, params, runtime, training
from vad.clips import MappedClip

SETTINGS = params.load(Path("params.yaml")).train.model_copy(update={"epochs": 3, "batch_size": 8})


def frames(count: int, seed: int) -> training.Frames:
    array = walking_square(count, (32, 32), seed)
    half = count // 2
    clips = [
        MappedClip(f"{index}", np.arange(len(part)), Path(f"{index}.npy"), part)
        for index, part in enumerate((array[:half], array[half:]))
    ]
    return training.Frames(clips)


def fit(checkpoint: Path, **changes: object) -> tuple[autoencoder.Autoencoder, pd.DataFrame]:
    settings = SETTINGS.model_copy(update=changes)
    runtime.seed(82)
    model = autoencoder.Autoencoder()
    fabric = runtime.fabric(settings.precision)
    return model, training.fit(fabric, model, frames(24, 1), frames(8, 2), settings, checkpoint)


def same(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[autoencoder.Autoencoder, pd.DataFrame]:
    return fit(tmp_path_factory.mktemp("trained") / "state.pt")


def test_loss_falls_and_is_reported_for_every_epoch(trained: tuple[autoencoder.Autoencoder, pd.DataFrame]) -> None:
    history = trained[1]
    assert history["epoch"].tolist() == [1, 2, 3]
    assert list(history.columns) == ["epoch", "train", "train_eval", "holdout"]
    assert history["train"].iloc[-1] < history["train"].iloc[0]
    assert np.isfinite(history.to_numpy()).all()


def test_two_runs_give_the_same_weights(trained: tuple[autoencoder.Autoencoder, pd.DataFrame], tmp_path: Path) -> None:
    model, history = fit(tmp_path / "state.pt")
    assert same(model, trained[0])
    pd.testing.assert_frame_equal(history, trained[1])


def test_killed_training_resumes_to_the_same_weights(
    trained: tuple[autoencoder.Autoencoder, pd.DataFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = training._epoch

    def killed(*arguments: object) -> float:
        if arguments[-1] == 3:
            raise KeyboardInterrupt
        return whole(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(training, "_epoch", killed)
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "state.pt")
    monkeypatch.undo()
    epochs: list[object] = []

    def counted(*arguments: object) -> float:
        epochs.append(arguments[-1])
        return whole(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(training, "_epoch", counted)
    model, history = fit(tmp_path / "state.pt")
    assert epochs == [3]
    assert same(model, trained[0])
    pd.testing.assert_frame_equal(history, trained[1])
    assert not (tmp_path / "state.pt").exists()


def test_another_seed_gives_other_weights(
    trained: tuple[autoencoder.Autoencoder, pd.DataFrame],
) -> None:
    runtime.seed(1)
    assert not same(autoencoder.Autoencoder(), trained[0])


def test_bf16_trains(tmp_path: Path) -> None:
    _, history = fit(tmp_path / "state.pt", precision="bf16-mixed", epochs=2)
    assert history["train"].iloc[-1] < history["train"].iloc[0]


def test_a_loss_that_is_no_number_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(training.LOSSES, "mse", lambda a, b: (a - b).mean() * float("nan"))
    with pytest.raises(VadError, match=r"the loss became nan in epoch 1, step 1; lower train.learning_rate"):
        fit(tmp_path / "state.pt")


def test_frames_of_all_clips_are_one_data_set_in_order() -> None:
    data = frames(24, 1)
    expected = walking_square(24, (32, 32), 1)
    assert len(data) == 24
    assert all((data[index].numpy() == expected[index]).all() for index in range(24))
    assert data.spaced(4) == [0, 8, 15, 23]


def test_the_data_digest_sees_every_pixel() -> None:
    first, second = frames(24, 1), frames(24, 1)
    assert first.digest() == second.digest()
    second.clips[1].array[-1, -1, -1, -1] ^= 1
    assert first.digest() != second.digest()
