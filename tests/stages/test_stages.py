"""Each stage does what its entry in dvc.yaml says, on tiny clips, called as Python functions."""

import contextlib
import hashlib
import io
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import safetensors.numpy
import torch
import yaml
from PIL import Image

from stages import (
    aggregate,
    check,
    components,
    diagnose,
    evaluate,
    extract,
    fetch,
    resize,
    submission,
    train,
    train_predictor,
    validation,
)  # fmt: skip
from tests.tiny_clips import walking_square, write_dataset
from vad import VadError, params, registry
from vad.components import memory, motion, pooling, prediction, reconstruction, views
from vad.data import clips
from vad.evaluation import metrics
from vad.models import autoencoder, detector, predictor, training
from vad.quality import compression, diagnosis, repair
from vad.storage import needs, tables

TOP = Path(__file__).parents[2]
TINY = {
    "data": {"source": "folder", "root": "mine", "benchmark_labels": "truth", "scores": "given"},
    "resize": {"size": 64},
    "train": {"epochs": 2},
}
COMPONENTS, DIAGNOSIS = Path("data/components"), Path("data/diagnosis.csv")
PREDICTOR = Path("models/predictor.safetensors")
HALVES = Path("models/halves")
"""Without folds both networks' files there hold the same: no weights."""
RECONSTRUCTION, GIVEN = COMPONENTS / "reconstruction.npz", COMPONENTS / "given.npz"
NEEDS = Path("data/needs")
TRAIN = (
    NEEDS / "train", Path("data/resized"),
    Path("models/ae.safetensors"), HALVES, Path("metrics/train.json"), Path("metrics/loss.csv"),
)  # fmt: skip


def settings(**sections: dict[str, object]) -> None:
    """Write params.yaml: the default, with sections changed."""
    values = yaml.safe_load((TOP / "params.yaml").read_text())
    for name, section in sections.items():
        values[name] |= section
    Path("params.yaml").write_text(yaml.safe_dump(values))


def run_every_stage() -> None:
    """Run every stage in the working folder, in order, on the clips in its folder `mine`."""
    Path("truth").mkdir()
    Path("given").mkdir()
    settings(**TINY)
    check.main(NEEDS)
    fetch.main(Path("data/raw"), Path("data/labels"))
    extract.main(Path("data/raw"), Path("data/frames"), Path("metrics/data.json"))
    validation.main(Path("data/frames"), Path("data/validation"))
    diagnose.main(
        Path("data/frames"), Path("data/validation"), Path("data/labels"),
        DIAGNOSIS, Path("metrics/diagnosis.json"), Path("metrics/diagnosis.png"),
    )  # fmt: skip
    resize.main(NEEDS / "resize", Path("data/frames"), Path("data/validation"), DIAGNOSIS, Path("data/resized"))
    train.main(*TRAIN)
    components.main(NEEDS / "infer", *TRAIN[2:4], Path("data/resized"), RECONSTRUCTION)
    frames = Path("data/frames"), Path("data/validation"), DIAGNOSIS
    components.main(NEEDS / "motion", *frames, COMPONENTS / "motion.npz")
    trained = PREDICTOR, HALVES, Path("metrics/predictor.json")
    train_predictor.main(NEEDS / "train_predictor", Path("data/resized"), *trained)
    networks(NEEDS, Path("data/resized"), PREDICTOR, COMPONENTS)
    components.main(NEEDS / "objects", *frames, COMPONENTS / "objects.npz")
    components.main(NEEDS / "given", DIAGNOSIS, GIVEN)
    aggregate.main(COMPONENTS, DIAGNOSIS, Path("data/scores.csv"))
    evaluate.main(
        Path("data/scores.csv"), Path("data/validation"), Path("data/labels"), TRAIN[4], GIVEN,
        Path("data/labelled.csv"), Path("metrics/summary.json"), Path("metrics/evaluation.json"),
        Path("metrics/shares.csv"), Path("metrics/plots"),
    )  # fmt: skip
    submission.main(Path("data/scores.csv"), Path("data/raw"), Path("submission.csv"))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in which every stage has run; the tests run in it."""
    folder = tmp_path_factory.mktemp("project")
    before = Path.cwd()
    os.chdir(folder)
    write_dataset(Path("mine"))
    run_every_stage()
    yield folder
    os.chdir(before)


@pytest.fixture(scope="module")
def poisoned(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another such folder; its test clips are mirrored negatives of those of `project`, and labelled the wrong way."""
    folder = tmp_path_factory.mktemp("poisoned")
    with contextlib.chdir(folder):
        write_dataset(Path("mine"))
        for path in Path("mine/testing").rglob("*.jpg"):
            Image.fromarray(255 - np.asarray(Image.open(path))[:, ::-1]).save(path)
        labels = pd.read_csv("mine/labels.csv", dtype={"video": str})
        labels.assign(label=1 - labels["label"], kind="").to_csv("mine/labels.csv", index=False)
        run_every_stage()
    return folder


def networks(needed: Path, resized: Path, weights: Path, to: Path) -> None:
    """Run the stages `predict` and `memory`."""
    components.main(needed / "predict", weights, HALVES, resized, DIAGNOSIS, to / "prediction.npz")
    components.main(needed / "memory", *TRAIN[2:4], weights, HALVES, resized, DIAGNOSIS, to / "memory.npz")


def run_family(name: str, table: Path) -> bytes:
    """The table of a component family, as its stage in dvc.yaml writes it."""
    inputs = {
        "reconstruction": (*TRAIN[2:4], Path("data/resized")),
        "motion": (Path("data/frames"), Path("data/validation"), DIAGNOSIS),
    }
    stage = next(row.stage for row in registry.FAMILIES if row.name == name)
    components.main(NEEDS / stage, *inputs[name], table)
    return table.read_bytes() if table.exists() else b""


@pytest.mark.parametrize("name", ["reconstruction", "motion"])
def test_shares_of_the_clips_in_any_order_give_the_very_table_and_leave_nothing_to_compute(
    name: str, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = (COMPONENTS / f"{name}.npz").read_bytes()
    monkeypatch.setattr(components, "CLIPS", tmp_path / "kept")
    for share in ("2/2", "1/2"):
        monkeypatch.setenv("VAD_SHARD", share)
        assert run_family(name, tmp_path / "table.npz") == b""
    monkeypatch.delenv("VAD_SHARD")
    monkeypatch.setattr(reconstruction, "score", pytest.fail)
    monkeypatch.setattr(motion, "Normality", pytest.fail)
    assert run_family(name, tmp_path / "table.npz") == whole


def test_check_refuses_a_root_that_is_not_there(project: Path) -> None:
    settings(data=TINY["data"] | {"root": "nowhere"})
    with pytest.raises(VadError, match="nowhere"):
        check.main(Path("data/other"))
    assert not Path("data/other").exists()
    settings(**TINY)


def test_fetch_lists_every_clip_with_a_hash_of_its_content_and_leaves_labels_unread(project: Path) -> None:
    manifest = json.loads(Path("data/raw/manifest.json").read_text())
    assert [clip["video"] for clip in manifest["training"]] == ["01", "02", "03", "04", "05"]
    assert [clip["video"] for clip in manifest["testing"]] == ["01", "02", "03"]
    digests = [clip["digest"] for split in manifest.values() for clip in split]
    assert len(set(digests)) == 8 and all(len(digest) == 32 for digest in digests)
    assert Path("data/labels/labels.csv").read_bytes() == Path("mine/labels.csv").read_bytes()


def test_extract_keeps_images_as_they_are_and_divides_the_training_clips(project: Path) -> None:
    index = tables.read_csv(Path("data/frames/index.csv"), tables.KEYS)
    videos = index.groupby("split")["video"].unique().map(sorted).to_dict()
    assert videos["train"] == ["01", "02", "03"] and videos["test"] == ["01", "02", "03"]
    assert videos["holdout"] == videos["validation"] == ["04", "05"]
    clip = next(clip for clip in clips.open_zips(Path("data/frames/test")) if clip.video == "02")
    assert clip.numbers.tolist() == list(range(3, 33))
    original = Path("mine/testing/02/frame_00007.jpg").read_bytes()
    assert clip.archive.read(clip.names[7]) == original
    assert {name: len(rows) for name, rows in index.groupby("split")} == {
        "train": 180, "holdout": 44, "validation": 44, "test": 90,
    }  # fmt: skip


def test_validation_labels_the_frames_that_it_changed(project: Path) -> None:
    labels = tables.read_csv(Path("data/validation/labels.csv"), ["video", "frame", "label", "kind"])
    assert ((labels["kind"] != "") == (labels["label"] == 1)).all()
    assert 0.1 < labels["label"].mean() < 0.7
    originals = {clip.video: clip for clip in clips.open_zips(Path("data/frames/validation"))}
    copies = {clip.video: clip for clip in clips.open_zips(Path("data/validation/clips"))}
    clean = labels[(labels["flipped"] == 0) & (labels["noisy"] == 0)]
    moved = [
        np.abs(copies[r.video].frame(r.frame).astype(int) - originals[r.video[:2]].frame(r.frame)).max()
        for r in clean.itertuples()
    ]
    # Of normal frames some have somebody who walks there once more, the others are as they were.
    assert min(np.array(moved)[clean["label"] == 1]) > 12 > np.median(np.array(moved)[clean["label"] == 0])
    assert sum(map(len, copies.values())) == len(labels)


def test_diagnose_measures_every_frame_at_full_size(project: Path) -> None:
    columns = [*tables.KEYS, "corr_upright", "corr_flipped", "noise", "change", "gap", "flipped"]
    table = tables.read_csv(Path("data/diagnosis.csv"), columns)
    assert set(table["split"]) == {"train", "holdout", "validation", "test"}
    line = json.loads(Path("metrics/diagnosis.json").read_text())["thresholds"]["flip"]
    # Each of these clips has a background of its own: which way up a frame is, nothing tells.
    assert not (table["flip_margin"] > line).any() and not table["flipped"].any()
    (clip,) = (clip for clip in clips.open_zips(Path("data/frames/test")) if clip.video == "02")
    rows = table.query("split == 'test' and video == '02'").set_index("frame")
    assert rows.index.tolist() == clip.numbers.tolist() and rows["gap"].tolist() == [0] + [1] * (len(rows) - 1)
    expected = diagnosis.noise_level(diagnosis.luma(clip, 7))
    assert rows.loc[7, "noise"] == pytest.approx(expected, abs=1e-4)
    found = json.loads(Path("metrics/diagnosis.json").read_text())["found"]
    assert found["test"]["frames"] == 90 and found["test"]["flipped"] == table.query("split == 'test'")["flipped"].sum()


def test_resize_is_torchvision_s(project: Path) -> None:
    from torchvision.transforms import Resize

    import vad.models.torchvision_compat  # noqa: F401

    (small,) = (clip for clip in clips.open_resized(Path("data/resized"), "test") if clip.video == "01")
    (whole,) = (clip for clip in clips.open_zips(Path("data/frames/test")) if clip.video == "01")
    for number in whole.numbers.tolist():
        expected = np.asarray(Resize((64, 64))(Image.fromarray(whole.frame(number))))
        assert (small.frame(number) == expected).all()


def test_scaled_decoding_is_within_a_grey_level_and_exact_decoding_is_pillow_s(tmp_path: Path) -> None:
    frames = walking_square(4, size=(360, 640))
    clips.write_zip(tmp_path / "01.zip", ((n, *clips.encode(frame)) for n, frame in enumerate(frames)), "")
    chosen = params.load(TOP / "params.yaml").resize
    with clips.open_zip(tmp_path / "01.zip") as clip:
        whole = [Image.open(io.BytesIO(clip.archive.read(clip.names[n]))).convert("RGB") for n in range(4)]
        expected = np.stack([np.asarray(image.resize((128, 128), Image.Resampling.BILINEAR)) for image in whole])
        # The last frame is saved again on purpose, which happens at full size.
        for decode, quality in (("exact", None), ("scaled", None), ("scaled", 95)):
            changed = chosen.model_copy(update={"decode": decode})
            resize.store(tmp_path / "01.npy", clip, {0: None, 1: None, 2: None, 3: quality}, changed)
            found = np.load(tmp_path / "01.npy").astype(int)
            off = np.abs(found - expected).mean((1, 2, 3))
            assert (off == 0).tolist() == [decode == "exact"] * 4 and (off < 1).all()
    again = np.asarray(compression.compressed(whole[3], 95).resize((128, 128), Image.Resampling.BILINEAR))
    assert (found[3] == again).all()


def test_stress_compresses_its_share_of_the_scored_frames_and_no_other(project: Path, tmp_path: Path) -> None:
    settings(**TINY, stress={"jpeg_quality": 5, "share": 0.3})
    resize.main(NEEDS / "resize", Path("data/frames"), Path("data/validation"), DIAGNOSIS, tmp_path)
    settings(**TINY)
    chosen = tables.read_csv(tmp_path / "compressed.csv", tables.KEYS)
    assert set(chosen["split"]) == {"validation", "test"} and 0.15 < len(chosen) / 134 < 0.45
    rows = set(chosen.itertuples(index=False, name=None))
    for split in ("train", "holdout", "validation", "test"):
        pairs = zip(clips.open_resized(Path("data/resized"), split), clips.open_resized(tmp_path, split), strict=True)
        for before, after in pairs:
            for number in before.numbers.tolist():
                changed = (before.frame(number) != after.frame(number)).any()
                assert changed == ((split, before.video, number) in rows)
        assert Path("data/resized", split, clips.INDEX).read_bytes() == (tmp_path / split / clips.INDEX).read_bytes()
    assert tables.read_csv(Path("data/resized/compressed.csv"), tables.KEYS).empty


def test_where_no_network_looks_at_them_no_frames_are_resized(project: Path, tmp_path: Path) -> None:
    needs.write(tmp_path, {"resize": False})
    resize.main(tmp_path / "resize", Path("data/frames"), Path("data/validation"), DIAGNOSIS, tmp_path / "resized")
    for split in ("train", "holdout", "validation", "test"):
        assert clips.open_resized(tmp_path / "resized", split) == []
    assert not list(tmp_path.rglob("*.npy"))


def test_training_again_gives_the_same_file(project: Path, poisoned: Path) -> None:
    assert (poisoned / TRAIN[2]).read_bytes() == TRAIN[2].read_bytes()
    assert (poisoned / TRAIN[5]).read_bytes() == TRAIN[5].read_bytes()
    history = pd.read_csv(TRAIN[5])
    assert history["epoch"].tolist() == [0, 1, 2] and history["train"][1:].is_monotonic_decreasing
    figures = json.loads(TRAIN[4].read_text())
    assert figures["frames"] == 180 and figures["epoch"] == 2
    for name in training.COLLAPSE:
        assert (figures["untrained"][name], figures[name]) == (history[name].iloc[0], history[name].iloc[-1])


def test_infer_has_every_component_of_every_view_of_every_scored_frame(project: Path) -> None:
    table = tables.read_components(RECONSTRUCTION)
    scored = pd.concat([tables.read_csv(Path("data/resized", s, clips.INDEX), tables.KEYS) for s in tables.SCORED])
    pd.testing.assert_frame_equal(table[tables.KEYS], scored.reset_index(drop=True)[tables.KEYS], check_dtype=False)
    assert list(table.columns[3:]) == [
        f"{name}/{view}" for view in registry.VIEWS for name in registry.maps("reconstruction")
    ]
    model = autoencoder.load(TRAIN[2])
    (clip,) = (clip for clip in clips.open_resized(Path("data/resized"), "test") if clip.video == "03")
    row = table.query("split == 'test' and video == '03' and frame == 20").iloc[0]
    image = autoencoder.to_images(torch.from_numpy(clip.frame(20).copy())[None])
    for name in registry.VIEWS:
        seen = views.view(name)(image)
        with torch.inference_mode():
            found = reconstruction.components(seen, *model.score_views(seen))
        for component, value in found.items():
            assert row[f"{component}/{name}"] == pytest.approx(value.item(), rel=1e-4)


def test_aggregate_is_the_recipe_of_the_parameters(project: Path) -> None:
    table = tables.read_components(RECONSTRUCTION)
    scores = tables.read_csv(Path("data/scores.csv"), [*tables.KEYS, "score"])
    mean = {
        name: table[[f"{name}/{view}" for view in registry.VIEWS]].mean(axis=1)
        for name in ("pixel_l1", "layer3", "layer4")
    }
    expected = (0.795 * mean["pixel_l1"] + 0.082 * mean["layer3"] + 0.123 * mean["layer4"]) ** 1.31
    np.testing.assert_allclose(scores["score"], expected, rtol=1e-12)
    assert scores["frame"].tolist() == table["frame"].tolist()


def test_what_is_not_needed_leaves_no_weights_and_no_components_and_says_so(project: Path) -> None:
    assert safetensors.numpy.load_file(PREDICTOR) == {}
    assert json.loads(Path("metrics/predictor.json").read_text()) == {"needed": False}
    assert all(tables.read_components(COMPONENTS / f"{name}.npz").empty for name in ("prediction", "memory", "objects"))


def test_an_autoencoder_that_nothing_weighs_is_neither_trained_nor_run(project: Path, tmp_path: Path) -> None:
    settings(**TINY, aggregate={"weights": {"flow_local": 1.0}, "normalise": "calibrated"})
    check.main(tmp_path)
    train.main(tmp_path / "train", *(path / "none" for path in TRAIN[1:2]), *(tmp_path / n for n in "whmc"))
    components.main(tmp_path / "infer", *(tmp_path / n for n in "whn"), tmp_path / "reconstruction.npz")
    for family in ("motion", "prediction", "memory", "objects", "given"):
        shutil.copy(COMPONENTS / f"{family}.npz", tmp_path)
    aggregate.main(tmp_path, DIAGNOSIS, tmp_path / "scores.csv")
    settings(**TINY)
    assert json.loads((tmp_path / "m").read_text()) == {"needed": False}
    assert len(tables.read_csv(tmp_path / "scores.csv", ["score"])) == len(tables.read_components(RECONSTRUCTION))


def test_networks_that_are_on_score_the_same_frames_and_do_so_again(project: Path, tmp_path: Path) -> None:
    remembered = {"enabled": True, "features": "predictor", "patches": 50}
    settings(**TINY, predict={"enabled": True, "epochs": 2}, memory=remembered)
    resized = Path("data/resized")
    check.main(tmp_path)
    for run in ("one", "two"):
        to = tmp_path / run
        train_predictor.main(tmp_path / "train_predictor", resized, to / "weights", HALVES, to / "metrics.json")
        networks(tmp_path, resized, to / "weights", to)
    training = clips.open_resized(resized, "train")
    learned = memory.learned(params.load(Path("params.yaml")), TRAIN[2], to / "weights", training)
    settings(**TINY)
    assert (tmp_path / "one" / "weights").read_bytes() == (tmp_path / "two" / "weights").read_bytes()
    assert len(json.loads((to / "metrics.json").read_text())["loss"]["train"]) == 2
    for name in ("prediction", "memory"):
        table = tables.read_components(to / f"{name}.npz")
        pd.testing.assert_frame_equal(table, tables.read_components(tmp_path / "one" / f"{name}.npz"))
        pd.testing.assert_frame_equal(table[tables.KEYS], tables.read_components(RECONSTRUCTION)[tables.KEYS])
        assert list(table.columns[3:]) == pools_of(name)
        values = table.drop(columns=tables.KEYS)
        assert np.isfinite(values).all(axis=None) and (values[f"{name}_max"] > values[f"{name}_mean"]).all()
    held_out = [memory.cells_of(learned, clip) for clip in clips.open_resized(resized, "holdout")]
    expected = pd.DataFrame(pooling.pool_by_others(held_out)).add_prefix("memory_")
    found = tables.read_components(to / "memory.npz").query("split == 'holdout'")
    np.testing.assert_allclose(found[expected.columns], expected, rtol=1e-4)
    model = predictor.load(to / "weights")
    (clip,) = (clip for clip in clips.open_resized(resized, "test") if clip.video == "03")
    found = tables.read_components(to / "prediction.npz").query("split == 'test' and video == '03'")
    means = [cells.mean() for cells in prediction.cells_of(model, clip, 16)]
    np.testing.assert_allclose(found["prediction_mean"], means, rtol=1e-4)


class Square:
    """Stands in for a detector: finds the square that walks, seen as its mean colour."""

    def find(self, frame: np.ndarray) -> detector.Found:
        rows, columns = np.nonzero(frame[..., 0].astype(int) - frame[..., 2] > 100)
        box = [columns.min() / 64, rows.min() / 48, (columns.max() + 1) / 64, (rows.max() + 1) / 48]
        return detector.Found(np.array([box], np.float32), frame[rows, columns].mean(0, dtype=np.float32)[None])


def test_objects_of_the_same_frames_that_run_move_unlike_those_that_walk(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "weights.pth").touch()
    on = {"enabled": True, "weights": str(tmp_path / "weights.pth")}
    settings(**TINY, objects=on, aggregate={"weights": {"objects_velocity": 1.0}, "normalise": "calibrated"})
    check.main(tmp_path)
    monkeypatch.setattr(detector, "load", lambda _: Square())
    frames = Path("data/frames"), Path("data/validation"), DIAGNOSIS
    components.main(tmp_path / "objects", *frames, tmp_path / "objects.npz")
    for family in ("reconstruction", "motion", "prediction", "memory", "given"):
        shutil.copy(COMPONENTS / f"{family}.npz", tmp_path)
    aggregate.main(tmp_path, DIAGNOSIS, tmp_path / "scores.csv")
    settings(**TINY)
    table = tables.read_components(tmp_path / "objects.npz")
    pd.testing.assert_frame_equal(table[tables.KEYS], tables.read_components(RECONSTRUCTION)[tables.KEYS])
    assert list(table.columns[3:]) == list(registry.maps("objects"))
    labels = tables.read_csv(Path("mine/labels.csv"), ["video", "frame", "label"])
    test = table[table["split"] == "test"].merge(labels, on=["video", "frame"])
    for video in ("01", "02"):
        of_clip = test[test["video"] == video].groupby("label")["objects_velocity"].median()
        assert of_clip[1] > 2 * of_clip[0]
    assert test["objects_appearance"].max() < 30
    scores = tables.read_csv(tmp_path / "scores.csv", ["score"])["score"]
    assert (scores.rank() == table["objects_velocity"].rank()).all()


def test_check_refuses_weights_of_a_detector_that_are_not_there(project: Path, tmp_path: Path) -> None:
    settings(**TINY, objects={"enabled": True, "weights": "nowhere.pth"})
    with pytest.raises(VadError, match=r"objects.weights = 'nowhere.pth': no such file; correct or unset it"):
        check.main(tmp_path)
    settings(**TINY)


@pytest.mark.parametrize(
    ("stage", "sections"),
    [
        ("train", {"train": {}}),
        ("memory", {"memory": {"enabled": True, "features": "resnet18"}}),
        ("objects", {"objects": {"enabled": True}}),
    ],
)
def test_other_weights_in_a_file_of_the_same_name_are_another_need_of_their_stage_alone(
    project: Path, tmp_path: Path, stage: str, sections: dict[str, dict[str, object]]
) -> None:
    weights = tmp_path / "weights.pth"
    settings(
        **TINY | {name: TINY.get(name, {}) | changes | {"weights": str(weights)} for name, changes in sections.items()}
    )
    found = []
    for content in (b"one", b"two"):
        weights.write_bytes(content)
        check.main(tmp_path / "needs")
        found.append({path.name: path.read_text() for path in (tmp_path / "needs").iterdir()})
    settings(**TINY)
    assert [name for name in found[0] if found[0][name] != found[1][name]] == [stage]
    assert f"{stage}.weights {hashlib.sha256(b'two').hexdigest()}" in found[1][stage].splitlines()


@pytest.mark.parametrize("place", ["mine/.hidden", "truth/9_label.mat", "given/own.csv"])
def test_a_pipe_that_dvc_would_wait_for_is_refused_wherever_dvc_looks(
    project: Path, tmp_path: Path, place: str
) -> None:
    os.mkfifo(place)
    try:
        with pytest.raises(VadError, match=f"^{place}: a pipe, socket or device; remove it$"):
            check.main(tmp_path)
    finally:
        Path(place).unlink()


def test_a_damaged_file_of_needs_is_written_anew(project: Path, tmp_path: Path) -> None:
    check.main(tmp_path)
    whole = (tmp_path / "train").read_bytes()
    (tmp_path / "train").write_bytes(b"\xff")
    check.main(tmp_path)
    assert (tmp_path / "train").read_bytes() == whole


def pools_of(family: str) -> list[str]:
    return [name for name, row in registry.COMPONENTS.items() if row.name == family]


def test_motion_has_every_pool_of_every_map_of_the_same_frames(project: Path) -> None:
    table = tables.read_components(COMPONENTS / "motion.npz")
    assert list(table.columns[3:]) == pools_of("motion")
    pd.testing.assert_frame_equal(table[tables.KEYS], tables.read_components(RECONSTRUCTION)[tables.KEYS])
    assert np.isfinite(table.drop(columns=tables.KEYS)).all(axis=None)


def test_repair_gives_motion_and_the_network_frames_that_were_never_corrupted(project: Path, tmp_path: Path) -> None:
    # These clips have a background each, on which orientation can't be found: what is true stands in for it.
    truth = tables.read_csv(Path("data/validation/labels.csv"), ["video", "frame", "flipped", "noisy"])
    keys = tables.read_csv(DIAGNOSIS, tables.KEYS)[tables.KEYS]
    known = keys.merge(truth.assign(split="validation")[repair.COLUMNS], on=tables.KEYS, how="left").fillna(0)
    tables.write_csv(tmp_path / "diagnosis.csv", known.astype({"flipped": int, "noisy": int}).assign(fold=-1))
    for name, undo in {"as_they_are": {}, "repaired": {"unflip": True, "denoise": "temporal_median"}}.items():
        settings(**TINY, repair=undo, motion={"components": ["change"]})
        inputs = Path("data/frames"), Path("data/validation"), tmp_path / "diagnosis.csv"
        components.main(NEEDS / "motion", *inputs, tmp_path / f"{name}.npz")
        resize.main(NEEDS / "resize", *inputs, tmp_path / name)
    settings(**TINY)
    before, after = (tables.read_components(tmp_path / f"{name}.npz") for name in ("as_they_are", "repaired"))
    found = before[tables.KEYS].merge(known, on=tables.KEYS)
    changed = ((found["flipped"] == 1) | (found["noisy"] == 1)).to_numpy()
    assert changed.any()
    assert after["change_mean"][changed].mean() < 0.3 * before["change_mean"][changed].mean()
    noisy = {tuple(row) for row in found.loc[found["noisy"] == 1, tables.KEYS].itertuples(index=False, name=None)}
    for split in ("train", "holdout", "validation", "test"):
        resized = (clips.open_resized(tmp_path / name, split) for name in ("as_they_are", "repaired"))
        for raw, clean in zip(*resized, strict=True):
            for number in raw.numbers.tolist():
                same = (raw.frame(number) == clean.frame(number)).all()
                assert same != ((split, raw.video, number) in noisy)


def test_components_of_other_frames_are_not_mixed(project: Path) -> None:
    table = tables.read_components(RECONSTRUCTION)
    with pytest.raises(VadError, match=r"data/components: test clip 03 frame \d+ is in one table only"):
        tables.join(table, [table.iloc[:-1][tables.KEYS]])


def test_evaluate_keeps_validation_and_benchmark_apart(project: Path) -> None:
    from sklearn.metrics import average_precision_score

    figures = json.loads(Path("metrics/evaluation.json").read_text())
    scores = tables.read_csv(Path("data/scores.csv"), [*tables.KEYS, "score"])
    for part, split, path in (("validation", "validation", "data/validation"), ("benchmark", "test", "data/labels")):
        truth = tables.read_csv(Path(path) / "labels.csv", ["video", "frame", "label"])
        both = scores[scores["split"] == split].merge(truth, on=["video", "frame"])
        assert figures[part]["ap"] == pytest.approx(average_precision_score(both["label"], both["score"]))
        assert figures[part]["frames"] == len(both)


def test_what_diagnose_measured_can_be_the_score(project: Path, tmp_path: Path) -> None:
    for name in registry.maps("diagnosis"):
        settings(**TINY, aggregate={"weights": {name: 1.0}})
        aggregate.main(COMPONENTS, DIAGNOSIS, tmp_path / "scores.csv")
        scores = tables.read_csv(tmp_path / "scores.csv", [*tables.KEYS, "score"])
        measured = tables.read_csv(Path("data/diagnosis.csv"), [*tables.KEYS, name])
        both = scores.merge(measured, on=tables.KEYS)
        known = both[both[name].notna()]
        assert (known["score"].rank() == known[name].rank()).all() and np.isfinite(scores["score"]).all()
    settings(**TINY)


def test_the_summary_holds_a_dozen_figures_at_most_and_they_are_those_of_the_evaluation(project: Path) -> None:
    summary = json.loads(Path("metrics/summary.json").read_text())
    evaluation = json.loads(Path("metrics/evaluation.json").read_text())
    assert sum(len(part) if isinstance(part, dict) else 1 for part in summary.values()) <= 12
    assert list(summary) == ["ap", "ap_eq", "ci", "auc", "rank", "val", "loss"]
    for short, part in ((summary, "benchmark"), (summary["val"], "validation")):
        assert short["ap_eq"] == pytest.approx(evaluation[part]["ap_at_prevalence"], abs=5e-5)
        assert short["auc"] == pytest.approx(evaluation[part]["auroc"], abs=5e-5)
        assert evaluation[part]["ranking"].startswith(short["rank"])
    assert summary["loss"] == pytest.approx(json.loads(TRAIN[4].read_text())["train"], abs=5e-7)


def test_the_alarm_s_threshold_comes_from_held_out_frames_alone(project: Path, tmp_path: Path) -> None:
    table = tables.read_csv(Path("data/scores.csv"), [*tables.KEYS, "score"])

    def alarmed(scores: pd.DataFrame, given: Path = GIVEN) -> dict[str, dict[str, float]]:
        tables.write_csv(tmp_path / "scores.csv", scores)
        evaluate.main(
            tmp_path / "scores.csv", Path("data/validation"), Path("data/labels"), TRAIN[4], given,
            tmp_path / "labelled.csv", tmp_path / "summary.json", tmp_path / "evaluation.json",
            tmp_path / "shares.csv", tmp_path / "plots",
        )  # fmt: skip
        evaluation = json.loads((tmp_path / "evaluation.json").read_text())
        return {part: found["alarm"] | {"unjudged": found["unjudged"]} for part, found in evaluation.items()}

    held_out = table["split"] == "holdout"
    found = alarmed(table)
    assert {part["threshold"] for part in found.values()} == {table.loc[held_out, "score"].max()}
    assert found["benchmark"]["learned_from_hours"] == 44 / 25 / 3600
    assert found["benchmark"]["events"] == 2 and found["benchmark"]["allowed_per_hour"] == 10
    louder = alarmed(table.assign(score=table["score"].where(held_out, table["score"] + 1000)))
    assert louder["benchmark"]["threshold"] == found["benchmark"]["threshold"] and louder["benchmark"]["found"] == 2
    assert louder["benchmark"]["normal_in_alarm"] == 1
    by_rank = table[tables.KEYS].assign(given=0.0, given_known=(table["split"] == "test").astype(float))
    tables.write_components(tmp_path / "given.npz", by_rank)
    without = alarmed(table, tmp_path / "given.npz")
    assert without["benchmark"]["threshold"] is None and without["benchmark"]["found"] is None
    assert (without["validation"]["unjudged"], without["benchmark"]["unjudged"]) == (["given"], [])


def test_poisoned_test_frames_and_labels_move_neither_weights_nor_calibration_nor_validation(
    project: Path, poisoned: Path
) -> None:
    assert (poisoned / TRAIN[2]).read_bytes() == TRAIN[2].read_bytes()
    for table in (DIAGNOSIS, Path("data/scores.csv")):
        sound, other = pd.read_csv(table), pd.read_csv(poisoned / table)
        pd.testing.assert_frame_equal(other.query("split != 'test'"), sound.query("split != 'test'"))
        assert not other.equals(sound)
    sound, other = (json.loads((folder / "metrics/evaluation.json").read_text()) for folder in (project, poisoned))
    assert other["validation"] == sound["validation"] and other["benchmark"] != sound["benchmark"]


def test_evaluate_without_labels_reports_validation_alone(project: Path, tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    evaluate.main(
        Path("data/scores.csv"), Path("data/validation"), tmp_path / "labels", TRAIN[4], GIVEN,
        tmp_path / "labelled.csv", tmp_path / "summary.json", tmp_path / "evaluation.json",
        tmp_path / "shares.csv", tmp_path / "plots",
    )  # fmt: skip
    assert list(json.loads((tmp_path / "evaluation.json").read_text())) == ["validation"]
    assert (tmp_path / "plots" / "benchmark_timeline.png").exists()


def test_a_submission_brought_back_ranks_its_frames_as_it_did_and_can_be_blended(project: Path, tmp_path: Path) -> None:
    shutil.copytree(COMPONENTS, tmp_path / "components")
    own = tmp_path / "friend.csv"
    shutil.copy("submission.csv", own)

    def scored(**weights: float) -> pd.DataFrame:
        calibrated = {"weights": weights, "normalise": "calibrated", "normalise_on": "component"}
        settings(**TINY | {"data": TINY["data"] | {"scores": str(own)}}, aggregate=calibrated)
        check.main(tmp_path / "needs")
        components.main(tmp_path / "needs/given", DIAGNOSIS, tmp_path / "components/given.npz")
        aggregate.main(tmp_path / "components", DIAGNOSIS, tmp_path / "scores.csv")
        settings(**TINY)
        return tables.read_csv(tmp_path / "scores.csv", [*tables.KEYS, "score"]).query("split == 'test'")

    alone, other, blended = scored(given=1.0), scored(pixel_l1=1.0), scored(given=0.5, pixel_l1=1.0)
    before = tables.read_csv(Path("data/scores.csv"), [*tables.KEYS, "score"]).query("split == 'test'")
    digest = metrics.ranking_digest(before, before["score"].to_numpy())
    assert metrics.ranking_digest(alone, alone["score"].to_numpy()) == digest
    given = tables.read_components(tmp_path / "components/given.npz").query("split == 'test'")["given"]
    assert given.std(ddof=0) == pytest.approx(1, abs=0.02) and given.max() == pytest.approx(-given.min())
    powers = [np.sign(s) * np.abs(s) ** (1 / 1.31) for s in (blended["score"], other["score"])]
    np.testing.assert_allclose(powers[0], powers[1] + 0.5 * given.to_numpy(), atol=1e-9)
    own.write_text("".join(own.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(VadError, match="no score for test clip 03 frame 32 and 0 more; add their rows"):
        scored(given=1.0)
    own.unlink()
    with pytest.raises(VadError, match=r"data.scores = .*friend.csv': no such file"):
        scored(given=1.0)
    settings(**TINY)


def test_submission_has_the_scores_of_the_test_frames(project: Path) -> None:
    rows = pd.read_csv("submission.csv")
    scores = tables.read_csv(Path("data/scores.csv"), [*tables.KEYS, "score"]).query("split == 'test'")
    assert rows["Id"].tolist() == [f"{int(r.video)}_{r.frame}" for r in scores.itertuples()]
    assert rows["Predicted"].tolist() == scores["score"].tolist()


def test_where_no_frame_is_held_out_all_of_them_train(project: Path, tmp_path: Path) -> None:
    settings(**TINY | {"data": TINY["data"] | {"folds": 0}})
    to = {name: tmp_path / name for name in ("frames", "validation", "resized", "components")}
    extract.main(Path("data/raw"), to["frames"], tmp_path / "data.json")
    validation.main(to["frames"], to["validation"])
    diagnosed = tmp_path / "diagnosis.csv", tmp_path / "diagnosis.json", tmp_path / "diagnosis.png"
    diagnose.main(to["frames"], to["validation"], Path("data/labels"), *diagnosed)
    resize.main(NEEDS / "resize", to["frames"], to["validation"], diagnosed[0], to["resized"])
    trained = tmp_path / "ae.safetensors", tmp_path / "halves", tmp_path / "train.json", tmp_path / "loss.csv"
    train.main(NEEDS / "train", to["resized"], *trained)
    reconstructed = to["components"] / "reconstruction.npz"
    components.main(NEEDS / "infer", *trained[:2], to["resized"], reconstructed)
    for family in ("motion", "prediction", "memory", "objects", "given"):
        tables.write_components(to["components"] / f"{family}.npz", tables.empty())
    aggregate.main(to["components"], diagnosed[0], tmp_path / "scores.csv")

    def evaluated(truth: Path) -> list[str]:
        evaluate.main(
            tmp_path / "scores.csv", to["validation"], truth, trained[2], GIVEN,
            tmp_path / "labelled.csv", tmp_path / "summary.json", tmp_path / "evaluation.json",
            tmp_path / "shares.csv", tmp_path / "plots",
        )  # fmt: skip
        return list(json.loads((tmp_path / "evaluation.json").read_text()))

    (tmp_path / "none").mkdir()
    assert evaluated(tmp_path / "none") == [] and evaluated(Path("data/labels")) == ["benchmark"]
    submission.main(tmp_path / "scores.csv", Path("data/raw"), tmp_path / "submission.csv")
    settings(**TINY)
    figures = json.loads(trained[2].read_text())
    assert figures["frames"] == 5 * 60 and "holdout" not in figures
    assert json.loads((tmp_path / "data.json").read_text()).keys() >= {"train", "test"}
    assert set(tables.read_csv(tmp_path / "scores.csv", ["split"])["split"]) == {"test"}
    assert len(pd.read_csv(tmp_path / "submission.csv")) == 90
