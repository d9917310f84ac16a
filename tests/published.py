"""Stands in for torchvision's published weights: files whose names carry their hash, as theirs do."""

import hashlib
from pathlib import Path
from typing import NamedTuple

import pytest

from vad.models import weights


class Published(NamedTuple):
    """Of torchvision's weights, what is read of them."""

    url: str


def publish(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Let torchvision's weights of every network be those at `url`."""
    monkeypatch.setattr(weights, "get_model_weights", lambda _: {"IMAGENET1K_V1": Published(url)})


def published(monkeypatch: pytest.MonkeyPatch, path: Path) -> Path:
    """The file as torchvision would have published it: renamed to carry its hash. Returns its path."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    path = path.rename(path.with_name(f"network-{digest[:8]}.pth"))
    publish(monkeypatch, f"https://download.pytorch.org/models/{path.name}")
    return path
