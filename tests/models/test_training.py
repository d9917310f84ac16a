"""Training: reproducible, resumable, and loud when it goes wrong."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import DataLoader

from tests.tiny_clips import walking_square
from vad import VadError, params, registry
from vad.data.clips import MappedClip
from vad.models import autoencoder, checkpoint, collapse, resumable, runtime, training

SETTINGS = params.load(Path("params.yaml")).train.model_copy(update={"epochs": 3, "batch_size": 8})


def frames(count: int, seed: int) -> training.Frames:
    array = walking_square(count, (32, 32), seed)
    half = count // 2
    clips = [
        MappedClip(f"{index}", np.arange(len(part)), Path(f"{index}.npy"), part)
        for index, part in enumerate((array[:half], array[half:]))
    ]
    return training.Frames(clips)


def fit(folder: Path, **changes: object) -> tuple[autoencoder.Autoencoder, pd.DataFrame]:
    """Train from where the checkpoint in `folder` is, or from the start."""
    settings = SETTINGS.model_copy(update=changes)
    runtime.seed(82)
    model = autoencoder.Autoencoder(settings.encoder)
    fabric = runtime.fabric(settings.precision)
    return model, training.fit(fabric, model, frames(24, 1), frames(8, 2), settings, kept(folder))


def same(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def kept(folder: Path) -> checkpoint.Checkpoints:
    return checkpoint.Checkpoints(folder / "autoencoder", {})


class Steps:
    """Counts the steps of a training, and in step `cut`, if one is given, does what `by` does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, cut: int = 0, by: Callable[[], None] | None = None) -> None:
        self.taken = 0
        step = training.step

        def counted(*arguments: Any) -> float:
            self.taken += 1
            if by and self.taken == cut:
                by()
            return step(*arguments)

        monkeypatch.setattr(training, "step", counted)


def killed() -> None:
    raise KeyboardInterrupt


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[autoencoder.Autoencoder, pd.DataFrame]:
    return fit(tmp_path_factory.mktemp("trained"))


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
    model, history = fit(tmp_path)
    assert same(model, trained[0])
    pd.testing.assert_frame_equal(history, trained[1])


@pytest.mark.parametrize("cut", [2, 4], ids=["inside an epoch", "between epochs"])
def test_killed_training_resumes_to_the_same_weights(
    trained: tuple[autoencoder.Autoencoder, pd.DataFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: int
) -> None:
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(resumable, "KEPT_EVERY", 0)
        Steps(patched, cut, killed)
        fit(tmp_path)
    steps = Steps(monkeypatch)
    model, history = fit(tmp_path)
    assert steps.taken == 9 - (cut - 1)
    assert same(model, trained[0])
    pd.testing.assert_frame_equal(history, trained[1])


def test_training_killed_again_and_again_ends_with_the_same_weights(
    trained: tuple[autoencoder.Autoencoder, pd.DataFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resumable, "KEPT_EVERY", 0)
    for _ in range(4):
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            Steps(patched, 3, killed)
            fit(tmp_path)
    model, history = fit(tmp_path)
    assert same(model, trained[0])
    pd.testing.assert_frame_equal(history, trained[1])


def test_a_signal_waits_for_the_end_of_the_step_and_leaves_a_checkpoint_there(
    trained: tuple[autoencoder.Autoencoder, pd.DataFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        Steps(patched, 5, lambda: signal.raise_signal(signal.SIGINT))
        fit(tmp_path)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    steps = Steps(monkeypatch)
    model, _ = fit(tmp_path)
    assert steps.taken == 9 - 5
    assert same(model, trained[0])


def test_a_signal_while_an_epoch_is_measured_loses_nothing_of_it(
    trained: tuple[autoencoder.Autoencoder, pd.DataFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure = training.evaluation_loss

    def interrupted(*arguments: Any) -> float:
        signal.raise_signal(signal.SIGINT)
        return measure(*arguments)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(training, "evaluation_loss", interrupted)
        fit(tmp_path)
    steps = Steps(monkeypatch)
    model, history = fit(tmp_path)
    assert steps.taken == 9 - 3
    assert same(model, trained[0])
    pd.testing.assert_frame_equal(history, trained[1])


def test_state_is_kept_every_two_minutes_and_after_each_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, written = 0.0, []

    def half_a_minute() -> None:
        nonlocal now
        now += 30

    monkeypatch.setattr(resumable.time, "monotonic", lambda: now)
    monkeypatch.setattr(checkpoint.Checkpoints, "write", lambda *content: written.append(len(content[2]["losses"])))
    steps = Steps(monkeypatch)
    taken = training.step
    monkeypatch.setattr(training, "step", lambda *arguments: (half_a_minute(), taken(*arguments))[1])
    fit(tmp_path, batch_size=3, epochs=1)
    assert steps.taken == 8 and written == [4, 8, 0]


def test_a_finished_training_whose_results_were_lost_takes_no_step_again(
    trained: tuple[autoencoder.Autoencoder, pd.DataFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit(tmp_path)
    steps = Steps(monkeypatch)
    model, history = fit(tmp_path)
    assert steps.taken == 0
    assert same(model, trained[0])
    pd.testing.assert_frame_equal(history, trained[1])


def test_a_damaged_checkpoint_costs_a_step_and_changes_no_weight(
    trained: tuple[autoencoder.Autoencoder, pd.DataFrame],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(resumable, "KEPT_EVERY", 0)
        Steps(patched, 6, killed)
        fit(tmp_path)
    path = kept(tmp_path).path
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    steps = Steps(monkeypatch)
    model, _ = fit(tmp_path)
    assert capsys.readouterr().err.startswith(f"{path}: damaged checkpoint (")
    assert steps.taken == 9 - 4
    assert same(model, trained[0])


def test_going_on_with_other_threads_is_said_in_one_line_then_and_ever_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(resumable, "KEPT_EVERY", 0)
    began = torch.get_num_threads()
    told = []
    try:
        for threads in (began, began + 1, began):
            torch.set_num_threads(threads)
            with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
                Steps(patched, 2, killed)
                fit(tmp_path)
            told.append(capsys.readouterr().err)
    finally:
        torch.set_num_threads(began)
    assert told[0] == ""
    expected = (
        f"training goes on under other circumstances (threads {began}, then {began + 1}): its result is not equal"
    )
    assert all(expected in line and line.count("\n") == 1 for line in told[1:])


def test_an_epoch_has_the_order_and_the_draws_of_a_shuffling_dataloader() -> None:
    runtime.seed(82)
    loader = runtime.fabric().setup_dataloaders(DataLoader(torch.arange(27), batch_size=4, shuffle=True))
    expected = [[int(index) for batch in loader for index in batch] for _ in range(2)]
    state = torch.get_rng_state()
    runtime.seed(82)
    assert [training.shuffled(27) for _ in range(2)] == expected
    assert torch.equal(torch.get_rng_state(), state)


def test_another_seed_gives_other_weights(
    trained: tuple[autoencoder.Autoencoder, pd.DataFrame],
) -> None:
    runtime.seed(1)
    assert not same(autoencoder.Autoencoder(), trained[0])


def test_bf16_trains(tmp_path: Path) -> None:
    _, history = fit(tmp_path, precision="bf16-mixed", epochs=2)
    assert history["train"].iloc[-1] < history["train"].iloc[1]


def test_a_network_that_skips_blocks_at_random_resumes_to_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, history = fit(tmp_path / "whole", encoder="convnext_tiny", epochs=1)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(resumable, "KEPT_EVERY", 0)
        Steps(patched, 3, killed)
        fit(tmp_path / "cut", encoder="convnext_tiny", epochs=1)
    again, resumed = fit(tmp_path / "cut", encoder="convnext_tiny", epochs=1)
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
        fit(tmp_path)


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
