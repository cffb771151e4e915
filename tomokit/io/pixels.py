"""Statistics and checks of every pixel of a stack that may not fit in memory, a section at a time."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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


def pixel_statistics(values: NDArray[np.number]) -> PixelStatistics:
    """Compute the statistics of a stack, one section in memory at a time.

    Parameters
    ----------
    values : ndarray, shape (n_sections, n_y, n_x)
        Any real type, possibly memory-mapped.

    Returns
    -------
    PixelStatistics
    """
    statistics = RunningStatistics()
    for section in values:
        statistics.add(section)
    return statistics.result()


def require_finite(values: NDArray[np.number], *, file: str | os.PathLike[str], section: str = "view") -> None:
    """Make sure that no pixel of a stack is NaN or infinite.

    Parameters
    ----------
    values : ndarray, shape (n_sections, n_y, n_x)
        Any real type, possibly memory-mapped: one section is looked at at a time.
    file : path-like
        Name for the message.
    section : str
        What a section is called in the message.

    Raises
    ------
    InputError
        Naming the first section with such pixels and how many it has.
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
                field=f"{section} {index}",
                remedy=f"mask them or --exclude {index}" if section == "view" else "write the file again",
            )
