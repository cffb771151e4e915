"""The regularizers as they are defined, in float64 NumPy: what the compiled ones are tested against.

Each function returns the value and its gradient. Speed is no aim; the non-local term takes memory quadratic in the
vertices of a leaf.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tomokit.octree.faces import Faces

Array = NDArray[np.float64]


def total_variation(values: Array, weights: Array, variant: str, delta: float, stencil: int = 0) -> tuple[float, Array]:
    """Compute the sum over leaves of their weight times the mean total variation inside, with its gradient.

    The penalties are defined at the head of :mod:`tomokit.regularizers.tv_kernel`.

    Parameters
    ----------
    values : ndarray of float64, shape (n_leaves, n, n, n)
        Densities or raw values ``[leaf, x, z, y]``.
    weights : ndarray of float64, shape (n_leaves,)
    variant : {"anisotropic", "isotropic", "huber", "concave"}
    delta : float
        Where Huber's penalty turns linear, or what an edge costs the concave one at most, in units of `values`.
    stencil : int
        Bits 0, 1 and 2: along x, z and y differences are to the vertex before, as if the field were mirrored.

    Returns
    -------
    value : float
    gradient : ndarray of float64, like `values`
    """
    mirrored = tuple(axis for bit, axis in enumerate((1, 2, 3)) if stencil >> bit & 1)
    if mirrored:
        value, gradient = total_variation(np.flip(values, mirrored), weights, variant, delta)
        return value, np.flip(gradient, mirrored)
    n = values.shape[1]
    factor = weights[:, None, None, None] / (n * n * (n - 1))
    # Zero beyond the last vertex, so that all three have the shape of the values.
    differences = [np.diff(values, axis=axis, append=values.take([n - 1], axis)) for axis in (1, 2, 3)]
    if variant in ("isotropic", "concave"):
        norm = np.sqrt(sum(d**2 for d in differences))
        flat = 1 / (1 + norm / delta) if variant == "concave" else 1.0
        value = (factor * norm * flat).sum()
        slopes = [flat**2 * np.divide(d, norm, out=np.zeros_like(d), where=norm > 0) for d in differences]
    elif variant == "huber":
        size = [np.abs(d) for d in differences]
        value = sum((factor * np.where(d <= delta, d**2 / (2 * delta), d - delta / 2)).sum() for d in size)
        slopes = [np.clip(d / delta, -1, 1) for d in differences]
    else:
        value = sum((factor * np.abs(d)).sum() for d in differences)
        slopes = [np.sign(d) for d in differences]
    gradient = np.zeros_like(values)
    for axis, slope in zip((1, 2, 3), slopes, strict=True):
        # A vertex is the far end of the difference before it and the near end of its own. The roll brings the last
        # slope to the first vertex: it is zero.
        gradient += factor * (np.roll(slope, 1, axis) - slope)
    return float(value), gradient


def boundary(values: Array, faces: Faces) -> tuple[float, Array]:
    """Compute the mean absolute difference over the lattice points of all faces, with its gradient.

    Points are those of a face's finer side; the coarser side is interpolated bilinearly.

    Parameters
    ----------
    values : ndarray of float64, shape (n_leaves, n, n, n)
        Densities or raw values ``[leaf, x, z, y]``.
    faces : Faces
        All faces of the forest.

    Returns
    -------
    value : float
    gradient : ndarray of float64, like `values`
    """
    n = values.shape[1]
    gradient = np.zeros_like(values)
    value = 0.0
    for f in range(faces.n_faces):
        fine, coarse = int(faces.fine[f]), int(faces.coarse[f])
        axis = int(faces.axis[f])
        # The leaf below meets the face with its last layer, the one above with its first.
        fine_at = n - 1 if faces.below[f] == fine else 0
        along = [_interpolation_matrix(faces.offset[f, k] + faces.scale[f] * np.arange(n), n) for k in (0, 1)]
        d = values[fine].take(fine_at, axis) - along[0] @ values[coarse].take(n - 1 - fine_at, axis) @ along[1].T
        value += np.abs(d).sum()
        np.moveaxis(gradient[fine], axis, 0)[fine_at] += np.sign(d)
        np.moveaxis(gradient[coarse], axis, 0)[n - 1 - fine_at] -= along[0].T @ np.sign(d) @ along[1]
    factor = 1.0 / max(faces.n_faces * n * n, 1)
    return value * factor, gradient * factor


def _interpolation_matrix(at: Array, n: int) -> Array:
    """Matrix of linear interpolation from vertices 0 .. n - 1 to the points `at`, shape (points, n)."""
    return np.maximum(0, 1 - np.abs(at[:, None] - np.arange(n)[None, :]))


def cross_node_pair(a: Array, b: Array, kernel: str, spread: float) -> tuple[float, Array, Array]:
    """Compute the non-local constraint of a leaf a on its partner b, mean ``|A b - a|`` with ``A = softmax_rows(k)``.

    Parameters
    ----------
    a, b : ndarray of float64, shape (P,)
        Values of the asking leaf and of its partner.
    kernel : {"dot", "gaussian"}
        ``k = a b / spread`` or ``k = -(a - b)^2 / (2 spread^2)``.
    spread : float
        Temperature of the dot kernel, bandwidth of the Gaussian.

    Returns
    -------
    value : float
    by_a, by_b : ndarray of float64, shape (P,)
        Gradients; of a leaf paired with itself, their sum is the gradient.
    """
    temperature = spread if kernel == "dot" else spread**2
    k = np.outer(a, b) / temperature if kernel == "dot" else -((a[:, None] - b[None, :]) ** 2) / (2 * temperature)
    # Relative to each row's largest exponent, so that none overflows.
    weight = np.exp(k - k.max(axis=1, keepdims=True))
    weight /= weight.sum(axis=1, keepdims=True)
    f = weight @ b
    s = np.sign(f - a) / len(a)
    # Of the exponent by b_j; by a_i it is b_j over the temperature, up to what all j share.
    y = a[:, None] / temperature if kernel == "dot" else (a[:, None] - b[None, :]) / temperature
    variance = weight @ b**2 - f**2
    by_b = (s[:, None] * weight * (1 + y * (b[None, :] - f[:, None]))).sum(axis=0)
    return float(np.abs(f - a).mean()), s * (variance / temperature - 1), by_b


def cross_node(values: Array, leaves: Array, partner: Array, kernel: str, spread: float) -> tuple[float, Array]:
    """Sum the non-local constraint over the pairs ``(leaves[i], partner[i])``, with its gradient by both.

    Parameters
    ----------
    values : ndarray of float64, shape (n_leaves, n, n, n)
        Densities or raw values ``[leaf, x, z, y]``.
    leaves, partner : ndarray of int, shape (n_pairs,)
        Asking leaves and their partners.
    kernel : {"dot", "gaussian"}
        As for :func:`cross_node_pair`.
    spread : float
        As for :func:`cross_node_pair`.

    Returns
    -------
    value : float
    gradient : ndarray of float64, like `values`
    """
    gradient = np.zeros_like(values)
    value = 0.0
    for i, j in zip(leaves, partner, strict=True):
        loss, by_a, by_b = cross_node_pair(values[i].ravel(), values[j].ravel(), kernel, spread)
        value += loss
        gradient[i] += by_a.reshape(gradient[i].shape)
        gradient[j] += by_b.reshape(gradient[j].shape)
    return value, gradient
