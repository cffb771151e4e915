"""The projector in float64 and plain NumPy: short, slow, and the oracle of every test.

The footprint is written independently of the fast one: the second antiderivative of two opposed pairs of deltas,
``F(d) = [(d+a)_+^2 - (d+b)_+^2 - (d-b)_+^2 + (d-a)_+^2] / (2 c s)`` for the trapezoid's integral, with
``a = (c + s) / 2`` and ``b = |c - s| / 2``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from tomokit.geometry import TiltGeometry, centre


def footprint_integral(d: NDArray[np.float64], theta: float) -> NDArray[np.float64]:
    """How much of a unit voxel's footprint lies to the left of `d`.

    Parameters
    ----------
    d : ndarray of float64
        Distance from the voxel's centre in pixels.
    theta : float
        Tilt in radians.

    Returns
    -------
    ndarray of float64
        From 0 to 1.
    """
    c, s = abs(np.cos(theta)), abs(np.sin(theta))
    if min(c, s) < 1e-7:
        return np.clip(d / max(c, s) + 0.5, 0.0, 1.0)
    a, b = (c + s) / 2, abs(c - s) / 2
    # The quotient below cancels near an axis, which is why it is taken from the limit there.
    square = sum(sign * np.maximum(d + edge, 0.0) ** 2 for sign, edge in ((1, a), (-1, b), (-1, -b), (1, -a)))
    return np.asarray(square / (2 * c * s))


def view_matrix(geometry: TiltGeometry, view: int, n_x: int, n_z: int) -> csr_array:
    """Weights of all voxel columns in all detector columns of one view, as a sparse matrix.

    Parameters
    ----------
    geometry : TiltGeometry
        Angles, shifts across the axis and detector width.
    view : int
        Index of the view.
    n_x, n_z : int
        Voxel columns.

    Returns
    -------
    csr_array of float64, shape (n_u, n_x * n_z)
        Weight of voxel column ``x * n_z + z`` in detector column u.
    """
    theta = float(geometry.tilt_rad[view])
    x = (np.arange(n_x) - centre(n_x))[:, None]
    z = (np.arange(n_z) - centre(n_z))[None, :]
    position = x * np.cos(theta) - z * np.sin(theta) + geometry.shift_u_px[view] + centre(geometry.n_u)
    position = position.ravel()
    columns, rows, weights = [], [], []
    # A footprint is at most 2.42 px wide with its pixel: two columns on either side of the nearest one hold it.
    for offset in range(-2, 3):
        pixel = np.rint(position).astype(int) + offset
        weight = footprint_integral(pixel + 0.5 - position, theta) - footprint_integral(pixel - 0.5 - position, theta)
        keep = (weight > 0) & (pixel >= 0) & (pixel < geometry.n_u)
        columns.append(np.flatnonzero(keep))
        rows.append(pixel[keep])
        weights.append(weight[keep])
    entries = (np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns)))
    return csr_array(entries, shape=(geometry.n_u, n_x * n_z))


def forward(volume: NDArray[np.floating], geometry: TiltGeometry) -> NDArray[np.float64]:
    """Line integrals of a volume, without shifts along the axis.

    Parameters
    ----------
    volume : ndarray, shape (n_x, n_z, n_y)
        Density ``[x, z, y]``.
    geometry : TiltGeometry
        Angles, shifts across the axis and detector width.

    Returns
    -------
    ndarray of float64, shape (n_views, n_u, n_y)
        ``[tilt, u, y]``, in pixels times density.
    """
    n_x, n_z, n_y = volume.shape
    columns = np.asarray(volume, np.float64).reshape(n_x * n_z, n_y)
    return np.stack([view_matrix(geometry, t, n_x, n_z) @ columns for t in range(geometry.n_views)])


def adjoint(stack: NDArray[np.floating], geometry: TiltGeometry, n_x: int, n_z: int) -> NDArray[np.float64]:
    """Back-project a stack: the transpose of :func:`forward`.

    Parameters
    ----------
    stack : ndarray, shape (n_views, n_u, n_y)
        ``[tilt, u, y]``.
    geometry : TiltGeometry
        Angles, shifts across the axis and detector width.
    n_x, n_z : int
        Voxel columns.

    Returns
    -------
    ndarray of float64, shape (n_x, n_z, n_y)
        ``[x, z, y]``.
    """
    volume = np.zeros((n_x * n_z, stack.shape[2]))
    for t in range(geometry.n_views):
        volume += view_matrix(geometry, t, n_x, n_z).T @ np.asarray(stack[t], np.float64)
    return volume.reshape(n_x, n_z, stack.shape[2])
