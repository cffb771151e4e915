"""Two volumes read side by side, a slab at a time, in double precision."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import InputError

# Voxels per slab: 16 MB in double precision, so that volumes larger than memory can be compared.
_BLOCK_VOXELS = 1 << 21


def check_pair(volume: NDArray[np.floating], truth: NDArray[np.floating]) -> None:
    """Make sure that two volumes ``[z, y, x]`` can be compared.

    Parameters
    ----------
    volume, truth : ndarray, shape (n_z, n_y, n_x)
        Only their shapes are looked at.

    Raises
    ------
    InputError
        If they differ in shape, are not three-dimensional, or hold no voxel.
    """
    if volume.shape != truth.shape:
        raise InputError(
            f"a volume of shape {_shape_text(volume)} cannot be compared with a truth of shape {_shape_text(truth)}",
            field="shape",
            remedy="bring both to the same box and sampling",
        )
    if volume.ndim != 3 or volume.size == 0:
        raise InputError(f"{_shape_text(volume)} is not the shape of a volume", field="shape")


def paired_blocks(
    volume: NDArray[np.floating], truth: NDArray[np.floating], *, scale: float = 1.0, offset: float = 0.0
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Iterate over slabs of ``scale * volume + offset`` and of `truth` along z, of about 16 MB each.

    Parameters
    ----------
    volume, truth : ndarray, shape (n_z, n_y, n_x)
        Reconstruction and truth ``[z, y, x]`` in the same unit; may be memory-mapped, read in slabs.
    scale, offset : float
        The volume is multiplied by `scale`, then `offset` (in the truth's unit) is added.

    Yields
    ------
    block, true_block : ndarray of float64, shape (n_planes, n_y, n_x)
        The scaled volume and the truth in the same planes, from the first plane to the last.

    Raises
    ------
    InputError
        As :func:`check_pair`, and if either holds NaN or an infinite value.
    """
    check_pair(volume, truth)
    planes = max(1, _BLOCK_VOXELS // (volume.shape[1] * volume.shape[2]))
    for z in range(0, volume.shape[0], planes):
        block = np.asarray(volume[z : z + planes], dtype=np.float64)
        true_block = np.asarray(truth[z : z + planes], dtype=np.float64)
        for name, slab in (("volume", block), ("truth", true_block)):
            if not np.isfinite(slab).all():
                raise InputError(f"the {name} holds NaN or infinite values", field=name, remedy="mend it first")
        yield scale * block + offset, true_block


def truth_range(volume: NDArray[np.floating], truth: NDArray[np.floating]) -> tuple[float, float]:
    """Least and greatest value of `truth`, after a check of both volumes.

    Parameters
    ----------
    volume, truth : ndarray, shape (n_z, n_y, n_x)
        Reconstruction and truth ``[z, y, x]`` in the same unit; may be memory-mapped, read in slabs.

    Returns
    -------
    low, high : float
        Extremes of the truth, in its unit.

    Raises
    ------
    InputError
        As :func:`paired_blocks`.
    """
    extremes = [(block.min(), block.max()) for _, block in paired_blocks(volume, truth)]
    return float(min(low for low, _ in extremes)), float(max(high for _, high in extremes))


def _shape_text(array: NDArray[np.floating]) -> str:
    return " x ".join(str(n) for n in array.shape)
