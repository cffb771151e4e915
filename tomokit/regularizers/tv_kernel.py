"""Total variation of one leaf, with its gradient, at the speed of a cache.

Everything runs over whole planes of constant x, flat, with the sum along y inside. A loop over rows of a few dozen
values would spend more on finding out that its arrays do not overlap than on the values.

With d the difference to the next vertex along one axis, and ``share = 1 / (n^2 (n - 1))`` for the mean:

- anisotropic: ``share * sum |d|``, slope ``sign(d)``, 0 at d = 0
- Huber: ``d^2 / (2 delta)`` where ``|d| <= delta``, else ``|d| - delta / 2``; slope ``clip(d / delta, -1, 1)``.
  With c this slope, both pieces are ``c (d - c delta / 2)``, and the anisotropic one is the limit of a tiny delta
- isotropic: ``share * sum sqrt(dx^2 + dz^2 + dy^2)``, differences beyond the last vertex being 0; slope ``d / norm``,
  0 where the norm is 0. Which three of a vertex's six differences are taken together is an arbitrary choice, and an
  edge that faces another way costs more, so the choice is turned from step to step
- concave: ``share * sum s / (1 + s / delta)`` of the same length s, slope ``d / (s (1 + s / delta)^2)``: small
  differences cost as much, high edges cost delta at most, so that contrast is not paid for. The isotropic one is its
  limit of an infinite delta, and both are one loop
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, prange

ANISOTROPIC, ISOTROPIC, HUBER, CONCAVE = 0, 1, 2, 3
VARIANTS = {"anisotropic": ANISOTROPIC, "isotropic": ISOTROPIC, "huber": HUBER, "concave": CONCAVE}

_TINY = 1e-30
_FLAGS = {"contract", "reassoc", "nsz"}


@njit(cache=True, error_model="numpy", fastmath=_FLAGS)
def tv_leaf(block: Any, gradient: Any, scale: float, variant: int, delta: float, stencil: int) -> float:
    """Mean total variation of one leaf; its gradient times `scale` is added.

    Parameters
    ----------
    block : array of float32 or float64, shape (n, n, n)
        C-contiguous values ``[x, z, y]``.
    gradient : array like it, changed
        Not `block` itself.
    scale : float
        Factor of the gradient.
    variant : int
        One of :data:`VARIANTS`.
    delta : float
        Where Huber's penalty turns linear, or what an edge costs the concave one at most; positive.
    stencil : int
        Bits 0, 1 and 2 say whether a vertex's length has the differences to the vertex before along x, z and y,
        rather than to the next; without effect on penalties of single differences.

    Returns
    -------
    float
        Mean over the ``n^2 (n - 1)`` differences of an axis, summed over the axes; sums in double precision.
    """
    if variant == ISOTROPIC:
        return _isotropic(block, gradient, scale, 0.0, stencil)
    if variant == CONCAVE:
        return _isotropic(block, gradient, scale, 1.0 / delta, stencil)
    return _by_axis(block, gradient, scale, delta if variant == HUBER else _TINY)


@njit(cache=True, error_model="numpy", fastmath=_FLAGS)
def _all_but(last: int, n: int, like: Any) -> Any:
    """1 at the vertices of a plane that have another one beyond along y, 0 at number `last` of each row."""
    mask = np.ones(n * n, like.dtype)
    mask[last::n] = 0
    return mask


@njit(cache=True, error_model="numpy", fastmath=_FLAGS)
def _by_axis(block: Any, gradient: Any, scale: float, delta: float) -> float:
    n = block.shape[0]
    plane = n * n
    real = block.dtype.type
    one, zero = real(1), real(0)
    share = 1.0 / (plane * (n - 1.0))
    step, steep, half = real(scale * share), real(1.0 / delta), real(0.5 * delta)
    values, slope = block.reshape(-1), gradient.reshape(-1)
    mask = _all_but(n - 1, n, block)
    # Slopes towards the next vertex along x, z, y; the latter two shifted, so that the first vertex finds a zero.
    along_x, along_z, along_y = np.zeros(plane, real), np.zeros(plane + n, real), np.zeros(plane + 1, real)
    total = 0.0
    for x in range(n):
        here = values[x * plane : (x + 1) * plane]
        ahead = values[min(x + 1, n - 1) * plane : (min(x + 1, n - 1) + 1) * plane]
        part = zero
        for i in range(plane - n):
            d = here[i + n] - here[i]
            c = min(max(d * steep, -one), one)
            along_z[i + n] = c
            part += c * (d - c * half)
        for i in range(plane - 1):
            d = (here[i + 1] - here[i]) * mask[i]
            c = min(max(d * steep, -one), one)
            along_y[i + 1] = c
            part += c * (d - c * half)
        out = slope[x * plane : (x + 1) * plane]
        for i in range(plane):
            out[i] += step * ((along_z[i] - along_y[i + 1]) + along_y[i])
        for i in range(plane - n):
            out[i] -= step * along_z[i + n]
        for i in range(plane):
            d = ahead[i] - here[i]
            c = min(max(d * steep, -one), one)
            part += c * (d - c * half)
            out[i] += step * (along_x[i] - c)
            along_x[i] = c
        total += part
    return total * share


@njit(cache=True, error_model="numpy", fastmath=_FLAGS)
def _isotropic(block: Any, gradient: Any, scale: float, bend: float, stencil: int) -> float:
    n = block.shape[0]
    plane = n * n
    real = block.dtype.type
    zero, one, tiny, bent = real(0), real(1), real(_TINY), real(bend)
    share = 1.0 / (plane * (n - 1.0))
    step = real(scale * share)
    values, slope = block.reshape(-1), gradient.reshape(-1)
    # Where the other vertex of a difference along z and y lies in a plane; the first and one past the last that have
    # one.
    to_z, to_y = -n if stencil & 2 else n, -1 if stencil & 4 else 1
    first_z, stop_z = max(0, -to_z), plane - max(0, to_z)
    first_y, stop_y = max(0, -to_y), plane - max(0, to_y)
    mask = _all_but(0 if stencil & 4 else n - 1, n, block)
    dz, dy = np.zeros(plane, real), np.zeros(plane, real)
    along_x, along_z, along_y = np.zeros(plane, real), np.zeros(plane, real), np.zeros(plane, real)
    total = 0.0
    for count in range(n):
        x = n - 1 - count if stencil & 1 else count
        beyond = max(x - 1, 0) if stencil & 1 else min(x + 1, n - 1)
        here = values[x * plane : (x + 1) * plane]
        ahead = values[beyond * plane : (beyond + 1) * plane]
        shifted = here[first_z + to_z : stop_z + to_z]
        for i in range(stop_z - first_z):
            dz[first_z + i] = shifted[i] - here[first_z + i]
        shifted = here[first_y + to_y : stop_y + to_y]
        for i in range(stop_y - first_y):
            dy[first_y + i] = (shifted[i] - here[first_y + i]) * mask[first_y + i]
        out = slope[x * plane : (x + 1) * plane]
        part = zero
        for i in range(plane):
            a, b, c = ahead[i] - here[i], dz[i], dy[i]
            norm = np.sqrt(a * a + b * b + c * c)
            flat = one / (one + bent * norm)
            part += norm * flat
            per = step * flat * flat / max(norm, tiny)
            out[i] += along_x[i] - per * ((a + b) + c)
            along_x[i] = per * a
            dz[i] = per * b
            dy[i] = per * c
        along_z[first_z + to_z : stop_z + to_z] = dz[first_z:stop_z]
        along_y[first_y + to_y : stop_y + to_y] = dy[first_y:stop_y]
        for i in range(plane):
            out[i] += along_z[i] + along_y[i]
        dz[:first_z], dz[stop_z:] = zero, zero
        dy[:first_y], dy[stop_y:] = zero, zero
        total += part
    return total * share


@njit(cache=True, parallel=True, error_model="numpy")
def tv_leaves(values: Any, gradient: Any, scale: Any, variant: int, delta: float, stencil: int, out: Any) -> None:
    """:func:`tv_leaf` of every leaf, leaves side by side.

    Parameters
    ----------
    values : array of float32 or float64, shape (n_leaves, n, n, n)
    gradient : array like it, changed
    scale : float64 array, shape (n_leaves,)
        Factor of each leaf's gradient.
    variant : int
    delta : float
    stencil : int
    out : float64 array, shape (n_leaves,), written
        Mean total variation of each leaf.
    """
    for leaf in prange(values.shape[0]):
        out[leaf] = tv_leaf(values[leaf], gradient[leaf], scale[leaf], variant, delta, stencil)
