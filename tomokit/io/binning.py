"""Binning of a tilt series: means over squares of pixels, in which masked pixels have no weight."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tomokit.data import TiltSeries
from tomokit.errors import OptionError


def bin_series(series: TiltSeries, factor: int) -> TiltSeries:
    """Bin a tilt series: average squares of `factor` x `factor` pixels.

    Rows and columns that do not fill a bin are cut off on both sides. If their number is odd, one side
    loses one more and the image moves by half a raw pixel; the shifts of the geometry take that up, so
    that every specimen point stays where it was.

    Parameters
    ----------
    series : TiltSeries
        Possibly memory-mapped; one view is worked on at a time.
    factor : int
        Edge of a bin in pixels; 1 returns the series itself.

    Returns
    -------
    TiltSeries
        Images of ``n // factor`` pixels an axis. A bin is the mean of its used pixels, and used itself
        if at least half of them are; a bin without any holds the mean of its view.

    Raises
    ------
    OptionError
        If the factor is not a positive integer or larger than the image.
    """
    if int(factor) != factor or factor < 1:
        raise OptionError(f"{factor} is not a positive integer", field="--bin")
    factor = int(factor)
    if factor == 1:
        return series
    n_views, n_y, n_x = series.images.shape
    if factor > min(n_y, n_x):
        raise OptionError(f"{factor} is more than the image of {n_x} x {n_y} pixels has", field="--bin")
    rows, columns = _binned_range(n_y, factor), _binned_range(n_x, factor)
    shape = (n_views, n_y // factor, n_x // factor)
    images = np.empty(shape, dtype=np.float32)
    mask = None if series.mask is None else np.empty(shape, dtype=np.float32)
    for view in range(n_views):
        image = np.asarray(series.images[view][rows, columns], dtype=np.float32)
        if mask is None or series.mask is None:
            images[view] = _bin_sums(image, factor) / factor**2
            continue
        weight = np.asarray(series.mask[view][rows, columns], dtype=np.float32)
        images[view], mask[view] = _bin_masked(image, weight, factor)
    geometry = series.geometry
    # A shift is measured from the detector's centre, which moves when a side loses one pixel more than the other.
    binned = replace(
        geometry,
        n_u=shape[2],
        n_v=shape[1],
        shift_u_px=(geometry.shift_u_px - _centre_shift_px(n_x, factor)) / factor,
        shift_v_px=(geometry.shift_v_px - _centre_shift_px(n_y, factor)) / factor,
    )
    return replace(
        series,
        images=images,
        mask=mask,
        geometry=binned,
        pixel_size_angstrom=series.pixel_size_angstrom * factor,
        frame=series.frame.scaled(1 / factor),
        provenance={**series.provenance, "bin": factor * int(series.provenance.get("bin", 1))},
    )


def _binned_range(n: int, factor: int) -> slice:
    """The range of an axis of `n` pixels that whole bins cover."""
    first = (n % factor) // 2
    return slice(first, first + n // factor * factor)


def _centre_shift_px(n: int, factor: int) -> float:
    """Centre of the binned range minus centre of the whole axis, in raw pixels: 0 or -1/2."""
    return (n % factor) // 2 - (n % factor) / 2


def _bin_sums(image: NDArray[np.float32], factor: int) -> NDArray[np.float64]:
    n_y, n_x = image.shape
    blocks = image.reshape(n_y // factor, factor, n_x // factor, factor)
    return np.asarray(blocks.sum(axis=(1, 3), dtype=np.float64))


def _bin_masked(
    image: NDArray[np.float32], weight: NDArray[np.float32], factor: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Means of the used pixels of each bin, and which bins are used: those of at least half their weight."""
    # Not a product: a masked pixel may hold NaN, and 0 * NaN is NaN.
    weighted = np.where(weight > 0, image, np.float32(0)) * weight
    sums, weights = _bin_sums(weighted, factor), _bin_sums(weight, factor)
    total = float(weights.sum())
    fill = float(sums.sum()) / total if total > 0 else 0.0
    means = np.full_like(sums, fill)
    np.divide(sums, weights, out=means, where=weights > 0)
    return means, weights >= 0.5 * factor**2
