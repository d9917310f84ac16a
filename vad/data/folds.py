"""Folds: which training clips are left out together, so that each is scored by what the others teach."""

from collections.abc import Mapping

import numpy as np


def of(numbers: Mapping[str, np.ndarray], contents: Mapping[str, np.ndarray], count: int) -> dict[str, int]:
    """The fold of every training clip, of `count` folds; none below two. Arguments as for `groups`."""
    frames = {video: len(found) for video, found in numbers.items()}
    return assign(groups(numbers, contents), frames, count) if count > 1 else {}


def groups(numbers: Mapping[str, np.ndarray], contents: Mapping[str, np.ndarray]) -> dict[str, str]:
    """The source video of each clip, named after its first clip: what is left out must share no video with the rest.

    `numbers` are a clip's frame numbers, `contents` hashes of its frames, 0 where unknown. One video are clips with a
    frame in common, and stretches that were cut from one: their names differ in the last character alone, and their
    frame numbers go on from one clip to the next.
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
    """The fold, from 0, of each clip (video -> its source, video -> its number of frames): about equally many frames.

    There are at most as many folds as source videos. The same clips give the same folds, whatever their order.
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
