"""What every method on a grid of voxels shares: data term, prediction, state and what provenance says.

A run keeps the projection density ``d = kappa * rho``, in units of projection per pixel, so that the operator's line
integrals are predictions as they stand; :meth:`VoxelRun.volume` gives the density ``rho``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.data.margin import margin_px
from tomokit.data.problem import Problem, ProblemShape
from tomokit.geometry import TiltGeometry
from tomokit.methods.state_arrays import check_finite_arrays
from tomokit.methods.voxels.data_term import DataTerm
from tomokit.methods.voxels.engine import Engine, EngineOnHost
from tomokit.projector import DenseProjector


class VoxelRun:
    """Base of the iterative methods on a voxel grid.

    Parameters
    ----------
    problem : Problem
        What is fitted.
    epochs : int
        Epochs of the whole run.
    margin : float or None
        Voxels added on either side across the tilt axis, as a fraction of the detector's width (see
        :func:`tomokit.data.margin.margin_px`).

    Attributes
    ----------
    epoch : int
        Epochs finished so far.
    operator : DenseProjector
        Line integrals of the volume, margins included, in all views.
    data_term : DataTerm
        Projections, mask and offsets, and the residuals of a density.
    projection_density : ndarray, shape (n_x, n_z, n_y)
        ``kappa * rho`` in units of projection per pixel, margins included. Where the run takes place on a device, this
        is up to date only after :meth:`arrays`, :meth:`volume` or :meth:`predict`.
    """

    # A method whose steps have an engine of their own chooses it at the end of its __init__; it holds for the run.
    _engine: Engine

    def __init__(self, problem: Problem, epochs: int, margin: float | None = 0.0) -> None:
        self.problem = problem
        self.epochs = epochs
        self.epoch = 0
        geometry = problem.geometry
        self._margin_px = margin_px(ProblemShape.of(problem), margin)
        n_x = geometry.n_u + 2 * self._margin_px
        self.operator = DenseProjector(geometry, problem.thickness_px, n_x, backend=problem.backend)
        self.data_term = DataTerm(problem, self.operator)
        self.projection_density: NDArray[np.floating] = np.zeros(self.operator.volume_shape, self.operator.dtype)
        self._engine = EngineOnHost(problem.backend)

    def residuals(self, projection_density: NDArray[np.floating]) -> tuple[NDArray[np.floating], float]:
        """Masked residuals of all views on the host, after solving for their offsets, and the data term.

        Parameters
        ----------
        projection_density : ndarray, shape (n_x, n_z, n_y)
            In units of projection per pixel.

        Returns
        -------
        residuals : ndarray, shape (n_views, n_u, n_y)
            ``m (p - A d - b)``.
        loss : float
            Sum of their squares over the sum of the mask.
        """
        stack, squares = self.data_term.residuals(projection_density)
        return stack, squares / self.data_term.total_weight

    def predict(self, geometry: TiltGeometry) -> NDArray[np.float32]:
        """Projections ``[tilt, u, y]`` of the present density, without offset (see :class:`Run`)."""
        n_x, n_z, _ = self.operator.volume_shape
        projector = DenseProjector(geometry, n_z, n_x, backend=self.problem.backend)
        return projector(self._estimate()).astype(np.float32, copy=False)

    def volume(self) -> NDArray[np.float32]:
        """The density ``rho`` ``[x, z, y]`` over the detector's width (see :class:`Run`)."""
        geometry = self.problem.geometry
        inner = self._estimate()[self._margin_px : self._margin_px + geometry.n_u]
        return np.asarray(inner * (1.0 / geometry.kappa), np.float32)

    def _estimate(self) -> NDArray[np.floating]:
        """The projection density to show; a method whose iterates are not their own best answer overrides this."""
        self._engine.fetch("density")
        return self.projection_density

    def offsets(self) -> NDArray[np.float32]:
        """Additive offset of each view in units of projection, shape (n_views,) (see :class:`Run`)."""
        self._engine.fetch("offsets")
        return self.data_term.offsets.astype(np.float32)

    def stored_density(self) -> dict[str, Any]:
        """How the density follows from the saved arrays (see :mod:`tomokit.state.density`)."""
        return density_recipe(self._margin_px, 1.0 / self.problem.geometry.kappa)

    def resolved_parameters(self) -> dict[str, Any]:
        """Values that follow from the data and the options, for the provenance.

        Returns
        -------
        dict
            ``margin_px`` on each side; on backend ``"cuda"`` also ``in_slabs``: whether the run's arrays lie on the
            host and are sent in slabs for each projection. A method with more such values adds them.
        """
        return {"margin_px": self._margin_px, **self._engine.resolved_parameters()}

    def _host_arrays(self) -> dict[str, NDArray[np.floating]]:
        """The arrays that the engine works on, as they lie on the host, by their names in a state."""
        return {"density": self.projection_density, "offsets": self.data_term.offsets}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All arrays that are needed to continue, on the host and up to date; a method with more state adds its own.

        Returns
        -------
        dict of str to ndarray
            Among them ``density`` (n_x, n_z, n_y), which is the projection density, and ``offsets`` (n_views,), in
            units of projection. Not copies: :meth:`restore` writes into them.
        """
        self._engine.fetch()
        return self._host_arrays()

    def restore(self, epoch: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Continue from the arrays of a run of the same kind.

        Parameters
        ----------
        epoch : int
            Epochs that were finished then.
        arrays : mapping of str to ndarray
            What :meth:`arrays` returned after them.

        Raises
        ------
        InputError
            If an array is missing, of another shape or type or not finite; nothing has been changed then.
        """
        own = self.arrays()
        check_finite_arrays(arrays, own)
        for name, array in own.items():
            array[...] = arrays[name]
        self._engine.take_host_arrays()
        self.epoch = epoch


def density_recipe(margin_px: int, scale: float) -> dict[str, Any]:
    """Describe how a density follows from a run's saved arrays.

    Parameters
    ----------
    margin_px : int
        Voxels of margin on each side along x.
    scale : float
        Factor from the saved projection density to the density ``rho``.

    Returns
    -------
    dict
        The recipe, as :mod:`tomokit.state.density` reads it.
    """
    return {"kind": "voxels", "array": "density", "margin_px": margin_px, "scale": scale, "least": None}


def invert_above(values: NDArray[np.floating], least: float) -> NDArray[np.floating]:
    """``1 / values`` where they exceed a bound, else 0; in place, because weights are as large as the data.

    Parameters
    ----------
    values : ndarray of any shape
        Sums of weights; overwritten by the result.
    least : float
        The bound, in units of the values.

    Returns
    -------
    ndarray
        `values` itself.
    """
    values[values <= least] = np.inf
    return np.divide(1, values, out=values)


def voxel_bytes(shape: ProblemShape, margin: float | None, volumes: int, stacks: int, views: int = 0) -> int:
    """Bytes of some float32 volumes, margins included, stacks of all views, and single views.

    Parameters
    ----------
    shape : ProblemShape
        Sizes of the problem.
    margin : float or None
        The method's option of this name.
    volumes, stacks, views : int
        How many of each.

    Returns
    -------
    int
    """
    wide = 1 + 2 * margin_px(shape, margin) / shape.n_u
    return int(volumes * shape.volume_bytes * wide + (stacks + views / shape.n_views) * shape.stack_bytes)
