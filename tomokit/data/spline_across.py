"""The cubic B-spline in the planes across x: its coefficients, and its values at points of all columns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tomokit.kernels.decorator import compiled
from tomokit.kernels.shared import Share, items_of, shared_out

Block = NDArray[np.float32]

_POLE = 3**0.5 - 2
_START = 16
"""Values by which a filtered line starts: what is beyond them counts for less than a billionth."""


def spline_coefficients(volume: Block) -> Block:
    """Coefficients of the cubic B-spline across x, mirrored at the outermost centres.

    Parameters
    ----------
    volume : ndarray of float32, shape (n_z, n_y, n_x)

    Returns
    -------
    ndarray of float32, same shape
        By the recursive filter of Unser, Aldroubi and Eden (IEEE Trans. Signal Process. 41, 821, 1993), as SciPy's.
    """
    coefficients = np.array(volume, np.float32, order="C")
    _filter_sections(coefficients)
    _filter_rows(coefficients)
    return coefficients


@compiled(inlined=True, fastmath={"contract"})
def _filter_lines(lines: Block) -> None:
    """Filter an array ``[n, x]`` along its first axis, in place."""
    n, n_x = lines.shape
    if n == 1:
        return
    pole = np.float32(_POLE)
    gain = np.float32(6.0)
    start = np.zeros(n_x, np.float32)
    power = np.float32(1.0)
    for k in range(_START):
        # Where the mirrored line has its value k, at any length.
        m = k % (2 * n - 2)
        m = m if m < n else 2 * n - 2 - m
        for x in range(n_x):
            start[x] += power * lines[m, x]
        power *= pole
    for x in range(n_x):
        lines[0, x] = start[x]
    for k in range(1, n):
        for x in range(n_x):
            lines[k, x] += pole * lines[k - 1, x]
    ratio = pole / (pole * pole - np.float32(1.0))
    for x in range(n_x):
        lines[n - 1, x] = gain * ratio * (lines[n - 1, x] + pole * lines[n - 2, x])
    for k in range(n - 2, -1, -1):
        for x in range(n_x):
            lines[k, x] = pole * (lines[k + 1, x] - gain * lines[k, x])


@shared_out()
def _filter_sections(share: Share, values: Block) -> None:
    """Filter ``[z, y, x]`` along z, in place."""
    for j in items_of(share, values.shape[1]):
        _filter_lines(values[:, j])


@shared_out()
def _filter_rows(share: Share, values: Block) -> None:
    """Filter ``[z, y, x]`` along y, in place."""
    for k in items_of(share, values.shape[0]):
        _filter_lines(values[k])


@compiled(inlined=True)
def _mirrored(index: int, n: int) -> int:
    """An index beside an axis of `n`, reflected about the centres of its outermost voxels."""
    if index < 0:
        index = -index
    if index > n - 1:
        index = 2 * (n - 1) - index
    return min(max(index, 0), n - 1)


@shared_out()
def interpolate(
    share: Share,
    coefficients: Block,
    section: NDArray[np.float64],
    row: NDArray[np.float64],
    n_rows: int,
    fill: np.float32,
    out: Block,
) -> None:
    """Evaluate the spline at points of all columns.

    Parameters
    ----------
    share : Share
        Which sections of `out` are this thread's.
    coefficients : float32 array, shape (n_z, n_y, n_x)
        Of some rows of the volume.
    section, row : float64 arrays, shape (out_z, out_y)
        Where the points lie among these rows.
    n_rows : int
        Rows from the first of these to the volume's last.
    fill : float32
        For points beyond the volume's faces.
    out : float32 array, shape (out_z, out_y, n_x)
        Written.
    """
    n_z, n_y, n_x = coefficients.shape
    for k in items_of(share, out.shape[0]):
        weight = np.empty((2, 4))
        for j in range(out.shape[1]):
            z, y = section[k, j], row[k, j]
            if z < -0.5 or z > n_z - 0.5 or y < -0.5 or y > n_rows - 0.5:
                out[k, j, :] = fill
                continue
            # The outer half voxels are as their centres.
            z, y = min(max(z, 0.0), n_z - 1.0), min(max(y, 0.0), n_y - 1.0)
            iz, iy = int(z), int(y)
            for axis, t in ((0, z - iz), (1, y - iy)):
                weight[axis, 0] = (1 - t) ** 3 / 6
                weight[axis, 1] = (4 - 6 * t * t + 3 * t * t * t) / 6
                weight[axis, 2] = (1 + 3 * t + 3 * t * t - 3 * t * t * t) / 6
                weight[axis, 3] = t * t * t / 6
            line = out[k, j]
            line[:] = np.float32(0)
            for a in range(4):
                for b in range(4):
                    w = np.float32(weight[0, a] * weight[1, b])
                    source = coefficients[_mirrored(iz - 1 + a, n_z), _mirrored(iy - 1 + b, n_y)]
                    for x in range(n_x):
                        line[x] += w * source[x]
