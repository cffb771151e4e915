"""All measures of a volume against the truth, in one dictionary."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import OptionError
from tomokit.metrics.blocks import check_pair, truth_range
from tomokit.metrics.boxes import Box, check_box
from tomokit.metrics.contrast import isolated_per_thousand
from tomokit.metrics.error import decibels, fit_scale, rmse
from tomokit.metrics.similarity import WINDOW, global_ssim, windowed_ssim

_LARGEST = float(np.finfo(np.float32).max)


def compare_arrays(
    volume: NDArray[np.floating],
    truth: NDArray[np.floating],
    *,
    scale: str | float = "none",
    box: Box | None = None,
) -> dict[str, float | str | None]:
    """Measure a volume against the truth by error and similarity.

    Parameters
    ----------
    volume, truth : ndarray, shape (n_z, n_y, n_x)
        Reconstruction and truth ``[z, y, x]`` in the same unit; may be memory-mapped, read in slabs.
    scale : {"none", "fit", "affine"} or float
        What the volume is multiplied by first: nothing, the least-squares scale, the least-squares scale with an
        offset, or a given number.
    box : Box, optional
        Where the global similarity is evaluated, everywhere by default; all else is measured over the whole volume.

    Returns
    -------
    dict
        JSON-serializable: ``psnr_db``, ``ssim`` (in windows), ``ssim_global``, ``rmse``, ``scale``, ``offset``,
        ``box`` (text, or None), ``isolated_per_thousand`` and ``isolated_per_thousand_truth`` (isolated extreme voxels,
        see :func:`tomokit.metrics.contrast.isolated_per_thousand`).
        A measure that is infinite or undefined is None: ``psnr_db`` for identical volumes or a truth without positive
        values, both similarities for a constant truth, and ``ssim`` for a volume thinner than its window of 7 voxels.

    Raises
    ------
    InputError
        If the shapes differ, or either holds NaN or an infinite value.
    OptionError
        If `scale` is neither a word of the above nor a finite number, the scaled volume would be beyond single
        precision, or the box reaches beyond the volume.
    """
    check_pair(volume, truth)
    if box is not None:
        check_box(box, volume.shape)
    factor, offset = _scale_and_offset(volume, truth, scale)
    error = rmse(volume, truth, scale=factor, offset=offset)
    wide_enough = min(volume.shape) >= WINDOW
    measures = {
        "psnr_db": decibels(truth_range(volume, truth)[1], error),
        "ssim": windowed_ssim(volume, truth, scale=factor, offset=offset) if wide_enough else math.nan,
        "ssim_global": global_ssim(volume, truth, box, scale=factor, offset=offset),
        "rmse": error,
    }
    # JSON knows neither NaN nor infinity.
    finite = {name: value if math.isfinite(value) else None for name, value in measures.items()}
    return {
        **finite,
        "scale": factor,
        "offset": offset,
        "box": None if box is None else str(box),
        "isolated_per_thousand": isolated_per_thousand(volume),
        "isolated_per_thousand_truth": isolated_per_thousand(truth),
    }


def _scale_and_offset(
    volume: NDArray[np.floating], truth: NDArray[np.floating], scale: str | float
) -> tuple[float, float]:
    """Factor and offset for what the caller of :func:`compare` asked for."""
    if scale == "none":
        return 1.0, 0.0
    if scale in ("fit", "affine"):
        return fit_scale(volume, truth, affine=scale == "affine")
    try:
        factor = float(scale)
    except ValueError:
        factor = math.nan
    if not math.isfinite(factor):
        raise OptionError(f"{scale!r} is no scale", field="--scale", remedy="give none, fit, affine or a number")
    low, high = truth_range(truth, volume)
    if abs(factor) * max(abs(low), abs(high)) > _LARGEST:
        raise OptionError(
            f"a factor of {factor:g} takes the volume beyond single precision", field="--scale",
            remedy="give a smaller one, or fit",
        )  # fmt: skip
    return factor, 0.0
