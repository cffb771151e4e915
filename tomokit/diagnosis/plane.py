"""How the specimen lies: the plane in which a quick reconstruction has its structure.

The square of the density is summed over planes ``z = z0 + x tan(a) + y tan(b)``; where the planes lie as the specimen
does, the sums differ most from plane to plane.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from tomokit.diagnosis.axis import LEAST_SCORE
from tomokit.diagnosis.bead_plane import bead_plane
from tomokit.diagnosis.finding import Finding, Judgement
from tomokit.diagnosis.geometry import Geometry
from tomokit.diagnosis.prediction import THICKNESS_SHARE, predict_views, reconstruct
from tomokit.diagnosis.small_views import SmallViews
from tomokit.fiducials.tracks import Track

Floats = NDArray[np.float64]

TOLD_DEG = 7.0
"""A specimen that lies flatter than this by its energy is not told: one that is thick, with more at one of its surfaces
here and at the other there, seems tilted by up to 5 degrees (docs/doctor.md), whatever the standard error says."""
LEVEL_DEG = 2.0
"""One that seems flatter than this is not tilted by more than the former; between the two nothing is decided."""
TOLD_BY_BEADS_DEG = 5.0
"""Beads lie on the surfaces, which are not quite parallel to each other, nor flat."""
MOST_ERROR_DEG = 3.0
_SIGMAS = 4.0
_SCAN_DEG = np.arange(-24.0, 24.1, 2.0)
_STEPS_DEG = (1.0, 0.5, 0.25)
_SMOOTH_PX = 1.5
_BLOCKS = 4


def judge_plane(
    small: SmallViews,
    geometry: Geometry,
    x_tilt_deg: float = 0.0,
    tilt_offset_deg: float = 0.0,
    tracks: Sequence[Track] = (),
) -> Judgement:
    """Judge whether the specimen lies level in a reconstruction, by its beads where enough of them are known.

    Parameters
    ----------
    small : SmallViews
    geometry : Geometry
        Its other faults mended.
    x_tilt_deg : float
        X-axis tilt in degrees that a reconstruction would be levelled by, sign of IMOD's XAXISTILT.
    tilt_offset_deg : float
        What has been added to the angles to level it, in degrees.
    tracks : sequence of Track
        Of beads in views that are aligned by `geometry`, in raw pixels.

    Returns
    -------
    Judgement
        Its finding has the options that level the specimen.
    """
    beads = bead_plane(tracks, geometry.tilt_deg)
    if beads is not None:
        layers = f"two layers {beads.distance_px:.0f} pixels apart" if beads.distance_px else "one layer"
        summary = f"{beads.n_beads} beads in {layers} lie"
        lies = _Lies(beads.tilt_deg, beads.x_tilt_deg, beads.errors_deg, TOLD_BY_BEADS_DEG, TOLD_BY_BEADS_DEG, summary)
        return _judge(lies, x_tilt_deg, tilt_offset_deg)
    views, weight = small.align(geometry)
    if predict_views(views, weight, geometry.tilt_deg).score < LEAST_SCORE / 2:
        return Judgement("plane", False, "the views have too little in common to tell how the specimen lies")
    thickness = round(THICKNESS_SHARE * views.shape[2])
    density = reconstruct(views, geometry.tilt_deg, thickness)
    energy = gaussian_filter(density.astype(np.float64) ** 2, _SMOOTH_PX)
    # Rays that leave the detector at high tilt leave triangles at the sides.
    side = energy.shape[0] // 8
    energy = energy[side : energy.shape[0] - side]
    tilt, x_tilt, errors = plane_of(energy)
    return _judge(_Lies(tilt, x_tilt, errors, TOLD_DEG, LEVEL_DEG, "the specimen lies"), x_tilt_deg, tilt_offset_deg)


class _Lies(NamedTuple):
    """How the specimen lies, from what on it is told, up to what it is level, and what says so."""

    tilt_deg: float
    x_tilt_deg: float
    errors_deg: tuple[float, float]
    told_deg: float
    level_deg: float
    by: str


def _judge(lies: _Lies, x_tilt_deg: float, tilt_offset_deg: float) -> Judgement:
    """Tell what levels the specimen, or that it is level, or that neither can be told."""
    (tilt, x_tilt), errors = lies[:2], lies.errors_deg
    figures = {"tilt_deg": tilt, "tilt_error_deg": errors[0], "x_tilt_deg": x_tilt, "x_tilt_error_deg": errors[1]}
    summary = (
        f"{lies.by} {tilt:.1f} +- {errors[0]:.1f} degrees about the tilt axis and {x_tilt:.1f} +- "
        f"{errors[1]:.1f} about x from level"
    )
    if max(errors) > MOST_ERROR_DEG:
        return Judgement("plane", False, f"{summary}: not sharp enough to tell", (), figures)
    options = []
    off = (tilt, x_tilt - x_tilt_deg)
    if abs(off[0]) > max(lies.told_deg, _SIGMAS * errors[0]):
        # z = x tan(a) is level once every angle has a added: a point of it then lies where a level one does.
        options.append(f"--tilt-offset {tilt_offset_deg + tilt:.1f}")
    if abs(off[1]) > max(lies.told_deg, _SIGMAS * errors[1]):
        options.append(f"--x-tilt {x_tilt:.1f}")
    if not options:
        if max(map(abs, off)) > lies.level_deg:
            open_ = f"{summary}: what is thick seems to lie so too, and up to {lies.told_deg:g} degrees nothing is told"
            return Judgement("plane", False, open_, (), figures)
        return Judgement("plane", True, f"{summary}: level to within {lies.told_deg:g}", (), figures)
    against = f"; the alignment levels it by {x_tilt_deg:.1f} about x" if x_tilt_deg else ""
    finding = Finding(
        "the specimen does not lie level",
        summary + against,
        "likely",
        "level it with " + " ".join(options),
        options=tuple(options),
    )
    return Judgement("plane", True, summary, (finding,), figures)


def plane_of(energy: Floats) -> tuple[float, float, tuple[float, float]]:
    """Find the plane in which an energy is concentrated.

    Parameters
    ----------
    energy : ndarray of float64, shape (n_x, n_z, n_y)
        ``[x, z, y]``, not negative.

    Returns
    -------
    tilt_deg, x_tilt_deg : float
        ``a`` and ``b`` of ``z = z0 + x tan(a) + y tan(b)`` in degrees.
    errors_deg : tuple of float
        Their standard errors, from leaving out one block of the field after the other.
    """
    n_x, _, n_y = energy.shape
    # Background to 0, and single strong features to what they would be among many.
    energy = np.sqrt(np.maximum(energy - np.median(energy), 0))
    blocks = [
        energy[rows][:, :, columns]
        for rows in np.array_split(np.arange(n_x), _BLOCKS)
        for columns in np.array_split(np.arange(n_y), _BLOCKS)
    ]
    places = [
        (rows - (n_x - 1) / 2, columns - (n_y - 1) / 2)
        for rows in np.array_split(np.arange(n_x), _BLOCKS)
        for columns in np.array_split(np.arange(n_y), _BLOCKS)
    ]
    cache: dict[tuple[float, float], Floats] = {}

    def sums(a: float, b: float) -> Floats:
        if (a, b) not in cache:
            cache[a, b] = np.stack([_sums(*one, a, b) for one in zip(blocks, places, strict=True)])
        return cache[a, b]

    def sharpness(a: float, b: float, left_out: int | None) -> float:
        planes = sums(a, b)
        whole = planes.sum(axis=0) - (0 if left_out is None else planes[left_out])
        return float((whole**2).sum())

    def best(start: tuple[float, float], left_out: int | None) -> tuple[float, float]:
        at = start
        for step in _STEPS_DEG:
            while True:
                near = [(at[0] + i * step, at[1] + j * step) for i in (-1, 0, 1) for j in (-1, 0, 1)]
                found = max(near, key=lambda place: sharpness(place[0], place[1], left_out))
                if found == at or max(map(abs, found)) > 45:
                    break
                at = found
        return at

    start = (0.0, 0.0)
    for _ in range(2):
        start = (max(_SCAN_DEG, key=lambda a: sharpness(float(a), start[1], None)), start[1])
        start = (float(start[0]), float(max(_SCAN_DEG, key=lambda b: sharpness(start[0], float(b), None))))
    tilt, x_tilt = best(start, None)
    without = np.array([best((tilt, x_tilt), block) for block in range(len(blocks))])
    n = len(blocks)
    errors = np.sqrt((n - 1) / n * np.sum((without - without.mean(axis=0)) ** 2, axis=0))
    # A step of the search is no better known than half of it.
    a_error, b_error = (float(np.hypot(error, _STEPS_DEG[-1] / 2)) for error in errors)
    return tilt, x_tilt, (a_error, b_error)


def _sums(block: Floats, place: tuple[Floats, Floats], a: float, b: float) -> Floats:
    """Sums of a block over planes of two slopes, by the plane's height."""
    n_z = block.shape[1]
    slope_a, slope_b = np.tan(np.deg2rad(a)), np.tan(np.deg2rad(b))
    height = place[0][:, None] * slope_a + place[1][None, :] * slope_b
    bins = np.rint(np.arange(n_z)[None, :, None] - height[:, None, :]).astype(np.intp) + n_z
    kept = (bins >= 0) & (bins < 3 * n_z)
    return np.asarray(np.bincount(bins[kept], block[kept], minlength=3 * n_z), np.float64)
