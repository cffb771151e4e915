"""A fit cut along the tilt axis, a part for each GPU.

Leaves of different places along y meet different detector rows, so a part has its leaves, the rows that they are seen
in, and nothing of the others' but what the step shares: one layer of the neighbours beyond a cut, for boundary
consistency; the sums of the residual, for the exposures; and the counts of the cross-node constraint. Cuts are between
roots, where all levels have a face.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.cuda.device import Device
from tomokit.geometry import TiltGeometry, centre
from tomokit.methods.contract import Problem
from tomokit.octree import Forest
from tomokit.octree.faces import shared_faces


@dataclass(frozen=True)
class Part:
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


def split(forest: Forest, count: int) -> list[Part]:
    """At most so many parts, with about as many leaves each; fewer where there are not so many rows of roots."""
    row = forest.index[:, 2].astype(np.int64) >> forest.level
    before = np.r_[0, np.cumsum(np.bincount(row, minlength=forest.roots[2]))]
    cuts = {0, forest.roots[2]}
    for part in range(1, count):
        cuts.add(int(np.argmin(np.abs(before - forest.n_leaves * part / count))))
    # A part without leaves would have nothing to do.
    edges = [0, *(b for a, b in pairwise(sorted(cuts)) if before[b] > before[a])]
    edges[-1] = forest.roots[2]
    of_leaf = np.searchsorted(np.array(edges[1:]), row, side="right")
    faces = shared_faces(forest)
    y = forest.origin_px[2] + forest.root_px * np.array(edges, float)
    y[0], y[-1] = -np.inf, np.inf
    parts = []
    for part in range(len(edges) - 1):
        mine = of_leaf == part
        crossing = mine[faces.below] != mine[faces.above]
        beyond = np.where(mine[faces.below], faces.above, faces.below)[crossing]
        own = np.flatnonzero(mine)
        alone = replace(forest, level=forest.level[own], index=forest.index[own])
        parts.append(Part(alone, own, np.unique(beyond).astype(np.int64), float(y[part]), float(y[part + 1])))
    return parts


def part_of_problem(problem: Problem, part: Part, pixel: int) -> Problem:
    """The rows that a part is seen in, the others masked where views are shifted against each other.

    Parameters
    ----------
    problem : Problem
        A level's.
    part : Part
    pixel : int
        Of the forest's pixels in one of the problem's.
    """
    g = problem.geometry
    if np.isinf(part.low_px) and np.isinf(part.high_px):
        return problem
    low, high = (_first_rows(g, cut / pixel) for cut in (part.low_px, part.high_px))
    begin, end = int(low.min()), max(int(high.max()), int(low.min()) + 1)
    rows = np.arange(begin, end)
    owned = ((rows >= low[:, None]) & (rows < high[:, None])).astype(np.float32)[:, None, :]
    shape = (g.n_views, g.n_u, rows.size)
    mask = np.broadcast_to(owned, shape) if problem.mask is None else problem.mask[:, :, begin:end] * owned
    shift = g.shift_v_px + centre(g.n_v) - begin - centre(rows.size)
    return replace(
        problem,
        projections=np.ascontiguousarray(problem.projections[:, :, begin:end]),
        mask=np.ascontiguousarray(mask, np.float32),
        geometry=replace(g, n_v=rows.size, shift_v_px=shift),
    )


def _first_rows(geometry: TiltGeometry, cut: float) -> NDArray[np.int64]:
    """The first row of each view beyond a cut."""
    if np.isinf(cut):
        return np.full(geometry.n_views, 0 if cut < 0 else geometry.n_v, np.int64)
    first = np.ceil(cut + centre(geometry.n_v) + geometry.shift_v_px).astype(np.int64)
    return np.clip(first, 0, geometry.n_v)


def share(devices: Sequence[Device], arrays: Sequence[Any], axis: int) -> list[Any]:
    """Arrays of all devices, one after the other along `axis`, on each of them; of one device, the array itself."""
    if len(devices) == 1:
        return list(arrays)
    whole = np.concatenate([device.to_host(array) for device, array in zip(devices, arrays, strict=True)], axis=axis)
    found = []
    for device in devices:
        with device:
            found.append(device.xp.asarray(whole))
    return found
