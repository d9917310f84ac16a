"""How fast each encoder trains on this machine: frames a second by precision, on frames of noise.

    python -m benchmarks.training resnet18 convnext_tiny vit_b_16

A step is that of `stages.train`: forward, backward, Adam. Prints a table in Markdown.
"""

import argparse
import time
from typing import get_args

import torch

from experiments import markdown
from stages import PARAMS
from vad import params, registry
from vad.models import autoencoder, runtime, training

WARM_UP = 3
"""Steps before the clock starts: the first ones choose kernels and make Adam's state."""


def frames_per_second(encoder: str, precision: params.Precision, steps: int) -> float:
    """Training speed over `steps` steps with the size of images, batch and loss of params.yaml."""
    settings = params.load(PARAMS)
    runtime.seed(settings.seed)
    fabric = runtime.fabric(precision)
    network, optimizer = training.prepare(fabric, autoencoder.Autoencoder(encoder), settings.train)
    network.train()
    shape = (settings.train.batch_size, settings.resize.size, settings.resize.size, 3)
    frames = fabric.to_device(torch.randint(256, shape, dtype=torch.uint8))
    for step in range(WARM_UP + steps):
        if step == WARM_UP:
            start = time.perf_counter()
        training.step(fabric, network, optimizer, frames, training.LOSSES[settings.train.loss])
    return steps * settings.train.batch_size / (time.perf_counter() - start)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("encoders", nargs="+", choices=registry.ENCODERS)
    parser.add_argument("--steps", type=int, default=20)
    arguments = parser.parse_args()
    precisions = get_args(params.Precision)
    print(markdown.table(["encoder", *(f"{precision}, frames/s" for precision in precisions)]))
    for encoder in arguments.encoders:
        speeds = [frames_per_second(encoder, precision, arguments.steps) for precision in precisions]
        print(markdown.row([encoder, *(f"{speed:.1f}" for speed in speeds)]), flush=True)
