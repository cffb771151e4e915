"""The settings of the primal-dual solver, and the views that its steps take together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tomokit.optimizers.interface import State

VARIATION_DUALS = ("dual_x", "dual_z", "dual_y")
"""The duals of total variation, by the axis of their differences."""
STATE_ARRAYS = ("data_pull", *VARIATION_DUALS)
"""Arrays of the field's size that the solver remembers (see
:class:`tomokit.methods.octree.primal_dual_step.PrimalDualArrays`)."""
NORM_ITERATIONS = 8
"""Iterations by which the norm of the data's operator is measured."""
SAFETY = 0.9
"""What the measured norm may be short of the true one."""
VARIATION_NORM = 24
"""Bound of the product of three: steps of the densities and of total variation's duals, weight of a difference."""


@dataclass(frozen=True)
class Texture:
    """How the weight of total variation follows the density's texture (:mod:`tomokit.methods.octree.texture`).

    Attributes
    ----------
    least : float
        Least factor of the weight, above 0 and below 1.
    gradient : float
        Mean length of the density's gradient, in the fit's unit per pixel, at which the factor is one half.
    width_px : float
        Standard deviation of the Gaussian over which that mean is taken, in pixels.
    begin : float
        Share of the epochs after which the weight begins to follow.
    """

    least: float
    gradient: float
    width_px: float
    begin: float


@dataclass(frozen=True)
class PrimalDual:
    """The solver's settings, in the place that an optimizer has for a field.

    Attributes
    ----------
    balance : float
        Step of the data's duals at the highest frequency (:func:`tomokit.methods.octree.view_duals.filter_taps`).
    nonnegative : bool
        Whether densities are kept from becoming negative.
    negative_penalty : float or None
        Where they are: instead of by a bound, by a quadratic penalty, relative to the weight of total variation.
    texture : Texture or None
        How the weight of total variation follows the density's texture; None for one weight everywhere.
    tilt_weights : float
        Power of the cosine of its tilt by which a view is weighed.
    """

    name: ClassVar[str] = "primal-dual"

    balance: float
    nonnegative: bool
    negative_penalty: float | None = None
    texture: Texture | None = None
    tilt_weights: float = 0.0

    def state_arrays(self, shape: tuple[int, ...], dtype: DTypeLike) -> State:
        """The arrays that it remembers, as they are before the first step (see
        :class:`tomokit.optimizers.interface.Optimizer`)."""
        return {name: np.zeros(shape, dtype) for name in STATE_ARRAYS}


def view_groups(n_views: int, n_groups: int) -> list[NDArray[np.int64]]:
    """The groups of views that steps take, each spread over the whole range of tilts.

    Views far apart see little in common, which allows longer steps than neighbours do.

    Parameters
    ----------
    n_views, n_groups : int
        How many there are of each.

    Returns
    -------
    list of ndarray of int64
        Every view once.
    """
    return [np.arange(first, n_views, n_groups) for first in range(n_groups)]


def steepest_group(
    groups: list[NDArray[np.int64]], tilt_rad: NDArray[np.float64], weights: NDArray[np.floating]
) -> NDArray[np.int64]:
    """The group by which the norm of all is measured: the one whose weighted rays are the longest.

    Parameters
    ----------
    groups : list of ndarray of int64
        From :func:`view_groups`.
    tilt_rad : ndarray of float64, shape (n_views,)
    weights : ndarray, shape (n_views,)
        Of the views in the data term.

    Returns
    -------
    ndarray of int64
    """
    lengths = weights / np.maximum(np.abs(np.cos(tilt_rad)), 0.1)
    return max(groups, key=lambda views: float(lengths[views].sum()))


def norm_probe(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The field from which the norm of the data's operator is measured: noise, which has a part of every mode.

    Parameters
    ----------
    shape : tuple of int
        ``(n_leaves, n, n, n)``.

    Returns
    -------
    ndarray of float32
        The same each time.
    """
    return np.random.default_rng(0).random(shape, np.float32) - np.float32(0.5)


def density_steps(mass: NDArray[np.float64], norm: float, n_groups: int) -> NDArray[np.float64]:
    """The step of the densities in each leaf, as long as convergence allows.

    Parameters
    ----------
    mass : ndarray of float64, shape (n_leaves,)
        Cubes of the spacing of vertices, in pixels.
    norm : float
        Largest squared norm of a group's ``F^1/2 k A`` in the metric of masses, F the filter of the duals' step.
    n_groups : int
        Steps of an epoch.

    Returns
    -------
    ndarray of float64, shape (n_leaves,)
    """
    return SAFETY / (2 * n_groups * norm * mass)


def variation_factors(spacing_px: NDArray[np.float64]) -> NDArray[np.float64]:
    """Factors of the weight of differences, by which leaves of all sizes have the same total variation by volume.

    A vertex stands for ``h^3``, h the spacing, and a difference for ``h`` times a slope, so its weight goes with
    ``h^2``; regularizers give the weight of the finest leaves to all.

    Parameters
    ----------
    spacing_px : ndarray of float64, shape (n_leaves,)
        In pixels.

    Returns
    -------
    ndarray of float64, shape (n_leaves,)
        1 on the finest leaves.
    """
    return np.asarray((spacing_px / spacing_px.min(initial=np.inf)) ** 2)


def kept_negative(
    solver: PrimalDual, step: NDArray[np.float64], weight: NDArray[np.float64], spacing_px: NDArray[np.float64]
) -> float:
    """The factor that a step puts on what is negative: 0 at a bound, 1 without one.

    The proximal map of the penalty ``a d^2 / 2`` of negative densities divides them by ``1 + t a``. A vertex's penalty
    goes with its mass, ``a = penalty w h`` where ``w`` goes with ``h^2``, and so the factor is the same in all leaves.

    Parameters
    ----------
    solver : PrimalDual
    step, weight, spacing_px : ndarray of float64, shape (n_leaves,)
        Step of the densities t, weight of a difference w, and spacing of the vertices h of each leaf.

    Returns
    -------
    float
        Without total variation the penalty has no measure: then the bound holds.
    """
    if not solver.nonnegative:
        return 1.0
    if solver.negative_penalty is None or not weight.any():
        return 0.0
    finest = int(np.argmin(spacing_px))
    return float(1 / (1 + step[finest] * solver.negative_penalty * weight[finest] * spacing_px[finest]))
