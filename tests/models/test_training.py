"""Training: reproducible, resumable, and loud when it goes wrong."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from tests.tiny_clips import walking_square
from vad import VadError, params, registry
from vad.data.clips import MappedClip
from vad.models import autoencoder, collapse, runtime, training

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
    model = autoencoder.Autoencoder(settings.encoder)
    fabric = runtime.fabric(settings.precision)
    return model, training.fit(fabric, model, frames(24, 1), frames(8, 2), settings, checkpoint)


def same(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def stopped_before(epoch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupt training where `epoch` would begin, until the monkeypatch is undone."""
    whole = training._epoch

    def killed(*arguments: object) -> float:
        if arguments[-1] == epoch:
            raise KeyboardInterrupt
        return whole(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(training, "_epoch", killed)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[autoencoder.Autoencoder, pd.DataFrame]:
    return fit(tmp_path_factory.mktemp("trained") / "state.pt")


def test_loss_falls_and_is_reported_for_every_epoch(trained: tuple[autoencoder.Autoencoder, pd.DataFrame]) -> None:
    history = trained[1]
    assert history["epoch"].tolist() == [0, 1, 2, 3]
    assert list(history.columns[:4]) == ["epoch", "train", "train_eval", "holdout"]
    assert history["train"].iloc[-1] < history["train"].iloc[1]
    assert np.isfinite(history.iloc[1:].to_numpy()).all()


def test_collapse_is_measured_before_training_and_after_each_epoch(
    trained: tuple[autoencoder.Autoencoder, pd.DataFrame],
) -> None:
    model, history = trained
    assert history["steps"].tolist() == [0, 3, 6, 9]
    assert history.loc[0, ["train", "train_eval", "holdout"]].isna().all()
    images = autoencoder.to_images(torch.stack([*frames(8, 2)]))
    runtime.seed(82)
    for network, epoch in ((autoencoder.Autoencoder().eval(), 0), (model.eval(), 3)):
        row = history.loc[epoch]
        with torch.no_grad():
            features = network.features(images)["layer4"].mean((2, 3)).numpy()
            errors = (network(images) - images).abs().mean((1, 2, 3)).numpy()
        assert row["feature_variance"] == pytest.approx(features.var(axis=0).mean(), rel=1e-4)
        assert row["effective_rank"] == pytest.approx(collapse.effective_rank(features), rel=1e-3)
        assert row["score_spread"] == pytest.approx(errors.std() / errors.mean(), rel=1e-3)


def test_two_runs_give_the_same_weights(trained: tuple[autoencoder.Autoencoder, pd.DataFrame], tmp_path: Path) -> None:
    model, history = fit(tmp_path / "state.pt")
    assert same(model, trained[0])
    pd.testing.assert_frame_equal(history, trained[1])


def test_killed_training_resumes_to_the_same_weights(
    trained: tuple[autoencoder.Autoencoder, pd.DataFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped_before(3, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "state.pt")
    monkeypatch.undo()
    whole = training._epoch
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
    assert history["train"].iloc[-1] < history["train"].iloc[1]


def test_a_network_that_skips_blocks_at_random_resumes_to_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, history = fit(tmp_path / "state.pt", encoder="convnext_tiny", epochs=2)
    stopped_before(2, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "state.pt", encoder="convnext_tiny", epochs=2)
    monkeypatch.undo()
    again, resumed = fit(tmp_path / "state.pt", encoder="convnext_tiny", epochs=2)
    assert same(model, again)
    pd.testing.assert_frame_equal(history, resumed)


def steps(encoder: str) -> tuple[autoencoder.Autoencoder, list[float]]:
    """An autoencoder after four steps on one batch, and the loss before each."""
    runtime.seed(82)
    model = autoencoder.Autoencoder(encoder)
    fabric = runtime.fabric()
    network, optimizer = training.prepare(fabric, model, SETTINGS)
    batch = torch.stack([*frames(4, 1)])
    return model, [training.step(fabric, network.train(), optimizer, batch, training.LOSSES["mse"]) for _ in range(4)]


@pytest.mark.parametrize("encoder", registry.ENCODERS)
def test_every_encoder_learns_and_two_runs_give_the_same_weights(encoder: str) -> None:
    model, losses = steps(encoder)
    assert losses == sorted(losses, reverse=True) and losses[-1] < losses[0]
    again, repeated = steps(encoder)
    assert same(model, again) and repeated == losses


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
