"""Where other programs have the centre of an axis, and transforms that are written about it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tomokit.geometry.tilt import centre

CentreRule = Callable[[int], float]
"""Gives the index of the centre of an axis of so many pixels."""


def imod_tilt_centre(n: int) -> float:
    """Index of the centre of a reconstruction's axis in IMOD's ``tilt``: half a voxel below the middle if `n` is odd.

    In ``flib/tilt/tilt.f90`` it is ``n / 2 + 0.5`` from 1, with a division of whole numbers. Images, and transforms of
    ``newstack``, have their centre in the middle at any size.

    Parameters
    ----------
    n : int
        Voxels of the axis.

    Returns
    -------
    float
    """
    return n // 2 - 0.5


def relion_centre(n: int) -> float:
    """Index of the centre of an axis in RELION: a pixel's own centre, half a pixel above the middle if `n` is even.

    Parameters
    ----------
    n : int
        Pixels of the axis.

    Returns
    -------
    float
    """
    return float(n // 2)


def recentre(
    transform: NDArray[np.float64], raw_shape: tuple[int, int], aligned_shape: tuple[int, int], rule: CentreRule
) -> NDArray[np.float64]:
    """Rewrite transforms about another program's centres as :class:`tomokit.geometry.Alignment` has them.

    Parameters
    ----------
    transform : ndarray of float64, shape (n_views, 6)
        ``A11 A12 A21 A22 DX DY`` of each view, both images counted from the centres of the rule.
    raw_shape, aligned_shape : tuple of int
        ``(n_y, n_x)`` of the images before and after.
    rule : callable
        Such as :func:`relion_centre`.

    Returns
    -------
    ndarray of float64, shape (n_views, 6)
        The same transforms, counted from ``(n - 1) / 2``.
    """
    raw, aligned = (np.array([rule(n) - centre(n) for n in shape[::-1]]) for shape in (raw_shape, aligned_shape))
    matrix = transform[:, :4].reshape(-1, 2, 2)
    # A point at p from our centre is at p - raw from the other's, and comes to lie at A (p - raw) + d + aligned.
    return np.concatenate([transform[:, :4], transform[:, 4:] + aligned - matrix @ raw], axis=1)
