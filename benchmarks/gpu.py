"""How fast one device trains and scores when the frames lie in its memory: the goal of a GPU, and the table of it.

    python -m benchmarks.gpu                                # on a GPU: 9,204 frames, 10 epochs; 11,706 scored
    python -m benchmarks.gpu --train 64 --score 32          # small, as on a CPU

Frames are uint8 on the device and are picked there; the network is bfloat16 with channels last. On a GPU a step of
training is a CUDA graph and scoring is compiled, so that batches of 16 do not wait for Python. Prints a table in
Markdown. The pipeline itself runs without graphs: this is what the device has to give.
"""

import argparse
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import page
from experiments import markdown
from vad import registry
from vad.components import reconstruction, views
from vad.models.autoencoder import Autoencoder, to_images

SIDE, BATCH = 128, 16
"""Pixels, frames of a step of training."""
SCORED = {"cuda": 128, "cpu": 8}
"""Frames that are scored at a time, each in four views."""
EPOCHS = 10
WARM_UP = 3
GOALS = {"training": 12.0, "scoring": 2.0}
"""Seconds for 10 epochs of 9,204 frames and for 11,706 frames with all components, on one H200."""
ON_CPU = {"train": 64, "score": 32}
ON_GPU = {"train": 9204, "score": 11706}


def make_frames(count: int, device: torch.device) -> Tensor:
    """Random frames (N, SIDE, SIDE, 3) uint8 on a device."""
    return torch.randint(256, (count, SIDE, SIDE, 3), dtype=torch.uint8, device=device)


def network(device: torch.device) -> Autoencoder:
    """An autoencoder with random weights, channels last."""
    torch.manual_seed(0)
    return Autoencoder().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]


def synchronised(device: torch.device) -> float:
    """The clock, once the device has done what it was asked for."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def step_of(model: Autoencoder, frames: Tensor) -> tuple[Callable[[Tensor], None], Tensor]:
    """What takes a step of training on the frames of some indices (BATCH,), and the loss that it leaves.

    On a GPU the step is recorded once as a CUDA graph and replayed.
    """
    device = frames.device
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True, capturable=device.type == "cuda")
    indices = torch.zeros(BATCH, dtype=torch.int64, device=device)
    loss = torch.zeros((), device=device)

    def step() -> None:
        images = to_images(frames[indices]).contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16, cache_enabled=False):  # a graph can't hold what is kept
            found = F.mse_loss(model(images), images)
        optimizer.zero_grad(set_to_none=True)
        found.backward()
        optimizer.step()
        loss.copy_(found.detach())

    replay = recorded(step) if device.type == "cuda" else step

    def on(chosen: Tensor) -> None:
        indices.copy_(chosen)
        replay()

    return on, loss


def recorded(step: Callable[[], None]) -> Callable[[], None]:
    """A step as a CUDA graph: warm on a stream of its own first, as PyTorch asks for."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARM_UP):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def train(frames: Tensor, epochs: int) -> tuple[float, list[float]]:
    """Seconds of some epochs, and the loss after each."""
    step, loss = step_of(network(frames.device).train(), frames)
    losses = []
    start = synchronised(frames.device)
    for _ in range(epochs):
        order = torch.randperm(len(frames), device=frames.device)
        for chosen in order[: len(order) // BATCH * BATCH].split(BATCH):
            step(chosen)
        losses.append(float(loss))
    return synchronised(frames.device) - start, losses


class Scorer(nn.Module):
    """Frames (N, SIDE, SIDE, 3) uint8 -> all components of all views, (components, N * views) float32."""

    def __init__(self, model: Autoencoder) -> None:
        super().__init__()
        self.model = model

    def forward(self, frames: Tensor) -> Tensor:
        images = to_images(frames)
        seen = torch.cat([views.view(name)(images) for name in registry.VIEWS])
        seen = seen.contiguous(memory_format=torch.channels_last)
        with torch.autocast(frames.device.type, torch.bfloat16):
            found = reconstruction.components(seen, *self.model.score_views(seen))
        return torch.stack([values.float() for values in found.values()])


@torch.no_grad()
def score(frames: Tensor) -> tuple[float, Tensor]:
    """Seconds of scoring, and the components (components, views, N) of all frames on the host."""
    batch = SCORED[frames.device.type]
    scorer: Callable[[Tensor], Tensor] = Scorer(network(frames.device).eval())
    if frames.device.type == "cuda":
        scorer = torch.compile(scorer, mode="max-autotune")
    for _ in range(WARM_UP if frames.device.type == "cuda" else 1):
        scorer(frames[:1].expand(batch, -1, -1, -1))
    start = synchronised(frames.device)
    # Batches of another size would be compiled anew. A graph writes its result where it wrote the last one.
    whole = torch.cat([frames, frames[:1].expand(-len(frames) % batch, -1, -1, -1)])
    parts = [scorer(few).clone().unflatten(1, (len(registry.VIEWS), -1)) for few in whole.split(batch)]
    found = torch.cat(parts, dim=2)[..., : len(frames)].cpu()
    return synchronised(frames.device) - start, found


def peak(device: torch.device, side: int) -> float:
    """Floating point operations a second of a bfloat16 matrix product (side x side)."""
    left, right = (torch.rand(side, side, device=device).bfloat16() for _ in range(2))
    for _ in range(WARM_UP):
        left @ right
    start = synchronised(device)
    for _ in range(10):
        left @ right
    return 10 * 2 * side**3 / (synchronised(device) - start)


def operations() -> dict[str, float]:
    """Work -> floating point operations a frame: of a step of training, and of scoring."""
    model = network(torch.device("cpu"))
    images = torch.rand(1, 3, SIDE, SIDE)
    with FlopCounterMode(display=False) as training:
        model(images).sum().backward()
    with torch.no_grad(), FlopCounterMode(display=False) as scoring:
        model.score_views(images)
    return {
        "training": training.get_total_flops(),
        "scoring": scoring.get_total_flops() * len(registry.VIEWS),
    }


def name_of(device: torch.device) -> str:
    """The device, for people."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else page.machine().split(";")[0]


def main(device: torch.device, frames: dict[str, int], epochs: int) -> str:
    """Everything on one device, as a table in Markdown."""
    torch.backends.cudnn.benchmark = True
    gpu = device.type == "cuda"
    ceiling = peak(device, 8192 if gpu else 1024)
    counted = operations()
    trained, _ = train(make_frames(frames["train"], device), epochs)
    scored, _ = score(make_frames(frames["score"], device))
    rows = []
    for work, seconds, count in (
        ("training", trained, frames["train"] // BATCH * BATCH * epochs),
        ("scoring", scored, frames["score"]),
    ):
        share = counted[work] * count / seconds / ceiling
        goal = f"{GOALS[work]:.0f}" if frames == ON_GPU and epochs == EPOCHS else "-"
        rows.append([work, f"{count:,}", f"{seconds:.2f}", goal, f"{count / seconds:,.0f}", f"{share:.0%}"])
    heads = ["work, bfloat16", "frames", "seconds", "goal, seconds", "frames/s", "of the matrix peak"]
    return f"{name_of(device)}, {ceiling / 1e12:.1f} TFLOP/s in matrix products:\n\n{markdown.table(heads, rows)}"


if __name__ == "__main__":
    there = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    usual = ON_GPU if there.type == "cuda" else ON_CPU
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=int, default=usual["train"], help="frames")
    parser.add_argument("--score", type=int, default=usual["score"], help="frames")
    parser.add_argument("--epochs", type=int, default=EPOCHS if there.type == "cuda" else 1)
    given = parser.parse_args()
    print(main(there, {"train": given.train, "score": given.score}, given.epochs))
