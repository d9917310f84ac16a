"""Pixel masks of anomalous events in the official layout of CUHK Avenue: one N_label.mat a clip."""

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import scipy.io

from vad import VadError

KEY = "volLabel"


def anomalous_frames(path: Path) -> np.ndarray:
    """Whether any pixel of each frame is marked, (T,) int64 of 0 and 1, from a cell array (1, T) of masks (H, W).

    MATLAB 5 and 7.3 (HDF5) files. Raises VadError for a file that is neither, is damaged or lacks the array.
    Source: Lu, Shi, Jia, "Abnormal Event Detection at 150 FPS in MATLAB", ICCV 2013.
    """
    try:
        cells = _hdf5_cells(path) if h5py.is_hdf5(path) else _matlab5_cells(path)
        return np.array([int(cell.any()) for cell in cells], np.int64)
    except KeyError:
        raise VadError(f"{path}: no cell array {KEY} in it; is it an Avenue mask?") from None
    except Exception as error:  # whatever a damaged file makes the readers trip over
        reason = " ".join(str(error).split()) or type(error).__name__
        raise VadError(f"{path}: not a readable MATLAB file ({reason}); download it again") from None


def _matlab5_cells(path: Path) -> Iterator[np.ndarray]:
    return (np.asarray(cell) for cell in scipy.io.loadmat(path, variable_names=[KEY])[KEY].ravel())


def _hdf5_cells(path: Path) -> Iterator[np.ndarray]:
    with h5py.File(path) as file:
        for reference in np.ravel(file[KEY]):
            cell = file[reference]
            # An empty array is stored as its dimensions.
            yield np.zeros(0) if "MATLAB_empty" in cell.attrs else cell[()]
