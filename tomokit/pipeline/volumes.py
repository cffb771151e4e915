"""Volumes as users have them, in memory or in a file, taken alike."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.data import Volume

VolumeLike = Volume | NDArray[Any] | str | os.PathLike[str]


def as_volume(volume: VolumeLike) -> Volume:
    """Take a volume for what it is: a file is read, an array gets a voxel size of 1 ångström.

    Parameters
    ----------
    volume : Volume, array_like or path-like
        Densities ``[z, y, x]``; a path is that of an MRC file.

    Returns
    -------
    Volume
        The same values, memory-mapped where the file allows it.

    Raises
    ------
    InputError
        If the file cannot be read, or the array has not three axes.
    ResourceError
        If a compressed file does not fit in memory.
    """
    if isinstance(volume, Volume):
        return volume
    if isinstance(volume, (str, os.PathLike)):
        from tomokit.io.mrc_read import read_volume
        from tomokit.pipeline.readers import check_room_to_open

        check_room_to_open(Path(volume))
        return read_volume(volume)
    values = np.asarray(volume)
    return Volume(values if values.dtype.kind == "f" else values.astype(np.float32))


def volume_path(volume: VolumeLike) -> Path | None:
    """The file that a volume is read from; None if it is in memory.

    Parameters
    ----------
    volume : Volume, array_like or path-like

    Returns
    -------
    Path or None
    """
    return Path(volume) if isinstance(volume, (str, os.PathLike)) else None
