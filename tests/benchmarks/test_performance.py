"""What `make benchmark` compares is the same work, and its table has a line for each."""

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import page, performance, reference_notebook, ways
from vad.components import reconstruction
from vad.models import autoencoder, inference, runtime
from vad.scoring import fusion
from vad.storage import tables


def test_the_notebook_and_the_pipeline_give_the_same_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ways, "FRAMES", 6)
    monkeypatch.setattr(ways, "READ", 9)
    ways.make_frames(tmp_path)
    torch.manual_seed(0)
    notebook, model = reference_notebook.Autoencoder(), autoencoder.Autoencoder()
    model.load_state_dict(notebook.state_dict())
    expected = reference_notebook.score(notebook, sorted((tmp_path / "jpegs").glob("*.jpg"))[:6])
    fabric, clip = runtime.fabric(), ways.resized(tmp_path)
    components = reconstruction.score(fabric, inference.prepared(fabric, model), clip)
    keys = dict(zip(tables.KEYS, ("test", "01", clip.numbers), strict=True))
    found = fusion.anomaly_scores(components.assign(**keys), ways.settings())["score"].to_numpy()
    assert len(set(expected)) == 6
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_every_way_of_the_table_exists_and_every_row_is_printed() -> None:
    for group in performance.GROUPS:
        names = [way for row in group for way in row.ways()]
        assert set(names) <= ways.WAYS.keys()
        rates = {name: [10.0, 20.0, 30.0] for name in names} | {row.ours: [30.0, 40.0, 60.0] for row in group}
        for row, cells in zip(group, performance.rows(group, rates, rates), strict=True):
            assert len(cells) == len(performance.HEADS)
            assert cells[0] == row.work and cells[4] == "**2.00**" and cells[2] == "40 (30 to 60)"


def test_a_measured_part_is_replaced_and_the_rest_of_the_page_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "page.md"
    path.write_text("before\n<!-- measured by `make benchmark` -->\nold\n<!-- end -->\nafter\n")
    monkeypatch.setattr(page, "PAGE", path)
    page.write("make benchmark", "new")
    assert path.read_text() == "before\n<!-- measured by `make benchmark` -->\nnew\n<!-- end -->\nafter\n"
