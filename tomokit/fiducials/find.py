"""Beads found without a model: discs of one size, dark or bright, that one tilt geometry explains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tomokit.fiducials.beads import Bead, Beads, Disc, fill_gaps, see_bead
from tomokit.fiducials.flat import LEAST_INSIDE, Discs, flat_discs, of_one_size
from tomokit.fiducials.linking import link_points
from tomokit.fiducials.matching import Peaks, bin_view, find_peaks, in_threads, standing_out
from tomokit.fiducials.profile import look_at, measure_width, refine_centre
from tomokit.fiducials.tracks import Floats, Indices, Track, TrackFit, fit_tracks, predict
from tomokit.geometry import TiltGeometry, centre

Stack = NDArray[np.float32]

LEAST_SCORE = 5.0
"""Responses below this are noise, wherever they are."""
LEAST_EVIDENCE = 9.0
"""Where the strongest discs of the views are below this on average, there are no beads."""
BEAD_SCORE = 7.0
"""The median response of a bead over its views is at least this."""
LEAST_SHARE = 0.5
"""In what share of the views in which it would lie in the field a bead is seen, at least."""
MOST_LOOSE = 0.3
"""Where more discs than this share of the beads' are as deep and no position explains them, they are the specimen."""
_SMALLEST_PX = 2.0
_BINNED_RADIUS_PX = 2.2
_WIDEST = 16
_STEP = 2**0.5
_SCAN_VIEWS = 5
_MOST_PEAKS = 150
_LEAST_VIEWS = 4
_AS_DEEP = (0.55, 1.8)
"""Beads of one series, and discs taken for one, are as deep as the median of them to these factors."""


@dataclass(frozen=True)
class _Size:
    radius_px: float
    sign: float
    evidence: float


def find_beads(
    images: Stack, geometry: TiltGeometry, mask: Stack | None = None, *, radius_px: float | None = None
) -> Beads | None:
    """Find the beads of an aligned series.

    Discs that are darker than the ring around them, or brighter, are found in each view by a matched filter of the
    radius that stands out most, and linked over the views by the 3-D position that explains them; those that no
    position explains are no beads, unless they are as deep as beads are. Discs painted over in one grey are found by
    their flatness. A bead that is seen nearly everywhere is taken to be in all views that it reaches into; any other is
    only in those in which it is seen.

    Parameters
    ----------
    images : ndarray of float32, shape (n_views, n_y, n_x)
        Aligned views; may be memory-mapped.
    geometry : TiltGeometry
        Their angles and residual shifts.
    mask : ndarray of float32, shape (n_views, n_y, n_x), optional
        Pixels of 0 do not count.
    radius_px : float, optional
        Radius of the beads in pixels; by default it is measured.

    Returns
    -------
    Beads or None
        None if there are none.
    """
    dark = _find_dark(images, geometry, mask, radius_px)
    flat = _find_flat(images, geometry, mask, dark.radius_px if dark else radius_px)
    if dark is None or flat is None:
        return dark or flat
    return replace(dark, beads=[*dark.beads, *flat.beads], loose=[*dark.loose, *flat.loose])


def _used(mask: Stack | None, view: int) -> NDArray[np.bool_] | None:
    return None if mask is None else mask[view] > 0


def _find_dark(images: Stack, geometry: TiltGeometry, mask: Stack | None, radius_px: float | None) -> Beads | None:
    size = _scan(images, mask, radius_px)
    if size is None:
        return None
    views = _some_views(len(images))
    strongest = _all_peaks(images, mask, views, size)
    least = 0.5 * float(
        np.median([float(np.mean(peaks.score[:3])) for peaks in strongest if peaks.score.size] or [0.0])
    )
    samples = [
        (images[view], _used(mask, view), np.stack([peaks.y, peaks.x], axis=1)[peaks.score >= least])
        for view, peaks in zip(views, strongest, strict=True)
    ]
    width = measure_width(samples, size.radius_px, size.sign)
    if width is None:
        return None
    if radius_px is None:
        size = replace(size, radius_px=width.radius_px)
    found = _all_peaks(images, mask, range(len(images)), size)
    beads = _link(found, images, geometry, mask, size)
    if not beads:
        return None
    reach = width.reach_px if radius_px is None else radius_px
    loose = _loose(found, beads, images, mask, size)
    if len(loose) > MOST_LOOSE * sum(len(bead.discs) for bead in beads):
        return None
    filled = [fill_gaps(bead, geometry, reach) for bead in beads]
    return Beads(size.radius_px, reach, size.sign, filled, loose)


def _all_peaks(images: Stack, mask: Stack | None, views: Sequence[int], size: _Size) -> list[Peaks]:
    return in_threads(lambda view: _peaks(images, mask, view, size), views)


def _some_views(n_views: int) -> list[int]:
    """Views spread over the series, without the steepest."""
    return sorted({int(view) for view in np.linspace(0, n_views - 1, _SCAN_VIEWS + 2)[1:-1].round()})


def _scan(images: Stack, mask: Stack | None, radius_px: float | None) -> _Size | None:
    """The radius, and whether dark or bright, by which the strongest discs of some views stand out most."""
    views = _some_views(len(images))
    radii = [] if radius_px is None else [radius_px]
    if radius_px is None:
        largest = max(_SMALLEST_PX, min(images.shape[1:]) / _WIDEST)
        steps = int(np.log(largest / _SMALLEST_PX) / np.log(_STEP) + 1e-9)
        radii = [float(_SMALLEST_PX * _STEP**step) for step in range(steps + 1)]
    best: _Size | None = None
    for radius in radii:
        for sign, evidence in zip((1.0, -1.0), _evidence(images, mask, views, radius), strict=True):
            if best is None or evidence > best.evidence:
                best = _Size(float(radius), sign, evidence)
    return best if best is not None and best.evidence >= LEAST_EVIDENCE else None


def _evidence(images: Stack, mask: Stack | None, views: list[int], radius: float) -> tuple[float, float]:
    """Median over views of the three strongest responses' mean, to dark discs and to bright ones."""
    factor = max(1, int(radius / 2))

    def strongest(view: int) -> list[float]:
        image, used = bin_view(images[view], _used(mask, view), factor)
        response, spread = standing_out(image, used, radius / factor)
        both = (find_peaks(sign * response, spread, radius / factor, LEAST_SCORE, 3).score for sign in (1, -1))
        return [float(score.sum()) / 3 for score in both]

    dark, bright = np.median(in_threads(strongest, views), axis=0)
    return float(dark), float(bright)


def _peaks(images: Stack, mask: Stack | None, view: int, size: _Size) -> Peaks:
    """The discs of one view, in its own pixels and with refined centres."""
    factor = max(1, int(size.radius_px / _BINNED_RADIUS_PX))
    used = _used(mask, view)
    image, binned = bin_view(images[view], used, factor)
    response, spread = standing_out(image, binned, size.radius_px / factor)
    response *= np.float32(size.sign)
    peaks = find_peaks(response, spread, size.radius_px / factor, LEAST_SCORE, _MOST_PEAKS)
    y, x = (factor * place + (factor - 1) / 2 for place in (peaks.y, peaks.x))
    centres = np.array(
        [refine_centre(images[view], used, *place, size.radius_px, size.sign) for place in zip(y, x, strict=True)]
    ).reshape(-1, 2)
    return Peaks(centres[:, 0], centres[:, 1], peaks.score)


def _tolerance(radius_px: float) -> float:
    """How far the places of one bead may lie from where its track has it: alignments are not better than this."""
    return max(1.5, 0.5 * radius_px)


def _gather(found: list[Peaks], geometry: TiltGeometry) -> tuple[Indices, Floats, Floats, Floats]:
    """View, position from the detector's centre, and score of all peaks."""
    views = np.repeat(np.arange(len(found)), [peaks.score.size for peaks in found])
    u = np.concatenate([peaks.x for peaks in found]) - centre(geometry.n_u) - geometry.shift_u_px[views]
    v = np.concatenate([peaks.y for peaks in found]) - centre(geometry.n_v) - geometry.shift_v_px[views]
    return views, u, v, np.concatenate([peaks.score for peaks in found])


def _link(found: list[Peaks], images: Stack, geometry: TiltGeometry, mask: Stack | None, size: _Size) -> list[Bead]:
    views, u, v, score = _gather(found, geometry)
    tolerance = _tolerance(size.radius_px)
    tracks, _ = link_points(
        views, u, v, score, geometry.tilt_deg,
        tolerance_px=tolerance, least_views=_LEAST_VIEWS, largest_z_px=geometry.n_u / 2,
    )  # fmt: skip
    beads: list[Bead] = []
    for points in tracks:
        if np.median(score[points]) < BEAD_SCORE:
            continue
        at = views[points]
        track = Track(at, u[points] + geometry.shift_u_px[at], v[points] + geometry.shift_v_px[at])
        fit = fit_tracks([track], geometry.tilt_deg, shift_u_px=geometry.shift_u_px, shift_v_px=geometry.shift_v_px)[0]
        bead = see_bead(fit, images, geometry, mask, size.radius_px, size.sign, tolerance)
        if bead.seen_share >= LEAST_SHARE and not _is_one_of(bead, beads, size.radius_px):
            beads.append(bead)
    depths = [_depth(bead) for bead in beads]
    low, high = (factor * float(np.median(depths)) if depths else 0.0 for factor in _AS_DEEP)
    return [bead for bead, depth in zip(beads, depths, strict=True) if low <= depth <= high]


def _depth(bead: Bead) -> float:
    return float(np.median([disc.depth for disc in bead.discs]))


def _is_one_of(bead: Bead, beads: list[Bead], radius_px: float) -> bool:
    """Whether a bead is seen where others are in most of its views: one whose parts were linked apart."""
    places = {(disc.view, disc.y, disc.x) for other in beads for disc in other.discs}
    by_view: dict[int, list[tuple[float, float]]] = {}
    for view, y, x in places:
        by_view.setdefault(view, []).append((y, x))
    same = sum(
        any(np.hypot(y - disc.y, x - disc.x) < 0.7 * radius_px for y, x in by_view.get(disc.view, ()))
        for disc in bead.discs
    )
    return same > len(bead.discs) / 2


def _loose(found: list[Peaks], beads: list[Bead], images: Stack, mask: Stack | None, size: _Size) -> list[Disc]:
    """Discs of single views that are as deep as the beads are there, and not one of them."""
    loose = []
    for view, peaks in enumerate(found):
        here = [(disc, bead) for bead in beads for disc in bead.discs if disc.view == view]
        if not here:
            continue
        depth = float(np.median([disc.depth for disc, _ in here]))
        known = np.array([(disc.y, disc.x) for disc, _ in here])
        for y, x in zip(peaks.y, peaks.x, strict=True):
            if np.hypot(*(known - (y, x)).T).min() <= size.radius_px:
                continue
            look = look_at(images[view], _used(mask, view), y, x, size.radius_px)
            if _AS_DEEP[0] * depth <= size.sign * look.depth <= _AS_DEEP[1] * depth:
                loose.append(Disc(view, float(y), float(x), size.sign * look.depth))
    return loose


def _find_flat(images: Stack, geometry: TiltGeometry, mask: Stack | None, radius_px: float | None) -> Beads | None:
    largest = min(images.shape[1:]) / _WIDEST if radius_px is None else 2 * radius_px
    discs, radius = of_one_size(
        in_threads(lambda view: flat_discs(images[view], _used(mask, view), largest), range(len(images)))
    )
    if radius == 0:
        return None
    found = [_as_peaks(of_view) for of_view in discs]
    views, u, v, score = _gather(found, geometry)
    tracks, loose = link_points(
        views, u, v, score, geometry.tilt_deg,
        tolerance_px=_tolerance(radius), least_views=_LEAST_VIEWS, largest_z_px=geometry.n_u / 2,
    )  # fmt: skip
    # Flat discs of one size that no position explains are no painted beads.
    if not tracks:
        return None

    def disc(point: int) -> Disc:
        view = int(views[point])
        y = float(v[point] + geometry.shift_v_px[view] + centre(geometry.n_v))
        return Disc(view, y, float(u[point] + geometry.shift_u_px[view] + centre(geometry.n_u)), 0.0, painted=True)

    beads: list[Bead] = []
    for points in tracks:
        at = views[points]
        track = Track(at, u[points] + geometry.shift_u_px[at], v[points] + geometry.shift_v_px[at])
        fit = fit_tracks([track], geometry.tilt_deg, shift_u_px=geometry.shift_u_px, shift_v_px=geometry.shift_v_px)[0]
        discs_seen = [disc(int(point)) for point in points]
        beads.append(Bead(fit, [*discs_seen, *_cut_by_the_edge(fit, geometry, radius)], len(points)))
    return Beads(radius, radius, 0.0, beads, [disc(int(point)) for point in loose])


def _cut_by_the_edge(fit: TrackFit, geometry: TiltGeometry, radius: float) -> list[Disc]:
    """Discs of a painted bead in views that have a part of it only."""
    u, v = predict(fit.xyz_px, geometry.tilt_deg)
    x, y = u + geometry.shift_u_px + centre(geometry.n_u), v + geometry.shift_v_px + centre(geometry.n_v)
    inside = np.minimum.reduce([x, geometry.n_u - 1 - x, y, geometry.n_v - 1 - y])
    return [
        Disc(int(view), float(y[view]), float(x[view]), painted=True)
        for view in np.flatnonzero(np.abs(inside) < LEAST_INSIDE * radius)
    ]


def _as_peaks(discs: Discs) -> Peaks:
    return Peaks(discs[:, 0], discs[:, 1], np.ones(len(discs)))
