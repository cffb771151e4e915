"""Defects of a tilt series: views without an image, and pixels that x-rays or the detector have spoilt.

What is as small as a pixel in one view alone is a defect; what moves through the views as a point of the specimen does
is left alone; and what stays in one place of the detector, where no point of the specimen could, is a defect again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from tomokit.data.bad_views import BadView, find_bad_views, view_statistics
from tomokit.data.spots import Spot, find_spots
from tomokit.geometry import TiltGeometry, centre

TRACK_PX = 1.5
"""How far from its predicted place the image of a point may be found."""
ALIKE = 6.0
"""Images of one point differ in height by less than this factor between neighbouring views."""

Pixel = TypeVar("Pixel", bound=np.number)
ToAligned = Callable[[int, float, float], tuple[float, float]]
"""From a view and a pixel's place ``(x, y)`` in it to its place ``(x, y)`` in the aligned view."""


@dataclass(frozen=True)
class Defects:
    """What is wrong with a tilt series.

    Attributes
    ----------
    bad_views : list of BadView
        Views without an image, and doubtful ones, by their index in the series.
    spots : dict of int to list of Spot
        Spoilt pixels by view; views without any are left out.
    crowded : list of int
        Views of so many spots that none is taken for a defect.
    """

    bad_views: list[BadView] = field(default_factory=list)
    spots: dict[int, list[Spot]] = field(default_factory=dict)
    crowded: list[int] = field(default_factory=list)

    @property
    def lost(self) -> list[int]:
        """Views that hold no image."""
        return [bad.view for bad in self.bad_views if bad.lost]

    def mend(self, images: NDArray[Pixel]) -> NDArray[Pixel]:
        """Replace spoilt pixels by the median of the good ones around them.

        Parameters
        ----------
        images : ndarray of any real type, shape (n_views, n_y, n_x)
            The views that were looked at. Changed in place if it is writeable.

        Returns
        -------
        ndarray of the same type and shape
            `images`, or a copy if it is read-only and there is something to mend.
        """
        if not self.spots:
            return images
        mended = images if images.flags.writeable else np.array(images)
        for view, spots in self.spots.items():
            for spot in spots:
                mended[view][spot.rows, spot.columns] = spot.values
        return mended

    def replaced(self, index: Sequence[int]) -> dict[str, int]:
        """Count the pixels that :meth:`mend` replaces, for the record.

        Parameters
        ----------
        index : sequence of int
            What each view of the series is called.

        Returns
        -------
        dict of str to int
            Pixels by view; views without any are left out.
        """
        return {str(index[view]): sum(int(spot.rows.size) for spot in spots) for view, spots in self.spots.items()}


def find_defects(
    images: NDArray[np.number],
    geometry: TiltGeometry,
    mask: NDArray[np.float32] | None = None,
    *,
    thickness_px: float | None = None,
    to_aligned: ToAligned | None = None,
) -> Defects:
    """Find the defects of a series, one view in memory at a time.

    Parameters
    ----------
    images : ndarray of any real type, shape (n_views, n_y, n_x)
        The views ``[tilt, y, x]`` in any unit, not binned; may be memory-mapped.
    geometry : TiltGeometry
        Their angles, and the detector of the aligned views.
    mask : ndarray, shape (n_views, n_y, n_x), optional
        Pixels of 0 do not count.
    thickness_px : float, optional
        How thick the specimen may be, in pixels: how far a point moves from view to view follows from it. Default: half
        of the detector's width.
    to_aligned : callable, optional
        Where pixels of raw views lie in the aligned ones; default: the views are aligned.

    Returns
    -------
    Defects
    """
    statistics, spots, crowded = [], [], []
    for view in range(images.shape[0]):
        image = np.asarray(images[view], np.float32)
        used = None if mask is None else np.asarray(mask[view]) > 0
        statistics.append(view_statistics(image, used))
        found = find_spots(image, used)
        if found is None:
            crowded.append(view)
        spots.append(found or [])
    bad_views = find_bad_views(statistics, geometry.tilt_deg)
    lost = {bad.view for bad in bad_views if bad.lost}
    # What is left out need not be mended.
    spots = [[] if view in lost else found for view, found in enumerate(spots)]
    thickness = geometry.n_u / 2 if thickness_px is None else thickness_px
    places = [_places(found, view, geometry, to_aligned) for view, found in enumerate(spots)]
    spoilt = _spoilt(spots, places, geometry, thickness)
    return Defects(bad_views, spoilt, [view for view in crowded if view not in lost])


def _places(
    spots: Sequence[Spot], view: int, geometry: TiltGeometry, to_aligned: ToAligned | None
) -> NDArray[np.float64]:
    """Where spots lie from the projection of the origin: rows ``u, v``, shape (n_spots, 2)."""
    places = np.array([(spot.x, spot.y) for spot in spots], np.float64).reshape(-1, 2)
    if to_aligned is not None:
        places = np.array([to_aligned(view, x, y) for x, y in places], np.float64).reshape(-1, 2)
    origin = centre(geometry.n_u) + geometry.shift_u_px[view], centre(geometry.n_v) + geometry.shift_v_px[view]
    return places - origin


def _spoilt(
    spots: Sequence[list[Spot]], places: Sequence[NDArray[np.float64]], geometry: TiltGeometry, thickness_px: float
) -> dict[int, list[Spot]]:
    """Those spots that are no images of the specimen, by view."""
    fixed = _fixed_places(spots, places, geometry)
    order = np.argsort(geometry.tilt_deg, kind="stable")
    kept: dict[int, list[Spot]] = {}
    for rank, view in enumerate(order.tolist()):
        near = [*order[max(0, rank - 2) : rank].tolist(), *order[rank + 1 : rank + 3].tolist()]
        spoilt = []
        for k, spot in enumerate(spots[view]):
            if not spot.strong:
                continue
            reached = _reached(places[view][k, 0], geometry.tilt_deg[view], geometry.tilt_deg[near], thickness_px)
            seen = sum(
                _is_seen(spot, places[view][k, 1], reached[:, i], spots[other], places[other])
                for i, other in enumerate(near)
            )
            # Three of the four nearest views: a view may fail to show a point, and chance may show one.
            is_specimen = bool(near) and seen >= np.ceil(0.75 * len(near))
            if (spot.y, spot.x) in fixed or not is_specimen:
                spoilt.append(spot)
        if spoilt:
            kept[view] = spoilt
    return dict(sorted(kept.items()))


def _reached(u: float, here_deg: float, there_deg: NDArray[np.float64], thickness_px: float) -> NDArray[np.float64]:
    """Smallest and largest u, shape (2, n), that a point seen at `u` has in views at other angles."""
    here, there = np.deg2rad(here_deg), np.deg2rad(there_deg)
    depths = np.array([[-thickness_px / 2], [thickness_px / 2]])
    # From u = x cos - z sin: x of a point at depth z, and its u in the other view, linear in z.
    x = (u + depths * np.sin(here)) / max(float(np.cos(here)), 1e-3)
    return np.asarray(np.sort(x * np.cos(there) - depths * np.sin(there), axis=0))


def _is_seen(
    spot: Spot, v: float, reached: NDArray[np.float64], others: list[Spot], places: NDArray[np.float64]
) -> bool:
    """Whether a spot of another view may show the same point."""
    if not others:
        return False
    ratio = np.array([other.height for other in others]) / spot.height
    near = (places[:, 0] >= reached[0] - TRACK_PX) & (places[:, 0] <= reached[1] + TRACK_PX)
    return bool((near & (np.abs(places[:, 1] - v) <= TRACK_PX) & (ratio > 1 / ALIKE) & (ratio < ALIKE)).any())


def _fixed_places(
    spots: Sequence[list[Spot]], places: Sequence[NDArray[np.float64]], geometry: TiltGeometry
) -> set[tuple[int, int]]:
    """Pixels of spots in at least three views and half of all, where no point of the specimen would stay."""
    views_of: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    for view, found in enumerate(spots):
        for k, spot in enumerate(found):
            views_of[spot.y, spot.x].append((view, k))
    fixed = set()
    for pixel, seen in views_of.items():
        if len(seen) < max(3, len(spots) / 2):
            continue
        tilt = np.deg2rad(geometry.tilt_deg[[view for view, _ in seen]])
        u, v = np.array([places[view][k] for view, k in seen]).T
        # The point (x, z) that comes nearest to being seen there in all of these views.
        terms = np.stack([np.cos(tilt), -np.sin(tilt)], axis=1)
        point = np.linalg.lstsq(terms, u, rcond=None)[0]
        if max(np.abs(terms @ point - u).max(), np.abs(v - np.median(v)).max()) > 1:
            fixed.add(pixel)
    return fixed
