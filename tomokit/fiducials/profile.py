"""Beads looked at one by one: their centres, how deep they are, and how wide by their mean profile."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tomokit.fiducials.matching import RING, Image, Used

BACKGROUND = 0.12
"""A profile has come back to the background where it differs by less than this fraction of the depth."""
_OUT_TO = 3.2
_FAR = (2.2, 3.2)
_STEP_PX = 0.5
_LEAST_BEADS = 3
_WIDEST = 2.0


@dataclass(frozen=True)
class Look:
    """What a view holds at one place.

    Attributes
    ----------
    depth : float
        Mean of the ring around it minus mean of the disc; positive for a dark disc. NaN if too few pixels count.
    noise : float
        Standard deviation that the depth has by the noise of the ring alone.
    """

    depth: float
    noise: float


@dataclass(frozen=True)
class Width:
    """How wide the beads of a series are.

    Attributes
    ----------
    radius_px : float
        Where the mean profile is halfway between bead and background.
    reach_px : float
        Beyond it the profile is the background's, fringes included.
    """

    radius_px: float
    reach_px: float


def look_at(image: Image, used: Used | None, y: float, x: float, radius_px: float) -> Look:
    """Compare a disc with the ring around it.

    Parameters
    ----------
    image : ndarray of float32, shape (n_y, n_x)
        One view.
    used : ndarray of bool, shape (n_y, n_x), or None
        Pixels that count.
    y, x : float
        Row and column of the centre.
    radius_px : float
        Radius of the disc.

    Returns
    -------
    Look
    """
    patch, distance = _patch(image, used, y, x, RING[1] * radius_px)
    disc = patch[distance <= radius_px]
    ring = patch[distance >= RING[0] * radius_px]
    if disc.size < 1.5 * radius_px**2 or ring.size < 2.0 * radius_px**2:
        return Look(np.nan, np.nan)
    # The median: a neighbouring bead may lie in the ring.
    ring.sort()
    low, middle, high = (ring[int(share * (ring.size - 1))] for share in (0.16, 0.5, 0.84))
    depth = float(middle) - float(disc.mean())
    return Look(depth, float(high - low) / 2 * float(np.sqrt(1 / disc.size + 1.5 / ring.size)))


def refine_centre(
    image: Image, used: Used | None, y: float, x: float, radius_px: float, sign: float
) -> tuple[float, float]:
    """Move a centre to the centre of mass of what stands out around it.

    Parameters
    ----------
    image, used
        As of :func:`look_at`.
    y, x : float
        Row and column, right to about half a radius.
    radius_px : float
        Radius of the bead.
    sign : float
        1 for dark beads, -1 for bright ones.

    Returns
    -------
    y, x : float
        Row and column; as given where nothing stands out, or the centre of mass is more than a radius away.
    """
    first = y, x
    reach = 1.4 * radius_px
    half = int(np.ceil(2 * reach + radius_px))
    top, left = max(0, round(y) - half), max(0, round(x) - half)
    window = (slice(top, max(0, round(y) + half + 1)), slice(left, max(0, round(x) + half + 1)))
    patch = image[window]
    counted = None if used is None else used[window]
    rows = np.arange(top, top + patch.shape[0])[:, None]
    columns = np.arange(left, left + patch.shape[1])[None, :]
    for _ in range(2):
        distance = np.hypot(rows - y, columns - x)
        around = (distance > reach) & (distance <= 2 * reach)
        if counted is not None:
            around &= counted
        if not around.any():
            return first
        height = sign * (np.median(patch[around]) - patch)
        # What noise alone lifts above the background is left out, and the edge of the disc fades.
        weight = np.maximum(height, 0) * np.clip(reach - distance, 0, 1)
        if counted is not None:
            weight *= counted
        total = float(weight.sum())
        if not total > 0:
            return first
        y, x = float((weight * rows).sum()) / total, float((weight * columns).sum()) / total
        if np.hypot(y - first[0], x - first[1]) > radius_px:
            return first
    return y, x


def measure_width(
    views: list[tuple[Image, Used | None, NDArray[np.float64]]], radius_px: float, sign: float
) -> Width | None:
    """Measure how wide beads are, by the median of their profiles.

    Parameters
    ----------
    views : list of (image, used, centres)
        Some views, with rows and columns of the beads, shape (n, 2).
    radius_px : float
        Their radius, right to a factor of 1.5.
    sign : float
        1 for dark beads, -1 for bright ones.

    Returns
    -------
    Width or None
        None if there are too few beads for a profile, or it has no edge.
    """
    edges = np.arange(0, _OUT_TO * radius_px + _STEP_PX, _STEP_PX)
    profiles = []
    for image, used, centres in views:
        for y, x in centres:
            patch, distance = _patch(image, used, float(y), float(x), float(edges[-1]))
            profile = _profile(patch, distance, edges)
            far = profile[(edges[:-1] >= _FAR[0] * radius_px)]
            depth = np.nanmedian(far) - np.nanmean(profile[edges[:-1] < 0.5 * radius_px]) if far.size else 0.0
            if sign * depth > 0:
                profiles.append((np.nanmedian(far) - profile) / depth)
    if len(profiles) < _LEAST_BEADS:
        return None
    # The rings next to the centre may have no pixel.
    stacked = np.array(profiles)
    seen = np.isfinite(stacked).sum(axis=0) >= _LEAST_BEADS
    mean = np.full(seen.size, np.nan)
    mean[seen] = np.nanmedian(stacked[:, seen], axis=0)
    at = (edges[:-1] + edges[1:]) / 2
    at, mean = at[seen], mean[seen]
    below = np.flatnonzero((mean < 0.5) & (at > 0.3 * radius_px))
    if below.size == 0 or below[0] == 0:
        return None
    k = below[0]
    half = float(at[k - 1] + (mean[k - 1] - 0.5) / max(mean[k - 1] - mean[k], 1e-6) * (at[k] - at[k - 1]))
    outside = np.flatnonzero((np.abs(mean) > BACKGROUND) & (at <= _WIDEST * half))
    reach = float(at[outside[-1]]) + _STEP_PX if outside.size else half
    return Width(half, max(reach, half + _STEP_PX))


def _profile(
    patch: NDArray[np.float64], distance: NDArray[np.float64], edges: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Mean over each ring; NaN where there is no pixel."""
    index = np.searchsorted(edges, distance, side="right") - 1
    n = edges.size - 1
    counts = np.bincount(index, minlength=n)[:n]
    sums = np.bincount(index, weights=patch, minlength=n)[:n]
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(counts > 0, sums / np.maximum(counts, 1), np.nan))


def _patch(
    image: Image, used: Used | None, y: float, x: float, reach: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The pixels that count within a distance of a place, and their distances."""
    top, left = max(0, int(np.ceil(y - reach))), max(0, int(np.ceil(x - reach)))
    window = (slice(top, max(0, int(np.floor(y + reach)) + 1)), slice(left, max(0, int(np.floor(x + reach)) + 1)))
    patch = image[window]
    rows = np.arange(top, top + patch.shape[0])[:, None]
    columns = np.arange(left, left + patch.shape[1])[None, :]
    distance = np.hypot(rows - y, columns - x)
    counted = distance <= reach
    if used is not None:
        counted &= used[window]
    return patch[counted].astype(np.float64), distance[counted]
