"""Pixel masks of anomalous events in the official layout of CUHK Avenue: one N_label.mat a clip."""

import math
import os
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from vad import VadError
from vad.data import matlab5
from vad.data.clips import LARGEST

KEY = "volLabel"
FRAMES = 1_000_000
"""A clip has no more: 11 hours of 25 frames a second."""
SHUFFLE, DEFLATE, CHECKSUM = h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_FLETCHER32


def anomalous_frames(path: Path) -> np.ndarray:
    """Whether any pixel of each frame is marked, (T,) int64 of 0 and 1, from a cell array (1, T) of masks (H, W).

    MATLAB 5 and 7.3 (HDF5) files. Raises VadError for a file that is neither, is damaged, lacks the array, or asks
    for more memory than masks take. Source: Lu, Shi, Jia, "Abnormal Event Detection at 150 FPS in MATLAB", ICCV 2013.
    """
    try:
        marked = _hdf5_cells(path) if h5py.is_hdf5(path) else matlab5.marked_cells(path, KEY)
        frames = np.fromiter(islice(marked, FRAMES + 1), np.int64)
    except KeyError:
        raise VadError(f"{path}: no cell array {KEY} in it; is it an Avenue mask?") from None
    except Exception as error:  # any error that a damaged file causes in the readers
        reason = " ".join(str(error).split()) or type(error).__name__
        raise VadError(f"{path}: not a readable MATLAB file ({reason}); download it again") from None
    if len(frames) > FRAMES:
        raise VadError(f"{path}: a mask of more than {FRAMES} frames; is it an Avenue mask?")
    return frames


def _hdf5_cells(path: Path) -> Iterator[bool]:
    """Whether each cell of the array holds a number other than 0."""
    with h5py.File(path) as file:
        array = file[KEY]
        if h5py.check_ref_dtype(array.dtype) is not h5py.Reference or array.size > FRAMES:
            raise ValueError(f"{KEY} is no cell array of at most {FRAMES} cells")
        _refuse_swollen(array)
        for reference in np.ravel(array):
            cell = file[reference]
            if cell.dtype.kind not in "biuf":
                raise ValueError("one of its cells holds no numbers")
            _refuse_swollen(cell)
            # An empty array is stored as its dimensions.
            yield "MATLAB_empty" not in cell.attrs and bool(np.any(cell[()]))


def _refuse_swollen(dataset: Any) -> None:
    """Raise ValueError for a dataset of an HDF5 file that takes more memory than a mask, or than it states.

    HDF5 makes room for all that a dataset and a chunk of it are stated to hold, and inflates a chunk to whatever
    comes out of it.
    """
    chunk = math.prod(dataset.chunks or (0,)) * dataset.dtype.itemsize
    if max(dataset.nbytes, chunk) > 8 * LARGEST:
        raise ValueError("an array, or a chunk of one, is larger than any mask")
    if dataset.is_virtual or dataset.external:
        raise ValueError("an array lies in another file")
    plan = dataset.id.get_create_plist()
    filters = [plan.get_filter(place)[0] for place in range(plan.get_nfilters())]
    if len(set(filters)) < len(filters) or not set(filters) <= {SHUFFLE, DEFLATE, CHECKSUM}:
        raise ValueError("an array is compressed otherwise than by deflate")
    if DEFLATE not in filters:
        return
    for place in range(dataset.id.get_num_chunks()):
        stored = dataset.id.get_chunk_info(place)
        if stored.byte_offset + stored.size > os.path.getsize(dataset.file.filename):
            raise ValueError("part of an array is stated to lie beyond the end of the file")
        if stored.filter_mask >> filters.index(DEFLATE) & 1:  # this one is not compressed
            continue
        _, content = dataset.id.read_direct_chunk(stored.chunk_offset)
        if len(zlib.decompressobj().decompress(content, chunk + 1)) > chunk:
            raise ValueError("an array inflates to more than it states")
