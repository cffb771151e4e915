"""Reconstruction in slabs along the tilt axis, for volumes that memory cannot hold: what methods and runs offer for it.

Under a tilt about y a row of voxels is seen by the same row of pixels in every view, once the views are moved along y
by their own shifts. A method whose steps are projections, back-projections and updates voxel by voxel can therefore
keep its density in a file and have a few rows of it in memory at a time. What belongs to whole views, such as their
offsets, is worked out from the stack of projections, which is in memory throughout.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from tomokit.data.problem import Problem, ProblemShape
from tomokit.methods.interface import Run

Rows = tuple[int, int]
"""The first row along y, and the one after the last."""

Density = NDArray[np.float32]


class SlabStore(Protocol):
    """Where a run in slabs keeps its density."""

    def read(self, slab: int) -> Density:
        """Read the density of one slab.

        Parameters
        ----------
        slab : int
            Its place among the bounds.

        Returns
        -------
        ndarray of float32, shape (n_x, n_z, rows)
            ``[x, z, y]``, C-ordered, the caller's own; zeros where nothing was written yet.
        """
        ...

    def write(self, slab: int, density: Density) -> None:
        """Write the density of one slab.

        Parameters
        ----------
        slab : int
            Its place among the bounds.
        density : ndarray of float32, shape (n_x, n_z, rows)
        """
        ...


StoreMaker = Callable[[int, int, Sequence[Rows]], SlabStore]
"""Makes a store from ``n_x``, ``n_z`` and the bounds of the slabs."""


@dataclass(frozen=True)
class Slabs:
    """How a volume is cut, and where its slabs are kept.

    Attributes
    ----------
    bounds : sequence of (int, int)
        Rows of each slab, in detector rows from 0, one slab after the other without gaps. Together they are the volume;
        it may be only a part of what the detector sees.
    make_store : callable
        Called once, when a run is set up.
    """

    bounds: Sequence[Rows]
    make_store: StoreMaker

    @property
    def rows(self) -> Rows:
        """The rows of all slabs together."""
        return self.bounds[0][0], self.bounds[-1][1]


class RunInSlabs(Run, Protocol):
    """A run whose density is in a store; ``volume`` and ``arrays`` assemble it in memory, and may be avoided.

    Attributes
    ----------
    store : SlabStore
        The density in the run's own unit, with a margin along x.
    margin_px : int
        Voxels of margin on each side.
    density_scale : float
        What the stored values are multiplied by to be those of ``volume``.
    """

    store: SlabStore
    margin_px: int

    @property
    def density_scale(self) -> float:
        """Factor from the stored values to those of ``volume``."""
        ...


@runtime_checkable
class ReconstructsInSlabs(Protocol):
    """A method that can reconstruct a volume in slabs, to the same bits as in one piece, or only some of its rows."""

    def start_in_slabs(self, problem: Problem, options: Any, slabs: Slabs) -> RunInSlabs:
        """Set up a run in slabs.

        Parameters
        ----------
        problem : Problem
            All rows of the detector, whatever the slabs are.
        options : Options
            The method's own.
        slabs : Slabs

        Returns
        -------
        RunInSlabs
        """
        ...

    def estimate_bytes_in_slabs(self, problem_shape: ProblemShape, options: Any, rows: int, largest: int) -> int:
        """Peak bytes that a run in slabs will allocate beyond the problem itself.

        Parameters
        ----------
        problem_shape : ProblemShape
            All rows of the detector.
        options : Options
            The method's own.
        rows : int
            Rows of all slabs together.
        largest : int
            Rows of the largest slab.

        Returns
        -------
        int
        """
        ...


def slab_bounds(rows: Rows, count: int) -> list[Rows]:
    """Cut rows into slabs of nearly the same thickness.

    Parameters
    ----------
    rows : (int, int)
        First row, and the one after the last.
    count : int
        Number of slabs, at most the number of rows.

    Returns
    -------
    list of (int, int)
        Rows of each; the first are the largest.
    """
    first, stop = rows
    thickness, rest = divmod(stop - first, count)
    ends = [first + slab * thickness + min(slab, rest) for slab in range(count + 1)]
    return list(pairwise(ends))


def crop_rows(problem: Problem, rows: Rows) -> Problem:
    """Cut a problem down to some rows of its detector.

    Parameters
    ----------
    problem : Problem
    rows : (int, int)
        First row, and the one after the last.

    Returns
    -------
    Problem
        The problem itself if these are all of its rows.
    """
    first, stop = rows
    if (first, stop) == (0, problem.geometry.n_v):
        return problem
    return replace(
        problem,
        projections=np.ascontiguousarray(problem.projections[:, :, first:stop]),
        mask=None if problem.mask is None else np.ascontiguousarray(problem.mask[:, :, first:stop]),
        geometry=replace(problem.geometry, n_v=stop - first),
    )
