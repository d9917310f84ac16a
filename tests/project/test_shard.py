"""A share of a stage's clips is the stage's own command."""

import sys

import pytest

from project import shard
from vad import VadError


def test_a_share_runs_the_command_of_dvc_yaml() -> None:
    assert shard.command("motion")[:4] == [sys.executable, "-m", "stages.components", "data/needs/motion"]
    with pytest.raises(VadError, match="train: no stage whose clips can be shared; there are infer, motion, predict, "):
        shard.command("train")
