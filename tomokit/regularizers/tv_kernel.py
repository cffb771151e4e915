"""Total variation of one leaf, with its gradient, at the speed of a cache.

Everything runs over whole planes of constant x, flat: vertex (z, y) of a plane is number ``i = z n + y``. A loop over
rows of a few dozen values would spend more on finding out that its arrays do not overlap than on the values.

With d the difference to the next vertex along one axis, and ``w = 1 / (n^2 (n - 1))`` for the mean:

- anisotropic: ``w sum |d|``, slope ``sign(d)``, 0 at d = 0
- Huber: ``d^2 / (2 delta)`` where ``|d| <= delta``, else ``|d| - delta / 2``; slope ``clip(d / delta, -1, 1)``.
  With c this slope, both pieces are ``c (d - c delta / 2)``, and the anisotropic one is the limit of a tiny delta
- isotropic: ``w sum sqrt(dx^2 + dz^2 + dy^2)``, differences beyond the last vertex being 0; slope ``d / norm``,
  0 where the norm is 0. Which three of a vertex's six differences are taken together is an arbitrary choice, and an
  edge that faces another way costs more, so this stencil changes from step to step
- concave: ``w sum s / (1 + s / delta)`` of the same length s, slope ``d / (s (1 + s / delta)^2)``: small
  differences cost as much, high edges cost delta at most, so that contrast is not paid for. The isotropic one is its
  limit of an infinite delta, and both are one loop
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.kernels.decorator import compiled
from tomokit.kernels.shared import Share, items_of, shared_out
from tomokit.regularizers.codes import CONCAVE, HUBER, ISOTROPIC

# Stands for a delta or a norm of zero; its inverse is still finite in single precision.
_TINY = 1e-30
# Sums may be regrouped, which is what lets them be vectorized; infinities and NaN keep their meaning, so that a fit
# that went wrong is found out by its loss.
_FLAGS = {"contract", "reassoc", "nsz"}


@compiled(inlined=True, fastmath=_FLAGS)
def tv_leaf(
    block: NDArray[np.floating], gradient: NDArray[np.floating], scale: float, variant: int, delta: float, stencil: int
) -> float:
    """Compute the mean total variation of one leaf, and add `scale` times its gradient to `gradient`.

    Parameters
    ----------
    block : ndarray of float32 or float64, shape (n, n, n)
        Densities or raw values at the leaf's vertices ``[x, z, y]``, C-contiguous.
    gradient : ndarray like `block`, changed
        Must not share memory with `block`.
    scale : float
        Factor of the gradient, not of the returned value.
    variant : int
        One of :data:`tomokit.regularizers.codes.VARIANTS`.
    delta : float
        Where Huber's penalty turns linear, or what an edge costs the concave one at most, in units of `block`;
        positive.
    stencil : int
        Bits 0, 1 and 2 say whether a vertex's length has the differences to the vertex before along x, z and y,
        rather than to the next; without effect on penalties of single differences.

    Returns
    -------
    float
        Mean over the ``n^2 (n - 1)`` differences of an axis, summed over the axes; sums in double precision.
    """
    if variant in (ISOTROPIC, CONCAVE):
        # One call for both: what is inlined twice is compiled twice.
        return _penalize_lengths(block, gradient, scale, 0.0 if variant == ISOTROPIC else 1.0 / delta, stencil)
    return _penalize_differences(block, gradient, scale, delta if variant == HUBER else _TINY)


@compiled(inlined=True, fastmath=_FLAGS)
def _mask_without_column(column: int, n: int, like: NDArray[Any]) -> NDArray[Any]:
    """1 at all vertices of a flat plane but 0 where y is `column`: those have no other vertex beyond along y."""
    mask = np.ones(n * n, like.dtype)
    mask[column::n] = 0
    return mask


@compiled(inlined=True, fastmath=_FLAGS)
def _penalize_differences(block: NDArray[Any], gradient: NDArray[Any], scale: float, delta: float) -> float:
    """Penalize each difference by itself: Huber's penalty, and by a tiny `delta` the anisotropic one."""
    n = block.shape[0]
    plane = n * n
    real = block.dtype.type
    # Constants of the values' type: a double among singles would halve the width of every vector.
    one, zero = real(1), real(0)
    mean_weight = 1.0 / (plane * (n - 1.0))
    step, steep, half = real(scale * mean_weight), real(1.0 / delta), real(0.5 * delta)
    values, slope = block.reshape(-1), gradient.reshape(-1)
    mask = _mask_without_column(n - 1, n, block)
    # Slopes of the differences along x, z, y, each kept where its far vertex is, so that a vertex finds that of the
    # difference behind it under its own number, and the first vertex finds a zero.
    along_x, along_z, along_y = np.zeros(plane, real), np.zeros(plane + n, real), np.zeros(plane + 1, real)
    total = 0.0
    for x in range(n):
        here = values[x * plane : (x + 1) * plane]
        # The last plane is its own next one: all of its differences along x are zero, without a branch.
        ahead = values[min(x + 1, n - 1) * plane : (min(x + 1, n - 1) + 1) * plane]
        # A plane is summed in the values' type, which is vectorized, and the planes in double precision.
        plane_sum = zero
        for i in range(plane - n):
            d = here[i + n] - here[i]
            c = min(max(d * steep, -one), one)
            along_z[i + n] = c
            plane_sum += c * (d - c * half)
        for i in range(plane - 1):
            # In the flat plane the vertex after the last of a row is the first of the next one: not a neighbour.
            d = (here[i + 1] - here[i]) * mask[i]
            c = min(max(d * steep, -one), one)
            along_y[i + 1] = c
            plane_sum += c * (d - c * half)
        # A vertex is the near end of one difference per axis (minus its slope) and the far end of another (plus).
        out = slope[x * plane : (x + 1) * plane]
        for i in range(plane):
            out[i] += step * ((along_z[i] - along_y[i + 1]) + along_y[i])
        for i in range(plane - n):
            out[i] -= step * along_z[i + n]
        for i in range(plane):
            d = ahead[i] - here[i]
            c = min(max(d * steep, -one), one)
            plane_sum += c * (d - c * half)
            out[i] += step * (along_x[i] - c)
            # For the next plane, which is at the far end of this difference.
            along_x[i] = c
        total += plane_sum
    return total * mean_weight


@compiled(inlined=True, fastmath=_FLAGS)
def _penalize_lengths(
    block: NDArray[Any], gradient: NDArray[Any], scale: float, inverse_delta: float, stencil: int
) -> float:
    """Penalize the length of a vertex's three differences: the concave penalty, and the isotropic one by 0."""
    n = block.shape[0]
    plane = n * n
    real = block.dtype.type
    zero, one, tiny, bend = real(0), real(1), real(_TINY), real(inverse_delta)
    mean_weight = 1.0 / (plane * (n - 1.0))
    step = real(scale * mean_weight)
    values, slope = block.reshape(-1), gradient.reshape(-1)
    # How far on in a flat plane the other vertex of a difference along z and y lies; then the first vertex that has
    # one, and one past the last.
    to_z, to_y = -n if stencil & 2 else n, -1 if stencil & 4 else 1
    first_z, stop_z = max(0, -to_z), plane - max(0, to_z)
    first_y, stop_y = max(0, -to_y), plane - max(0, to_y)
    mask = _mask_without_column(0 if stencil & 4 else n - 1, n, block)
    # Zero outside first .. stop, and kept so: vertices without a neighbour there have a difference of zero.
    dz, dy = np.zeros(plane, real), np.zeros(plane, real)
    along_x, along_z, along_y = np.zeros(plane, real), np.zeros(plane, real), np.zeros(plane, real)
    total = 0.0
    for count in range(n):
        # Planes are taken in the direction of the differences along x, so that `along_x` has what the last plane left.
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
        plane_sum = zero
        for i in range(plane):
            a, b, c = ahead[i] - here[i], dz[i], dy[i]
            norm = np.sqrt(a * a + b * b + c * c)
            flat = one / (one + bend * norm)
            plane_sum += norm * flat
            # Where all three are zero so are the slopes, in place of 0 / 0.
            per = step * flat * flat / max(norm, tiny)
            # As the near end of its own three differences, and as the far end of the one along x that lies behind.
            out[i] += along_x[i] - per * ((a + b) + c)
            # The differences are not needed any more: their slopes take the arrays.
            along_x[i] = per * a
            dz[i] = per * b
            dy[i] = per * c
        # As the far end of those along z and y: slopes go to where the other vertex is, and are then added.
        for i in range(first_z, stop_z):
            along_z[i + to_z] = dz[i]
        for i in range(first_y, stop_y):
            along_y[i + to_y] = dy[i]
        for i in range(plane):
            out[i] += along_z[i] + along_y[i]
        for i in range(first_z):
            dz[i] = zero
        for i in range(stop_z, plane):
            dz[i] = zero
        for i in range(first_y):
            dy[i] = zero
        for i in range(stop_y, plane):
            dy[i] = zero
        total += plane_sum
    return total * mean_weight


@shared_out()
def tv_leaves(
    share: Share, values: NDArray[np.floating], gradient: NDArray[np.floating], scale: NDArray[np.float64],
    variant: int, delta: float, stencil: int, out: NDArray[np.float64],
) -> None:  # fmt: skip
    """Compute :func:`tv_leaf` of every leaf, leaves side by side on all threads.

    Parameters
    ----------
    share : Share
        Which leaves are this thread's.
    values : ndarray of float32 or float64, shape (n_leaves, n, n, n)
        Densities or raw values ``[leaf, x, z, y]``, C-contiguous.
    gradient : ndarray like `values`, changed
        Each leaf's gradient times its `scale` is added.
    scale : ndarray of float64, shape (n_leaves,)
        Factor of each leaf's gradient.
    variant, delta, stencil : int, float, int
        As for :func:`tv_leaf`, the same for all leaves.
    out : ndarray of float64, shape (n_leaves,), written
        Mean total variation of each leaf, without `scale`.
    """
    for leaf in items_of(share, values.shape[0]):
        out[leaf] = tv_leaf(values[leaf], gradient[leaf], scale[leaf], variant, delta, stencil)
