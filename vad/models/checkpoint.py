"""Checkpoints: the state of an unfinished training. Its files are whole, belong to it alone, and run no code."""

import hashlib
import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from vad import VadError
from vad.data.clips import Clip
from vad.models import saving
from vad.storage import files

Content = tuple[dict[str, Tensor], dict[str, Any]]
"""Of a checkpoint: tensors by name, and what JSON can hold."""


class Unusable(Exception):
    """Why a checkpoint can't be used."""


class Checkpoints:
    """The checkpoint of a training and the one before it: two safetensors files, `path` and `before`.

    They carry a digest of their content, and what the training is made of: parameters, seed, digests of data and code.
    """

    def __init__(self, stem: Path, made_of: dict[str, Any]) -> None:
        """`made_of`: all that the result depends on, as JSON has it. The files are named `stem`-HASH of it."""
        text = json.dumps(made_of, sort_keys=True)
        self.made_of = json.loads(text)
        name = f"{stem.name}-{hashlib.blake2b(text.encode(), digest_size=16).hexdigest()}"
        self.path, self.before = (stem.with_name(f"{name}{which}.safetensors") for which in ("", ".before"))

    def write(self, tensors: dict[str, Tensor], record: dict[str, Any]) -> None:
        """Keep a state, whole or not at all; the checkpoint that there was becomes the one before.

        Raises VadError when the disk is full.
        """
        tensors = saving.plain(tensors)
        text = json.dumps({"made_of": self.made_of, "record": record})
        with files.replacing(self.path) as temporary:
            metadata = {"text": text, "digest": digest_of_content(tensors, text)}
            temporary.write_bytes(safetensors.torch.save(tensors, metadata))
            if self.path.exists():
                os.replace(self.path, self.before)

    def read(self) -> Content | None:
        """What `write` kept last; None where nothing usable is left.

        A file that is damaged, or of another training, is named in a line on stderr and removed. Raises VadError for
        one that can't be read.
        """
        for path, others in ((self.path, [self.before]), (self.before, [])):
            if not path.exists():
                continue
            try:
                return self._read(path)
            except Unusable as reason:
                instead = "the one before is used" if any(map(Path.exists, others)) else "training starts over"
                print(f"{path}: {reason}; {instead}", file=sys.stderr)
                path.unlink()
        return None

    def _read(self, path: Path) -> Content:
        try:
            with safetensors.safe_open(path, "pt") as stored:
                text, digest = (stored.metadata()[key] for key in ("text", "digest"))
                tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118  no dict
        except OSError as error:
            raise VadError(f"{path}: can't be read ({error}); mend its permissions or the disk, or delete it") from None
        except Exception as error:  # safetensors raises many kinds for damaged bytes
            reason = " ".join(str(error).split())[:150]
            raise Unusable(f"damaged checkpoint ({reason})") from None
        if digest_of_content(tensors, text) != digest:
            raise Unusable("damaged checkpoint (its content is not what was written)")
        content = json.loads(text)
        made_of = content["made_of"]
        others = [name for name in self.made_of | made_of if self.made_of.get(name) != made_of.get(name)]
        if others:
            raise Unusable(f"checkpoint of another training ({', '.join(sorted(others))})")
        return tensors, content["record"]

    def remove(self) -> None:
        """Remove both: what the training was for is in place."""
        for path in (self.path, self.before):
            path.unlink(missing_ok=True)


def digest_of_content(tensors: dict[str, Tensor], text: str) -> str:
    """A hash of a text and of every bit of contiguous tensors on the CPU, their names, types and shapes included."""
    names = sorted(tensors)
    shapes = [[name, str(tensors[name].dtype), list(tensors[name].shape)] for name in names]
    state = hashlib.blake2b(json.dumps([text, shapes]).encode(), digest_size=16)
    for name in names:
        content: Any = tensors[name].reshape(-1).view(torch.uint8).numpy()  # no copy
        state.update(content)
    return state.hexdigest()


def digest_of_clips(clips: Iterable[Clip]) -> str:
    """A hash of every frame of clips and of their numbers, in 32 hex digits."""
    state = hashlib.blake2b(digest_size=16)
    for clip in clips:
        state.update(f"{clip.numbers.tolist()}".encode())
        for frame in clip:
            state.update(f"{frame.shape}".encode())
            state.update(frame.tobytes())
    return state.hexdigest()


def digest_of_files(paths: Iterable[Path]) -> str:
    """A hash of what is in files, in their order, in 32 hex digits."""
    state = hashlib.blake2b(digest_size=16)
    for path in paths:
        state.update(hashlib.blake2b(path.read_bytes()).digest())
    return state.hexdigest()
