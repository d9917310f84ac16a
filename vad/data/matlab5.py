"""Cell arrays of numbers in MATLAB 5 files, read in blocks: what a file takes of memory does not grow with its content.

SciPy's reader makes whole arrays, and a file of a few kilobytes may inflate to gigabytes. The layout is that of
MathWorks, MAT-File Format, "Level 5 MAT-File Format".
"""

import struct
import zlib
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import numpy as np

BLOCK = 1 << 20
"""Bytes that are held at once."""
NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
"""How numbers are stored: the type in an element's tag -> numpy's name for it."""
MATRIX, COMPRESSED = 14, 15
CELL_CLASS, NUMERIC_CLASSES = 1, range(6, 16)
COMPLEX = 0x800


def marked_cells(path: Path, name: str) -> Iterator[bool]:
    """Whether each cell of the cell array `name`, in order, holds a number other than 0.

    Raises KeyError when there is no such variable, and ValueError, EOFError, struct.error or zlib.error for a file
    that is none of MATLAB 5, is damaged, or whose variable is no cell array of numbers.
    """
    with open(path, "rb") as file:
        order = {b"IM": "<", b"MI": ">"}.get(file.read(128)[126:])
        if order is None:
            raise ValueError("it does not begin as one")
        while tag := file.read(8):
            kind, size = struct.unpack(f"{order}II", tag)
            after = file.tell() + size
            blocks = _blocks(file, size)
            variable = _Stream(_inflated(blocks) if kind == COMPRESSED else chain([tag], blocks), order)
            if (cells := _cells_of(variable, name)) is not None:
                yield from cells
                variable.finish()  # a checksum stands at its end
                return
            file.seek(after)
    raise KeyError(name)


class _Stream:
    """Bytes that come in blocks, taken in the portions that the format is made of."""

    def __init__(self, blocks: Iterable[bytes], order: str) -> None:
        self._blocks, self._held, self.order = iter(blocks), b"", order
        self.position = 0

    def take(self, count: int) -> bytes:
        """The next bytes, as many as that."""
        while len(self._held) < count:
            if not (block := next(self._blocks, b"")):
                raise EOFError("it is cut off")
            self._held += block
        taken, self._held = self._held[:count], self._held[count:]
        self.position += count
        return taken

    def portions(self, count: int) -> Iterator[bytes]:
        """The next bytes, as many as that, in portions of whole numbers."""
        while count:
            portion = self.take(min(count, BLOCK))
            yield portion
            count -= len(portion)

    def element(self) -> tuple[int, Iterator[bytes], int]:
        """The next element: its type, its content and where it ends. The content must be gone through, or skipped."""
        first, size = struct.unpack(f"{self.order}II", self.take(8))
        if first >> 16:  # a small one has its content within the tag
            content = struct.pack(f"{self.order}I", size)[: first >> 16]
            return first & 0xFFFF, iter([content]), self.position
        padding = -size % 8 if first != COMPRESSED else 0
        return first, self.portions(size), self.position + size + padding

    def small(self) -> bytes:
        """The content of the next element, which must fit a block."""
        _, content, end = self.element()
        found = next(content, b"")
        self.skip_to(end)
        return found

    def finish(self) -> None:
        """Go on to the end. Raises ValueError when there is more than was to be read."""
        if self._held or any(self._blocks):
            raise ValueError("it holds more than it says")

    def skip_to(self, end: int) -> None:
        for _ in self.portions(end - self.position):
            pass


def _blocks(file: BinaryIO, size: int) -> Iterator[bytes]:
    while size and (block := file.read(min(size, BLOCK))):
        yield block
        size -= len(block)


def _inflated(blocks: Iterable[bytes]) -> Iterator[bytes]:
    inflate = zlib.decompressobj()
    for block in blocks:
        while piece := inflate.decompress(block, BLOCK):
            yield piece
            block = inflate.unconsumed_tail
    if not inflate.eof:
        raise EOFError("it is cut off")


def _header(stream: _Stream) -> tuple[int, bytes]:
    """Of an array whose tag was read: its flags and class, and its name. What follows is its content."""
    flags = struct.unpack(f"{stream.order}I", stream.small()[:4])[0]
    stream.small()  # its dimensions
    return flags, stream.small()


def _cells_of(stream: _Stream, name: str) -> Iterator[bool] | None:
    """The cells of the variable that a stream begins with, or None when it has another name."""
    kind, _, end = stream.element()
    if kind != MATRIX:
        return None
    flags, found = _header(stream)
    if found != name.encode():
        return None
    if flags & 0xFF != CELL_CLASS:
        raise ValueError(f"{name} is no cell array")
    return _marked(stream, end)


def _marked(stream: _Stream, end: int) -> Iterator[bool]:
    while stream.position < end:
        kind, _, after = stream.element()
        marked = False
        if kind != MATRIX:
            raise ValueError("one of its cells is no array")
        if after > stream.position:  # an empty cell may have no content at all
            flags, _ = _header(stream)
            if flags & 0xFF not in NUMERIC_CLASSES:
                raise ValueError("one of its cells holds no numbers")
            for _ in range(2 if flags & COMPLEX else 1):
                number, content, close = stream.element()
                dtype = np.dtype(stream.order + NUMBERS[number])
                for portion in content:
                    marked |= bool(np.frombuffer(portion, dtype).any())
                stream.skip_to(close)
        stream.skip_to(after)
        yield marked
