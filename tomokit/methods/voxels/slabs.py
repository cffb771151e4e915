"""What the methods on a grid of voxels share when they work in slabs (:mod:`tomokit.methods.slabs`).

The stack of projections is whole, in memory; the density is in a store, a slab of it in memory at a time. All that is
summed over pixels is summed over whole views by the same code as in one piece, and the projector's sums do not depend
on which rows are taken together: the bits are the same whatever the number of slabs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.data.margin import margin_px
from tomokit.data.problem import Problem, ProblemShape
from tomokit.geometry import TiltGeometry
from tomokit.methods.slabs import Rows, Slabs, crop_rows
from tomokit.methods.state_arrays import check_finite_arrays
from tomokit.methods.voxels.data_term import DataTerm
from tomokit.methods.voxels.run import density_recipe
from tomokit.projector import DenseProjector, shift_rows

Float = NDArray[np.floating]


class SlabProjector:
    """Line integrals and back-projections of single slabs, and the shifts of the views between volume and detector.

    Stacks that are projected or back-projected have the volume's rows: the views' own shifts along y, which mix rows,
    are applied to whole stacks by :meth:`move_to_detector` and :meth:`move_to_volume`.

    Parameters
    ----------
    geometry : TiltGeometry
        Views of a detector that has the volume's rows.
    n_x, n_z : int
        Voxels across the tilt axis and along the beam.
    bounds : sequence of (int, int)
        Rows of each slab, from the volume's first.
    backend : str
        As of :class:`tomokit.projector.DenseProjector`.
    """

    def __init__(self, geometry: TiltGeometry, n_x: int, n_z: int, bounds: Sequence[Rows], backend: str) -> None:
        self._geometry, self._backend = geometry, backend
        self.n_x, self.n_z = n_x, n_z
        self.bounds = bounds
        self.is_aligned = not geometry.shift_v_px.any()
        self._by_rows: dict[int, DenseProjector] = {}

    def of_rows(self, rows: int) -> DenseProjector:
        """The projector of so many rows whose views are not shifted along y.

        Parameters
        ----------
        rows : int

        Returns
        -------
        DenseProjector
        """
        if rows not in self._by_rows:
            geometry = replace(self._geometry, n_v=rows, shift_v_px=np.zeros(self._geometry.n_views))
            self._by_rows[rows] = DenseProjector(geometry, self.n_z, self.n_x, backend=self._backend)
        return self._by_rows[rows]

    def project(self, slab: int, density: Float, stack: Float) -> None:
        """Write the line integrals of one slab into its rows of a stack.

        Parameters
        ----------
        slab : int
            Its place among the bounds.
        density : ndarray, shape (n_x, n_z, rows)
        stack : ndarray, shape (n_views, n_u, n_y)
            ``[tilt, u, y]``; the slab's rows are overwritten.
        """
        first, stop = self.bounds[slab]
        stack[:, :, first:stop] = self.of_rows(stop - first)(density)

    def back_project(self, slab: int, stack: Float) -> Float:
        """Back-project a stack into one slab.

        Parameters
        ----------
        slab : int
            Its place among the bounds.
        stack : ndarray, shape (n_views, n_u, n_y)
            ``[tilt, u, y]``.

        Returns
        -------
        ndarray, shape (n_x, n_z, rows)
            ``[x, z, y]``.
        """
        first, stop = self.bounds[slab]
        return self.of_rows(stop - first).T(stack[:, :, first:stop])

    def move_to_detector(self, stack: Float) -> None:
        """Move each view along y by its own shift, in place, a view at a time.

        Parameters
        ----------
        stack : ndarray, shape (n_views, n_u, n_y)
            Line integrals with the volume's rows; afterwards with the detector's.
        """
        self._move(stack, self._geometry.shift_v_px)

    def move_to_volume(self, stack: Float) -> None:
        """Move each view back along y, the transpose of :meth:`move_to_detector`.

        Parameters
        ----------
        stack : ndarray, shape (n_views, n_u, n_y)
            With the detector's rows; afterwards with the volume's.
        """
        self._move(stack, -self._geometry.shift_v_px)

    def _move(self, stack: Float, shift_px: NDArray[np.float64]) -> None:
        if self.is_aligned:
            return
        for view in range(len(stack)):
            one = slice(view, view + 1)
            stack[one] = shift_rows(stack[one], shift_px[one], stack.shape[2])


class VoxelRunInSlabs:
    """Base of the runs in slabs (see :class:`tomokit.methods.slabs.RunInSlabs`).

    Parameters
    ----------
    problem : Problem
        All rows of the detector.
    slabs : Slabs
    epochs : int
        Epochs of the whole run.
    margin : float or None
        As of :class:`tomokit.methods.voxels.run.VoxelRun`.

    Attributes
    ----------
    problem : Problem
        The rows of the slabs.
    epoch : int
        Epochs finished so far.
    data_term : DataTerm
        Of these rows.
    projector : SlabProjector
    store : SlabStore
        ``kappa * rho`` in units of projection per pixel.
    margin_px : int
        Voxels of margin on each side.
    """

    def __init__(self, problem: Problem, slabs: Slabs, epochs: int, margin: float | None = 0.0) -> None:
        self.problem = crop_rows(problem, slabs.rows)
        self.epochs, self.epoch = epochs, 0
        self.margin_px = margin_px(ProblemShape.of(problem), margin)
        geometry = self.problem.geometry
        n_x, n_z = geometry.n_u + 2 * self.margin_px, problem.thickness_px
        start = slabs.rows[0]
        bounds = [(first - start, stop - start) for first, stop in slabs.bounds]
        self.projector = SlabProjector(geometry, n_x, n_z, bounds, problem.backend)
        # The operator tells the data term in which precision to work; it is not called.
        self.data_term = DataTerm(self.problem, DenseProjector(geometry, n_z, n_x, backend=problem.backend))
        self.store = slabs.make_store(n_x, n_z, bounds)

    @property
    def density_scale(self) -> float:
        """Factor from the stored projection density to the density ``rho``."""
        return 1.0 / self.problem.geometry.kappa

    def predict(self, geometry: TiltGeometry) -> NDArray[np.float32]:
        """Projections ``[tilt, u, y]`` of the present density, without offset (see :class:`Run`)."""
        bounds = self.projector.bounds
        projector = SlabProjector(geometry, self.projector.n_x, self.projector.n_z, bounds, self.problem.backend)
        stack = np.empty((geometry.n_views, geometry.n_u, geometry.n_v), np.float32)
        for slab in range(len(bounds)):
            projector.project(slab, self.store.read(slab), stack)
        projector.move_to_detector(stack)
        return stack

    def volume(self) -> NDArray[np.float32]:
        """The density ``rho`` ``[x, z, y]`` over the detector's width, assembled in memory (see :class:`Run`)."""
        inner = self._assemble()[self.margin_px : self.margin_px + self.problem.geometry.n_u]
        return np.asarray(inner * self.density_scale, np.float32)

    def offsets(self) -> NDArray[np.float32]:
        """Additive offset of each view in units of projection, shape (n_views,) (see :class:`Run`)."""
        return self.data_term.offsets.astype(np.float32)

    def stored_density(self) -> dict[str, Any]:
        """How the density follows from the saved arrays, as of a run in one piece.

        Returns
        -------
        dict
            The recipe (see :mod:`tomokit.state.density`).
        """
        return density_recipe(self.margin_px, self.density_scale)

    def resolved_parameters(self) -> dict[str, Any]:
        """What :meth:`tomokit.methods.voxels.run.VoxelRun.resolved_parameters` tells of the same run in one piece.

        Returns
        -------
        dict
        """
        through_device = {"in_slabs": True} if self.problem.backend == "cuda" else {}
        return {"margin_px": self.margin_px, **through_device}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays of a run in one piece, the density assembled in memory (see :class:`Run`).

        Returns
        -------
        dict of str to ndarray
        """
        return {"density": self._assemble(), "offsets": self.data_term.offsets}

    def restore(self, epoch: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Continue from the arrays of a run of the same kind, in slabs or not (see :class:`Run`).

        Parameters
        ----------
        epoch : int
        arrays : mapping of str to ndarray

        Raises
        ------
        InputError
            If an array is missing, of another shape or type or not finite; nothing has been changed then.
        """
        shape = (self.projector.n_x, self.projector.n_z, self.problem.geometry.n_v)
        # Only shape and type are compared: one value stands for all.
        own: dict[str, NDArray[Any]] = {
            "density": np.broadcast_to(np.float32(0), shape),
            "offsets": self.data_term.offsets,
        }
        check_finite_arrays(arrays, own)
        self.data_term.offsets[...] = arrays["offsets"]
        for slab, (first, stop) in enumerate(self.projector.bounds):
            self.store.write(slab, np.ascontiguousarray(arrays["density"][:, :, first:stop]))
        self.epoch = epoch

    def _assemble(self) -> NDArray[np.float32]:
        """The whole stored density ``[x, z, y]``."""
        density = np.empty((self.projector.n_x, self.projector.n_z, self.problem.geometry.n_v), np.float32)
        for slab, (first, stop) in enumerate(self.projector.bounds):
            density[:, :, first:stop] = self.store.read(slab)
        return density


def slab_bytes(shape: ProblemShape, margin: float | None, largest: int, volumes: int) -> int:
    """Bytes of the largest slab's float32 volumes, margins included, and of its rows of the stack.

    Parameters
    ----------
    shape : ProblemShape
        All rows of the detector.
    margin : float or None
        The method's option of this name.
    largest : int
        Rows of the largest slab.
    volumes : int
        How many volumes of it.

    Returns
    -------
    int
    """
    wide = shape.n_u + 2 * margin_px(shape, margin)
    # The rows are copied to be back-projected, and made anew by a projection.
    rows_of_stack = 2 * 4 * shape.n_views * shape.n_u * largest
    return volumes * 4 * wide * shape.thickness_px * largest + rows_of_stack
