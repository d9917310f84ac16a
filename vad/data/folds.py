"""Folds of training clips: those of a fold are left out together and scored by what was learned from the others."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from vad import VadError
from vad.data.clips import MappedClip


def of(numbers: Mapping[str, np.ndarray], contents: Mapping[str, np.ndarray], count: int) -> dict[str, int]:
    """Training clip -> its fold, from 0, of `count` folds; empty for fewer than two. Arguments as for `groups`.

    Raises VadError where all clips are of one source video.
    """
    if count < 2:
        return {}
    sources = groups(numbers, contents)
    if len(set(sources.values())) < 2:
        raise VadError(
            f"data.folds = {count}: all training clips are of one source video, and none can be scored by others; set "
            "it to 0 or 1, or give clips of another video"
        )
    return assign(sources, {video: len(found) for video, found in numbers.items()}, count)


def groups(numbers: Mapping[str, np.ndarray], contents: Mapping[str, np.ndarray]) -> dict[str, str]:
    """Clip -> its source video, named after the first clip of that: two folds must not share a video.

    `numbers` are a clip's frame numbers, `contents` hashes of its frames, 0 where unknown. Clips are of one video when
    they have a frame in common, or when they were cut from one: then their names differ in the last character alone,
    and their frame numbers go on from one clip to the next.
    """
    found: dict[str, str] = {}
    previous = ""
    for video in sorted(numbers):
        stretch = previous and video[:-1] and video[:-1] == previous[:-1] and numbers[video][0] > numbers[previous][-1]
        shared = [other for other in found if np.intersect1d(contents[other], contents[video]).any()]
        found[video] = found[previous] if stretch else found[shared[0]] if shared else video
        for other in shared[1:]:
            found |= {name: found[video] for name, source in found.items() if source == found[other]}
        previous = video
    return found


def assign(sources: Mapping[str, str], frames: Mapping[str, int], count: int) -> dict[str, int]:
    """Clip -> its fold, from 0, from `sources` (clip -> source video) and `frames` (clip -> how many it has).

    Folds have about equally many frames; there are at most as many as source videos. The same clips give the same
    folds, whatever their order.
    """
    sizes: dict[str, int] = {}
    for video, source in sources.items():
        sizes[source] = sizes.get(source, 0) + frames[video]
    filled = [0] * min(count, len(sizes))
    fold_of = {}
    for source in sorted(sizes, key=lambda name: (-sizes[name], name)):
        fold_of[source] = filled.index(min(filled))
        filled[fold_of[source]] += sizes[source]
    return {video: fold_of[source] for video, source in sources.items()}


def inner(clips: Sequence[MappedClip]) -> tuple[list[MappedClip], list[MappedClip]]:
    """Training clips -> those to fit a network on, and the inner split, which says when its training ends.

    That is about a fifth of the source videos, at least one; of a single video the last fifth of its frames.
    """
    numbers = {clip.video: clip.numbers for clip in clips}
    sources = groups(numbers, {clip.video: _contents(clip.array) for clip in clips})
    videos = sorted(set(sources.values()))
    if len(videos) > 1:
        chosen = videos[2::5] or videos[-1:]
        ending = [clip for clip in clips if sources[clip.video] in chosen]
        return [clip for clip in clips if sources[clip.video] not in chosen], ending
    left = sum(map(len, clips)) * 4 // 5
    sides: tuple[list[MappedClip], list[MappedClip]] = ([], [])
    for clip in clips:
        for side, part in zip(sides, (slice(left), slice(left, None)), strict=True):
            side.append(replace(clip, numbers=clip.numbers[part], array=clip.array[part]))
        left = max(left - len(clip), 0)
    return [clip for clip in sides[0] if len(clip)], [clip for clip in sides[1] if len(clip)]


def _contents(frames: np.ndarray) -> np.ndarray:
    """A hash of each of some frames (T, H, W, 3): (T,) uint64."""
    hashes = [hashlib.blake2b(frame.tobytes(), digest_size=8).digest() for frame in frames]
    return np.frombuffer(b"".join(hashes), np.uint64)
