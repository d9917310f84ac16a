"""Test-time augmentation: the views of a frame that are scored beside the frame itself."""

from collections.abc import Callable

from torch import Tensor

_AXES: dict[str, tuple[int, ...]] = {"identity": (), "hflip": (3,), "vflip": (2,), "rot180": (2, 3)}


def view(name: str) -> Callable[[Tensor], Tensor]:
    """The function that turns images (N, C, H, W) into one of their views.

    Together the four views are a group: flipping the input permutes them, so their mean does not change.
    """
    axes = _AXES[name]
    return lambda images: images.flip(axes)
