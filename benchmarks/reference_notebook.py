"""The reference's training and inference, as the plain lines of a notebook: what our speed stands beside.

Written from its description: ResNet-18 without its head, five transposed convolutions, MSE, Adam 1e-4, batches of 16;
scores from four views of each frame. JPEG files are read by Pillow in a DataLoader without workers, everything is
float32 with channels first, and an image's features are computed once to reconstruct it and once more to compare.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

import vad.models.torchvision_compat  # noqa: F401  must come before torchvision

from torchvision import models, transforms  # isort: skip

VIEWS: tuple[list[int], ...] = ([], [3], [2], [2, 3])
"""Axes along which an image is flipped: identity, hflip, vflip, rot180."""


class FrameFiles(Dataset[Tensor]):
    """Image files as tensors (3, 128, 128) in [0, 1]."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = paths
        self.transform = transforms.Compose([transforms.Resize((128, 128)), transforms.ToTensor()])

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Tensor:
        image: Tensor = self.transform(Image.open(self.paths[index]).convert("RGB"))
        return image


class Autoencoder(nn.Module):
    """Images (N, 3, 128, 128) in [0, 1] -> reconstructions."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(*list(models.resnet18(weights=None).children())[:-2])
        layers: list[nn.Module] = []
        for wide, narrow in ((512, 256), (256, 128), (128, 64), (64, 32), (32, 3)):
            layers += [nn.ConvTranspose2d(wide, narrow, 3, stride=2, padding=1, output_padding=1), nn.ReLU()]
        self.decoder = nn.Sequential(*layers[:-1], nn.Sigmoid())

    def forward(self, images: Tensor) -> Tensor:
        reconstructions: Tensor = self.decoder(self.encoder(images))
        return reconstructions

    def features(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """layer3 and layer4."""
        third = self.encoder[:7](images)
        return third, self.encoder[7](third)


def train(model: Autoencoder, optimizer: torch.optim.Optimizer, paths: Sequence[Path]) -> float:
    """An epoch over image files; its mean loss."""
    model.train()
    losses = []
    for images in DataLoader(FrameFiles(paths), batch_size=16, shuffle=True):
        loss = F.mse_loss(model(images), images)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return sum(losses) / len(losses)


@torch.no_grad()
def score(model: Autoencoder, paths: Sequence[Path]) -> list[float]:
    """The anomaly score of each image file."""
    model.eval()
    scores: list[float] = []
    for images in DataLoader(FrameFiles(paths), batch_size=16):
        total = torch.zeros(len(images))
        for axes in VIEWS:
            seen = torch.flip(images, axes)
            rebuilt = model(seen)
            pixel = (seen - rebuilt).abs().mean((1, 2, 3))
            pairs = zip(model.features(seen), model.features(rebuilt), strict=True)
            third, fourth = (((a - b) ** 2).mean((1, 2, 3)) for a, b in pairs)
            total += 0.795 * pixel + 0.205 * (0.4 * third + 0.6 * fourth)
        scores += ((total / len(VIEWS)) ** 1.31).tolist()
    return scores
