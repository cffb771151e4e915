"""A fit cut along the tilt axis: a part for each GPU, or more where they do not fit.

Leaves of different places along y meet different detector rows, so a part has its leaves, the rows that they are seen
in, and nothing of the others' but what the step shares: one layer of the neighbours beyond a cut, for boundary
consistency; the sums of the residual, for the offsets; and the counts of the cross-node constraint. Cuts are between
roots, where all levels have a face.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.data.problem import Problem
from tomokit.geometry import TiltGeometry, centre
from tomokit.gpu.device import Device
from tomokit.octree import Forest
from tomokit.octree.faces import shared_faces


@dataclass(frozen=True)
class Partition:
    """Leaves between two cuts.

    Attributes
    ----------
    forest : Forest
        Those leaves alone.
    own : ndarray of int64
        Their numbers in the whole forest, ascending.
    ghosts : ndarray of int64
        Leaves of other parts that share a face with them.
    low_px, high_px : float
        The cuts, infinite at the ends, in the forest's pixels.
    """

    forest: Forest
    own: NDArray[np.int64]
    ghosts: NDArray[np.int64]
    low_px: float
    high_px: float


def split(forest: Forest, count: int) -> list[Partition]:
    """At most so many parts, the largest of which has as few leaves as can be; no more than rows of roots."""
    row = forest.index[:, 2].astype(np.int64) >> forest.level
    edges = _cuts(np.bincount(row, minlength=forest.roots[2]), count)
    of_leaf = np.searchsorted(np.array(edges[1:]), row, side="right")
    faces = shared_faces(forest)
    y = forest.origin_px[2] + forest.root_px * np.array(edges, float)
    y[0], y[-1] = -np.inf, np.inf
    partitions = []
    for partition in range(len(edges) - 1):
        mine = of_leaf == partition
        crossing = mine[faces.below] != mine[faces.above]
        beyond = np.where(mine[faces.below], faces.above, faces.below)[crossing]
        own = np.flatnonzero(mine)
        alone = replace(forest, level=forest.level[own], index=forest.index[own])
        partitions.append(
            Partition(alone, own, np.unique(beyond).astype(np.int64), float(y[partition]), float(y[partition + 1]))
        )
    return partitions


def _cuts(leaves_of_row: NDArray[np.int64], count: int) -> list[int]:
    """Where at most so many parts begin, and where the last one ends: the largest is as small as can be."""
    least, enough = int(leaves_of_row.max()), int(leaves_of_row.sum())
    while least < enough:
        most = (least + enough) // 2
        if len(_fill(leaves_of_row, most)) <= count:
            enough = most
        else:
            least = most + 1
    return [*_fill(leaves_of_row, enough), leaves_of_row.size]


def _fill(leaves_of_row: NDArray[np.int64], most: int) -> list[int]:
    """Where parts begin that take rows while they have not more leaves than `most`."""
    begins, held = [0], 0
    for row, leaves in enumerate(leaves_of_row.tolist()):
        if held and held + leaves > most:
            begins.append(row)
            held = 0
        held += leaves
    return begins


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


def deal(count: int, devices: Sequence[Device]) -> list[Device]:
    """The device of each part: about as many parts for each, neighbours together."""
    return [devices[partition * len(devices) // count] for partition in range(count)]


def gather(devices: Sequence[Device], arrays: Sequence[Any], axis: int) -> list[Any]:
    """The parts' arrays, one after the other along `axis`, on each part's device; of one part, the array itself."""
    if len(devices) == 1:
        return list(arrays)
    found = []
    for device, array in zip(devices, arrays, strict=True):
        with device:
            found.append(device.to_host(array))
    whole = np.concatenate(found, axis=axis)
    sent: dict[int, Any] = {}
    for device in devices:
        if id(device) not in sent:
            with device:
                sent[id(device)] = device.xp.asarray(whole)
    return [sent[id(device)] for device in devices]
