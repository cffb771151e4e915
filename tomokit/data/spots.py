"""Spots of one view: single pixels, or a few that touch, far outside of what the view holds elsewhere.

X-rays and hot or dead pixels of a detector are such spots; so are specimens as small as a pixel, which only the other
views can tell apart (:mod:`tomokit.data.defects`). A spot stands out of its own surroundings by more than

- what the tail of the view's own noise would reach in one of a thousand series, extrapolated from the residual's
  quantiles at 1 and 10 %: by as much per decade as between these two, which is exact for an exponential tail and more
  than enough for a Gaussian or a Poissonian one;
- the view's whole range from 1 to 99 %.

It is no larger than 3 x 3 pixels at two fifths of its height, so that beads, edges and grains do not count. Spots that
stand out by half as much, or are a little larger, are found as well, to recognize a point of the specimen by.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]
Used = NDArray[np.bool_]

SAMPLES = 40_000
"""Quantiles of a view are taken from about so many pixels, evenly strided, so that they are repeatable."""
RARITY = 50_000
"""Views in which noise may make one spot: those of a thousand series."""
CORE = 0.4
"""A spot is where its height is above this fraction of the peak."""
CORE_PX = 3
"""Largest edge of a defect in pixels."""
LOBES = 5
"""Spots higher than so many thresholds have lobes that count, if they were interpolated."""
POINT_PX = 5
"""Largest edge of a spot by which a point of the specimen is recognized, in pixels."""
MOST_SPOTS = 5e-3
"""More spots than this fraction of the pixels are no defects but what the view is made of."""
MOST_EXAMINED = 5_000
"""Nor are more than this, of a large view."""
LEAST_EDGE_PX = 8
"""Smaller views have no surroundings."""
_REACH = 3


@dataclass(frozen=True)
class Spot:
    """A spot of one view.

    Attributes
    ----------
    y, x : int
        Row and column of its peak.
    height : float
        Peak minus the median around it; negative for a dark spot.
    strong : bool
        Whether it stands out enough, and is small enough, for a defect.
    rows, columns : ndarray of int, shape (n,)
        The pixels that it spoils.
    values : ndarray of float32, shape (n,)
        The median of the good pixels around each.
    """

    y: int
    x: int
    height: float
    strong: bool
    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    values: Image


def sample_pixels(image: Image, used: Used | None) -> Image:
    """Take an even sample of the pixels that count.

    Parameters
    ----------
    image : ndarray of float32, shape (n_y, n_x)
        One view.
    used : ndarray of bool, shape (n_y, n_x), or None
        Which pixels count; None if all do.

    Returns
    -------
    ndarray of float32, shape (n,)
        All of them where there are not many.
    """
    pixels = image.ravel() if used is None else image[used]
    return pixels[:: _stride(pixels.size, image.shape[1])]


def find_spots(image: Image, used: Used | None = None) -> list[Spot] | None:
    """Find the spots of one view.

    Parameters
    ----------
    image : ndarray of float32, shape (n_y, n_x)
        One view, in any unit.
    used : ndarray of bool, shape (n_y, n_x), or None
        Which pixels count; None if all do.

    Returns
    -------
    list of Spot or None
        From top to bottom; None if there are more than defects of a detector would be.
    """
    if min(image.shape) < LEAST_EDGE_PX:
        return []
    sample = sample_pixels(image, used)
    if sample.size < LEAST_EDGE_PX**2:
        return []
    low, high = (float(value) for value in np.percentile(sample, (1, 99)))
    extent = high - low
    # Where 98 % of the pixels are equal there is no telling what is unusual.
    if not (np.isfinite(extent) and extent > 0):
        return []
    bright, dark = _noise_tails(image, used)
    most = max(16, min(MOST_SPOTS * image.size, MOST_EXAMINED))
    spots: list[Spot] = []
    for sign, edge, tail in ((1.0, high, bright), (-1.0, -low, dark)):
        threshold = max(tail, extent)
        signed = image if sign > 0 else -image
        outside = signed > edge + extent / 4
        if used is not None:
            outside &= used
        rows, columns = np.nonzero(outside)
        heights = signed[rows, columns] - _median_at_distance(signed, rows, columns, 2)
        tall = (heights > threshold / 2) & _is_peak(signed, rows, columns)
        if np.count_nonzero(tall) > 2 * most:
            return None
        for y, x in zip(rows[tall].tolist(), columns[tall].tolist(), strict=True):
            spot = _examine(signed, used, y, x, threshold, sign)
            if spot is not None:
                spots.append(spot)
    if len(spots) > most:
        return None
    return sorted(spots, key=lambda spot: (spot.y, spot.x))


def _noise_tails(image: Image, used: Used | None) -> tuple[float, float]:
    """How far above and below their surroundings noise alone puts pixels."""
    n_y, n_x = (n - 2 * _REACH for n in image.shape)
    rows, columns = np.divmod(np.arange(0, n_y * n_x, _stride(n_y * n_x, n_x)), n_x)
    rows, columns = rows + _REACH, columns + _REACH
    if used is not None:
        counted = used[rows, columns]
        rows, columns = rows[counted], columns[counted]
    if rows.size < LEAST_EDGE_PX:
        return 0.0, 0.0
    residual = image[rows, columns] - _median_at_distance(image, rows, columns, 2)
    q1, q10, q90, q99 = (float(value) for value in np.percentile(residual, (1, 10, 90, 99)))
    # From one pixel in a hundred to one in all those of so many views.
    decades = np.log10(RARITY * image.size) - 2
    return q99 + decades * (q99 - q90), -(q1 + decades * (q1 - q10))


def _stride(n: int, n_x: int) -> int:
    """Every how many pixels one is sampled: no factor of the width, or the sample would be of a few columns."""
    stride = max(1, n // SAMPLES)
    while stride > 1 and np.gcd(stride, n_x) > 1:
        stride += 1
    return stride


def _median_at_distance(image: Image, rows: NDArray[np.intp], columns: NDArray[np.intp], distance: int) -> Image:
    """Median of the border of the square of this half edge around each place; mirrored at the image's edges."""
    around = _at_distance(image, rows, columns, distance)
    around.sort(axis=0)
    half = len(around) // 2
    return np.asarray((around[half - 1] + around[half]) / 2, np.float32)


def _is_peak(image: Image, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Used:
    """Whether each place is as bright as the brightest of the eight pixels around it."""
    brightest = _at_distance(image, rows, columns, 1).max(axis=0, initial=-np.inf)
    return np.asarray(image[rows, columns] >= brightest)


def _at_distance(image: Image, rows: NDArray[np.intp], columns: NDArray[np.intp], distance: int) -> Image:
    """Pixels ``[place on the border, place of the image]`` of the square of this half edge."""
    n_y, n_x = image.shape
    span = range(-distance, distance + 1)
    border = [(i, j) for i in span for j in span if max(abs(i), abs(j)) == distance]
    around = np.empty((len(border), rows.size), np.float32)
    if rows.size:
        pixels = image.reshape(-1)
        # Views are many, and most have few places or none: each row and column is mirrored once.
        row_begins = {i: _mirrored(rows + i, n_y) * n_x for i in span}
        in_row = {j: _mirrored(columns + j, n_x) for j in span}
        for k, (i, j) in enumerate(border):
            pixels.take(row_begins[i] + in_row[j], out=around[k], mode="clip")
    return around


def _mirrored(index: NDArray[np.intp], n: int) -> NDArray[np.intp]:
    inside = np.abs(index)
    return np.where(inside > n - 1, 2 * (n - 1) - inside, inside)


def _examine(signed: Image, used: Used | None, y: int, x: int, threshold: float, sign: float) -> Spot | None:
    """The spot whose peak is this pixel, if it is a peak and the spot is small."""
    from scipy.ndimage import binary_dilation, label

    top, left = max(0, y - _REACH), max(0, x - _REACH)
    patch = signed[top : y + _REACH + 1, left : x + _REACH + 1]
    counted = np.ones(patch.shape, bool) if used is None else used[top : y + _REACH + 1, left : x + _REACH + 1]
    row, column = y - top, x - left
    distance = np.maximum(
        np.abs(np.arange(patch.shape[0]) - row)[:, None], np.abs(np.arange(patch.shape[1]) - column)[None, :]
    )
    border = patch[counted & (distance == _REACH)]
    if border.size < _REACH:
        return None
    level = float(np.median(border))
    height = float(patch[row, column]) - level
    if height <= threshold / 2:
        return None
    eight = np.ones((3, 3), bool)
    labels, _ = label(counted & (patch - level > CORE * height), structure=eight)
    core = labels == labels[row, column]
    if patch[core].max() > patch[row, column] or distance[core].max() >= _REACH:
        return None
    # Of equal peaks that touch, the first one stands for the spot.
    first = np.argwhere(core & (patch == patch[row, column]))[0]
    edge = 1 + max(int(np.ptp(axis)) for axis in np.nonzero(core))
    if tuple(first) != (row, column) or edge > POINT_PX:
        return None
    spoilt = core
    if height > LOBES * threshold:
        # Interpolation leaves lobes around a spot that are themselves beyond all that the view holds.
        lobes = binary_dilation(core, eight, iterations=2) & (np.abs(patch - level) > threshold)
        spoilt = core | (lobes & counted)
    rows, columns = np.nonzero(spoilt)
    good = counted & ~spoilt
    values = np.empty(rows.size, np.float32)
    for k, (i, j) in enumerate(zip(rows, columns, strict=True)):
        near = (slice(max(0, i - 2), i + 3), slice(max(0, j - 2), j + 3))
        around = patch[near][good[near]]
        values[k] = sign * (np.median(around) if around.size >= _REACH else level)
    strong = height > threshold and edge <= CORE_PX
    return Spot(y, x, sign * height, strong, rows + top, columns + left, values)
