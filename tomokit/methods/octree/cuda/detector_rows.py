"""The detector rows that a partition of the leaves is projected to, with their projections and masks."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tomokit.data.problem import Problem
from tomokit.geometry import TiltGeometry, centre
from tomokit.octree.partition import Partition


@dataclass(frozen=True)
class PartitionRows:
    """The detector rows that a partition is projected to; views that are shifted against each other mask some of them.

    Attributes
    ----------
    problem : Problem
        The problem of a pyramid level, with all rows.
    geometry : TiltGeometry
        The level's geometry, cut to the partition's rows.
    rows : slice
        The partition's rows among the level's.
    owned : ndarray of float32, shape (n_views, 1, n_rows), or None
        1 for the rows of each view that belong to this partition alone; None if all do.
    """

    problem: Problem
    geometry: TiltGeometry
    rows: slice
    owned: NDArray[np.float32] | None

    def images(
        self, views: NDArray[np.int64] | slice = slice(None)
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Projections and mask of some views or all, cut to the partition's rows.

        Parameters
        ----------
        views : ndarray of int64 or slice
            Which views; by default all.

        Returns
        -------
        projections : ndarray of float32, shape (n_chosen, n_u, n_rows)
            ``[tilt, u, y]``, in the level's units.
        mask : ndarray of float32, shape (n_chosen, n_u, n_rows), or None
            Weights; 0 where a row belongs to another partition. None where every pixel counts.
        """
        projections = np.ascontiguousarray(self.problem.projections[views, :, self.rows], np.float32)
        mask = self.problem.mask
        if mask is not None:
            mask = mask[views, :, self.rows] if self.owned is None else mask[views, :, self.rows] * self.owned[views]
        elif self.owned is not None:
            mask = np.broadcast_to(self.owned[views], projections.shape)
        return projections, None if mask is None else np.ascontiguousarray(mask, np.float32)


def rows_of(problem: Problem, partition: Partition, pixel: int) -> PartitionRows:
    """The detector rows of a problem that a partition is projected to.

    Parameters
    ----------
    problem : Problem
        The problem of a pyramid level.
    partition : Partition
    pixel : int
        Pixels of the forest to one of the problem's.

    Returns
    -------
    PartitionRows
    """
    geometry = problem.geometry
    if np.isinf(partition.low_px) and np.isinf(partition.high_px):
        # The only partition: nothing is cut, and no mask has to be made.
        return PartitionRows(problem, geometry, slice(0, geometry.n_v), None)
    # With shifts along y a cut falls on another row in each view: the range is that of all views together.
    low, high = (_first_rows(geometry, cut / pixel) for cut in (partition.low_px, partition.high_px))
    begin, end = rows_seen(geometry, partition, pixel)
    rows = np.arange(begin, end)
    owned = ((rows >= low[:, None]) & (rows < high[:, None])).astype(np.float32)[:, None, :]
    # The cut detector has another centre, from which shifts are counted.
    shift = geometry.shift_v_px + centre(geometry.n_v) - begin - centre(rows.size)
    return PartitionRows(problem, replace(geometry, n_v=rows.size, shift_v_px=shift), slice(begin, end), owned)


def rows_seen(geometry: TiltGeometry, partition: Partition, pixel: int = 1) -> tuple[int, int]:
    """The range of detector rows that any view projects a partition to.

    Parameters
    ----------
    geometry : TiltGeometry
        Views and detector, in a level's pixels.
    partition : Partition
    pixel : int
        Pixels of the forest to one of the geometry's.

    Returns
    -------
    begin, end : int
        The first row, and one past the last; at least one row.
    """
    low, high = (_first_rows(geometry, cut / pixel) for cut in (partition.low_px, partition.high_px))
    begin = min(int(low.min()), geometry.n_v - 1)
    return begin, max(int(high.max()), begin + 1)


def _first_rows(geometry: TiltGeometry, cut: float) -> NDArray[np.int64]:
    """The first row of each view whose centre is not below a cut at this y, in the geometry's pixels."""
    if np.isinf(cut):
        return np.full(geometry.n_views, 0 if cut < 0 else geometry.n_v, np.int64)
    # A row belongs to the partition in which its centre lies, so that every row has exactly one.
    first = np.ceil(cut + centre(geometry.n_v) + geometry.shift_v_px).astype(np.int64)
    return np.clip(first, 0, geometry.n_v)
