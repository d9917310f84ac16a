"""What runs on a GPU runs on a CPU as well, and gives what the pipeline gives."""

import numpy as np
import pytest
import torch

from benchmarks import gpu
from vad import registry
from vad.components import reconstruction
from vad.models.autoencoder import to_images

CPU = torch.device("cpu")


def test_scores_on_the_device_are_those_of_the_pipeline_up_to_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(gpu.SCORED, "cpu", 4)
    frames = gpu.make_frames(6, CPU)  # no multiple of a batch
    _, found = gpu.score(frames)
    with torch.inference_mode():
        expected = reconstruction.errors(gpu.network(CPU).eval(), to_images(frames))
    names = [name.removesuffix("/identity") for name in expected if name.endswith("/identity")]
    assert found.shape == (len(names), len(registry.VIEWS), 6)
    for row, name in enumerate(names):
        for column, view in enumerate(registry.VIEWS):
            np.testing.assert_allclose(found[row, column], expected[f"{name}/{view}"], rtol=0.05, err_msg=name)


def test_training_on_the_device_lowers_the_loss() -> None:
    torch.manual_seed(0)
    _, losses = gpu.train(gpu.make_frames(32, CPU), 3)
    assert len(losses) == 3 and losses[-1] < losses[0]


def test_the_table_has_training_and_scoring_and_names_no_goal_for_small_sizes() -> None:
    printed = gpu.main(CPU, {"train": 16, "score": 4}, 1)
    rows = [line for line in printed.splitlines() if line.startswith(("| training", "| scoring"))]
    assert len(rows) == 2 and all("| - |" in row and "%" in row for row in rows)
