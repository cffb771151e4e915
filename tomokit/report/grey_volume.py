"""Volumes in grey levels, small enough for a page: predicted from their neighbours, compressed, exact as levels.

A density ``v`` becomes the level ``floor((v - low) / (high - low) * levels)``, at most 8 bits. Each level is predicted
as a third of the sum of those before it along x, y and z (0 beyond the faces), rounded down, and what is stored is the
difference modulo 256, in the order of ``[z, y, x]``, as one zlib stream. The page undoes that
(``assets/volume.js``), and cuts all three planes from the one volume.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Levels = NDArray[np.uint8]

MOST_LEVELS, LEAST_LEVELS = 256, 24
"""Below the least, steps would be seen as contours: voxels are averaged then instead. What is smooth enough for
contours at so many levels takes little room at more, and keeps them."""

_RANGE_PERCENTILES = (0.01, 99.99)
_WINDOW_PERCENTILES = (0.5, 99.5)
_SAMPLED_SECTIONS = 24
_TRIES = 6


@dataclass(frozen=True)
class GreyVolume:
    """A volume in grey levels, compressed.

    Attributes
    ----------
    shape : tuple of int
        Voxels shown along z, y and x.
    bin : int
        Edge of the cubes of voxels that each of them is the mean of.
    low, high : float
        Densities at the lower bound of the lowest and the upper bound of the highest level.
    levels : int
        Number of levels.
    window : tuple of int
        Levels that are drawn black and white at first.
    not_finite : int
        Voxels that are no number, drawn as the lowest level.
    stream : bytes
        As told in the module's text.
    """

    shape: tuple[int, int, int]
    bin: int
    low: float
    high: float
    levels: int
    window: tuple[int, int]
    not_finite: int
    stream: bytes


def grey_volume(
    values_zyx: NDArray[np.floating], most_bytes: int, pixel_bin: int | None = None, least_bin: int = 1
) -> GreyVolume:
    """Compress a volume, with as many voxels and then as many levels as have room.

    Parameters
    ----------
    values_zyx : ndarray, shape (n_z, n_y, n_x)
        Densities ``[z, y, x]``; may be memory-mapped, and have values that are not finite.
    most_bytes : int
        The most that the stream may have, unless a volume of the fewest levels and a few hundred voxels has more.
    pixel_bin : int, optional
        Edge of the cubes that are averaged, where another volume sets it; chosen if None.
    least_bin : int
        The least that is chosen.

    Returns
    -------
    GreyVolume
    """
    edge = least_bin if pixel_bin is None else pixel_bin
    longest = max(1, min(values_zyx.shape) // 2)
    while True:
        # Means vary less than voxels.
        low, high, window = _ranges(values_zyx, edge)
        levels = MOST_LEVELS
        for _ in range(_TRIES):
            made = _compress(values_zyx, edge, low, high, levels, window)
            excess = 8 * (len(made.stream) - most_bytes) / math.prod(made.shape)
            if excess <= 0 or (levels == LEAST_LEVELS and (pixel_bin is not None or edge >= longest)):
                return made
            if levels == LEAST_LEVELS:
                break
            # Half as many levels take one bit less for each voxel, as long as neighbours differ.
            levels = max(LEAST_LEVELS, int(0.97 * levels * 2**-excess))
        edge += 1


def decode(volume: GreyVolume) -> Levels:
    """Undo the compression, as the page does.

    Parameters
    ----------
    volume : GreyVolume

    Returns
    -------
    ndarray of uint8, shape `volume.shape`
        Levels ``[z, y, x]``.
    """
    levels = np.frombuffer(zlib.decompress(volume.stream), np.uint8).reshape(volume.shape).copy()
    n_z, n_y, n_x = volume.shape
    nothing = np.zeros((n_y, n_x), np.uint8)
    for z in range(n_z):
        before, here = (levels[z - 1] if z else nothing), levels[z]
        for y in range(n_y):
            above = here[y - 1] if y else nothing[0]
            known = above.astype(np.int64) + before[y]
            left = 0
            for x in range(n_x):
                left = (int(here[y, x]) + (left + int(known[x])) // 3) & 0xFF
                here[y, x] = left
    return levels


def quantized(
    values_zyx: NDArray[np.floating], edge: int, low: float, high: float, levels: int
) -> Iterator[tuple[Levels, int]]:
    """Turn densities into levels, a section at a time.

    Parameters
    ----------
    values_zyx : ndarray, shape (n_z, n_y, n_x)
    edge : int
        Of the cubes that are averaged; what fills none at the ends of the axes is left out.
    low, high, levels
        As of :class:`GreyVolume`.

    Yields
    ------
    levels : ndarray of uint8, shape (n_y // edge, n_x // edge)
    not_finite : int
        How many of them are of no number.
    """
    for z in range(values_zyx.shape[0] // edge):
        section = _section(values_zyx, edge, z)
        finite = np.isfinite(section)
        lost = section.size - int(np.count_nonzero(finite))
        if lost:
            section = np.where(finite, section, np.float32(low))
        with np.errstate(over="ignore"):
            scaled = (section.astype(np.float64) - low) * (levels / (high - low))
        yield np.clip(np.floor(scaled), 0, levels - 1).astype(np.uint8), lost


def _compress(
    values_zyx: NDArray[np.floating], edge: int, low: float, high: float, levels: int, window: tuple[float, float]
) -> GreyVolume:
    n_z, n_y, n_x = (n // edge for n in values_zyx.shape)
    # The differences are noise, in which there is nothing to be found again but runs.
    packer = zlib.compressobj(6, zlib.DEFLATED, zlib.MAX_WBITS, 9, zlib.Z_RLE)
    chunks, not_finite = [], 0
    before: NDArray[np.uint16] = np.zeros((n_y, n_x), np.uint16)
    for section, lost in quantized(values_zyx, edge, low, high, levels):
        not_finite += lost
        here = section.astype(np.uint16)
        known = before.copy()
        known[1:] += here[:-1]
        known[:, 1:] += here[:, :-1]
        chunks.append(packer.compress((here - known // 3).astype(np.uint8).tobytes()))
        before = here
    chunks.append(packer.flush())
    black, white = (round((value - low) / (high - low) * levels) for value in window)
    shown = (max(0, min(black, levels - 2)), max(1, min(white, levels - 1)))
    if shown[0] >= shown[1]:
        shown = (0, levels - 1)
    return GreyVolume((n_z, n_y, n_x), edge, low, high, levels, shown, not_finite, b"".join(chunks))


def _section(values_zyx: NDArray[np.floating], edge: int, z: int) -> NDArray[np.float32]:
    """A section of the means over cubes."""
    _, n_y, n_x = (n // edge for n in values_zyx.shape)
    part = np.asarray(values_zyx[z * edge : (z + 1) * edge, : n_y * edge, : n_x * edge], np.float32)
    if edge == 1:
        return part[0]
    return np.asarray(part.reshape(edge, n_y, edge, n_x, edge).mean(axis=(0, 2, 4)))


def _ranges(values_zyx: NDArray[np.floating], edge: int) -> tuple[float, float, tuple[float, float]]:
    """Densities of the first and the last level, and of black and white, from some of the sections."""
    n_z = values_zyx.shape[0] // edge
    chosen = np.unique(np.linspace(0, n_z - 1, min(n_z, _SAMPLED_SECTIONS)).round().astype(int))
    sample = np.concatenate([_section(values_zyx, edge, z).ravel() for z in chosen])
    sample = sample[np.isfinite(sample)]
    if sample.size == 0:
        return 0.0, 1.0, (0.0, 1.0)
    low, black, white, high = (
        float(value) for value in np.percentile(sample, sorted((*_RANGE_PERCENTILES, *_WINDOW_PERCENTILES)))
    )
    if not high > low:
        # Hardly anything but one value; whatever is not that decides.
        low, high = float(sample.min()), float(sample.max())
        black, white = low, high
    if not high > low:
        return low, low + max(1.0, abs(low)), (low, low + max(1.0, abs(low)))
    return low, high, (black, white)
