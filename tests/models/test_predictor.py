"""Prediction: a frame from those before it, of normal motion better than a copy, and the same every time."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from stages import components as measuring
from stages import train_predictor
from tests.tiny_clips import walking_square
from vad import VadError, params, registry
from vad.components import pooling
from vad.data import clips
from vad.models import checkpoint, predictor, predictor_training, resumable, runtime
from vad.quality import repair
from vad.storage import needs, tables

TOP = Path(__file__).parents[2]
HISTORY = 3
SETTINGS = params.load(TOP / "params.yaml").predict.model_copy(
    update={"history": HISTORY, "epochs": 2, "precision": "32-true"}
)
KEYS_OF = {"train": ("01", "02"), "holdout": ("03",), "validation": ("03-1",), "test": ("01", "02")}


def clip(array: np.ndarray, numbers: list[int] | None = None, video: str = "01") -> clips.MappedClip:
    chosen = np.array(numbers if numbers is not None else range(len(array)), np.int64)
    return clips.MappedClip(video, chosen, Path(f"{video}.npy"), array)


def walk(count: int = 24, seed: int = 1, speed: int = 2) -> clips.MappedClip:
    return clip(walking_square(count, (32, 32), seed, speed))


def fit(
    train: Sequence[clips.Clip] | None = None, seed: int = 82, kept: Path | None = None, **changes: object
) -> tuple[predictor.Predictor, pd.DataFrame]:
    settings = SETTINGS.model_copy(update=changes)
    runtime.seed(seed)
    model = predictor.make(settings.network, settings.history)
    fabric = runtime.fabric(settings.precision)
    with tempfile.TemporaryDirectory() as forgotten:
        checkpoints = checkpoint.Checkpoints((kept or Path(forgotten)) / "predictor", {})
        history = predictor_training.fit(fabric, model, train or [walk()], [walk(12, seed=2)], settings, checkpoints)
    return model, history


def same(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


networks = pytest.mark.parametrize("network", registry.PREDICTORS)


@pytest.fixture(scope="module")
def trained() -> tuple[predictor.Predictor, pd.DataFrame]:
    return fit()


def errors(model: predictor.Predictor, scored: clips.Clip) -> np.ndarray:
    return np.stack(list(predictor.errors(runtime.fabric(), model, scored, SETTINGS.batch_size)))


@networks
@pytest.mark.parametrize(("history", "shape"), [(1, (16, 16)), (4, (32, 64))])
def test_it_gives_a_frame_of_the_size_of_those_it_sees(network: str, history: int, shape: tuple[int, int]) -> None:
    model = predictor.make(network, history).eval()
    with torch.no_grad():
        predicted = predictor.predict(model, torch.rand(2, 3 * history, *shape))
    assert predicted.shape == (2, 3, *shape) and predicted.min() >= 0 and predicted.max() <= 1


@networks
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_untrained_it_copies_the_last_frame_to_the_bit(network: str, precision: params.Precision) -> None:
    model = runtime.fabric(precision).setup_module(predictor.make(network, 3))
    past = torch.rand(1, 9, 16, 16)
    for mode in (model.train(), model.eval()):
        assert torch.equal(predictor.predict(mode, past.to(mode.device)), past[:, -3:].to(mode.device))


@pytest.mark.parametrize("cut", range(len(predictor.WIDTHS) - 1))
def test_every_level_reaches_the_prediction_past_those_that_lie_deeper(cut: int) -> None:
    model = predictor.UNet(1).eval()
    torch.nn.init.normal_(model.head.weight)
    for parameter in model.enlarge[cut].parameters():  # the way up from all that lies deeper
        torch.nn.init.zeros_(parameter)
    level = model.down[len(predictor.WIDTHS) - 2 - cut]
    seen: list[torch.Tensor] = []
    level.register_forward_hook(lambda *call: seen.append(call[-1]))
    predicted = model(torch.rand(1, 3, 32, 32) * 0.1 + 0.45)
    (gradient,) = torch.autograd.grad(predicted.sum(), seen)
    assert gradient.abs().max() > 0


@pytest.mark.parametrize(("network", "epochs"), [("unet", 10), ("convlstm", 15)])
def test_of_a_moving_square_it_learns_more_than_to_copy_the_last_frame(network: str, epochs: int) -> None:
    """It is judged on another clip, over another background."""
    walks = [walk(19, seed=seed) for seed in range(3, 9)]
    _, history = fit(walks, network=network, epochs=epochs, batch_size=4, learning_rate=1e-3)
    copied = history["inner"][0]
    assert history["inner"].min() < 0.7 * copied


def test_the_state_of_a_convlstm_carries_what_only_earlier_frames_showed() -> None:
    model = predictor.ConvLSTM(3).eval()
    torch.nn.init.normal_(model.head.weight)
    past = torch.rand(1, 9, 32, 32, requires_grad=True)
    (gradient,) = torch.autograd.grad(model(past).square().sum(), past)
    assert all(part.abs().max() > 0 for part in gradient.chunk(3, 1))
    other = past.detach().roll(3, 1)
    other[:, 6:] = past[:, 6:]
    assert not torch.allclose(model(past), model(other))


def test_it_keeps_the_weights_of_the_lowest_inner_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    losses = iter([0.1, 0.9, 0.8, 0.5, 0.6, 0.7, 0.4])
    weights = []

    def given(fabric: object, network: torch.nn.Module, *_: object) -> float:
        weights.append([tensor.clone() for tensor in network.parameters()])
        return next(losses)

    monkeypatch.setattr(predictor_training, "loss_over", given)
    monkeypatch.setattr(predictor_training, "PATIENCE", 2)
    model, history = fit(epochs=6)
    assert history["epoch"].tolist() == [0, 1, 2, 3, 4, 5] and history["steps"].tolist() == [0, 2, 4, 6, 8, 10]
    assert predictor_training.best_epoch(history) == 3
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), weights[3], strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(model.parameters(), weights[5], strict=True))


def test_the_learning_rate_falls_where_the_loss_no_longer_does(monkeypatch: pytest.MonkeyPatch) -> None:
    rates = []
    losses = iter([7.0, 9.0, 8.0, *[8.5] * 20])  # the untrained network is no lower bound
    monkeypatch.setattr(predictor_training, "loss_over", lambda *_: next(losses))
    epoch = predictor_training._epoch

    def watched(fabric: object, network: object, optimizer: torch.optim.Optimizer, *rest: object) -> list[float]:
        rates.append(optimizer.param_groups[0]["lr"])
        return epoch(fabric, network, optimizer, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(predictor_training, "_epoch", watched)
    _, history = fit(epochs=50, learning_rate=1e-3)
    assert len(history) - 1 == 2 + predictor_training.PATIENCE == len(rates)
    steady = 2 + predictor_training.LOWERED_AFTER
    assert rates[:steady] == [1e-3] * steady and rates[steady] == pytest.approx(1e-3 * predictor_training.LOWERED_TO)


def test_a_file_that_holds_no_predictor_is_named(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"")
    for name in ("weights", "absent"):
        with pytest.raises(VadError, match=rf"{name}: not a predictor's weights .*run `dvc repro -f train_predictor`"):
            predictor.load(tmp_path / name)


def test_the_same_seed_gives_the_same_weights_and_another_others(
    trained: tuple[predictor.Predictor, pd.DataFrame],
) -> None:
    model, history = fit()
    assert same(model, trained[0])
    pd.testing.assert_frame_equal(history, trained[1])
    assert not same(fit(seed=83)[0], trained[0])


@networks
@pytest.mark.parametrize("cut", [2, 5, 9])
def test_killed_training_resumes_to_the_same_weights(
    network: str, cut: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two steps an epoch; the learning rate falls after epoch 3, and the best weights are those of epoch 2."""
    monkeypatch.setattr(resumable, "KEPT_EVERY", 0)
    monkeypatch.setattr(predictor_training, "LOWERED_AFTER", 1)
    measured = predictor_training.loss_over
    losses = [0.9, 0.5, 0.3, 0.4, 0.35, 0.36]
    # What is measured is replaced by what suits this test, by the number of steps before it.
    monkeypatch.setattr(predictor_training, "loss_over", lambda *of: losses[taken // 2] + 0 * measured(*of))
    taken, goal, loss_of = 0, 0, predictor_training.loss_of

    def counted(predicted: torch.Tensor, frame: torch.Tensor) -> torch.Tensor:
        nonlocal taken
        if predicted.requires_grad:
            if taken + 1 == goal:
                raise KeyboardInterrupt
            taken += 1
        return loss_of(predicted, frame)

    monkeypatch.setattr(predictor_training, "loss_of", counted)
    model, history = fit(network=network, epochs=5)
    assert taken == 10 and predictor_training.best_epoch(history) == 2
    taken, goal = 0, cut
    with pytest.raises(KeyboardInterrupt):
        fit(kept=tmp_path, network=network, epochs=5)
    goal = 0
    again, resumed = fit(kept=tmp_path, network=network, epochs=5)
    assert taken == 10
    assert same(model, again)
    pd.testing.assert_frame_equal(history, resumed)
    after = taken
    assert same(model, fit(kept=tmp_path, network=network, epochs=5)[0]) and taken == after


def test_bf16_trains() -> None:
    _, history = fit(precision="bf16-mixed", epochs=1)
    assert np.isfinite(history["inner"]).all()


def test_a_loss_that_is_no_number_stops_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        predictor_training, "loss_of", lambda a, b: (a - b).mean() * (float("nan") if a.requires_grad else 1)
    )
    with pytest.raises(VadError, match=r"predict: the loss became nan in epoch 1, step 1; lower predict.learning_rate"):
        fit()


def test_no_training_window_crosses_a_gap() -> None:
    numbers = [3, 4, 5, 6, 7, 10, 11, 12, 14, 15, 16, 17]
    array = np.zeros((12, 16, 16, 3), np.uint8)
    array[:] = np.array(numbers, np.uint8)[:, None, None, None]
    found = predictor_training.windows([clip(array[:2], numbers[:2]), clip(array, numbers)], HISTORY)
    assert found == [(1, 3), (1, 4), (1, 11)]
    (batch,) = predictor.batches([clip(array), clip(array, numbers)], found, HISTORY, SETTINGS.batch_size)
    assert batch[..., 0, 0, 0].tolist() == [[3, 4, 5, 6], [4, 5, 6, 7], [14, 15, 16, 17]]


def test_clips_without_enough_consecutive_frames_are_named() -> None:
    with pytest.raises(
        VadError, match=r"predict.history = 3: no 4 consecutive frames in any training clip .* fitted on; lower"
    ):
        fit([clip(walking_square(6, (32, 32)), [0, 1, 2, 4, 5, 6])])


def test_an_epoch_takes_its_share_of_the_windows_from_a_random_one_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictor_training, "EPOCH_WINDOWS", 5)
    found = [predictor.Window(0, position) for position in range(18)]
    epochs = [[found[index] for index in predictor_training._drawn(len(found))] for _ in range(20)]
    assert {len(epoch) for epoch in epochs} == {4, 5}
    assert {window for epoch in epochs for window in epoch} == set(found)
    assert all(set(np.diff(sorted(window.position for window in epoch))) == {4} for epoch in epochs)
    assert any(epoch != sorted(epoch) for epoch in epochs)


@pytest.mark.parametrize(
    ("position", "length", "seen"),
    [
        (3, 20, [0, 1, 2]),
        (19, 20, [16, 17, 18]),
        (0, 20, [3, 2, 1]),
        (2, 20, [5, 4, 3]),
        (2, 4, [0, 0, 1]),
        (0, 3, [2, 2, 1]),
        (1, 3, [0, 0, 0]),
        (0, 1, [0, 0, 0]),
    ],
)
def test_what_a_frame_is_predicted_from(position: int, length: int, seen: list[int]) -> None:
    assert predictor.sources(position, length, HISTORY) == seen


def test_the_first_frames_are_predicted_backwards(trained: tuple[predictor.Predictor, pd.DataFrame]) -> None:
    forwards = walk(8)
    backwards = clip(forwards.array[::-1])
    found, mirrored = errors(trained[0], forwards), errors(trained[0], backwards)
    np.testing.assert_allclose(found[:HISTORY], mirrored[::-1][:HISTORY], atol=1e-6)
    assert found.shape == (8, 32, 32) and found.dtype == np.float32


def test_frames_are_scored_across_gaps_and_in_clips_of_any_length(
    trained: tuple[predictor.Predictor, pd.DataFrame],
) -> None:
    array = walk(8).array
    gappy = clip(array, [0, 1, 2, 3, 9, 10, 30, 31])
    np.testing.assert_array_equal(errors(trained[0], gappy), errors(trained[0], clip(array)))
    for length in (1, 2, HISTORY):
        assert np.isfinite(errors(trained[0], clip(array[:length]))).all()


def test_a_clip_turned_upright_scores_as_if_it_had_never_been_flipped(
    trained: tuple[predictor.Predictor, pd.DataFrame],
) -> None:
    upright = walk(10)
    flipped = clip(upright.array.copy())
    flipped.array[[0, 4, 5]] = flipped.array[[0, 4, 5], ::-1]
    found = repair.Found(flipped=frozenset({0, 4, 5}))
    expected = errors(trained[0], upright)
    np.testing.assert_array_equal(errors(trained[0], repair.repaired(flipped, found, unflip=True)), expected)
    assert not np.allclose(errors(trained[0], repair.repaired(flipped, found)), expected)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with resized clips of every split, a diagnosis that finds every eighth frame flipped, and params.yaml"""
    index = []
    for split, videos in KEYS_OF.items():
        for number, video in enumerate(videos):
            array = walking_square(16, (32, 32), seed=number, speed=2)
            if split == "test":
                array[::8] = array[::8, ::-1]
            (tmp_path / "resized" / split).mkdir(parents=True, exist_ok=True)
            np.save(tmp_path / "resized" / split / f"{video}.npy", array)
            index.append(clips.keys(split, [clip(array, list(range(3, 19)), video)]))
    table = pd.concat(index, ignore_index=True)
    for split in KEYS_OF:
        rows = table[table["split"] == split].assign(fold=-1)
        tables.write_csv(tmp_path / "resized" / split / clips.INDEX, rows)
    flipped = (table["split"] == "test") & (table["frame"] % 8 == 3)
    tables.write_csv(tmp_path / "diagnosis.csv", table.assign(flipped=flipped.astype(int), noisy=0))
    monkeypatch.chdir(tmp_path)
    configure(enabled=True)
    return tmp_path


NEEDS = Path("needs")


def configure(**changes: object) -> None:
    values = yaml.safe_load((TOP / "params.yaml").read_text())
    values["predict"] |= {"history": HISTORY, "epochs": 2, "batch_size": 8} | changes
    values["repair"]["unflip"] = True
    Path("params.yaml").write_text(yaml.safe_dump(values))
    needs.write(NEEDS, registry.needs(params.load(Path("params.yaml"))))


def run_stages(weights: Path, components: Path, metrics: Path) -> None:
    halves = weights.parent / "halves"
    train_predictor.main(NEEDS / "train_predictor", Path("resized"), weights, halves, metrics)
    measuring.main(NEEDS / "predict", weights, halves, Path("resized"), Path("diagnosis.csv"), components)


def outputs(name: str) -> tuple[Path, Path, Path]:
    return Path(name) / "predictor.safetensors", Path(name) / "prediction.npz", Path(name) / "predictor.json"


def test_the_stage_scores_every_frame_and_two_runs_give_the_same_files(project: Path) -> None:
    for name in ("first", "second"):
        run_stages(*outputs(name))
    assert [path.read_bytes() for path in outputs("first")] == [path.read_bytes() for path in outputs("second")]
    weights, components, metrics = outputs("first")
    table = tables.read_components(components)
    scored = pd.concat([tables.read_csv(Path("resized", split, clips.INDEX), tables.KEYS) for split in tables.SCORED])
    scored = scored.reset_index(drop=True)[tables.KEYS]
    pd.testing.assert_frame_equal(table[tables.KEYS], scored, check_dtype=False)
    assert table.columns[3:].tolist() == [f"prediction_{pool}" for pool in registry.POOLS]
    assert np.isfinite(table[table.columns[3:]].to_numpy()).all()
    figures = json.loads(metrics.read_text())
    assert figures["needed"] and figures["epochs"] == 2 and figures["windows"] == 13 and figures["steps"] == 4
    assert len(figures["loss"]["train"]) == 2 and figures["inner"] == min(figures["loss"]["inner"])
    assert figures["inner_split"] == {"02": 16} and figures["holdout"] > 0 and "halves" not in figures

    model = predictor.load(weights)
    assert model.history == HISTORY
    assert figures["parameters"] == sum(tensor.numel() for tensor in model.parameters())
    upright = clip(walking_square(16, (32, 32), seed=1, speed=2), list(range(3, 19)), "02")
    held_out = clip(walking_square(16, (32, 32), seed=0, speed=2))
    cells = [[pooling.to_cells(error, 1) for error in errors(model, of)] for of in (held_out, upright)]
    places = pooling.PlaceScales(cells[0])
    rows = table.query("split == 'test' and video == '02'")
    for pool in registry.POOLS:
        expected = [places.pool(frame)[pool] for frame in cells[1]]
        np.testing.assert_allclose(rows[f"prediction_{pool}"], expected, rtol=1e-3, atol=1e-6)
    rows = table.query("split == 'holdout'")
    for pool in registry.POOLS:
        expected = [pooled[pool] for pooled in pooling.pool_by_others(cells[:1])]
        np.testing.assert_allclose(rows[f"prediction_{pool}"], expected, rtol=1e-3, atol=1e-6)


def test_disabled_it_writes_nothing_and_loads_no_torch(project: Path) -> None:
    configure(enabled=False)
    weights, components, metrics = outputs("off")
    code = (
        "import sys; from pathlib import Path; from stages import components, train_predictor; "
        "weights, table, metrics = map(Path, sys.argv[1:]); needs, resized = Path('needs'), Path('resized'); "
        "train_predictor.main(needs / 'train_predictor', resized, weights, Path('halves'), metrics); "
        "components.main(needs / 'predict', weights, Path('halves'), resized, Path('diagnosis.csv'), table); "
        "print(*{name.split('.')[0] for name in sys.modules})"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, *map(str, outputs("off"))],
        env=os.environ | {"PYTHONPATH": str(TOP)}, check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert set(run.stdout.split()).isdisjoint({"torch", "lightning_fabric", "sklearn", "cv2"})
    assert json.loads(metrics.read_text()) == {"needed": False} and not needs.read(NEEDS / "train_predictor")
    with pytest.raises(VadError, match="not a predictor's weights"):
        predictor.load(weights)
    table = tables.read_components(components)
    assert table.columns.tolist() == tables.KEYS and table.empty
