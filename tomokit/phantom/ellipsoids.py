"""Sets of solid ellipsoids: the one shape that phantoms are made of.

The density of a point is the sum of the densities of the ellipsoids that hold it. A shell is a
difference of two nested ellipsoids, hence densities may be negative.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tomokit.errors import InputError

_ROTATION_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Ellipsoids:
    """Ellipsoids ``{c + R (a * w) : |w| <= 1}``, each of one density.

    Attributes
    ----------
    centre_xyz_px : ndarray of float64, shape (n, 3)
        Centres ``c`` as ``(x, y, z)`` in pixels from the origin, the centre of the volume.
    semi_axes_px : ndarray of float64, shape (n, 3)
        Semi-axes ``a`` in pixels.
    rotation : ndarray of float64, shape (n, 3, 3)
        Orthogonal matrices ``R``; column ``k`` is the direction of semi-axis ``k``.
    density : ndarray of float64, shape (n,)
        What each ellipsoid adds to the density inside it; negative to take away.

    Raises
    ------
    InputError
        If shapes disagree, a number is not finite, a semi-axis is not positive, or a rotation is not orthogonal.
    """

    centre_xyz_px: NDArray[np.float64]
    semi_axes_px: NDArray[np.float64]
    rotation: NDArray[np.float64]
    density: NDArray[np.float64]

    def __post_init__(self) -> None:
        n = len(self.density)
        for name, shape in (
            ("centre_xyz_px", (n, 3)),
            ("semi_axes_px", (n, 3)),
            ("rotation", (n, 3, 3)),
            ("density", (n,)),
        ):
            array = np.asarray(getattr(self, name), dtype=np.float64)
            if array.shape != shape:
                raise InputError(f"shape {array.shape} for {n} ellipsoids, expected {shape}", field=name)
            if not np.isfinite(array).all():
                raise InputError("a value is not a finite number", field=name)
            # The class is frozen, and yet takes lists and other types of numbers.
            object.__setattr__(self, name, array)
        if not (self.semi_axes_px > 0).all():
            raise InputError("a semi-axis is not positive", field="semi_axes_px")
        product = self.rotation @ self.rotation.transpose(0, 2, 1)
        if not np.allclose(product, np.eye(3), atol=_ROTATION_TOLERANCE):
            raise InputError("a rotation matrix is not orthogonal", field="rotation")

    def __len__(self) -> int:
        return int(self.density.size)

    @classmethod
    def from_shape_matrices(cls, centre_xyz_px: ArrayLike, shape_px2: ArrayLike, density: ArrayLike) -> Ellipsoids:
        """Make the ellipsoids ``(x - c)^T S^-1 (x - c) <= 1`` from their shape matrices.

        Parameters
        ----------
        centre_xyz_px : array_like, shape (n, 3)
            Centres ``c`` as ``(x, y, z)`` in pixels from the origin.
        shape_px2 : array_like, shape (n, 3, 3)
            Symmetric, positive definite matrices ``S`` in square pixels, axes ``(x, y, z)``.
        density : array_like, shape (n,)
            What each ellipsoid adds to the density inside it.

        Returns
        -------
        Ellipsoids
        """
        # The eigenvectors of S are the directions of the semi-axes, its eigenvalues their squares.
        squared, rotation = np.linalg.eigh(np.asarray(shape_px2, dtype=np.float64).reshape(-1, 3, 3))
        centre = np.asarray(centre_xyz_px, dtype=np.float64).reshape(-1, 3)
        return cls(centre, np.sqrt(squared), rotation, np.asarray(density, dtype=np.float64).reshape(-1))

    @classmethod
    def concatenate(cls, parts: Sequence[Ellipsoids]) -> Ellipsoids:
        """Join several sets of ellipsoids into one.

        Parameters
        ----------
        parts : sequence of Ellipsoids
            The sets, whose order is kept; there may be none.

        Returns
        -------
        Ellipsoids
        """
        if not parts:
            return cls(np.zeros((0, 3)), np.zeros((0, 3)), np.zeros((0, 3, 3)), np.zeros(0))
        names = ("centre_xyz_px", "semi_axes_px", "rotation", "density")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def shape_matrices(self) -> NDArray[np.float64]:
        """Shape matrix ``S = R diag(a^2) R^T`` of each ellipsoid.

        Returns
        -------
        ndarray of float64, shape (n, 3, 3)
            In square pixels, axes ``(x, y, z)``; the ellipsoid is ``(x - c)^T S^-1 (x - c) <= 1``.
        """
        scaled = self.rotation * self.semi_axes_px[:, None, :]
        return scaled @ scaled.transpose(0, 2, 1)

    def half_extent_xyz(self) -> NDArray[np.float64]:
        """Half the edges of the axis-aligned bounding box of each ellipsoid.

        Returns
        -------
        ndarray of float64, shape (n, 3)
            In pixels, along ``(x, y, z)``.
        """
        # The support function of an ellipsoid in direction e is sqrt(e^T S e).
        return np.sqrt(np.einsum("nii->ni", self.shape_matrices()))

    def mass(self) -> float:
        """Integral of the density over all space, the sum of ``4/3 pi a_1 a_2 a_3 density``.

        Returns
        -------
        float
            In density x cubic pixels.
        """
        return float(4 / 3 * np.pi * np.sum(self.semi_axes_px.prod(axis=1) * self.density))

    def moved(self, rotation: NDArray[np.float64], translation_xyz_px: NDArray[np.float64]) -> Ellipsoids:
        """Rotate the set about the origin, then shift it.

        Parameters
        ----------
        rotation : ndarray of float64, shape (3, 3)
            Orthogonal matrix that acts on columns ``(x, y, z)``.
        translation_xyz_px : ndarray of float64, shape (3,)
            Shift ``(x, y, z)`` in pixels.

        Returns
        -------
        Ellipsoids
        """
        return Ellipsoids(
            self.centre_xyz_px @ rotation.T + translation_xyz_px,
            self.semi_axes_px,
            rotation @ self.rotation,
            self.density,
        )

    def stretched(self, factors_xyz: NDArray[np.float64]) -> Ellipsoids:
        """Multiply each coordinate by its own factor: a stretched ellipsoid is an ellipsoid again.

        Parameters
        ----------
        factors_xyz : ndarray of float64, shape (3,)
            Factors along x, y and z, without a unit.

        Returns
        -------
        Ellipsoids
        """
        matrices = self.shape_matrices() * np.outer(factors_xyz, factors_xyz)
        return Ellipsoids.from_shape_matrices(self.centre_xyz_px * factors_xyz, matrices, self.density)

    def density_at(self, points_xyz_px: ArrayLike) -> NDArray[np.float64]:
        """Density of the phantom at single points, without averaging over voxels.

        Parameters
        ----------
        points_xyz_px : array_like, shape (..., 3)
            Points ``(x, y, z)`` in pixels from the origin.

        Returns
        -------
        ndarray of float64, shape (...)
        """
        points = np.asarray(points_xyz_px, dtype=np.float64)
        total = np.zeros(points.shape[:-1])
        for centre, semi, rotation, density in zip(
            self.centre_xyz_px, self.semi_axes_px, self.rotation, self.density, strict=True
        ):
            inside = np.sum((((points - centre) @ rotation) / semi) ** 2, axis=-1) <= 1
            total += density * inside
        return total


def separated(
    centre: NDArray[np.float64],
    shape: NDArray[np.float64],
    centres: NDArray[np.float64],
    shapes: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Tell which of many ellipsoids are certainly disjoint from one.

    Two ellipsoids of shape matrices A and B at distance vector d are disjoint exactly if the contact function
    ``max over 0 < s < 1 of s (1 - s) d^T [(1 - s) A + s B]^-1 d`` exceeds 1 (Perram and Wertheim, J. Comput.
    Phys. 58, 409, 1985). Any s with a value above 1 is a proof, so the maximum over a few s errs only towards
    "not disjoint".

    Parameters
    ----------
    centre, shape : ndarray of float64, shape (3,) and (3, 3)
        Centre in pixels and shape matrix in square pixels of the one, axes ``(x, y, z)``.
    centres, shapes : ndarray of float64, shape (n, 3) and (n, 3, 3)
        Those of the many.

    Returns
    -------
    ndarray of bool, shape (n,)
        True is certain; False may also stand for a pair that hardly misses each other.
    """
    s = np.linspace(0.05, 0.95, 19)[:, None, None, None]
    distance = np.broadcast_to((centres - centre)[None, :, :, None], (19, len(centres), 3, 1))
    # Axes of all arrays: values of s, the many ellipsoids, and a column vector of three.
    solved = np.linalg.solve((1 - s) * shape + s * shapes[None], distance)
    contact = (s * (1 - s) * distance * solved).sum(axis=(2, 3))
    return np.asarray(contact.max(axis=0) > 1)
