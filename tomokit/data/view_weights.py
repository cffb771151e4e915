"""The weight of each view in the data term, from its own measured noise or from its tilt."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tomokit.data.noise import noise_level

MOST = 10.0
"""No view has more than this, or less than its inverse, times the weight of the typical view."""


def view_weights(
    kind: str,
    projections: NDArray[np.floating],
    mask: NDArray[np.floating] | None,
    tilt_deg: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Weigh views: by ``1 / sigma_t^2`` of their noise, or by the cosine of their tilt.

    With ``1 / sigma_t^2`` a least-squares fit is the most likely one under independent white noise of each view's own
    deviation. The cosine is the inverse of the path through a slab, that is of the variance of the logarithm of counts
    where absorption is weak.

    Parameters
    ----------
    kind : {"noise", "tilt"}
        What the weights are from.
    projections : ndarray, shape (n_views, n_u, n_y)
        Projections ``[tilt, u, y]``, their noise not yet filtered.
    mask : ndarray or None, shape (n_views, n_u, n_y)
        Pixels of 0 have no say in the noise.
    tilt_deg : ndarray of float64, shape (n_views,)
        Tilt angles in degrees.

    Returns
    -------
    ndarray of float64, shape (n_views,)
        Of mean 1, so that the data term keeps its scale against regularization. All 1 where no noise can be measured.
    """
    if kind == "tilt":
        weights = np.cos(np.radians(np.asarray(tilt_deg, np.float64)))
    else:
        noise = np.array(
            [
                noise_level(projections[i : i + 1], None if mask is None else mask[i : i + 1])
                for i in range(len(projections))
            ]
        )
        if not (noise > 0).any():
            return np.ones(len(projections))
        # A view whose noise cannot be measured counts as the typical one.
        noise[noise <= 0] = np.median(noise[noise > 0])
        weights = 1 / noise**2
    typical = float(np.median(weights))
    weights = np.clip(weights, typical / MOST, typical * MOST)
    return np.asarray(weights / weights.mean())


def weigh_mask(
    mask: NDArray[np.float32] | None, weights: NDArray[np.float64], shape: tuple[int, ...]
) -> NDArray[np.float32]:
    """Multiply the mask of each view by the view's weight.

    Parameters
    ----------
    mask : ndarray of float32 or None, shape (n_views, n_u, n_y)
        Weights of pixels; overwritten. None for ones.
    weights : ndarray of float64, shape (n_views,)
        From :func:`view_weights`.
    shape : tuple of int
        ``(n_views, n_u, n_y)``.

    Returns
    -------
    ndarray of float32, shape (n_views, n_u, n_y)
    """
    weighted = np.ones(shape, np.float32) if mask is None else mask
    weighted *= weights.astype(np.float32)[:, None, None]
    return weighted
