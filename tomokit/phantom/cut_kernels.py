"""Loops over ellipsoids that a layer's surfaces cut, and over balls that find room, compiled."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tomokit.kernels.decorator import compiled


@compiled(nogil=True)
def project_cut(
    image: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    centre_uvw: NDArray[np.float64],
    inverse: NDArray[np.float64],
    half: NDArray[np.float64],
    density: NDArray[np.float64],
    samples: NDArray[np.int64],
) -> None:
    """Add to one view the projections of what of ellipsoids lies between two surfaces.

    With M the inverse shape matrix in the axes of detector and beam, and (a, b) the detector position from the
    centre's, a ray is inside where ``M_ww w^2 + 2 (M_uw a + M_vw b) w + M_uu a^2 + 2 M_uv a b + M_vv b^2 <= 1``: an
    interval of w, which the surfaces shorten. Sampled along u and v; the depths of the surfaces are linear between
    pixels.

    Parameters
    ----------
    image : ndarray of float64, shape (n_v, n_u)
        The view ``[y, x]``, added to.
    low, high : ndarray of float64, shape (n_v + 2, n_u + 2)
        Depths at which rays enter and leave, at the centres of pixels and of one more on each side.
    centre_uvw : ndarray of float64, shape (n, 3)
        Pixel index of each centre along u and v, and its depth w in pixels.
    inverse : ndarray of float64, shape (n, 6)
        M in inverse square pixels, as ``(uu, uv, uw, vv, vw, ww)``.
    half : ndarray of float64, shape (n, 2)
        Half the edges of each shadow's bounding box in pixels, along u and v.
    density : ndarray of float64, shape (n,)
    samples : ndarray of int64, shape (n,)
        Samples per pixel along u, and along v.
    """
    n_v, n_u = image.shape
    for k in range(density.size):
        u0, v0, w0 = centre_uvw[k]
        m_uu, m_uv, m_uw, m_vv, m_vw, m_ww = inverse[k]
        n = samples[k]
        step = 1.0 / n
        weight = density[k] * step * step
        first_u = max(0, math.floor(u0 - half[k, 0] + 0.5))
        last_u = min(n_u - 1, math.floor(u0 + half[k, 0] + 0.5))
        first_v = max(0, math.floor(v0 - half[k, 1] + 0.5))
        last_v = min(n_v - 1, math.floor(v0 + half[k, 1] + 0.5))
        for row in range(first_v, last_v + 1):
            for column in range(first_u, last_u + 1):
                total = 0.0
                for sample in range(n * n):
                    v = row - 0.5 + (sample // n + 0.5) * step
                    u = column - 0.5 + (sample % n + 0.5) * step
                    a, b = u - u0, v - v0
                    linear = m_uw * a + m_vw * b
                    constant = m_uu * a * a + 2.0 * m_uv * a * b + m_vv * b * b - 1.0
                    under_root = linear * linear - m_ww * constant
                    if under_root <= 0.0:
                        continue
                    root = math.sqrt(under_root)
                    # Index 1 of the depths is pixel 0: the pixel to the left, or below, and the part of the next.
                    j, i = math.floor(v) + 1, math.floor(u) + 1
                    p, q = v + 1 - j, u + 1 - i
                    enter = (1 - p) * ((1 - q) * low[j, i] + q * low[j, i + 1])
                    enter += p * ((1 - q) * low[j + 1, i] + q * low[j + 1, i + 1])
                    leave = (1 - p) * ((1 - q) * high[j, i] + q * high[j, i + 1])
                    leave += p * ((1 - q) * high[j + 1, i] + q * high[j + 1, i + 1])
                    start = max(enter, w0 + (-linear - root) / m_ww)
                    stop = min(leave, w0 + (-linear + root) / m_ww)
                    if stop > start:
                        total += stop - start
                image[row, column] += weight * total


@compiled(nogil=True)
def find_room(
    taken: NDArray[np.bool_],
    cell_px: float,
    candidates: NDArray[np.float64],
    radius: NDArray[np.float64],
    chosen: NDArray[np.int64],
) -> None:
    """Put balls, one after the other, at the first of their candidate places that is free, and take that place.

    Parameters
    ----------
    taken : ndarray of bool, shape (n_z, n_y, n_x)
        Cells ``[z, y, x]`` that are taken; changed.
    cell_px : float
        Edge of a cell; index 0 begins at coordinate 0.
    candidates : ndarray of float64, shape (n, tries, 3)
        Places ``(x, y, z)`` of each ball, in pixels from the corner of the cells.
    radius : ndarray of float64, shape (n,)
        In pixels.
    chosen : ndarray of int64, shape (n,)
        Set to the index of the place of each ball, or to -1.
    """
    n_z, n_y, n_x = taken.shape
    for k in range(radius.size):
        chosen[k] = -1
        # A ball takes at least the cell that it is in.
        reach = max(radius[k] / cell_px, 0.87)
        for attempt in range(candidates.shape[1]):
            x, y, z = candidates[k, attempt] / cell_px - 0.5
            x_low, x_high = max(0, math.ceil(x - reach)), min(n_x - 1, math.floor(x + reach))
            y_low, y_high = max(0, math.ceil(y - reach)), min(n_y - 1, math.floor(y + reach))
            z_low, z_high = max(0, math.ceil(z - reach)), min(n_z - 1, math.floor(z + reach))
            free = True
            for c in range(z_low, z_high + 1):
                for b in range(y_low, y_high + 1):
                    for a in range(x_low, x_high + 1):
                        inside = (a - x) ** 2 + (b - y) ** 2 + (c - z) ** 2 <= reach * reach
                        if inside and taken[c, b, a]:
                            free = False
                            break
                    if not free:
                        break
                if not free:
                    break
            if free:
                for c in range(z_low, z_high + 1):
                    for b in range(y_low, y_high + 1):
                        for a in range(x_low, x_high + 1):
                            if (a - x) ** 2 + (b - y) ** 2 + (c - z) ** 2 <= reach * reach:
                                taken[c, b, a] = True
                chosen[k] = attempt
                break
