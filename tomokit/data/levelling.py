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
from numpy.typing import NDArray

Block = NDArray[np.float32]
Places = NDArray[np.float64] | NDArray[np.int_]

BLOCK_ROWS = 32
"""Rows of the level volume that are made at a time."""
_BLOCK_COLUMNS = 256
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
        # Compiled, and of use to tilted specimens alone.
        from tomokit.data.spline_across import interpolate, spline_coefficients

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
                interpolate(part, section, row - low, volume.shape[1] - low, np.float32(fill), out)
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
