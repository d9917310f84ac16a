"""Tiny clips for tests: a bright square that walks over a textured background."""

import csv
from pathlib import Path

import cv2
import numpy as np


def walking_square(count: int, size: tuple[int, int] = (48, 64), seed: int = 0, speed: int = 1) -> np.ndarray:
    """Frames (T, H, W, 3) uint8 of a fixed texture with a square moving over it by `speed` pixels a frame."""
    rng = np.random.default_rng(seed)
    height, width = size
    background = cv2.GaussianBlur(rng.integers(40, 180, (height, width, 3)).astype(np.uint8), (5, 5), 0)
    frames = np.repeat(background[None], count, axis=0)
    for index, frame in enumerate(frames):
        left = (index * speed + 5 * seed) % (width - 12)
        frame[height // 2 : height // 2 + 12, left : left + 12] = (230, 200, 90)
    return frames


def write_frames(folder: Path, frames: np.ndarray, first: int = 0) -> None:
    """Write frames (RGB) as frame_00000.jpg and so on, numbered from `first`."""
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames, first):
        cv2.imwrite(str(folder / f"frame_{number:05d}.jpg"), frame[:, :, ::-1])


def write_video(path: Path, frames: np.ndarray) -> None:
    """Write frames (RGB) as a motion-JPEG video."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = frames.shape[1:3]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (width, height))
    for frame in frames:
        writer.write(np.ascontiguousarray(frame[:, :, ::-1]))
    writer.release()


def write_dataset(root: Path, clips: int = 5, count: int = 60) -> Path:
    """A folder of training and testing clips, videos and frame folders, with labels.csv; returns the folder."""
    for clip in range(1, clips + 1):
        frames = walking_square(count, seed=clip)
        if clip % 2:
            write_frames(root / "training" / f"{clip:02d}", frames)
        else:
            write_video(root / "training" / f"{clip:02d}.avi", frames)
    rows = []
    for clip in (1, 2, 3):
        frames = walking_square(count // 2, seed=10 + clip)
        event = walking_square(count // 2, seed=10 + clip, speed=5)
        label = [1 if 10 <= number < 20 and clip != 3 else 0 for number in range(len(frames))]
        frames = np.where(np.array(label)[:, None, None, None] == 1, event, frames)
        write_frames(root / "testing" / f"{clip:02d}", frames, first=3)
        rows += [(f"{clip:02d}", number + 3, value, "running" if value else "") for number, value in enumerate(label)]
    with open(root / "labels.csv", "w", newline="") as handle:
        csv.writer(handle).writerows([("video", "frame", "label", "kind"), *rows])
    return root
