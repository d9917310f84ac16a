"""Predicting a frame from those before it: what can't be predicted is a candidate for an anomaly.

After Liu, Luo, Lian and Gao, *Future Frame Prediction for Anomaly Detection: A New Baseline*, CVPR 2018, without its
adversarial and its optical-flow term. The network is a U-Net (Ronneberger, Fischer and Brox, MICCAI 2015) or a
convolutional LSTM.
"""

import abc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import safetensors.torch
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from safetensors import SafetensorError
from torch import Tensor, nn

from vad import VadError, registry
from vad.data.clips import Clip
from vad.models import saving

WIDTHS = (24, 48, 96, 128)
"""Channels of the levels, from half the frame's side down to a sixteenth of it."""
HIDDEN = 64
"""Channels of the state of a ConvLSTM."""


class Window(NamedTuple):
    """A frame to predict: the clip, its number in a list of clips, and the frame's position in it."""

    clip: int
    position: int


class Level(nn.Sequential):
    """Two 3x3 convolutions, (N, `inputs`, h, w) -> (N, `outputs`, h, w)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        # Without normalisation a few hundred steps end where they began: at a copy of the last frame.
        layers: list[nn.Module] = []
        for width in (inputs, outputs):
            layers += [nn.Conv2d(width, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(True)]
        super().__init__(*layers)


class Predictor(nn.Module, abc.ABC):
    """Frames (N, 3 * history, H, W) in [0, 1], the nearest last -> the change to the next, (N, 3, H, W).

    Sides are multiples of 16. It learns the change, not the frame: the empty scene is right from the first step on, so
    training goes into what moves, and no blurred scene hides its errors. Random weights come from torch's global
    generator; an untrained network predicts no change.
    """

    def __init__(self, history: int) -> None:
        super().__init__()
        self.history = history

    @abc.abstractmethod
    def features(self, past: Tensor) -> dict[str, Tensor]:
        """Name of a level, layer1 to layer3 at least -> its output (N, C, h, w)."""


class UNet(Predictor):
    """All frames at once as channels, and skip connections."""

    def __init__(self, history: int) -> None:
        super().__init__(history)
        # The first and the last level are at half the frame's side, each pixel there standing for four: a full-size
        # level costs as much as all others together, and the errors are read in cells of several pixels anyway.
        self.down = nn.ModuleList(Level(*sides) for sides in pairwise((4 * 3 * history, *WIDTHS)))
        upwards = list(pairwise(reversed(WIDTHS)))
        self.enlarge = nn.ModuleList(nn.ConvTranspose2d(deep, shallow, 2, stride=2) for deep, shallow in upwards)
        self.up = nn.ModuleList(Level(2 * shallow, shallow) for _, shallow in upwards)
        self.head = _silent(nn.Conv2d(WIDTHS[0], 4 * 3, 3, padding=1))

    def features(self, past: Tensor) -> dict[str, Tensor]:
        """layer1 to layer4 -> the output of each level on the way down, WIDTHS channels at 1/2 to 1/16 of the side."""
        state = F.pixel_unshuffle(past, 2)
        levels: dict[str, Tensor] = {}
        for number, level in enumerate(self.down):
            state = level(F.max_pool2d(state, 2) if number else state)
            levels[f"layer{number + 1}"] = state
        return levels

    def forward(self, past: Tensor) -> Tensor:
        *skipped, state = self.features(past).values()
        for enlarge, level, beside in zip(self.enlarge, self.up, reversed(skipped), strict=True):
            state = level(torch.cat([enlarge(state), beside], 1))
        return F.pixel_shuffle(self.head(state), 2)


class ConvLSTM(Predictor):
    """Frame after frame, what was seen kept in a state (N, HIDDEN, H / 4, W / 4).

    X. Shi et al., Convolutional LSTM Network: A Machine Learning Approach for Precipitation Nowcasting, NeurIPS 2015.
    """

    def __init__(self, history: int) -> None:
        super().__init__(history)
        self.see = Level(2 * 4 * 4 * 3, HIDDEN)
        self.gates = nn.Conv2d(2 * HIDDEN, 4 * HIDDEN, 3, padding=1)
        self.tell = Level(2 * HIDDEN, HIDDEN)
        self.head = _silent(nn.Conv2d(HIDDEN, 4 * 4 * 3, 3, padding=1))

    def features(self, past: Tensor) -> dict[str, Tensor]:
        """layer1 to layer3 -> HIDDEN channels at 1/4 of the side: of the last frame, of the state, of both together."""
        frames = past.unflatten(1, (self.history, 3))
        # Each with its change from the one before: gates that saturate would keep too little of it.
        changes = torch.cat([torch.zeros_like(frames[:, :1]), frames.diff(dim=1)], 1)
        both = torch.cat([frames, changes], 2).flatten(0, 1)
        seen = self.see(F.pixel_unshuffle(both, 4)).unflatten(0, frames.shape[:2])
        state = memory = torch.zeros_like(seen[:, 0])
        for step in seen.unbind(1):
            enter, forget, leave, found = self.gates(torch.cat([step, state], 1)).chunk(4, 1)
            memory = forget.sigmoid() * memory + enter.sigmoid() * found.tanh()
            state = leave.sigmoid() * memory.tanh()
        told = self.tell(torch.cat([seen[:, -1], state], 1))
        return {"layer1": seen[:, -1], "layer2": state, "layer3": told}

    def forward(self, past: Tensor) -> Tensor:
        return F.pixel_shuffle(self.head(self.features(past)["layer3"]), 4)


def make(name: str, history: int) -> Predictor:
    """An untrained network of registry.PREDICTORS that looks at `history` frames."""
    return registry.load(registry.PREDICTORS[name])(history)


def _silent(layer: nn.Conv2d) -> nn.Conv2d:
    """The layer with every weight 0: its output is 0 until it is trained."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def predict(network: nn.Module, past: Tensor) -> Tensor:
    """The frame (N, 3, H, W) after `past`; in [0, 1] in eval mode. A clamp in training would stop the gradient."""
    # Not inside the network: Fabric rounds what goes in to bfloat16, and a copied frame must be exact.
    predicted = past[:, -3:] + network(past)
    return predicted if network.training else predicted.clamp(0, 1)


def batches(clips: Sequence[Clip], chosen: Sequence[Window], history: int, batch_size: int) -> Iterator[Tensor]:
    """Batches (N, history + 1, H, W, 3) uint8 of windows: the frames before the one to predict, then that one."""
    for start in range(0, len(chosen), batch_size):
        batch = []
        for index, position in chosen[start : start + batch_size]:
            clip = clips[index]
            seen = sources(position, len(clip), history)
            batch.append(np.stack([clip.frame(int(number)) for number in clip.numbers[[*seen, position]]]))
        yield torch.from_numpy(np.stack(batch))


def sources(position: int, length: int, history: int) -> list[int]:
    """The positions of the `history` frames that the one at `position` of a clip is predicted from, the nearest last.

    They are those before it, whatever frames may be missing between them; of the first frames of a clip those after
    it, backwards. In a clip that has enough on neither side the side that has more serves, its last frame repeated.
    The only frame of a clip is predicted from itself, with next to no error: nothing is known of its motion.
    """
    before, after = position, length - 1 - position
    step = -1 if before >= min(history, after) else 1
    return [min(max(position + step * away, 0), length - 1) for away in range(history, 0, -1)]


@dataclass(frozen=True)
class FrameStacks(Clip):
    """A clip whose frames are inputs of a predictor: each with the history - 1 before it, (H, W, 3 * history) uint8.

    Side by side as channels, the frame itself last. At the start of a clip those after it stand in, as in `sources`.
    """

    source: Clip
    history: int

    def frame(self, number: int) -> np.ndarray:
        position = int(np.searchsorted(self.numbers, number))
        others = self.numbers[sources(position, len(self), self.history - 1)].tolist()
        return np.concatenate([self.source.frame(seen) for seen in (*others, number)], axis=2)


def split(frames: Tensor) -> tuple[Tensor, Tensor]:
    """A batch (N, T, H, W, 3) uint8 -> its last frames (N, 3, H, W) and those before, (N, 3 (T-1), H, W), in [0, 1]."""
    images = frames.permute(0, 1, 4, 2, 3).float().div(255)
    return images[:, -1], images[:, :-1].flatten(1, 2).contiguous(memory_format=torch.channels_last)


@torch.inference_mode()
def errors(fabric: Fabric, model: Predictor, clip: Clip, batch_size: int) -> Iterator[np.ndarray]:
    """The error of each frame of a clip, in order: (H, W) float32 in [0, 1], mean over the colours of |error|."""
    fabric.to_device(model).eval()
    for batch in batches([clip], [Window(0, position) for position in range(len(clip))], model.history, batch_size):
        frame, past = split(fabric.to_device(batch))
        yield from (predict(model, past) - frame).abs().mean(1).cpu().numpy()


def load(path: Path) -> Predictor:
    """The network that `saving.save` wrote. Raises VadError when the file is missing or not one of it."""
    try:
        settings = saving.read_origin(path)["predict"]
        model = make(settings["network"], settings["history"])
        model.load_state_dict(safetensors.torch.load_file(path))
    except (OSError, SafetensorError, TypeError, LookupError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:150]
        raise VadError(f"{path}: not a predictor's weights ({reason}); run `dvc repro -f train_predictor`") from None
    return model
