"""Statistics and checks of every pixel of a stack that may not fit in memory, a section at a time."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tomokit.data.named_views import are_few, list_views, name_views
from tomokit.errors import InputError


@dataclass(frozen=True)
class PixelStatistics:
    """Extremes, mean and spread of the finite pixels of a stack; NaN if there are none.

    Attributes
    ----------
    minimum, maximum, mean, rms : float
        In the pixels' unit; `rms` is the root mean square deviation from the mean.
    n_non_finite : int
        Number of pixels that are NaN or infinite.
    """

    minimum: float
    maximum: float
    mean: float
    rms: float
    n_non_finite: int


class RunningStatistics:
    """Statistics of an array that comes in blocks, merged by the pairwise update of Chan et al. (1979)."""

    def __init__(self) -> None:
        self._count = 0
        self._mean = 0.0
        self._squares = 0.0
        self._minimum = math.inf
        self._maximum = -math.inf
        self._n_non_finite = 0

    def add(self, block: NDArray[np.number]) -> None:
        """Take in the pixels of one more block.

        Parameters
        ----------
        block : ndarray of any real type and shape
        """
        pixels = np.asarray(block)
        if pixels.dtype.kind == "f":
            finite = np.isfinite(pixels)
            if not finite.all():
                self._n_non_finite += int(pixels.size - np.count_nonzero(finite))
                pixels = pixels[finite]
        if pixels.size == 0:
            return
        n, mean = pixels.size, float(pixels.mean(dtype=np.float64))
        squares = float(pixels.var(dtype=np.float64)) * n
        total = self._count + n
        # The squares first: they need the mean of the blocks before.
        self._squares += squares + (mean - self._mean) ** 2 * self._count * n / total
        self._mean += (mean - self._mean) * n / total
        self._count = total
        self._minimum = min(self._minimum, float(pixels.min()))
        self._maximum = max(self._maximum, float(pixels.max()))

    def result(self) -> PixelStatistics:
        """Statistics of all blocks so far.

        Returns
        -------
        PixelStatistics
        """
        if not self._count:
            return PixelStatistics(math.nan, math.nan, math.nan, math.nan, self._n_non_finite)
        rms = math.sqrt(self._squares / self._count)
        return PixelStatistics(self._minimum, self._maximum, self._mean, rms, self._n_non_finite)


def pixel_statistics(values: NDArray[np.number], tell: Callable[[int, int], None] | None = None) -> PixelStatistics:
    """Compute the statistics of a stack, one section in memory at a time.

    Parameters
    ----------
    values : ndarray, shape (n_sections, n_y, n_x)
        Any real type, possibly memory-mapped.
    tell : callable, optional
        Is told how many sections are done, and of how many.

    Returns
    -------
    PixelStatistics
    """
    statistics = RunningStatistics()
    for done, section in enumerate(values, start=1):
        statistics.add(section)
        if tell is not None:
            tell(done, len(values))
    return statistics.result()


def require_finite_views(
    values: NDArray[np.number],
    views: NDArray[np.int_],
    *,
    file: str | os.PathLike[str] | None,
    weights: NDArray[np.floating] | None = None,
) -> None:
    """Make sure that no pixel that is used is NaN or infinite, and say how many are, of which views.

    Parameters
    ----------
    values : ndarray, shape (n_views, n_y, n_x)
        The stack, of which one view is looked at at a time; possibly memory-mapped.
    views : ndarray of int, shape (n_used,)
        Indices of the views that are used.
    file : path-like or None
        Name for the message.
    weights : ndarray, shape (n_used, n_y, n_x), optional
        The mask of these views: pixels of weight 0 may be anything.

    Raises
    ------
    InputError
        Naming the views with such pixels; leaving them out is advised only where they are few.
    """
    if values.dtype.kind != "f":
        return
    counts = {}
    for index, view in enumerate(views):
        bad = ~np.isfinite(values[view])
        if weights is not None:
            bad &= weights[index] > 0
        count = int(np.count_nonzero(bad))
        if count:
            counts[int(view)] = count
    if not counts:
        return
    bad_views, total = list(counts), sum(counts.values())
    pixels = len(counts) * math.prod(values.shape[1:])
    if are_few(bad_views, len(views)):
        them = "it" if len(counts) == 1 else "them"
        remedy = f"mask them with --mask, or leave {them} out with --exclude {list_views(bad_views)}"
    elif 2 * total > pixels:
        remedy = "the stack is damaged: write it again"
    else:
        remedy = "write the stack again, or give a --mask that is 0 where they are"
    raise InputError(
        f"{total} of {pixels} pixels are NaN or infinite", file=file, field=name_views(bad_views, len(views)),
        remedy=remedy,
    )  # fmt: skip


def require_finite(values: NDArray[np.number], *, file: str | os.PathLike[str]) -> None:
    """Make sure that no voxel of a volume, or pixel of a mask, is NaN or infinite.

    Parameters
    ----------
    values : ndarray, shape (n_sections, n_y, n_x)
        Any real type, possibly memory-mapped: one section is looked at at a time.
    file : path-like
        Name for the message.

    Raises
    ------
    InputError
        Naming the first section with such values and how many it has.
    """
    if values.dtype.kind != "f":
        return
    for index, block in enumerate(values):
        finite = np.isfinite(block)
        if not finite.all():
            count = int(block.size - np.count_nonzero(finite))
            raise InputError(
                f"{count} of {block.size} pixels are NaN or infinite",
                file=file,
                field=f"section {index}",
                remedy="write the file again",
            )
