"""From clips to small arrays: frames a second and peak memory of fetch, extract and resize, at more and more frames.

    python -m benchmarks.reading pixel-play-26.zip --times 1 10

The archive is unpacked; `--times 10` has ten copies of every clip, linked, not copied. Each stage runs as `dvc repro`
runs it, in a process of its own, in a temporary folder. Prints a table in Markdown.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from experiments import markdown
from vad.data import sources
from vad.storage import archives, needs

TOP = Path(__file__).parents[1]
STAGES = ("fetch", "extract", "validation", "diagnose", "resize")
SHOWN = ("fetch", "extract", "resize")


def multiply(dataset: Path, times: int, target: Path) -> None:
    """Write `times` copies of every clip of `dataset` into `target`, as hard links, each under a number of its own."""
    for names in (sources.TRAINING, sources.TESTING):
        split = sources.find_split(dataset, names)
        for clip in sources.find_clips(split):
            for copy in range(times):
                folder = target / split.name / f"{copy}{int(clip.video):03d}"
                folder.mkdir(parents=True)
                for image in clip.path.iterdir():
                    os.link(image, folder / image.name)


def cost(folder: Path, stage: str) -> tuple[float, float]:
    """Seconds and peak memory in MB of a stage that runs in `folder`. Raises CalledProcessError when it fails."""
    command = yaml.safe_load((TOP / "dvc.yaml").read_text(encoding="utf-8"))["stages"][stage]["cmd"]
    arguments = [sys.executable, *shlex.split(command)[1:]]
    start = time.perf_counter()
    process = subprocess.Popen(arguments, cwd=folder, env=os.environ | {"PYTHONPATH": str(TOP)})
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise subprocess.CalledProcessError(status, arguments)
    return time.perf_counter() - start, usage.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def measure(dataset: Path, times: int, folder: Path) -> list[str]:
    """A row of the table."""
    multiply(dataset, times, folder / "clips")
    parameters = yaml.safe_load((TOP / "params.yaml").read_text(encoding="utf-8"))
    parameters["data"] |= {"source": "folder", "root": "clips"}
    (folder / "params.yaml").write_text(yaml.safe_dump(parameters), encoding="utf-8")
    needs.write(folder / "data/needs", {"resize": True})
    costs = {stage: cost(folder, stage) for stage in STAGES}
    frames = sum(split.get("frames", 0) for split in json.loads((folder / "metrics/data.json").read_text()).values())
    cells = [f"{frames / costs[stage][0]:.0f}, {costs[stage][1]:.0f}" for stage in SHOWN]
    together = frames / (costs["extract"][0] + costs["resize"][0])
    return [f"{times}x", str(frames), *cells, f"{together:.0f}"]


def main(archive: Path, times: list[int]) -> None:
    heads = ["data", "frames", *(f"{stage}: frames/s, peak MB" for stage in SHOWN), "extract and resize: frames/s"]
    print(markdown.table(heads))
    with tempfile.TemporaryDirectory() as temporary:
        unpacked = archives.unpack(archive, Path(temporary) / "unpacked")
        dataset = sources.find_dataset(unpacked)
        assert dataset, f"{archive}: no training and testing clips in it"
        for factor in times:
            folder = Path(temporary) / f"times{factor}"
            folder.mkdir()
            print(markdown.row(measure(dataset, factor, folder)), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=Path)
    parser.add_argument("--times", type=int, nargs="+", default=[1, 10])
    arguments = parser.parse_args()
    main(arguments.archive, arguments.times)
