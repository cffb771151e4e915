"""Edges of aligned views where there was no image: one constant that the aligning program has filled in.

Where a raw image is turned and moved, parts of the aligned one come from outside of it. What is left of the image there
is a rectangle, turned and cut by the edges: convex, with at most eight corners. Constant background of a specimen has
no such outline, and the constant of a background is the least or the greatest of its view.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, label
from scipy.spatial import ConvexHull

from tomokit.data.named_views import name_views

Image = NDArray[np.float32]
Points = NDArray[np.float64]

LEAST_ON_EDGE = 8
"""Pixels of one value in a row along the edges of a view, below which nothing is filled in."""
LEAST_SHARE = 5e-4
"""A smaller part of a view does no harm."""
_MOST_SHARE = 0.5
"""What is empty for the larger part is rather a small specimen before a constant background."""
_MOST_CORNERS = 8
_OUTLINE_SHARE = 0.5
"""Area by which the image may differ from such an outline, as a share of what is filled in beyond that: an edge that
runs aslant has steps of half a pixel, and noise of whole numbers is of one value here and there."""
_WITHIN = (1.0, 99.0)
"""A filling lies between these percentiles of the image, as its mean does,"""
_APART_DEVIATIONS = 0.5
"""or is so far from all of it."""


def find_padding(image: Image, used: NDArray[np.bool_] | None = None) -> NDArray[np.bool_] | None:
    """Find where an aligned view was filled in with a constant.

    Parameters
    ----------
    image : ndarray of float32, shape (n_y, n_x)
        A view as it is in the file.
    used : ndarray of bool, shape (n_y, n_x), optional
        Pixels that are not masked already.

    Returns
    -------
    ndarray of bool, shape (n_y, n_x), or None
        True where there was no image, and in the pixels next to that, which were interpolated with it; None where
        nothing is filled in, or all of it is masked already.
    """
    value = _value_on_edges(image)
    if value is None:
        return None
    same = image == value
    labels, _ = label(same)
    edges = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    filled = np.isin(labels, edges[edges > 0])
    share = float(filled.mean())
    if not LEAST_SHARE <= share <= _MOST_SHARE:
        return None
    if not _is_a_turned_rectangle(~filled) or not _is_foreign(float(value), image[~filled]):
        return None
    if used is not None and not (filled & used).any():
        return None
    return np.asarray(binary_dilation(filled, np.ones((3, 3), bool)))


def tell_padding(shares: Sequence[float], views: Sequence[int], masked: bool) -> list[str]:
    """Say how much of the views was filled in.

    Parameters
    ----------
    shares : sequence of float
        Fraction of each view, 0 where there is none.
    views : sequence of int
        Their index in the stack.
    masked : bool
        Whether it was masked, or kept as it is.

    Returns
    -------
    list of str
        One warning, or none.
    """
    padded = [view for view, share in zip(views, shares, strict=True) if share]
    if not padded:
        return []
    done = "masked" if masked else "kept as if it were an image"
    of_them = [share for share in shares if share]
    are = "is" if len(padded) in (1, len(views)) else "are"
    return [
        f"{name_views(padded, len(views))} {are} filled with a constant at the edges, where there is no image: "
        f"{np.mean(of_them):.1%} of the pixels on average, {max(of_them):.1%} at most; {done}"
    ]


def _value_on_edges(image: Image) -> np.float32 | None:
    """The value of the longest run of one value along the edges, if it is long."""
    around = np.concatenate([image[0], image[1:, -1], image[-1, -2::-1], image[-2:0:-1, 0]])
    starts = np.flatnonzero(np.diff(around, prepend=np.nan) != 0)
    lengths = np.diff(starts, append=around.size)
    longest = int(lengths.argmax())
    return np.float32(around[starts[longest]]) if lengths[longest] >= LEAST_ON_EDGE else None


def _is_a_turned_rectangle(inside: NDArray[np.bool_]) -> bool:
    """Whether pixels are all of a convex polygon with few corners."""
    rows = np.flatnonzero(inside.any(axis=1))
    if rows.size < 3:
        return False
    left = inside[rows].argmax(axis=1)
    right = inside.shape[1] - inside[rows][:, ::-1].argmax(axis=1)
    # The corners of the pixels at either end of each row.
    corners = [np.stack([x, y], axis=1) for x in (left, right) for y in (rows, rows + 1)]
    points = np.concatenate(corners).astype(np.float64)
    if np.ptp(points[:, 0]) < 3:
        return False
    outline = points[ConvexHull(points).vertices]
    area = _area(outline)
    unlike = 2 * area - np.count_nonzero(inside) - _area(_with_few_corners(outline))
    return bool(unlike <= _OUTLINE_SHARE * (inside.size - area))


def _with_few_corners(outline: Points) -> Points:
    """A convex polygon without the corners that cut off least, until few are left."""
    while len(outline) > _MOST_CORNERS:
        before, after = np.roll(outline, 1, axis=0) - outline, np.roll(outline, -1, axis=0) - outline
        cut = np.abs(before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0])
        outline = np.delete(outline, int(cut.argmin()), axis=0)
    return outline


def _area(outline: Points) -> float:
    x, y = outline.T
    return 0.5 * float(abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))))


def _is_foreign(value: float, image: Image) -> bool:
    """Whether a value is none that the image goes to, as a background is; line integrals of empty space are 0."""
    if value == 0 and image.min() >= 0:
        return False
    least, low, high, greatest = np.percentile(image, (0.1, *_WITHIN, 99.9))
    apart = _APART_DEVIATIONS * float(image.std(dtype=np.float64))
    return bool(low < value < high or value < least - apart or value > greatest + apart)
