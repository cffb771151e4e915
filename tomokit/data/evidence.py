"""What the images of a tilt series tell of their contrast: figures that do not depend on the noise, or on binning.

Whether dark or bright in the images is dense has to be inferred. Matter that absorbs or scatters grows with the path of
the beam through it, 1/cos(tilt) in a film, and vacuum does not; what that does to the brightness is told by:

- the **trend** of the mean with the path: it falls in bright field, and rises in dark field or line integrals. Exact
  where the specimen or its support goes on beyond the field; none where all of it is in every view, or where views have
  been normalized one by one.
- the **trend of the relative contrast**, deviation over mean, from which factors per view cancel: of specimen on a film
  it falls in dark field, where the film's own brightness grows, and stays or rises in bright field.
- the **skewness**: compact dense things on a plain background are a tail, dark or bright. Holes and pores are tails,
  too, of the other sign.
- the **level** of the background: line integrals have it at 0.

All are taken from views that are averaged down to 64 pixels or fewer, which makes them the same at any binning but for
the noise, and moments are products of neighbouring pixels, to which white noise contributes nothing on average.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tomokit.data.trend import Trend, fit_trend

Float = NDArray[np.floating]
Double = NDArray[np.float64]

COARSE_PX = 64
"""Views are averaged down to at most so many pixels an axis."""


@dataclass(frozen=True)
class Skewness:
    """Third moment of the images over the second to the power of 3/2, as far as neighbouring pixels agree on it.

    Attributes
    ----------
    value : float
        Positive if the tail is bright.
    significance : float
        The third moment over its standard error, from the scatter of the products that it is the mean of.
    patches : float
        How many separate patches the tail is made of; 1 if one of them outweighs the others by far.
    """

    value: float
    significance: float
    patches: float


@dataclass(frozen=True)
class Evidence:
    """What the images of a series tell of their contrast.

    Attributes
    ----------
    mean : float
        Mean of the views.
    deviation : float
        Standard deviation of the structure in them, without noise; that of the coarse pixels if there is none.
    brightness : Trend or None
        Of the mean of the views; None if there are too few views or tilts.
    contrast : Trend or None
        Of the squared relative contrast; None also where the mean is not positive, or the structure not significant.
    skewness : Skewness or None
        None if no structure stands out from the noise.
    level : float
        The commonest value, which is the background's if there is any, over the distance from it to the brightest
        structure: 0 for line integrals over nothing.
    level_error : float
        How far from the truth noise may bring the level.
    level_spread : float
        How much the level differs from view to view, and with tilt, over the same distance.
    background : float
        The level itself, in units of the images.
    lowest : float
        The darkest structure, in units of the images.
    stretched : bool
        Whether the mean of the views moves between ends that stay: each has been stretched to the same grey values.
    """

    mean: float
    deviation: float
    brightness: Trend | None
    contrast: Trend | None
    skewness: Skewness | None
    level: float
    level_error: float
    level_spread: float
    background: float
    lowest: float
    stretched: bool


def gather(
    images: Float, mask: Float | None, tilt_deg: Float | None, *, offset: float = 0.0, exposure: Float | None = None
) -> Evidence:
    """Gather what the images of a series tell of their contrast.

    Parameters
    ----------
    images : ndarray, shape (n_views, n_y, n_x)
        The views, not binned; one is in memory at a time.
    mask : ndarray or None, shape (n_views, n_y, n_x)
        Pixels of 0 do not count; None if all do.
    tilt_deg : ndarray or None, shape (n_views,)
        Tilt angles in degrees; None if they are not known, and there are no trends then.
    offset : float
        What is taken from every pixel first, in units of the images.
    exposure : ndarray or None, shape (n_views,)
        Exposure of each view in any unit, by which its brightness is divided; None if all are the same.

    Returns
    -------
    Evidence
    """
    factors = np.ones(len(images)) if exposure is None else np.mean(exposure) / np.asarray(exposure, np.float64)
    views = [
        (_shrink(images[i], None if mask is None else mask[i]) - offset) * factors[i] for i in range(images.shape[0])
    ]
    keep = [i for i, view in enumerate(views) if np.isfinite(view).any()]
    if not keep:
        return Evidence(0.0, 0.0, None, None, None, 0.0, 0.0, 0.0, 0.0, 0.0, False)
    views = [_clipped(views[i]) for i in keep]
    tilt = None if tilt_deg is None else np.asarray(tilt_deg, np.float64)[keep]
    means = np.array([_trimmed_mean(view) for view in views])
    scales = [views, [_halve(view) for view in views]]
    scales.append([_halve(view) for view in scales[1]])
    moments, scale = _best_scale(scales)
    mean, pooled = float(np.mean(means)), np.concatenate([view[np.isfinite(view)] for view in scales[1]])
    deviation = float(pooled.std())
    skewness = contrast = None
    if moments is not None:
        deviation = float(np.sqrt(moments.second.mean()))
        value = float(moments.third.mean()) / deviation**3
        skewness = Skewness(value, moments.third_significance, _patches(scale, value, tilt))
        # A black view has none, and a mean that is not well above 0 is no brightness.
        bright = means > 0.05 * max(float(np.median(means)), 0.0)
        if tilt is not None and np.median(means) > 0 and bright.mean() > 0.8:
            contrast = fit_trend(moments.second[bright] / means[bright] ** 2, tilt[bright], drift=False)
    low, high = (float(x) for x in np.percentile(pooled, (1, 99)))
    levels = np.array([_level(view) for view in scales[1]])
    level = float(np.median(levels))
    reach = max(high - level, 1e-3 * deviation, float(np.finfo(np.float32).tiny))
    # Halving a view halves its noise; there, what is taken for noise would be small structure as well.
    error = 0.5 * _noise(views) / reach
    brightness = fit_trend(means, tilt)
    ends = np.array([_ends(view, 2) for view in scales[1]])
    moves = [0.0 if (trend := fit_trend(end, tilt)) is None else abs(trend.change) for end in ends.T]
    stretched = brightness is not None and max(moves) < 0.3 * abs(brightness.change)
    drift = fit_trend(levels, tilt)
    spread = max(float(levels.std()), 0.0 if drift is None else abs(drift.change)) / reach
    return Evidence(
        mean, deviation, brightness, contrast, skewness, level / reach, error, spread, level, low, stretched
    )


def _shrink(image: Float, mask: Float | None) -> Double:
    """A view averaged down to COARSE_PX pixels an axis or fewer; NaN where less than half of a square counts."""
    n_y, n_x = image.shape
    factor = max(1, -(-max(n_y, n_x) // COARSE_PX))
    # Of a stripe that is narrower than a square, what there is.
    rows, columns = min(factor, n_y), min(factor, n_x)
    y, x = n_y // rows, n_x // columns
    top, left = (n_y - y * rows) // 2, (n_x - x * columns) // 2
    inner = (slice(top, top + y * rows), slice(left, left + x * columns))
    pixels = np.asarray(image[inner], dtype=np.float32)
    counted = np.isfinite(pixels) if mask is None else np.asarray(mask[inner]) > 0
    padding = _padding(pixels)
    if padding is not None:
        counted = counted & ~padding
    blocks = (y, rows, x, columns)
    if counted.all():
        # Rows first: this way the long sums run along memory.
        return np.asarray(
            pixels.reshape(y, rows, -1).mean(axis=1, dtype=np.float64).reshape(y, x, columns).mean(axis=2)
        )
    weight = counted.reshape(blocks).sum(axis=(1, 3), dtype=np.float64)
    sums = np.where(counted, pixels, np.float32(0)).reshape(blocks).sum(axis=(1, 3), dtype=np.float64)
    return np.where(2 * weight >= rows * columns, sums / np.maximum(weight, 1), np.nan)


def _clipped(view: Double) -> Double:
    """A view without hot and dead pixels: what is as far out again as 98 % of the pixels are apart is cut off there."""
    low, high = _ends(view, 1)
    return np.clip(view, low - (high - low), high + (high - low))


def _ends(view: Double, percent: float) -> tuple[float, float]:
    """The values that this part of the pixels lies below, and above."""
    there = view[np.isfinite(view)]
    if there.size == 0:
        return 0.0, 0.0
    low, high = np.percentile(there, (percent, 100 - percent))
    return float(low), float(high)


def _padding(pixels: NDArray[np.float32]) -> NDArray[np.bool_] | None:
    """Where a view has been filled up with zeros: exact ones, in patches, far from all other values."""
    zero = pixels == 0
    count = int(zero.sum())
    if not 0.001 * pixels.size < count < 0.7 * pixels.size:
        return None
    # Counts have zeros too, but one by one. Line integrals have them where there is nothing, but also values just
    # above, and so have counts in dark field: there the least of the others is one count, or a few.
    if np.count_nonzero(zero[:, 1:] & zero[:, :-1]) < 0.8 * count:
        return None
    others = pixels[~zero]
    low, middle = np.percentile(others, (0.5, 50))
    steps = np.diff(np.unique(others[:: max(1, others.size // 4096)]))
    far = abs(low) > 0.25 * abs(middle) and low * middle > 0 and steps.size > 0 and abs(low) > 4 * float(steps.min())
    return zero if far else None


def _halve(view: Double) -> Double:
    """Means over squares of 2 x 2, of those that are there if at least two are."""
    y, x = (n // 2 if n > 1 else 1 for n in view.shape)
    step_y, step_x = (min(2, n) for n in view.shape)
    blocks = view[: y * step_y, : x * step_x].reshape(y, step_y, x, step_x)
    there = np.isfinite(blocks)
    count = there.sum(axis=(1, 3))
    sums = np.where(there, blocks, 0.0).sum(axis=(1, 3))
    return np.where(2 * count >= step_y * step_x, sums / np.maximum(count, 1), np.nan)


def _trimmed_mean(view: Double) -> float:
    """The mean without the outermost hundredth on either side, which beads and hot pixels are in."""
    ordered = np.sort(view[np.isfinite(view)])
    cut = ordered.size // 100
    return float(ordered[cut : ordered.size - cut].mean()) if ordered.size else 0.0


@dataclass(frozen=True)
class _Moments:
    """Central moments of each view, and how many standard errors their means over all views are away from 0."""

    second: Double
    third: Double
    second_significance: float
    third_significance: float


def _best_scale(scales: list[list[Double]]) -> tuple[_Moments | None, list[Double]]:
    """Moments at the scale where the third stands out most, of those scales where the second does."""
    best, chosen = None, scales[0]
    for views in scales:
        moments = _moments(views)
        # Five standard errors: at fewer the denominator of the skewness is mostly noise.
        if moments is None or moments.second_significance < 5:
            continue
        if best is None or abs(moments.third_significance) > abs(best.third_significance):
            best, chosen = moments, views
    return best, chosen


def _moments(views: list[Double]) -> _Moments | None:
    """Moments from products of the four pixels of each square of 2 x 2; None of views that are too small."""
    if min(views[0].shape) < 4:
        return None
    seconds, thirds = [], []
    for view in views:
        d = view - (np.nanmean(view) if np.isfinite(view).any() else 0.0)
        a, b, c, e = d[:-1, :-1], d[1:, :-1], d[:-1, 1:], d[1:, 1:]
        # Where a pixel is missing the products are, too.
        seconds.append((a * b + c * e + a * c + b * e).ravel() / 4)
        thirds.append((a * b * c + a * b * e + a * c * e + b * c * e).ravel() / 4)
    # In white noise no two products of three pixels are alike; of two pixels, each is in two squares.
    return _Moments(_means(seconds), _means(thirds), _significance(seconds, 2), _significance(thirds, 1))


def _means(products: list[Double]) -> Double:
    return np.array([np.nanmean(part) if np.isfinite(part).any() else 0.0 for part in products])


def _significance(products: list[Double], times: int) -> float:
    """The mean of all products over its standard error under white noise, where each product is there so many times."""
    pooled = np.concatenate(products)
    pooled = pooled[np.isfinite(pooled)]
    spread = float(pooled.std()) if pooled.size else 0.0
    return float(pooled.mean()) * float(np.sqrt(pooled.size / times)) / spread if spread > 0 else 0.0


def _noise(views: list[Double]) -> float:
    """Standard deviation of what neighbouring pixels do not have in common."""
    moments = _moments(views)
    if moments is None:
        return 0.0
    total = float(np.mean([np.nanvar(view) for view in views]))
    return float(np.sqrt(max(total - float(moments.second.mean()), 0.0)))


def _patches(views: list[Double], sign: float, tilt: Double | None) -> float:
    """How many patches carry the tail: the square of the sum of their weights over the sum of squares."""
    from scipy import ndimage

    order = range(len(views)) if tilt is None else np.argsort(np.abs(tilt), kind="stable")
    found = []
    for i in list(order)[:7]:
        view = views[i]
        d = np.where(np.isfinite(view), view - np.nanmean(view), 0.0) * np.sign(sign)
        d = ndimage.gaussian_filter(d, 0.7)
        excess = d - d.std()
        labels, n = ndimage.label(excess > 0)
        if n:
            weights = ndimage.sum_labels(excess, labels, range(1, n + 1))
            found.append(float(weights.sum() ** 2 / np.sum(weights**2)))
    return float(np.median(found)) if found else 0.0


def _level(view: Double) -> float:
    """The commonest value: the mean of the shortest interval that holds a quarter of the pixels."""
    ordered = np.sort(view[np.isfinite(view)])
    if ordered.size == 0:
        return 0.0
    part = max(1, ordered.size // 4)
    widths = ordered[part:] - ordered[:-part] if ordered.size > part else np.zeros(1)
    first = int(np.argmin(widths))
    return float(ordered[first : first + part].mean())
