"""Beads of a model, held against the images: where they are in every view, and what does not fit."""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import InputError, OptionError
from tomokit.fiducials.beads import Bead, Beads, Disc
from tomokit.fiducials.flat import Discs, flat_discs, of_one_size
from tomokit.fiducials.matching import in_threads
from tomokit.fiducials.profile import Width, look_at, measure_width, refine_centre
from tomokit.fiducials.tracks import Floats, Track, TrackFit, fit_tracks, predict
from tomokit.geometry import TiltGeometry, centre

Stack = NDArray[np.float32]

LARGEST_RMS_PX = 3.0
"""Tracks that fit worse than this, in the median, belong to other angles or another stack."""
SEARCH_PX = 6.0
"""How far from where a model has it a bead of the images is looked for, where its radius is smaller."""
_WHOLE_VIEWS = 5
_WHOLE_SPAN_DEG = 10.0
_SMALLEST_PX, _WIDEST, _STEP = 2.0, 16, 2**0.5
_STANDS_OUT = 2.0
_SEEN = 3.0
_SEEN_SHARE = 0.5
_TOLD_PX = 1.0
_MOST_SAMPLES = 200
_MIXED = 0.8


def place_beads(
    tracks: list[Track],
    images: Stack,
    geometry: TiltGeometry,
    mask: Stack | None = None,
    *,
    radius_px: float | None = None,
    file: str | os.PathLike[str] | None = None,
) -> Beads:
    """Place the beads of a model in all views: where the images have them, else where their tracks say they are.

    Views that a track leaves out are bridged from its 3-D position. A bead that is seen, dark, bright or painted over,
    in at least half of its views is placed where it is seen.

    Parameters
    ----------
    tracks : list of Track
        The model's.
    images : ndarray of float32, shape (n_views, n_y, n_x)
        Aligned views.
    geometry : TiltGeometry
        Their angles and residual shifts.
    mask : ndarray of float32, shape (n_views, n_y, n_x), optional
        Pixels of 0 do not count.
    radius_px : float, optional
        Radius of the beads; measured in the images if it is not given.
    file : path-like, optional
        The model, for messages.

    Returns
    -------
    Beads

    Raises
    ------
    InputError
        If the model has no point in these views, or its tracks do not fit the angles.
    OptionError
        If the radius has to be given, because the images show nothing at these places.
    """
    if not tracks:
        raise InputError("no point in any view that is used", file=file, remedy="give the model of this stack")
    fits = _fit(tracks, geometry)
    _check_fit([fit for fit in fits if _spans(fit, geometry)], file)
    flat, flat_radius = _painted(images, mask, radius_px)
    sign, width = _measure(fits, images, mask, radius_px)
    if width is None and flat_radius and _share_painted(fits, flat, geometry, flat_radius) >= _SEEN_SHARE:
        sign, width = 0.0, Width(flat_radius, flat_radius)
    if radius_px is not None:
        width = Width(radius_px, radius_px)
    if width is None:
        raise OptionError(
            "the images show no bead at the model's places, so that its radius cannot be measured",
            field="--radius",
            remedy="give the radius in pixels, or the model of this stack",
        )
    beads, loose, moved, n_unseen = [], [], [], 0
    for fit in fits:
        found = _see(fit, images, geometry, mask, width.radius_px, sign, flat)
        n_unseen += fit.track.views.size - len(found)
        if len(found) >= _SEEN_SHARE * fit.track.views.size:
            track = _track_of(found, geometry, fit.track.name)
            at = np.isin(fit.track.views, track.views)
            u, v = track.u_px - fit.track.u_px[at], track.v_px - fit.track.v_px[at]
            moved.append(np.hypot(u, v))
            fit = _fit([track], geometry)[0]
        bridge = _spans(fit, geometry) and fit.rms_px <= LARGEST_RMS_PX
        discs = _all_discs(fit, found, geometry, width.reach_px, bridge)
        if fit.track.views.size > 1:
            beads.append(Bead(fit, discs, len(discs)))
        else:
            loose += discs
    n_points = sum(track.views.size for track in tracks)
    warnings = [*_tell_moved(moved), *_tell_unseen(n_unseen, n_points)]
    return Beads(width.radius_px, width.reach_px, sign, beads, loose, warnings)


def _fit(tracks: list[Track], geometry: TiltGeometry) -> list[TrackFit]:
    return fit_tracks(tracks, geometry.tilt_deg, shift_u_px=geometry.shift_u_px, shift_v_px=geometry.shift_v_px)


def _spans(fit: TrackFit, geometry: TiltGeometry) -> bool:
    """Whether a track has enough views to say where its bead is in others."""
    span = float(np.ptp(geometry.tilt_deg[fit.track.views]))
    return fit.track.views.size >= _WHOLE_VIEWS and span >= _WHOLE_SPAN_DEG


def _check_fit(fits: list[TrackFit], file: str | os.PathLike[str] | None) -> None:
    if not fits:
        return
    rms = float(np.median([fit.rms_px for fit in fits]))
    if rms > LARGEST_RMS_PX:
        u, v = (float(np.median([getattr(fit, name) for fit in fits])) for name in ("rms_u_px", "rms_v_px"))
        raise InputError(
            f"the tracks do not fit the angles: {rms:.1f} pixels off in the median of {len(fits)} tracks, "
            f"{u:.1f} across the tilt axis and {v:.1f} along it",
            file=file,
            remedy="give the model and the angles of the aligned stack, tilt axis vertical",
        )


def _used(mask: Stack | None, view: int) -> NDArray[np.bool_] | None:
    return None if mask is None else mask[view] > 0


def _pixels(track: Track, geometry: TiltGeometry) -> tuple[Floats, Floats]:
    """Rows and columns of a track."""
    return track.v_px + centre(geometry.n_v), track.u_px + centre(geometry.n_u)


def _track_of(found: dict[int, Disc], geometry: TiltGeometry, name: str) -> Track:
    views = np.array(sorted(found), np.intp)
    u = np.array([found[view].x for view in views]) - centre(geometry.n_u)
    v = np.array([found[view].y for view in views]) - centre(geometry.n_v)
    return Track(views, u, v, name)


def _painted(images: Stack, mask: Stack | None, radius_px: float | None) -> tuple[list[Discs], float]:
    """Discs painted over in one grey, of each view, and their radius."""
    largest = min(images.shape[1:]) / _WIDEST if radius_px is None else 2 * radius_px
    discs = in_threads(lambda view: flat_discs(images[view], _used(mask, view), largest), range(len(images)))
    return of_one_size(discs)


def _share_painted(fits: list[TrackFit], flat: list[Discs], geometry: TiltGeometry, radius: float) -> float:
    """In what share of its points a model has a painted disc."""
    met = n_points = 0
    for fit in fits:
        for view, y, x in zip(fit.track.views, *_pixels(fit.track, geometry), strict=True):
            n_points += 1
            met += _nearest(flat[view], float(y), float(x), max(radius, SEARCH_PX)) is not None
    return met / n_points


def _nearest(discs: Discs, y: float, x: float, within: float) -> tuple[float, float] | None:
    if not len(discs):
        return None
    distance = np.hypot(discs[:, 0] - y, discs[:, 1] - x)
    k = int(np.argmin(distance))
    return (float(discs[k, 0]), float(discs[k, 1])) if distance[k] <= within else None


def _measure(
    fits: list[TrackFit], images: Stack, mask: Stack | None, radius_px: float | None
) -> tuple[float, Width | None]:
    """Whether the beads are dark or bright, and how wide: from the radius at which they stand out most."""
    n_y, n_x = images.shape[1:]
    half = (n_y - 1) / 2, (n_x - 1) / 2
    points = [
        (int(view), v + half[0], u + half[1])
        for fit in fits
        for view, u, v in zip(fit.track.views, fit.track.u_px, fit.track.v_px, strict=True)
    ]
    points = sorted(points, key=lambda point: point[0])[:: max(1, len(points) // _MOST_SAMPLES)]
    largest = min(n_y, n_x) / _WIDEST
    steps = int(np.log(max(largest / _SMALLEST_PX, 1)) / np.log(_STEP) + 1e-9) + 1
    radii = [radius_px] if radius_px is not None else list(_SMALLEST_PX * _STEP ** np.arange(steps))
    best, sign, chosen = 0.0, 0.0, 0.0
    for radius in radii:
        looks = [look_at(images[view], _used(mask, view), y, x, radius) for view, y, x in points]
        signed = np.array([look.depth / look.noise for look in looks if look.noise > 0])
        if signed.size < len(points) / 4:
            continue
        middle = float(np.median(signed))
        alike = float(np.mean(np.sign(signed) == np.sign(middle)))
        if abs(middle) > max(best, _STANDS_OUT) and alike >= _MIXED:
            best, sign, chosen = abs(middle), float(np.sign(middle)), float(radius)
    if not best:
        return 0.0, None
    by_view: dict[int, list[tuple[float, float]]] = {}
    for view, y, x in points:
        centre_of = refine_centre(images[view], _used(mask, view), y, x, chosen, sign)
        by_view.setdefault(view, []).append(centre_of)
    samples = [(images[view], _used(mask, view), np.array(places)) for view, places in by_view.items()]
    return sign, measure_width(samples, chosen, sign)


def _see(
    fit: TrackFit,
    images: Stack,
    geometry: TiltGeometry,
    mask: Stack | None,
    radius: float,
    sign: float,
    flat: list[Discs],
) -> dict[int, Disc]:
    """Where the points of a track are seen in the images, by view."""
    found = {}
    for view, y, x in zip(fit.track.views.tolist(), *_pixels(fit.track, geometry), strict=True):
        painted = _nearest(flat[view], float(y), float(x), max(radius, SEARCH_PX))
        if painted is not None:
            found[view] = Disc(view, *painted, painted=True)
        elif sign:
            used = _used(mask, view)
            at = refine_centre(images[view], used, float(y), float(x), radius, sign)
            look = look_at(images[view], used, *at, radius)
            if sign * look.depth > _SEEN * look.noise:
                found[view] = Disc(view, *at, depth=sign * look.depth)
    return found


def _all_discs(fit: TrackFit, found: dict[int, Disc], geometry: TiltGeometry, reach: float, bridge: bool) -> list[Disc]:
    """A disc for each view of a track, and for the others in which its position lies in the field."""
    discs = {
        view: found.get(view, Disc(view, float(y), float(x)))
        for view, y, x in zip(fit.track.views.tolist(), *_pixels(fit.track, geometry), strict=True)
    }
    if bridge:
        u, v = predict(fit.xyz_px, geometry.tilt_deg)
        expected = Track(np.arange(geometry.n_views), u + geometry.shift_u_px, v + geometry.shift_v_px)
        for view, y, x in zip(expected.views.tolist(), *_pixels(expected, geometry), strict=True):
            in_field = -reach < y < geometry.n_v - 1 + reach and -reach < x < geometry.n_u - 1 + reach
            if in_field:
                discs.setdefault(view, Disc(view, float(y), float(x)))
        for view in fit.track.views[~fit.used].tolist():
            # An outlier of the track: where it is, and where it ought to be.
            if view not in found:
                rows, columns = _pixels(expected, geometry)
                discs[view] = Disc(view, float(rows[view]), float(columns[view]))
    return [discs[view] for view in sorted(discs)]


def _tell_moved(moved: list[Floats]) -> list[str]:
    if not moved:
        return []
    distance = float(np.median(np.concatenate(moved)))
    if distance < _TOLD_PX:
        return []
    return [
        f"the beads lie {distance:.1f} pixels from where the model has them, in the median: it was made on another "
        "alignment of the series; they are masked where the images have them"
    ]


def _tell_unseen(n_unseen: int, n_points: int) -> list[str]:
    if n_unseen == 0:
        return []
    return [
        f"at {n_unseen} of the model's {n_points} points no bead is seen: masked all the same, but the model may be "
        "another series'"
        if n_unseen > n_points / 2
        else f"at {n_unseen} of the model's {n_points} points no bead is seen; they are masked all the same"
    ]
