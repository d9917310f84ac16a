"""Folds of training clips: those of a fold are left out together and scored by what was learned from the others."""

from collections.abc import Mapping

import numpy as np


def of(numbers: Mapping[str, np.ndarray], contents: Mapping[str, np.ndarray], count: int) -> dict[str, int]:
    """Training clip -> its fold, from 0, of `count` folds; empty for fewer than two. Arguments as for `groups`."""
    frames = {video: len(found) for video, found in numbers.items()}
    return assign(groups(numbers, contents), frames, count) if count > 1 else {}


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
