"""Many copies of few molecules, turned and put in their places."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tomokit.phantom.ellipsoids import Ellipsoids


def copies(
    parts: Ellipsoids, rotation: NDArray[np.float64], place: NDArray[np.float64], size: float = 1.0
) -> Ellipsoids:
    """Make copies of a set of ellipsoids: scaled, turned about the origin, then shifted.

    Parameters
    ----------
    parts : Ellipsoids
        The original, of n ellipsoids.
    rotation : ndarray of float64, shape (m, 3, 3)
        Orthogonal matrix of each copy.
    place : ndarray of float64, shape (m, 3)
        Where its origin comes to lie, ``(x, y, z)`` in the units of the result.
    size : float
        Units of the result per unit of the original, such as pixels per ångström.

    Returns
    -------
    Ellipsoids
        ``m n`` ellipsoids, copy after copy.
    """
    m = len(place)
    centre = size * np.einsum("mij,nj->mni", rotation, parts.centre_xyz_px) + place[:, None, :]
    turned = np.einsum("mij,njk->mnik", rotation, parts.rotation)
    return Ellipsoids(
        centre.reshape(-1, 3),
        size * np.tile(parts.semi_axes_px, (m, 1)),
        turned.reshape(-1, 3, 3),
        np.tile(parts.density, m),
    )


def random_rotations(n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw rotations, uniform over all of them: those of normalized quaternions of normal deviates.

    Parameters
    ----------
    n : int
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of float64, shape (n, 3, 3)
    """
    quaternion = rng.standard_normal((n, 4))
    w, x, y, z = (quaternion / np.linalg.norm(quaternion, axis=1, keepdims=True)).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), -1, 0)
