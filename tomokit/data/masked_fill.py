"""Masked pixels of a view filled from those around them, so that a filter spreads nothing of what they held."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def fill_from_around(image: NDArray[np.floating], used: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Fill masked pixels by means of the used ones around them, nearer ones at a finer scale.

    Means of used pixels over squares of 2, 4, 8 and more pixels, each scale filling what the finer ones have no used
    pixel for (the pull-push algorithm of Gortler et al., SIGGRAPH 1996). It takes a time proportional to the pixels,
    however large the masked areas are.

    Parameters
    ----------
    image : ndarray, shape (n_y, n_x)
        A view; what its masked pixels hold has no say and may be NaN.
    used : ndarray of bool, shape (n_y, n_x)
        Which pixels are used; they stay as they are.

    Returns
    -------
    ndarray of float32, shape (n_y, n_x)
        A new image; zeros if no pixel is used.
    """
    values = np.zeros(image.shape, np.float32)
    values[used] = image[used]
    return _fill(values, used)


def _fill(values: NDArray[np.float32], used: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Fill in place values that are 0 where they are not used."""
    if used.all() or max(used.shape) == 1:
        return values
    padding = [(0, n % 2) for n in used.shape]
    weights = _block_sums(np.pad(used.astype(np.float32), padding))
    means = np.asarray(_block_sums(np.pad(values, padding)) / np.maximum(weights, 1), np.float32)
    coarse = _fill(means, weights > 0)
    fine = coarse.repeat(2, axis=0).repeat(2, axis=1)
    # From steps to slopes: blocks would be edges, which a filter makes ring.
    from scipy.ndimage import uniform_filter

    fine = uniform_filter(fine, 3, mode="nearest")[: used.shape[0], : used.shape[1]]
    values[~used] = fine[~used]
    return values


def _block_sums(image: NDArray[np.float32]) -> NDArray[np.float32]:
    # Four slices are added several times faster than an array of blocks is summed.
    return image[::2, ::2] + image[1::2, ::2] + image[::2, 1::2] + image[1::2, 1::2]
