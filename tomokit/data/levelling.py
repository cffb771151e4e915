"""From a volume in the frame of the tilt axis to the level one that was asked for: turned about x, and cut.

A level voxel ``(i, j, k)`` lies, in voxels of the volume in the frame of the tilt axis, at column ``first + i`` and,
with ``dj`` and ``dk`` counted from the middle of the level volume, at

    row     row_c + dj cos(alpha) - dk sin(alpha)
    section section_c + dj sin(alpha) + dk cos(alpha)

(:class:`tomokit.geometry.SpecimenFrame`). Columns are those of the pixels, so that nothing is interpolated along x; in
the planes across it a cubic B-spline is. The work is cut into the same blocks whatever holds the volume, so that bits
do not depend on it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from tomokit.kernels.decorator import compiled

Block = NDArray[np.float32]
Places = NDArray[np.float64] | NDArray[np.int_]

BLOCK_ROWS = 32
"""Rows of the level volume that are made at a time."""
_BLOCK_COLUMNS = 256
_POLE = 3**0.5 - 2
_MARGIN = 16
"""Rows beside those that a block needs: the spline's coefficients forget what is cut off by a factor of 3.7 a row."""


@dataclass(frozen=True)
class Levelling:
    """Where the voxels of a level volume lie in one in the frame of the tilt axis.

    Attributes
    ----------
    x_tilt_deg : float
        Rotation ``alpha`` about x in degrees, sign of IMOD's XAXISTILT.
    shape_zyx : tuple of int
        Voxels of the level volume.
    centre_zy : tuple of float
        Section and row of the other volume, counted from 0, at which the level one has its middle.
    first_column : int
        Column of the other volume with which the level one begins.
    """

    x_tilt_deg: float
    shape_zyx: tuple[int, int, int]
    centre_zy: tuple[float, float]
    first_column: int = 0

    @property
    def columns(self) -> slice:
        """Columns of the other volume that the level one has."""
        return slice(self.first_column, self.first_column + self.shape_zyx[2])

    def is_identity(self, shape_zyx: tuple[int, ...]) -> bool:
        """Tell whether the level volume is the other one.

        Parameters
        ----------
        shape_zyx : tuple of int
            Of the other one.

        Returns
        -------
        bool
        """
        return self.x_tilt_deg == 0 and self.shape_zyx == shape_zyx

    @property
    def block_bytes(self) -> int:
        """Bytes that :meth:`blocks` takes at a time: a block, and the part of the volume that it is made of."""
        if self.x_tilt_deg == 0:
            return 0
        n_z, _, n_x = self.shape_zyx
        rows = BLOCK_ROWS + 2 * _MARGIN + math.ceil(n_z * abs(math.sin(math.radians(self.x_tilt_deg))))
        # Of the part a copy is filtered; the volume is not much thicker than the level one.
        return 4 * n_z * (BLOCK_ROWS * n_x + (2 * rows + BLOCK_ROWS) * min(n_x, _BLOCK_COLUMNS))

    def positions(self, sections: Places, rows: Places) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Where points of the level volume lie in the other one.

        Parameters
        ----------
        sections, rows : ndarray of float64 or int
            Level, counted from 0; of shapes that go together.

        Returns
        -------
        sections, rows : ndarray of float64
        """
        cos, sin = np.cos(np.deg2rad(self.x_tilt_deg)), np.sin(np.deg2rad(self.x_tilt_deg))
        n_z, n_y, _ = self.shape_zyx
        dz, dy = sections - (n_z - 1) / 2, rows - (n_y - 1) / 2
        return self.centre_zy[0] + dy * sin + dz * cos, self.centre_zy[1] + dy * cos - dz * sin

    def blocks(self, volume: Block, fill: float) -> Iterator[tuple[int, Block]]:
        """Make the level volume, some rows at a time.

        Parameters
        ----------
        volume : ndarray of float32, shape (n_z, n_y, n_x)
            In the frame of the tilt axis, ``[z, y, x]``; may be memory-mapped.
        fill : float
            What voxels get that it does not reach to.

        Yields
        ------
        first : int
            First row of the block.
        block : ndarray of float32, shape (n_z, rows, n_x)
            Level, ``[z, y, x]``.
        """
        n_z, n_y, n_x = self.shape_zyx
        for first in range(0, n_y, BLOCK_ROWS):
            stop = min(first + BLOCK_ROWS, n_y)
            section, row = self.positions(np.arange(n_z)[:, None], np.arange(first, stop)[None, :])
            block = np.empty((n_z, stop - first, n_x), np.float32)
            low = max(0, int(np.floor(row.min())) - _MARGIN)
            high = min(volume.shape[1], int(np.ceil(row.max())) + _MARGIN + 1)
            if low >= high:
                block[...] = fill
                yield first, block
                continue
            for begin in range(0, n_x, _BLOCK_COLUMNS):
                end = min(begin + _BLOCK_COLUMNS, n_x)
                columns = slice(self.first_column + begin, self.first_column + end)
                part = spline_coefficients(volume[:, low:high, columns])
                out = np.empty((n_z, stop - first, end - begin), np.float32)
                _interpolate(part, section, row - low, volume.shape[1] - low, np.float32(fill), out)
                block[:, :, begin:end] = out
            yield first, block

    def apply(self, volume: Block, fill: float) -> Block:
        """Make the level volume in memory.

        Parameters
        ----------
        volume, fill
            As of :meth:`blocks`.

        Returns
        -------
        ndarray of float32, shape `shape_zyx`
            A view where nothing is turned.
        """
        if self.x_tilt_deg == 0:
            return volume[:, :, self.columns]
        level = np.empty(self.shape_zyx, np.float32)
        for first, block in self.blocks(volume, fill):
            level[:, first : first + block.shape[1]] = block
        return level

    def to_json(self) -> dict[str, Any]:
        """Represent it as a dictionary for states and provenance.

        Returns
        -------
        dict
            JSON-serializable.
        """
        return {
            "x_tilt_deg": self.x_tilt_deg,
            "shape_zyx": list(self.shape_zyx),
            "centre_zy": list(self.centre_zy),
            "first_column": self.first_column,
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Levelling:
        """Read what :meth:`to_json` gave.

        Parameters
        ----------
        record : mapping

        Returns
        -------
        Levelling
        """
        z, y, x = record["shape_zyx"]
        section, row = record["centre_zy"]
        return cls(float(record["x_tilt_deg"]), (z, y, x), (float(section), float(row)), int(record["first_column"]))


def mean_density(volume: NDArray[np.float32]) -> float:
    """Average a volume, section by section: what its surroundings are filled with.

    Parameters
    ----------
    volume : ndarray of float32, shape (n_z, n_y, n_x)
        May be memory-mapped.

    Returns
    -------
    float
    """
    return float(np.mean([section.mean(dtype=np.float64) for section in volume]))


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
    for k in range(_MARGIN):
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


@compiled(parallel=True)
def _filter_sections(values: Block) -> None:
    """Filter ``[z, y, x]`` along z, in place."""
    for j in prange(values.shape[1]):
        _filter_lines(values[:, j])


@compiled(parallel=True)
def _filter_rows(values: Block) -> None:
    """Filter ``[z, y, x]`` along y, in place."""
    for k in prange(values.shape[0]):
        _filter_lines(values[k])


@compiled(inlined=True)
def _mirrored(index: int, n: int) -> int:
    """An index beside an axis of `n`, reflected about the centres of its outermost voxels."""
    if index < 0:
        index = -index
    if index > n - 1:
        index = 2 * (n - 1) - index
    return min(max(index, 0), n - 1)


@compiled(parallel=True)
def _interpolate(
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
    for k in prange(out.shape[0]):
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
