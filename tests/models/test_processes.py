"""Several processes train as one does: the same batches, the same curve, the same ranking, the same checkpoints."""

import json
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import spearmanr

from tests import processes as several
from vad import VadError
from vad.models import checkpoint, processes

TOLERANCE = 1e-3
"""Of a loss, relative: what another order of adding up numbers may do to it in a few steps."""
SAME = 0.99
"""Agreement of two rankings in which none but near ties change places."""


def folder(path: Path) -> Path:
    path.mkdir(parents=True)
    return path


def curve(path: Path) -> pd.DataFrame:
    """The losses: of training, and on frames that it never sees, held out or of the predictor's inner split."""
    return pd.read_csv(path / "history.csv").filter(["epoch", "train", "holdout", "inner", "steps"])


def agreement(first: Path, second: Path) -> float:
    """Spearman's correlation of two rankings of the same frames."""
    places = (np.argsort(json.loads((path / "ranking.json").read_text())) for path in (first, second))
    return float(spearmanr(*places).statistic)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("alone")
    assert several.together(1, several.fit, path) == [0]
    return path


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pair")
    assert several.together(2, several.fit, path) == [0, 0]
    return path


@pytest.mark.parametrize("count", [2, 3, 5])
def test_gradients_and_statistics_of_a_batch_do_not_depend_on_how_it_is_parted(count: int, tmp_path: Path) -> None:
    whole, parted = folder(tmp_path / "whole"), folder(tmp_path / "parted")
    assert several.together(1, several.one_step, whole) == [0]
    assert several.together(count, several.one_step, parted) == [0] * count
    expected = torch.load(whole / "0.pt")
    for rank in range(count):
        found = torch.load(parted / f"{rank}.pt")
        assert found.keys() == expected.keys()
        for name in expected:
            torch.testing.assert_close(found[name], expected[name], rtol=1e-4, atol=1e-6, msg=name)


def test_two_processes_give_the_loss_curve_of_one_and_rank_frames_as_it_does(alone: Path, pair: Path) -> None:
    pd.testing.assert_frame_equal(curve(pair), curve(alone), rtol=TOLERANCE)
    assert agreement(pair, alone) > SAME


@pytest.mark.slow
def test_four_processes_of_which_one_has_no_part_in_the_last_batch_give_the_same(alone: Path, tmp_path: Path) -> None:
    assert several.together(4, several.fit, tmp_path) == [0] * 4
    pd.testing.assert_frame_equal(curve(tmp_path), curve(alone), rtol=TOLERANCE)
    assert agreement(tmp_path, alone) > SAME


def test_two_processes_train_the_predictor_as_one_does(tmp_path: Path) -> None:
    for name, count in (("alone", 1), ("pair", 2)):
        assert several.together(count, several.fit_predictor, folder(tmp_path / name)) == [0] * count
    pd.testing.assert_frame_equal(curve(tmp_path / "pair"), curve(tmp_path / "alone"), rtol=TOLERANCE)
    assert agreement(tmp_path / "pair", tmp_path / "alone") > SAME


def test_the_first_process_alone_writes_checkpoints(pair: Path) -> None:
    assert set((pair / "writers").read_text()) == {"0"}


def test_a_process_that_is_killed_ends_all_and_any_number_goes_on_from_the_checkpoint(
    alone: Path, tmp_path: Path
) -> None:
    killed, *others = several.together(2, several.fit, tmp_path, 4)[::-1]
    assert killed == -signal.SIGKILL and 0 not in others
    _, record = checkpoint.Checkpoints(tmp_path / "autoencoder", {}).read() or ({}, {})
    assert len(record["losses"]) == 3
    (tmp_path / "said").unlink()
    assert several.together(1, several.fit, tmp_path) == [0]
    said = (tmp_path / "said").read_text()
    assert said.count("\n") == 1 and "processes 2, then 1" in said and "not equal to the bit" in said
    pd.testing.assert_frame_equal(curve(tmp_path), curve(alone), rtol=TOLERANCE)


def test_a_signal_to_one_process_stops_all_after_the_same_step_and_nothing_is_lost(pair: Path, tmp_path: Path) -> None:
    assert 0 not in several.together(2, several.fit, tmp_path, 3, 1, signal.SIGINT)
    _, record = checkpoint.Checkpoints(tmp_path / "autoencoder", {}).read() or ({}, {})
    assert len(record["losses"]) == 3
    assert several.together(2, several.fit, tmp_path) == [0, 0]
    weights = [(path / "weights.safetensors").read_bytes() for path in (tmp_path, pair)]
    assert weights[0] == weights[1]


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, processes.ALONE),
        ({"SLURM_NTASKS": "8", "SLURM_PROCID": "0", "SLURM_NNODES": "2"}, processes.ALONE),
        (
            {"VAD_LAUNCHED": "logs", "SLURM_NTASKS": "8", "SLURM_PROCID": "0", "SLURM_NNODES": "2"},
            processes.Launched(4, 2, "ddp"),
        ),
        (
            {"TORCHELASTIC_RUN_ID": "a", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2"},
            processes.Launched(2, 2, "ddp"),
        ),
        ({"TORCHELASTIC_RUN_ID": "a", "WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1"}, processes.ALONE),
    ],
    ids=["nothing", "within a Slurm job", "srun", "torchrun", "torchrun with one"],
)
def test_processes_are_what_the_launcher_says(
    environment: dict[str, str], expected: processes.Launched, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert processes.launched() == expected


def test_another_strategy_and_unequal_machines_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"TORCHELASTIC_RUN_ID": "a", "WORLD_SIZE": "3", "LOCAL_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(VadError, match="3 processes on 2 machines: give each machine the same number"):
        processes.launched()
    monkeypatch.setenv("LT_STRATEGY", "fsdp")
    with pytest.raises(VadError, match="LT_STRATEGY = 'fsdp': must be ddp"):
        processes.launched()
