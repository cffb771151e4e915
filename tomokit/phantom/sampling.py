"""A phantom as arrays: its voxels, and its projections by closed formulas."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import OptionError
from tomokit.geometry import TiltGeometry, centre
from tomokit.phantom.ellipsoids import Ellipsoids

# The profiles of an ellipsoid are smooth but for a kink at their ends, where midpoint sampling errs by at most
# 0.4 / n^2 of the mass for n samples to a semi-axis: below 0.2 % for 16, however small the ellipsoid.
_SAMPLES_PER_SEMI_AXIS_PROJECTED = 16
# With two sampled axes most of these errors average out.
_SAMPLES_PER_SEMI_AXIS_VOXELS = 6
_MOST_SAMPLES = 64


def voxelize(ellipsoids: Ellipsoids, shape_zyx: tuple[int, int, int], supersample: int = 3) -> NDArray[np.float32]:
    """Sample the density of a phantom on a grid, averaged over each voxel.

    Parameters
    ----------
    ellipsoids : Ellipsoids
        The phantom, about the centre of the box.
    shape_zyx : tuple of int
        Voxels of the box along z, y and x.
    supersample : int
        Samples per voxel along y and along z, more for small ellipsoids; along x the average is exact.

    Returns
    -------
    ndarray of float32, shape `shape_zyx`
        The volume ``[z, y, x]``. What lies outside the box is left out.

    Raises
    ------
    OptionError
        If `supersample` is less than 1.
    """
    from tomokit.phantom.kernels import fill_plane

    n_z, n_y, n_x = shape_zyx
    matrices = ellipsoids.shape_matrices()
    half_extent = ellipsoids.half_extent_xyz()
    inverse = np.asarray(np.linalg.inv(matrices)[:, [0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 2, 2]], dtype=np.float64)
    # From pixels about the origin to indices of voxels.
    centre_index_xyz = ellipsoids.centre_xyz_px + np.array([centre(n) for n in (n_x, n_y, n_z)])
    samples = _samples_per_pixel(ellipsoids.semi_axes_px.min(axis=1), supersample, _SAMPLES_PER_SEMI_AXIS_VOXELS)
    volume = np.empty(shape_zyx, dtype=np.float32)

    def fill(z: int) -> None:
        # Shells are differences of nested ellipsoids: summed in double precision, rounded to float32 once.
        plane = np.zeros((n_y, n_x), dtype=np.float64)
        fill_plane(plane, z, centre_index_xyz, inverse, half_extent, ellipsoids.density, samples)
        # Densities that cancel leave rounding behind, of either sign.
        plane[np.abs(plane) < 1e-12] = 0.0
        volume[z] = plane

    run_in_threads(fill, n_z)
    return volume


def project_analytic(
    ellipsoids: Ellipsoids, geometry: TiltGeometry, supersample: int = 3, *, turned_deg: float = 0.0
) -> NDArray[np.float32]:
    """Project a phantom: its line integrals, averaged over each detector pixel.

    For an ellipsoid ``x^T S^-1 x <= 1`` about its centre, the detector's axes ``e_u = (cos, 0, -sin)`` and
    ``e_v = (0, 1, 0)`` as rows of P, and w the detector position from the centre's, the chord along the beam is

        2 sqrt(det S / det S2) sqrt(1 - w^T S2^-1 w),    S2 = P S P^T,

    because the shadow of the ellipsoid is the ellipse of matrix S2, and the integral of the chord over the shadow,
    ``2/3 pi sqrt(det S2)`` times the chord through the centre, is its volume ``4/3 pi sqrt(det S)``.

    Parameters
    ----------
    ellipsoids : Ellipsoids
        The phantom, in detector pixels from the origin.
    geometry : TiltGeometry
        Angles, shifts and detector.
    supersample : int
        Samples per pixel across the tilt axis, more for small ellipsoids; along it the average is exact.
    turned_deg : float
        Angle by which the views are turned about the detector's centre, after their shifts: the tilt axis then lies so
        far from y, counter-clockwise, and exact is the average along y.

    Returns
    -------
    ndarray of float32, shape (n_views, n_v, n_u)
        Projections ``[tilt, y, x]`` in units of density x pixels. What falls off the detector is left out.

    Raises
    ------
    OptionError
        If `supersample` is less than 1.
    """
    from tomokit.phantom.kernels import project_view

    matrices = ellipsoids.shape_matrices()
    # 2 density sqrt(det S): the determinant's root is the product of the semi-axes.
    chord = 2 * ellipsoids.density * ellipsoids.semi_axes_px.prod(axis=1)
    u, v = geometry.locate(ellipsoids.centre_xyz_px.reshape(-1, 3))
    turn = turn_matrix(turned_deg)
    if turned_deg:
        u, v = np.einsum("ij,jtn->itn", turn, np.stack([u, v]))
    # A ball around each ellipsoid, which tells of most that they are off the detector.
    outer = ellipsoids.semi_axes_px.max(axis=1, initial=0.0) + 1
    images = np.empty((geometry.n_views, geometry.n_v, geometry.n_u), dtype=np.float32)

    def project(view: int) -> None:
        angle = geometry.tilt_rad[view]
        detector_axes = np.array([[np.cos(angle), 0.0, -np.sin(angle)], [0.0, 1.0, 0.0]])
        if turned_deg:
            detector_axes = turn @ detector_axes
        seen = np.flatnonzero(
            (np.abs(u[view]) < geometry.n_u / 2 + outer) & (np.abs(v[view]) < geometry.n_v / 2 + outer)
        )
        s2 = detector_axes @ matrices[seen] @ detector_axes.T
        shadow = np.stack([s2[:, 0, 0], s2[:, 0, 1], s2[:, 1, 1]], axis=1)
        strength = chord[seen] / np.sqrt(np.linalg.det(s2))
        samples = _samples_per_pixel(np.sqrt(shadow[:, 0]), supersample, _SAMPLES_PER_SEMI_AXIS_PROJECTED)
        centre_index_uv = np.stack([u[view, seen] + centre(geometry.n_u), v[view, seen] + centre(geometry.n_v)], axis=1)
        image = np.zeros((geometry.n_v, geometry.n_u))
        project_view(image, centre_index_uv, shadow, strength, samples)
        images[view] = image

    run_in_threads(project, geometry.n_views)
    return images


def turn_matrix(angle_deg: float) -> NDArray[np.float64]:
    """Make the matrix that turns points ``(u, v)`` counter-clockwise about the origin.

    Parameters
    ----------
    angle_deg : float
        In degrees.

    Returns
    -------
    ndarray of float64, shape (2, 2)
    """
    cos, sin = np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))
    return np.array([[cos, -sin], [sin, cos]])


def _samples_per_pixel(semi_axis_px: NDArray[np.float64], supersample: int, per_semi_axis: int) -> NDArray[np.int64]:
    """Samples per pixel for each ellipsoid: at least `supersample`, and enough for the small ones."""
    if supersample < 1:
        raise OptionError(f"{supersample} samples per pixel", field="supersample", remedy="give at least 1")
    wanted = np.ceil(per_semi_axis / semi_axis_px)
    return np.clip(wanted, supersample, max(supersample, _MOST_SAMPLES)).astype(np.int64)


def run_in_threads(work: Callable[[int], None], n: int) -> None:
    """Call a function for 0 to n - 1, on as many threads as this process may use.

    Parameters
    ----------
    work : callable
        Takes the number; what it raises is raised here.
    n : int
        How often it is called.
    """
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with ThreadPoolExecutor(threads) as pool:
        # The list makes an exception of a worker surface here.
        list(pool.map(work, range(n)))
