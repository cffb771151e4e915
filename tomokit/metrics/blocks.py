"""Two volumes read side by side, a slab at a time, in float64."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import InputError

_BLOCK_VOXELS = 1 << 21


def check_pair(volume: NDArray[np.floating], truth: NDArray[np.floating]) -> None:
    """Make sure that two volumes ``[z, y, x]`` can be compared.

    Raises
    ------
    InputError
        If they differ in shape, are not three-dimensional, or hold no voxel.
    """
    if volume.shape != truth.shape:
        raise InputError(
            f"a volume of shape {_shape(volume)} cannot be compared with a truth of shape {_shape(truth)}",
            field="shape",
            remedy="bring both to the same box and sampling",
        )
    if volume.ndim != 3 or volume.size == 0:
        raise InputError(f"{_shape(volume)} is not the shape of a volume", field="shape")


def paired_blocks(
    volume: NDArray[np.floating], truth: NDArray[np.floating], *, scale: float = 1.0, offset: float = 0.0
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Slabs of ``scale * volume + offset`` and of `truth` along z, of about 16 MB each, in order.

    Raises
    ------
    InputError
        As :func:`check_pair`, and if either holds NaN or an infinite value.
    """
    check_pair(volume, truth)
    planes = max(1, _BLOCK_VOXELS // (volume.shape[1] * volume.shape[2]))
    for z in range(0, volume.shape[0], planes):
        block = np.asarray(volume[z : z + planes], dtype=np.float64)
        true = np.asarray(truth[z : z + planes], dtype=np.float64)
        for name, values in (("volume", block), ("truth", true)):
            if not np.isfinite(values).all():
                raise InputError(f"the {name} holds NaN or infinite values", field=name, remedy="mend it first")
        yield scale * block + offset, true


def truth_range(volume: NDArray[np.floating], truth: NDArray[np.floating]) -> tuple[float, float]:
    """Least and greatest value of `truth`. Raises :class:`InputError` as :func:`paired_blocks`."""
    extremes = [(true.min(), true.max()) for _, true in paired_blocks(volume, truth)]
    return float(min(low for low, _ in extremes)), float(max(high for _, high in extremes))


def _shape(values: NDArray[np.floating]) -> str:
    return " x ".join(str(n) for n in values.shape)
