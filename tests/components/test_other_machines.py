"""What another number of threads or another batch size changes: nothing in scoring, little in training."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from tests.tiny_clips import walking_square
from vad import params
from vad.components import memory, prediction, reconstruction
from vad.data import clips
from vad.data.clips import MappedClip
from vad.evaluation import metrics
from vad.models import autoencoder, inference, predictor, runtime, saving, training
from vad.models.checkpoint import Checkpoints
from vad.storage import tables
from vad.storage.store import Store

TOP = Path(__file__).parents[2]
DEFAULT = params.load(TOP / "params.yaml")
COUNT, SIZE = 16, 32
HERE, ELSEWHERE = 1, 2
"""Numbers of threads."""


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def clip(seed: int) -> MappedClip:
    frames = walking_square(COUNT, (SIZE, SIZE), seed=seed, speed=2)
    return MappedClip(f"{seed:02d}", np.arange(COUNT), Path(f"{seed}.npy"), frames)


def relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest over all components, each measured by its largest value over the frames."""
    return float((np.abs(found - expected).max(0) / np.abs(expected).max(0)).max())


def average_precisions(values: np.ndarray) -> list[float]:
    """Of each component as the score, against labels that say nothing."""
    labels = np.random.default_rng(1).integers(0, 2, len(values))
    return [metrics.average_precision(labels, column) for column in values.T]


@pytest.fixture(scope="module")
def resized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with resized clips of every split, a diagnosis that finds nothing, and weights of both networks."""
    folder = tmp_path_factory.mktemp("resized")
    index = []
    for split, seeds in {"train": (1, 2), "holdout": (3, 4), "validation": (5,), "test": (6, 7)}.items():
        found = [clip(seed) for seed in seeds]
        (folder / split).mkdir()
        for one in found:
            np.save(folder / split / f"{one.video}.npy", one.array)
        index.append(clips.keys(split, found))
        tables.write_csv(folder / split / clips.INDEX, index[-1].assign(fold=-1))
    tables.write_csv(folder / "diagnosis.csv", pd.concat(index).assign(flipped=0, noisy=0))
    torch.manual_seed(3)
    saving.save(autoencoder.Autoencoder(), folder / "autoencoder.safetensors", {})
    network = predictor.make("unet", 4)
    for parameter in network.parameters():
        if not parameter.any():  # untrained it copies the last frame
            torch.nn.init.normal_(parameter, std=0.05)
    saving.save(network, folder / "predictor.safetensors", {"predict": {"network": "unet", "history": 4}})
    return folder


def scored(resized: Path, threads: int, batch_size: int) -> np.ndarray:
    """Every component of both networks and of the memory, a row a frame."""
    torch.set_num_threads(threads)
    changes = {
        "predict": DEFAULT.predict.model_copy(update={"batch_size": batch_size}),
        "memory": DEFAULT.memory.model_copy(update={"patches": 100}),
    }
    settings = DEFAULT.model_copy(update=changes)
    weights, prediction_weights = resized / "autoencoder.safetensors", resized / "predictor.safetensors"
    encoders, forecasters, diagnosis = (weights, resized), (prediction_weights, resized), resized / "diagnosis.csv"
    found = [
        reconstruction.measure(settings, Store(), *encoders, resized),
        prediction.measure(settings, Store(), *forecasters, resized, diagnosis),
        memory.measure(settings, Store(), *encoders, *forecasters, resized, diagnosis),
    ]
    return np.hstack([table.drop(columns=tables.KEYS).to_numpy() for table in found])


def test_scoring_with_other_threads_changes_no_bit_and_another_batch_size_only_rounding(resized: Path) -> None:
    expected = scored(resized, HERE, 16)
    np.testing.assert_array_equal(scored(resized, ELSEWHERE, 16), expected)
    other = scored(resized, HERE, 5)
    assert relative_error(other, expected) < 1e-6
    # Frames as good as tied may change places.
    assert np.abs(np.subtract(average_precisions(other), average_precisions(expected))).max() < 0.01


def trained(folder: Path, threads: int) -> tuple[np.ndarray, pd.DataFrame]:
    """Train an autoencoder on so many threads and score with it on one: its losses, and components of two clips."""
    torch.set_num_threads(threads)
    runtime.seed(DEFAULT.seed)
    model = autoencoder.Autoencoder()
    settings = DEFAULT.train.model_copy(update={"epochs": 2})
    train, holdout = training.Frames([clip(1), clip(2)]), training.Frames([clip(3)])
    checkpoints = Checkpoints(folder / f"{threads}", {})
    history = training.fit(runtime.fabric(), model, train, holdout, settings, checkpoints)
    torch.set_num_threads(HERE)
    ready = inference.prepared(runtime.fabric(), model)
    found = [reconstruction.score(runtime.fabric(), ready, one) for one in (clip(4), clip(5))]
    return history[["train", "train_eval", "holdout"]].iloc[1:].to_numpy(), pd.concat(found)


# Slow: threads that share so small a network wait for each other most of the time.
@pytest.mark.slow
def test_training_with_other_threads_gives_other_weights_whose_losses_and_scores_hardly_differ(tmp_path: Path) -> None:
    (losses, components), (other_losses, others) = (trained(tmp_path, threads) for threads in (HERE, ELSEWHERE))
    assert not components.equals(others), "if they are equal, say so in docs/PROMISES.md"
    assert relative_error(other_losses, losses) < 1e-5
    assert relative_error(others.to_numpy(), components.to_numpy()) < 0.05
    recipe = DEFAULT.aggregate.weights
    scores = [
        sum(weight * table[f"{name}/identity"] for name, weight in recipe.items()) for table in (components, others)
    ]
    ap, other_ap = average_precisions(np.array(scores).T)
    assert abs(other_ap - ap) < 0.01
