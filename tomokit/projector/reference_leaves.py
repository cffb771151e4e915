"""The projector over leaves in float64 and plain NumPy: one sparse matrix a view, the oracle of the kernels.

Footprints are evaluated in closed form at every vertex, where the kernels interpolate a table, and rows are
averaged leaf by leaf, piece by piece, where the kernels go through slabs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from tomokit.geometry import TiltGeometry, centre
from tomokit.octree import Forest
from tomokit.projector.vertex_footprint import footprint, footprint_half_width


def view_matrix(forest: Forest, geometry: TiltGeometry, view: int) -> csr_array:
    """Weights of all vertices in all detector pixels of one view, as a sparse matrix.

    Parameters
    ----------
    forest : Forest
    geometry : TiltGeometry
        Angles, shifts and detector.
    view : int
        Index of the view.

    Returns
    -------
    csr_array of float64, shape (n_u * n_v, n_leaves * n**3)
        Line integrals in pixels, row ``u * n_v + v``, from densities ``[leaf, x, z, y]``, flattened.
    """
    theta = float(geometry.tilt_rad[view])
    n = forest.n
    side = np.ones(n, int)
    side[0], side[-1] = 0, 2
    rows, columns, weights = [], [], []
    for leaf, (corner, h) in enumerate(zip(forest.corner_px, forest.spacing_px, strict=True)):
        # A vertex's weight in a pixel is a product: one factor across the tilt axis, one along it.
        across = _weights_across(geometry, view, corner, h, n, theta, side)
        along = _weights_along(geometry, view, corner[2], h, n)
        for u, vertex, weight_across in across:
            for v, j, weight_along in along:
                rows.append(u * geometry.n_v + v)
                columns.append(leaf * n**3 + vertex * n + j)
                weights.append(weight_across * weight_along)
    shape = (geometry.n_u * geometry.n_v, forest.n_leaves * n**3)
    return csr_array((weights, (rows, columns)), shape=shape)


def _weights_across(
    geometry: TiltGeometry,
    view: int,
    corner: NDArray[np.float64],
    h: float,
    n: int,
    theta: float,
    side: NDArray[np.int_],
) -> list[tuple[int, int, float]]:
    """Detector column, vertex column ``i * n + k`` and weight."""
    entries = []
    half_width = footprint_half_width(theta, h)
    for i in range(n):
        for k in range(n):
            x, z = corner[0] + i * h, corner[1] + k * h
            position = x * np.cos(theta) - z * np.sin(theta) + geometry.shift_u_px[view] + centre(geometry.n_u)
            u = np.arange(
                max(0, int(np.floor(position - half_width))), min(geometry.n_u, int(np.ceil(position + half_width)) + 1)
            )
            if u.size == 0:
                continue
            weight = footprint(u - position, theta, h, int(side[i]), int(side[k]))
            entries += [(int(at), i * n + k, float(w)) for at, w in zip(u, weight, strict=True) if w != 0]
    return entries


def _weights_along(geometry: TiltGeometry, view: int, lower: float, h: float, n: int) -> list[tuple[int, int, float]]:
    """Detector row, vertex along y and its weight in the row's mean.

    A leaf owns the rows whose centres lie from its lower end up to, not including, its upper one, and gives the mean
    over what of a row lies in it. The field is linear between vertices and ends: there the trapezoid rule is exact.
    """
    entries = []
    for v in range(geometry.n_v):
        middle = (v - centre(geometry.n_v) - geometry.shift_v_px[view] - lower) / h
        if not 0 <= middle < n - 1:
            continue
        low, high = max(middle - 0.5 / h, 0.0), min(middle + 0.5 / h, n - 1.0)
        knots = np.unique([low, *(j for j in range(n) if low < j < high), high])
        weight = np.zeros(n)
        for j in range(n):
            hat = np.maximum(0.0, 1 - np.abs(knots - j))
            weight[j] = np.diff(knots) @ (hat[1:] + hat[:-1]) / 2 / (high - low)
        entries += [(v, int(j), float(weight[j])) for j in np.flatnonzero(weight)]
    return entries


def forward(rho: NDArray[np.floating], forest: Forest, geometry: TiltGeometry) -> NDArray[np.float64]:
    """Line integrals of a density on leaves.

    Parameters
    ----------
    rho : ndarray, shape (n_leaves, n, n, n)
        Density ``[leaf, x, z, y]`` at the vertices.
    forest : Forest
    geometry : TiltGeometry

    Returns
    -------
    ndarray of float64, shape (n_views, n_u, n_v)
        ``[tilt, u, y]``, in pixels times density.
    """
    flat = np.asarray(rho, np.float64).ravel()
    views = [view_matrix(forest, geometry, t) @ flat for t in range(geometry.n_views)]
    return np.stack(views).reshape(geometry.n_views, geometry.n_u, geometry.n_v)


def adjoint(stack: NDArray[np.floating], forest: Forest, geometry: TiltGeometry) -> NDArray[np.float64]:
    """Back-project a stack onto leaves: the transpose of :func:`forward`.

    Parameters
    ----------
    stack : ndarray, shape (n_views, n_u, n_v)
        ``[tilt, u, y]``.
    forest : Forest
    geometry : TiltGeometry

    Returns
    -------
    ndarray of float64, shape (n_leaves, n, n, n)
        ``[leaf, x, z, y]``.
    """
    flat = np.zeros(int(np.prod(forest.values_shape)))
    for t in range(geometry.n_views):
        flat += view_matrix(forest, geometry, t).T @ np.asarray(stack[t], np.float64).ravel()
    return flat.reshape(forest.values_shape)
