"""Synthetic events on tiny clips: what is labelled is what was changed, and nothing else."""

import dataclasses
import itertools

import cv2
import numpy as np
import pytest

from vad.params import Validation
from vad.synthetic import acts, events, validation

HEIGHT, WIDTH = 96, 144


def make_clip(count: int, figures: int = 3, grey: bool = False, seed: int = 0) -> list[np.ndarray]:
    """Frames (96, 144, 3) of a textured, noisy scene with dark figures walking right at about a pixel a frame."""
    rng = np.random.default_rng(seed)
    scene = cv2.resize(rng.uniform(120, 180, (12, 18, 3)).astype(np.float32), (WIDTH, HEIGHT))
    frames = []
    for t in range(count):
        image = scene + rng.normal(0, 2, scene.shape)
        for i in range(figures):
            x, y = int(8 + i * 45 + t * (0.8 + 0.2 * i)) % (WIDTH + 10) - 5, 50 + 14 * i
            cv2.ellipse(image, (x, y), (4, 10), 0, 0, 360, (30, 40 + 20 * i, 60), -1)
            cv2.rectangle(image, (x - 3 + t % 3, y + 8), (x + t % 3, y + 14), (20, 20, 30), -1)
        frames.append(
            np.clip(image.mean(axis=2, keepdims=True).repeat(3, axis=2) if grey else image, 0, 255).astype("u1")
        )
    return frames


def settings(share: float = 0.25, flip: float = 0.0, noise: float = 0.0, drop: float = 0.0) -> Validation:
    return Validation(seed=0, copies=1, event_share=share, visibility=1, flip=flip, noise=noise, drop=drop)


def deck(seed: int = 0):
    return validation.deal(np.random.default_rng(seed))


def make(frames, numbers=None, chosen=None, seed=0):
    numbers = np.arange(len(frames)) if numbers is None else numbers
    source = validation.Source.of(frames, numbers)
    return validation.make_validation_clip(source, chosen or settings(), np.random.default_rng(seed), deck())


def render(frames, numbers, event, seed=3, visibility=1.0):
    source = validation.Source.of(frames, numbers)
    return validation.render_events(source, frames, [event], np.random.default_rng(seed), visibility)


@pytest.mark.parametrize("count", [12, 40, 150, 600, 2000])
@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
def test_events_cover_about_the_share_asked_for(count, share):
    for seed in range(5):
        moving = itertools.repeat("moving")
        planned = validation.plan_events(np.arange(count), share, np.random.default_rng(seed), moving)
        covered = sum(event.last - event.first + 1 for event in planned)
        assert abs(covered - share * count) <= max(2.5, 0.02 * count)
        assert all(event.last - event.first + 1 <= 80 for event in planned)


@pytest.mark.parametrize("share", [0.02, 0.25, 0.6, 0.95])
@pytest.mark.parametrize("count", [1, 2, 5, 12, 13, 77, 500])
def test_events_are_disjoint_with_normal_frames_between(count, share):
    for seed in range(20):
        planned = validation.plan_events(np.arange(count), share, np.random.default_rng(seed), deck())
        for one, other in itertools.pairwise(planned):
            assert other.first - one.last >= 2
        assert all(0 <= event.first <= event.last < count for event in planned)
        assert sum(event.last - event.first + 1 for event in planned) < count


def test_all_kinds_occur_over_a_few_clips():
    dealt = deck()
    rng = np.random.default_rng(1)
    kinds = [event.kind for _ in range(4) for event in validation.plan_events(np.arange(150), 0.5, rng, dealt)]
    assert set(kinds) == set(validation.KINDS)


def test_events_do_not_span_large_gaps_of_frame_numbers():
    numbers = np.r_[939:980, 982:1010, 1500:1560, 1800:1815]
    for seed in range(20):
        for event in validation.plan_events(numbers, 0.3, np.random.default_rng(seed), deck()):
            inside = numbers[(numbers >= event.first) & (numbers <= event.last)]
            assert {event.first, event.last} <= set(numbers)
            assert np.diff(inside).max(initial=0) <= 5


def test_frame_numbers_that_do_not_ascend_are_refused():
    with pytest.raises(ValueError, match="ascend"):
        validation.Source.of(make_clip(3), np.array([3, 2, 1]))


@pytest.mark.parametrize("kind", validation.ACTS)
@pytest.mark.parametrize(("figures", "grey"), [(3, False), (3, True), (0, False), (0, True)])
def test_every_kind_is_seen_on_its_frames_and_on_no_other(kind, figures, grey):
    frames = make_clip(40, figures, grey)
    before = [frame.copy() for frame in frames]
    numbers = np.arange(40) + 100
    changed = render(frames, numbers, validation.Event(kind, 112, 127))
    for number, old, new in zip(numbers, before, changed, strict=True):
        assert new.dtype == np.uint8 and new.shape == old.shape
        seen = (np.abs(new.astype(int) - old).max(axis=2) >= 12).sum()
        assert seen >= 12 if 112 <= number <= 127 else np.array_equal(old, new)
    assert all(np.array_equal(old, kept) for old, kept in zip(before, frames, strict=True)), "the input was changed"


def test_faint_events_are_those_of_full_visibility_seen_through():
    frames = make_clip(40)
    event = validation.Event("moving", 12, 27)
    full, faint = (render(frames, np.arange(40), event, visibility=visibility) for visibility in (1.0, 0.5))
    for before, whole, half in zip(frames[14:26], full[14:26], faint[14:26], strict=True):
        changed, less = (np.abs(image.astype(int) - before) for image in (whole, half))
        assert changed.max() > 20
        assert np.abs(less - changed / 2).max() <= 1


def test_labels_are_exactly_where_events_are_seen():
    frames, numbers = make_clip(60), np.arange(60) * 2
    for kind in validation.ACTS:
        if kind == "wrong_way":  # everybody walks to the right here: time runs backwards instead
            continue
        event = validation.Event(kind, 40, 70)
        images = render(frames, numbers, event)
        changed = [not np.array_equal(old, new) for old, new in zip(frames, images, strict=True)]
        assert np.flatnonzero(changed).tolist() == list(range(20, 36)), kind


def test_time_that_runs_fast_or_backwards_has_no_seam():
    frames = make_clip(60)
    scene = dataclasses.replace(events.survey(frames, np.arange(60)), headings=np.array([[1.0, 0.0]] * 3))
    source = validation.Source(frames, np.arange(60), scene)
    for kind, step in (("skipped", 3), ("wrong_way", -1)):
        order, warped = validation.replay(source, [validation.Event(kind, 20, 29)])
        assert set(np.diff(order)) == {1, step} and warped == list(range(20, 30))
        assert np.diff(order)[19:29].tolist() == [step] * 10
        assert len(order) == (40 if kind == "skipped" else 60)


def test_where_traffic_has_no_direction_nobody_knows_time_backwards():
    walking = make_clip(60)
    both = [np.hstack([a, b[:, ::-1]]) for a, b in zip(walking, make_clip(60, seed=1), strict=True)]
    source = validation.Source.of(both, np.arange(60))
    assert validation.replay(source, [validation.Event("wrong_way", 20, 29)])[1] == []


def test_a_seam_is_no_label_for_passers_by_have_it_too():
    frames = make_clip(60)
    source = validation.Source.of(frames, np.arange(60))
    pasted = validation.with_passers_by(source, frames, 2, np.random.default_rng(0))
    changed = [not np.array_equal(old, new) for old, new in zip(frames, pasted, strict=True)]
    assert 5 < sum(changed) < 60
    images, table = make(frames, chosen=settings(0.1))
    normal = table["label"].to_numpy() == 0
    assert any(not any(np.array_equal(image, frame) for frame in frames) for image in np.array(images)[normal])


def test_strangers_come_from_other_clips_and_are_too_tall_too_small_or_where_nobody_walks():
    frames = make_clip(60)
    bright = [np.full((20, 12, 4), (255, 255, 255, 1), np.float32)]
    source = validation.Source.of(frames, np.arange(60))
    event = [validation.Event("misplaced", 20, 39)]
    rng = np.random.default_rng(2)
    shown = validation.render_events(source, frames, event, rng, strangers=[acts.Walk(bright, 1.0)])
    added = np.array(shown[25]).astype(int) - frames[25]
    assert added.max() > 60 and added.min() >= -12  # nobody of this clip is bright


def test_every_kind_comes_as_often_as_a_mean_over_kinds_needs_where_copies_may_be_made():
    dealt, rng = deck(), np.random.default_rng(0)
    kinds = [e.kind for _ in range(20) for e in validation.plan_events(np.arange(150), 0.5, rng, dealt)]
    assert min(kinds.count(kind) for kind in validation.KINDS) >= 3
    longest = max(
        (e.last - e.first + 1 for _ in range(9) for e in validation.plan_events(np.arange(400), 0.5, rng, dealt)
         if e.kind == "standing"),
    )  # fmt: skip
    assert longest >= 100


def test_grey_clips_stay_grey():
    images, table = make(make_clip(60, grey=True))
    assert table["label"].any()
    assert max(int(np.ptp(image.astype(int), axis=2).max()) for image in images) <= 1


def test_same_seed_gives_the_same_clip_and_another_seed_another():
    frames = make_clip(60)
    chosen = settings(flip=0.2, noise=0.2, drop=0.1)
    (images, table), (again, same), (_, other) = (make(frames, chosen=chosen, seed=seed) for seed in (1, 1, 2))
    assert table.equals(same) and all(np.array_equal(a, b) for a, b in zip(images, again, strict=True))
    assert not table.equals(other)


def test_corruption_does_not_depend_on_events():
    frames = make_clip(80)
    few, many = (make(frames, chosen=settings(s, 0.3, 0.3, 0.1))[1].set_index("frame") for s in (0.1, 0.5))
    assert few.index.equals(many.index) and few[["flipped", "noisy"]].equals(many[["flipped", "noisy"]])
    assert few["label"].sum() < many["label"].sum()


def test_labels_do_not_depend_on_corruption():
    frames = make_clip(80)
    clean = make(frames)[1].set_index("frame")
    corrupt = make(frames, chosen=settings(0.25, 0.5, 0.5, 0.3))[1].set_index("frame")
    assert 0 < len(corrupt) < len(clean)
    assert corrupt[["label", "kind"]].equals(clean.loc[corrupt.index, ["label", "kind"]])


def test_table_and_frames_say_the_same_of_flips_and_dropped_frames():
    frames = make_clip(80)
    numbers = np.arange(80) + 7
    clean, _ = make(frames, numbers)
    images, table = make(frames, numbers, settings(0.25, 0.5, 0.0, 0.3))
    assert list(table.columns) == ["frame", "label", "kind", "flipped", "noisy"]
    assert len(images) == len(table) < 80
    for image, row in zip(images, table.itertuples(), strict=True):
        expected = clean[row.frame - 7]
        assert np.array_equal(image, expected[::-1] if row.flipped else expected)


def test_walks_are_measured_and_the_wrong_way_is_not_theirs():
    scene = events.survey(make_clip(60), np.arange(60))
    assert scene.pace == pytest.approx(1.0, abs=0.3)
    assert len(scene.tracks) >= 2
    # Everybody walks to the right, so that is never the wrong way.
    assert all(scene.rarest_way(np.random.default_rng(seed))[0] <= 0 for seed in range(20))


def test_a_running_figure_leaves_more_difference_between_frames_than_one_that_stands():
    frames = make_clip(60)
    moved = {}
    for kind in ("fast", "standing"):
        changed = render(frames, np.arange(60), validation.Event(kind, 20, 44), seed=5)
        added = [new.astype(float) - old for old, new in zip(frames, changed, strict=True)][24:40]
        moved[kind] = np.mean([np.abs(b - a).mean() / np.abs(a).mean() for a, b in itertools.pairwise(added)])
    assert moved["fast"] > 3 * moved["standing"]


def test_a_pasted_sprite_has_no_hard_edge():
    image = np.full((80, 80, 3), 100, np.uint8)
    mask = np.ones((30, 20), bool)
    blob = events.Blob(0, 10, 10, mask)
    bright = np.full((80, 80, 3), 200, np.uint8)
    pasted = events.paste(image, events.sprite_of(bright, blob), np.array([40.3, 60.0]), 1.0, 1.0)
    assert pasted.max() == 200
    assert np.abs(np.diff(pasted[45, :, 0].astype(int))).max() < 70


def test_in_a_noisy_clip_figures_are_what_rises_above_its_noise() -> None:
    rng = np.random.default_rng(5)
    background = np.full((120, 160, 3), 100, np.uint8)
    frame = background.copy()
    frame[40:70, 60:72] = 250
    noisy = np.clip(frame + rng.normal(0, 25, frame.shape), 0, 255).astype(np.uint8)
    (blob,) = events.find_blobs(noisy, background, 0)
    assert abs(blob.left - 60) <= 2 and abs(blob.top - 40) <= 4


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (4, 5), (36, 64)])
def test_the_median_of_an_image_is_numpy_s(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(sum(size))
    for highest in (1, 2, 7, 256):
        image = rng.integers(0, highest, size).astype(np.uint8)
        assert events._median(image) == np.median(image)
