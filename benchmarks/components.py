"""Frames a second of every family of components, each alone, and of reading frames alone.

    python -m benchmarks.components .dvc/tmp/workspaces/ped2-replica --frames 300 --repeats 3

Reads data/frames and data/resized of a folder in which the pipeline has run; medians of several runs, decoding and
pooling included. Networks have random weights, which makes them no faster. Prints a table in Markdown.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterable
from itertools import chain, islice
from pathlib import Path

import torch

from experiments import markdown
from vad import params, registry
from vad.components import memory, motion, pairs, prediction, reconstruction
from vad.components.memory import Memory
from vad.data import clips
from vad.models import autoencoder, inference, predictor, runtime

PARAMS = Path(__file__).parents[1] / "params.yaml"


def rate(work: Callable[[], Iterable[object]], frames: int, repeats: int) -> float:
    """Frames a second at which `work` gives its first `frames` results: the median of several runs."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        count = sum(1 for _ in islice(work(), frames))
        seconds.append((time.perf_counter() - start) / count)
    return 1 / statistics.median(seconds)


def main(folder: Path, frames: int, repeats: int) -> None:
    train, test = (clips.open_zips(folder / "data/frames" / split) for split in ("train", "test"))
    settings = params.load(PARAMS)
    size = test[0].frame(int(test[0].numbers[0])).shape[:2]
    print(markdown.table(["component", f"frames/s at {size[1]} x {size[0]}", "minutes for 12,000 frames"]))

    def row(name: str, per_second: float) -> None:
        print(markdown.row([name, f"{per_second:.0f}", f"{12_000 / per_second / 60:.1f}"]), flush=True)

    row("reading alone", rate(lambda: chain.from_iterable(pairs.pairs(clip, size) for clip in test), frames, repeats))
    for components in (*((name,) for name in registry.maps("motion")), registry.maps("motion")):
        normality = motion.Normality(train, settings.motion.model_copy(update={"components": components}))
        per_second = rate(lambda: chain.from_iterable(map(normality.score, test)), frames, repeats)  # noqa: B023
        row(" and ".join(components), per_second)
    small = clips.open_resized(folder / "data/resized", "test")
    for name, cells_of in networks(folder, settings).items():
        row(name, rate(lambda: chain.from_iterable(map(cells_of, small)), frames, repeats))  # noqa: B023


def networks(folder: Path, settings: params.Params) -> dict[str, Callable[[clips.MappedClip], Iterable[object]]]:
    """Name of a row -> what gives a result for every frame of a resized clip."""
    fabric = runtime.fabric()
    model = autoencoder.Autoencoder().eval()
    fabric.to_device(model).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    ready = inference.prepared(fabric, model)
    remembered = Memory(model, settings.memory.layers, settings.memory.neighbours, torch.device(fabric.device))
    training = memory.sampled(clips.open_resized(folder / "data/resized", "train"))
    remembered.learn(training, settings.memory.patches, settings.seed)
    size = settings.predict.batch_size

    def predicted(network: predictor.Predictor) -> Callable[[clips.MappedClip], Iterable[object]]:
        return lambda clip: prediction.cells_of(network, clip, size)

    return {
        "autoencoder, four views, resized frames": lambda clip: reconstruction.score(fabric, ready, clip).itertuples(),
        **{
            f"prediction, {name}, resized frames": predicted(predictor.make(name, settings.predict.history))
            for name in registry.PREDICTORS
        },
        f"memory of {settings.memory.patches} patches, resized frames": lambda clip: memory.cells_of(remembered, clip),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    main(arguments.folder, arguments.frames, arguments.repeats)
