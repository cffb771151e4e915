"""Fields that views are predicted from: fits to the other views, each going on from the one of the round before.

The fit is SIRT (:mod:`tomokit.methods.voxels.sirt`) with Nesterov's momentum, restarted where it leads uphill
(O'Donoghue and Candes, Found. Comput. Math. 15, 715, 2015). It has to come far: a field of a few iterations is longer
along the beam than the specimen, and moves the tilts of all views to make up for it.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tomokit.data.problem import Problem
from tomokit.methods.voxels.data_term import DataTerm
from tomokit.methods.voxels.run import invert_above
from tomokit.projector import DenseProjector

FOLDS = 4
"""Groups of views; each is predicted from a fit to the three others."""
_LEAST_RAY_PX, _LEAST_VOXEL_WEIGHT = 0.5, 1e-3

Field = NDArray[np.floating]


def folds_of(tilt_deg: NDArray[np.float64], folds: int = FOLDS) -> NDArray[np.intp]:
    """Assign views to groups, neighbours in tilt to different ones.

    Parameters
    ----------
    tilt_deg : ndarray of float64, shape (n_views,)
        Degrees.
    folds : int
        Number of groups.

    Returns
    -------
    ndarray of int, shape (n_views,)
        From 0.
    """
    place = np.empty(tilt_deg.size, np.intp)
    place[np.argsort(tilt_deg, kind="stable")] = np.arange(tilt_deg.size)
    return place % folds


def fit_field(problem: Problem, n_x: int, epochs: int, density: Field | None, nonnegative: bool = True) -> Field:
    """Fit a field to views.

    Parameters
    ----------
    problem : Problem
        The views, as they are aligned by now.
    n_x : int
        Voxels across the tilt axis, lateral margin included.
    epochs : int
        Iterations.
    density : ndarray, shape (n_x, n_z, n_y), optional
        What to begin with, in units of projection per pixel, an empty field if None.
    nonnegative : bool
        Whether densities are held at 0 from below.

    Returns
    -------
    ndarray, shape (n_x, n_z, n_y)
        ``[x, z, y]``, likewise.
    """
    geometry = problem.geometry
    operator = DenseProjector(geometry, problem.thickness_px, n_x, backend=problem.backend)
    data_term = DataTerm(problem, operator)
    field = np.zeros(operator.volume_shape, operator.dtype) if density is None else density.copy()
    ray_weight = invert_above(operator(np.ones(operator.volume_shape, operator.dtype)), _LEAST_RAY_PX)
    ones = np.ones(operator.stack_shape, operator.dtype) if data_term.mask is None else data_term.mask
    voxel_weight = invert_above(operator.T(ones), _LEAST_VOXEL_WEIGHT)
    ahead, inertia = field, 1.0
    for _ in range(epochs):
        residuals, _ = data_term.residuals(ahead)
        residuals *= ray_weight
        step = operator.T(residuals)
        step *= voxel_weight
        new = ahead + step
        if nonnegative:
            np.maximum(new, 0, out=new)
        change = new - field
        # Uphill: the momentum leads away from where the step does.
        if np.vdot(ahead - new, change) > 0:
            inertia = 1.0
        following = (1 + math.sqrt(1 + 4 * inertia**2)) / 2
        ahead = new + operator.dtype((inertia - 1) / following) * change
        field, inertia = new, following
    return field
