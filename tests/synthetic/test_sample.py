"""The built-in sample is fair: no simple cue solves it, and motion says something, whatever the seed."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter1d
from sklearn.metrics import average_precision_score

from vad.synthetic import scene
from vad.synthetic.sample import EVENTS, Clip, make_sample, plan_clips, render

SEEDS = 7, 1, 2


@dataclass(frozen=True)
class Sample:
    """A sample as written to `root`, its tables, and its clips before cuts and corruption."""

    root: Path
    labels: pd.DataFrame
    corruption: pd.DataFrame
    clips: list[Clip]

    @property
    def testing(self) -> list[Clip]:
        return [clip for clip in self.clips if clip.plan.split == "testing"]


def make(root: Path, seed: int) -> Sample:
    clips = []

    def keep(items: Iterable[Clip], what: str, total: int) -> Iterator[Clip]:
        for clip in items:
            clips.append(clip)
            yield clip

    make_sample(root, seed, keep)
    labels, corruption = (
        pd.read_csv(root / f"{name}.csv", dtype={"video": str}, keep_default_na=False)
        for name in ("labels", "corruption")
    )
    return Sample(root, labels, corruption, clips)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Sample]:
    return {seed: make(tmp_path_factory.mktemp(f"seed{seed}"), seed) for seed in SEEDS}


@pytest.fixture(params=SEEDS)
def sample(samples: dict[int, Sample], request: pytest.FixtureRequest) -> Sample:
    return samples[request.param]


def written(folder: Path) -> dict[str, dict[int, np.ndarray]]:
    """The frames (H, W, 3) BGR that can be read back, by clip and number."""
    clips: dict[str, dict[int, np.ndarray]] = {}
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            clips[path.name] = {int(image.stem.split("_")[1]): cv2.imread(str(image)) for image in path.iterdir()}
            continue
        capture, frames = cv2.VideoCapture(str(path)), []
        while (read := capture.read())[0]:
            frames.append(read[1])
        clips[path.stem] = dict(enumerate(frames))
    return clips


def frame_change(clip: Clip) -> np.ndarray:
    """Per-frame difference to the frame before, mean over 45 x 40 blocks (T, 4, 8), green, 0 to 255."""
    grey = clip.frames[..., 1].astype(np.float32)
    change = np.abs(np.diff(grey, axis=0, prepend=grey[:1]))
    change[0] = change[1]
    return change.reshape(len(grey), 4, 45, 8, 40).mean((2, 4))


def block_motion(clip: Clip) -> np.ndarray:
    """The plain motion score: the largest block difference, smoothed over time."""
    return gaussian_filter1d(frame_change(clip).max((1, 2)), 1.5)


def cues(clip: Clip, background: np.ndarray) -> dict[str, np.ndarray]:
    """Scores (T,) that need no idea of what people do."""
    grey = clip.frames[..., 1].astype(np.float32)
    change = frame_change(clip)
    foreign = np.abs(grey - background).reshape(len(grey), 4, 45, 8, 40).mean((2, 4))
    laplacian = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)  # Immerkaer 1996: noise, not edges
    position = np.arange(len(grey)) / len(grey)
    return {
        "brightness": grey.mean((1, 2)),
        "contrast": grey.std((1, 2)),
        "motion mean": change.mean((1, 2)),
        "motion max": change.max((1, 2)),
        "foreground mean": foreign.mean((1, 2)),
        "foreground max": foreign.max((1, 2)),
        "noise": np.array([np.abs(cv2.filter2D(frame, -1, laplacian)).mean() for frame in grey]),
        "JPEG size": np.array([len(cv2.imencode(".jpg", frame)[1]) for frame in clip.frames]),
        "position": position,
        "middle": -np.abs(position - 0.5),
        "clip length": np.full(len(grey), len(grey)),
    }


def test_same_seed_gives_same_bytes_and_another_seed_other_clips(samples: dict[int, Sample], tmp_path: Path) -> None:
    def digests(root: Path) -> dict[str, str]:
        paths = (path for path in root.rglob("*") if path.is_file())
        return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}

    first, other = digests(samples[1].root), digests(samples[2].root)
    make_sample(tmp_path, 1)
    assert digests(tmp_path) == first
    assert not set(first.values()) & set(other.values())


def test_every_written_test_frame_has_one_row_and_no_other_has(sample: Sample) -> None:
    clips = written(sample.root / "testing")
    frames = {(video, number) for video, images in clips.items() for number in images}
    for table in sample.labels, sample.corruption:
        rows = list(zip(table["video"], table["frame"], strict=True))
        assert len(rows) == len(set(rows)) and set(rows) == frames
    assert list(sample.labels) == ["video", "frame", "label", "kind"]
    assert list(sample.corruption) == ["video", "frame", "flipped", "noisy"]
    assert ((sample.labels["label"] == 1) == (sample.labels["kind"] != "")).all()


def test_written_frames_are_the_clips_frames_of_that_number_corrupted_as_the_table_says(sample: Sample) -> None:
    truth = {(row.video, row.frame): row for row in sample.corruption.itertuples()}
    kinds = sample.labels.set_index(["video", "frame"])["kind"]
    clips = written(sample.root / "testing")
    for clip in sample.testing:
        for number, image in clips[clip.plan.video].items():
            row = truth[clip.plan.video, number]
            assert kinds[clip.plan.video, number] == clip.kinds[number]
            upright = image[::-1] if row.flipped else image
            error = np.abs(upright[..., ::-1].astype(np.float32) - clip.frames[number]).mean()
            assert 12 < error < 25 if row.noisy else error < 4


def test_training_frames_are_whole_clean_and_normal(sample: Sample) -> None:
    clips = written(sample.root / "training")
    assert len(clips) == 8
    assert 550 <= sum(map(len, clips.values())) <= 650
    for clip in sample.clips:
        if clip.plan.split == "training":
            assert not clip.labels.any()
            assert sorted(clips[clip.plan.video]) == list(range(len(clip.frames)))
            for number, image in clips[clip.plan.video].items():
                assert image.shape == (180, 320, 3)
                assert np.abs(image[..., ::-1].astype(np.float32) - clip.frames[number]).mean() < 4


def test_clips_are_videos_and_folders_and_folders_have_cuts_and_gaps(sample: Sample) -> None:
    for split in "training", "testing":
        paths = list((sample.root / split).iterdir())
        assert sum(path.suffix == ".avi" for path in paths) >= 2
        assert sum(path.is_dir() for path in paths) >= 2
    frames = sample.labels.groupby("video")["frame"]
    assert (frames.min() > 0).any()
    assert (frames.max() - frames.min() + 1 > frames.count()).any()


def test_a_quarter_of_the_test_frames_is_anomalous_in_stretches_of_every_kind(sample: Sample) -> None:
    assert 450 <= len(sample.labels) <= 580
    assert 0.24 <= sample.labels["label"].mean() <= 0.26
    events = [event for clip in sample.testing for event in clip.plan.events]
    assert sorted(event.kind for event in events) == sorted([*EVENTS, *EVENTS])
    assert set(sample.labels["kind"]) == {"", *EVENTS}
    for clip in sample.testing:
        assert clip.labels.sum() == sum(event.stop - event.start for event in clip.plan.events)


@pytest.mark.parametrize("name, share", [("flipped", 0.10), ("noisy", 0.20)])
def test_corruption_has_the_competitions_shares_and_ignores_the_label(
    samples: dict[int, Sample], name: str, share: float
) -> None:
    pooled = pd.concat([s.labels.merge(s.corruption, on=["video", "frame"]) for s in samples.values()])
    assert abs(pooled[name].mean() - share) < 0.025
    by_label = pooled.groupby("label")[name].mean()
    assert abs(by_label[1] - by_label[0]) < 0.07  # about three standard errors


def test_an_event_can_be_seen_in_each_of_its_frames(samples: dict[int, Sample]) -> None:
    background = scene.backdrop(np.random.default_rng([7, 0, 2]))
    for clip in samples[7].testing:
        without = render(replace(clip.plan, events=[]), background).frames
        change = np.abs(clip.frames[..., 1].astype(float) - without[..., 1])
        seen = np.array([(cv2.blur(frame, (3, 3)) > 8).sum() for frame in change])
        assert (seen[clip.labels == 1] > 20).all(), clip.plan.events


def test_random_ranking_gets_the_base_rate(sample: Sample) -> None:
    rng = np.random.default_rng(0)
    labels = sample.labels["label"].to_numpy()
    aps = [average_precision_score(labels, rng.random(len(labels))) for _ in range(50)]
    assert 0.22 <= np.mean(aps) <= 0.28


def test_motion_says_something(sample: Sample) -> None:
    labels = np.concatenate([clip.labels for clip in sample.testing])
    blocks = np.concatenate([block_motion(clip) for clip in sample.testing])
    whole = np.concatenate([frame_change(clip).mean((1, 2)) for clip in sample.testing])
    assert average_precision_score(labels, blocks) >= 0.45
    assert average_precision_score(labels, whole) >= 0.45


def test_no_simple_cue_solves_it(sample: Sample) -> None:
    normal = np.concatenate([clip.frames[::4] for clip in sample.clips if clip.plan.split == "training"])
    background = np.median(normal[..., 1], axis=0)
    table = pd.concat([pd.DataFrame(cues(clip, background)) for clip in sample.testing])
    labels = np.concatenate([clip.labels for clip in sample.testing])
    for name in table:
        for sign in 1, -1:
            assert average_precision_score(labels, sign * table[name]) < 0.95, name
    for name in "position", "middle", "clip length":
        for sign in 1, -1:
            assert average_precision_score(labels, sign * table[name]) < 0.45, name


def test_events_do_not_keep_to_one_part_of_a_clip() -> None:
    middles = [
        (event.start + event.stop) / 2 / plan.count
        for seed in range(20)
        for plan in plan_clips(seed)
        for event in plan.events
    ]
    counts, _ = np.histogram(middles, 3, (0, 1))
    assert (counts > len(middles) / 6).all()
