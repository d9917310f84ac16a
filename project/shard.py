"""A share of the clips of a stage that scores frames, without DVC: what it gives is kept for whoever runs the stage.

python -m project.shard motion 2/8          # the second of eight shares, on any machine that has VAD_CLIPS
"""

import argparse
import os
import shlex
import subprocess
import sys
from pathlib import Path

import yaml

from vad import VadError

TOP = Path(__file__).parents[1]


def command(stage: str) -> list[str]:
    """The command of a stage in dvc.yaml, by this Python. Raises VadError for one that has no shares."""
    stages = yaml.safe_load((TOP / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    shared = {name: entry["cmd"] for name, entry in stages.items() if "-m stages.components " in entry["cmd"]}
    if stage not in shared:
        raise VadError(f"{stage}: no stage whose clips can be shared; there are {', '.join(shared)}")
    return [sys.executable, *shlex.split(shared[stage])[1:]]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage")
    parser.add_argument("share", metavar="NUMBER/OF")
    arguments = parser.parse_args()
    try:
        words = command(arguments.stage)
    except VadError as error:
        sys.exit(str(error))
    sys.exit(subprocess.run(words, cwd=TOP, env=os.environ | {"VAD_SHARD": arguments.share}, check=False).returncode)
