"""Makes torchvision importable beside a CPU build of torch: import this first.

The registry's torchvision for Linux is built for CUDA. Beside a CPU-only torch its compiled operators don't load,
and its import fails on the first of them that it looks up. Declaring the schemas of those operators is enough for
models and transforms, which call none of them.
"""

import importlib.util
from pathlib import Path

import torch

SCHEMAS = {
    "nms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}


def _declare_missing_operators() -> "torch.library.Library | None":
    """Declare the operators where the compiled ones can't be loaded. The library must be kept: it holds them."""
    package = importlib.util.find_spec("torchvision")
    binaries = [] if package is None or package.origin is None else Path(package.origin).parent.glob("_C*")
    try:
        for binary in binaries:
            torch.ops.load_library(str(binary))
        return None
    except OSError:
        library = torch.library.Library("torchvision", "DEF")
        for name, schema in SCHEMAS.items():
            library.define(name + schema)
        return library


_library = _declare_missing_operators()
