"""The detector rows that a partition of the leaves is seen in, and their projections and masks."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tomokit.data.problem import Problem
from tomokit.geometry import TiltGeometry, centre
from tomokit.octree.partition import Partition


@dataclass(frozen=True)
class PartitionRows:
    """The detector rows that a part is seen in, the others masked where views are shifted against each other.

    Attributes
    ----------
    problem : Problem
        A level's, of all rows.
    geometry : TiltGeometry
        Of the part's rows.
    rows : slice
        Them.
    owned : ndarray of float32, shape (n_views, 1, n_rows), or None
        1 for the rows of each view that are this part's alone; None if all are.
    """

    problem: Problem
    geometry: TiltGeometry
    rows: slice
    owned: NDArray[np.float32] | None

    def images(
        self, views: NDArray[np.int64] | slice = slice(None)
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Projections and mask ``[tilt, u, y]`` of some views or all; no mask where every pixel counts."""
        data = np.ascontiguousarray(self.problem.projections[views, :, self.rows], np.float32)
        mask = self.problem.mask
        if mask is not None:
            mask = mask[views, :, self.rows] if self.owned is None else mask[views, :, self.rows] * self.owned[views]
        elif self.owned is not None:
            mask = np.broadcast_to(self.owned[views], data.shape)
        return data, None if mask is None else np.ascontiguousarray(mask, np.float32)


def rows_of(problem: Problem, partition: Partition, pixel: int) -> PartitionRows:
    """The rows that a part is seen in.

    Parameters
    ----------
    problem : Problem
        A level's.
    partition : Partition
    pixel : int
        Of the forest's pixels in one of the problem's.
    """
    g = problem.geometry
    if np.isinf(partition.low_px) and np.isinf(partition.high_px):
        return PartitionRows(problem, g, slice(0, g.n_v), None)
    low, high = (_first_rows(g, cut / pixel) for cut in (partition.low_px, partition.high_px))
    begin, end = rows_seen(g, partition, pixel)
    rows = np.arange(begin, end)
    owned = ((rows >= low[:, None]) & (rows < high[:, None])).astype(np.float32)[:, None, :]
    shift = g.shift_v_px + centre(g.n_v) - begin - centre(rows.size)
    return PartitionRows(problem, replace(g, n_v=rows.size, shift_v_px=shift), slice(begin, end), owned)


def rows_seen(geometry: TiltGeometry, partition: Partition, pixel: int = 1) -> tuple[int, int]:
    """The first row that some view sees a part in, and one past the last."""
    low, high = (_first_rows(geometry, cut / pixel) for cut in (partition.low_px, partition.high_px))
    begin = min(int(low.min()), geometry.n_v - 1)
    return begin, max(int(high.max()), begin + 1)


def _first_rows(geometry: TiltGeometry, cut: float) -> NDArray[np.int64]:
    """The first row of each view beyond a cut."""
    if np.isinf(cut):
        return np.full(geometry.n_views, 0 if cut < 0 else geometry.n_v, np.int64)
    first = np.ceil(cut + centre(geometry.n_v) + geometry.shift_v_px).astype(np.int64)
    return np.clip(first, 0, geometry.n_v)
