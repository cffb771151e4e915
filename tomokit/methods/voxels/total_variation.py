"""Isotropic total variation of a volume in its dual form: value, dual step, divergence, proximal map.

``TV(d) = sum |grad d| = max_{|q| <= 1} <q, grad d>`` with forward differences and free boundaries. The dual step and
the divergence are all that a primal-dual method needs; the proximal map ``argmin_d 1/2 |d - g|^2 + weight TV(d)``
follows from them by gradient projection (Chambolle, J. Math. Imaging Vis. 20, 89, 2004), with a dual that is kept
between calls, so that a few iterations suffice inside an outer loop.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tomokit.kernels.shared import Share, items_of, shared_out


@shared_out(fastmath={"contract", "nnan", "nsz"})
def add_divergence(
    share: Share,
    g: NDArray[np.floating],
    q: NDArray[np.floating],
    weight: np.floating,
    nonnegative: bool,
    out: NDArray[np.floating],
) -> None:
    """``out = g + weight div q``, clipped at zero if asked.

    Parameters
    ----------
    share : Share
        Which planes are this thread's.
    g, out : array, shape (n_x, n_z, n_y)
        What the divergence is added to, and the result, which is written; they may be the same array.
    q : array, shape (3, n_x, n_z, n_y)
        Dual vectors, components along x, z and y. The last along its own axis has no difference to belong to and
        must be zero, as :func:`dual_step` leaves it.
    weight : float of the arrays' type
        Factor on the divergence.
    nonnegative : bool
        Whether negative values are set to zero.
    """
    n_x, n_z, n_y = g.shape
    zero = weight * 0
    for x in items_of(share, n_x):
        # A thread's row of div q. The conditions on x, z and y stay outside the loops along y, which so vectorize.
        row = np.empty(n_y, g.dtype)
        for z in range(n_z):
            here_x, here_z, here_y = q[0, x, z], q[1, x, z], q[2, x, z]
            for y in range(n_y):
                row[y] = here_x[y] + here_z[y] + here_y[y]
            if x > 0:
                left = q[0, x - 1, z]
                for y in range(n_y):
                    row[y] -= left[y]
            if z > 0:
                below = q[1, x, z - 1]
                for y in range(n_y):
                    row[y] -= below[y]
            for y in range(1, n_y):
                row[y] -= here_y[y - 1]
            for y in range(n_y):
                value = g[x, z, y] + weight * row[y]
                out[x, z, y] = max(value, zero) if nonnegative else value


@shared_out(fastmath={"contract", "nnan", "nsz"})
def dual_step(share: Share, d: NDArray[np.floating], q: NDArray[np.floating], rate: np.floating) -> None:
    """``q <- project(q + rate grad d)`` onto ``|q| <= 1``, in place.

    Parameters
    ----------
    share : Share
        Which planes are this thread's.
    d : array, shape (n_x, n_z, n_y)
        The density.
    q : array, shape (3, n_x, n_z, n_y)
        Dual vectors, components along x, z and y; overwritten by the result.
    rate : float of the arrays' type
        Step of the dual, in units of one over density.
    """
    n_x, n_z, n_y = d.shape
    one = rate * 0 + 1
    for x in items_of(share, n_x):
        # Differences along y; the last stays zero, as there is no next voxel.
        dy = np.zeros(n_y, d.dtype)
        for z in range(n_z):
            here = d[x, z]
            # At the far faces a row is its own neighbour, so that its difference is zero without a branch.
            next_x, next_z = d[min(x + 1, n_x - 1), z], d[x, min(z + 1, n_z - 1)]
            for y in range(n_y - 1):
                dy[y] = here[y + 1] - here[y]
            q_x, q_z, q_y = q[0, x, z], q[1, x, z], q[2, x, z]
            for y in range(n_y):
                a = q_x[y] + rate * (next_x[y] - here[y])
                b = q_z[y] + rate * (next_z[y] - here[y])
                c = q_y[y] + rate * dy[y]
                # One factor for all three, which keeps the direction: the constraint is on the vectors' lengths.
                shrink = one / max(one, np.sqrt(a * a + b * b + c * c))
                q_x[y] = a * shrink
                q_z[y] = b * shrink
                q_y[y] = c * shrink


def total_variation(d: NDArray[np.floating]) -> float:
    """Sum over voxels of the length of the forward difference; float64 sums in a fixed order.

    Parameters
    ----------
    d : array, shape (n_x, n_z, n_y)
        The density.

    Returns
    -------
    float
        In units of density.
    """
    # A sum for each plane, added up by one thread: so the result does not depend on how many threads there are.
    sums = np.empty(d.shape[0])
    _sum_planes(d, sums)
    return float(sums.sum())


@shared_out()
def _sum_planes(share: Share, d: NDArray[np.floating], sums: NDArray[np.float64]) -> None:
    """The total variation of each plane of constant x, with the differences to the next one."""
    n_x, n_z, n_y = d.shape
    for x in items_of(share, n_x):
        total = 0.0
        for z in range(n_z):
            here = d[x, z]
            next_x, next_z = d[min(x + 1, n_x - 1), z], d[x, min(z + 1, n_z - 1)]
            for y in range(n_y):
                a, b, c = next_x[y] - here[y], next_z[y] - here[y], here[min(y + 1, n_y - 1)] - here[y]
                total += np.sqrt(a * a + b * b + c * c)
        sums[x] = total


def dual_rate(weight: float) -> float:
    """Step of the dual in :func:`proximal`, a little below the largest that converges.

    Parameters
    ----------
    weight : float
        Weight of total variation, in units of density; positive.

    Returns
    -------
    float
        In units of one over density.
    """
    # Gradient projection converges below 2 / (weight |grad|^2), and |grad|^2 is at most 12: four for each axis.
    return 0.95 / (6 * weight)


def proximal(
    g: NDArray[np.floating],
    q: NDArray[np.floating],
    weight: float,
    iterations: int,
    nonnegative: bool,
    out: NDArray[np.floating],
) -> None:
    """Approximate ``argmin_d 1/2 |d - g|^2 + weight TV(d)``, over ``d >= 0`` if asked.

    Parameters
    ----------
    g : ndarray, shape (n_x, n_z, n_y)
        The density to denoise.
    q : ndarray, shape (3, n_x, n_z, n_y)
        Dual to start from, components along x, z and y; improved in place.
    weight : float
        Weight of total variation, in units of density.
    iterations : int
        Gradient projections of the dual.
    nonnegative : bool
        Whether the minimum is over densities that are not negative.
    out : ndarray, shape (n_x, n_z, n_y)
        Overwritten by the denoised density; not `g` itself.
    """
    dtype = g.dtype.type
    if weight <= 0:
        np.copyto(out, np.maximum(g, 0) if nonnegative else g)
        return
    rate = dtype(dual_rate(weight))
    for _ in range(iterations):
        add_divergence(g, q, dtype(weight), nonnegative, out)
        dual_step(out, q, rate)
    add_divergence(g, q, dtype(weight), nonnegative, out)
