"""Isotropic total variation of a volume in its dual form: value, dual step, divergence, proximal map.

``TV(d) = sum |grad d| = max_{|q| <= 1} <q, grad d>`` with forward differences and free boundaries. The dual step and
the divergence are all that a primal-dual method needs; the proximal map ``argmin_d 1/2 |d - g|^2 + weight TV(d)``
follows from them by gradient projection (Chambolle, J. Math. Imaging Vis. 20, 89, 2004), with a dual that is kept
between calls, so that a few iterations suffice inside an outer loop.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray


@njit(cache=True, parallel=True, error_model="numpy", fastmath={"contract", "nnan", "nsz"})
def add_divergence(g: Any, q: Any, weight: Any, nonnegative: bool, out: Any) -> None:
    """``out = g + weight div q``, clipped at zero if asked.

    Parameters
    ----------
    g, out : array, shape (n_x, n_z, n_y)
        May be the same.
    q : array, shape (3, n_x, n_z, n_y)
        Dual vectors, components along x, z and y. The last along its own axis has no difference to belong to and
        must be zero, as :func:`dual_step` leaves it.
    weight : float of the arrays' type
    nonnegative : bool
    """
    n_x, n_z, n_y = g.shape
    zero = weight * 0
    for x in prange(n_x):
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


@njit(cache=True, parallel=True, error_model="numpy", fastmath={"contract", "nnan", "nsz"})
def dual_step(d: Any, q: Any, rate: Any) -> None:
    """``q <- project(q + rate grad d)`` onto ``|q| <= 1``, in place.

    Parameters
    ----------
    d : array, shape (n_x, n_z, n_y)
    q : array, shape (3, n_x, n_z, n_y)
        Components along x, z and y.
    rate : float of the arrays' type
    """
    n_x, n_z, n_y = d.shape
    one = rate * 0 + 1
    for x in prange(n_x):
        dy = np.zeros(n_y, d.dtype)
        for z in range(n_z):
            here = d[x, z]
            next_x, next_z = d[min(x + 1, n_x - 1), z], d[x, min(z + 1, n_z - 1)]
            for y in range(n_y - 1):
                dy[y] = here[y + 1] - here[y]
            q_x, q_z, q_y = q[0, x, z], q[1, x, z], q[2, x, z]
            for y in range(n_y):
                a = q_x[y] + rate * (next_x[y] - here[y])
                b = q_z[y] + rate * (next_z[y] - here[y])
                c = q_y[y] + rate * dy[y]
                shrink = one / max(one, np.sqrt(a * a + b * b + c * c))
                q_x[y] = a * shrink
                q_z[y] = b * shrink
                q_y[y] = c * shrink


@njit(cache=True, parallel=True, error_model="numpy")
def total_variation(d: Any) -> float:
    """Sum over voxels of the length of the forward difference; float64 sums in a fixed order.

    Parameters
    ----------
    d : array, shape (n_x, n_z, n_y)

    Returns
    -------
    float
    """
    n_x, n_z, n_y = d.shape
    partial = np.zeros(n_x)
    for x in prange(n_x):
        total = 0.0
        for z in range(n_z):
            here = d[x, z]
            next_x, next_z = d[min(x + 1, n_x - 1), z], d[x, min(z + 1, n_z - 1)]
            for y in range(n_y):
                a, b, c = next_x[y] - here[y], next_z[y] - here[y], here[min(y + 1, n_y - 1)] - here[y]
                total += np.sqrt(a * a + b * b + c * c)
        partial[x] = total
    return partial.sum()


def dual_rate(weight: float) -> float:
    """The step of the dual in :func:`proximal`."""
    # The gradient's norm is at most sqrt(12), so 1 / (6 weight) is the edge of convergence.
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
    q : ndarray, shape (3, n_x, n_z, n_y)
        Dual to start from; improved in place.
    weight : float
        Weight of total variation, in units of density.
    iterations : int
        Gradient projections of the dual.
    nonnegative : bool
    out : ndarray, shape (n_x, n_z, n_y), written
        Not `g` itself.
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
