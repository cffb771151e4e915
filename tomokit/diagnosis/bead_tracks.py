"""What tracks of beads say: how well one point in space explains each, by the angles as given and otherwise.

All angles negated fit as well, with z turned around. So does a reversed order where the angles are evenly spaced: it is
all of them negated, and a constant, by which the specimen is turned. Refined angles are not evenly spaced.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tomokit.diagnosis.finding import Finding, Judgement, certainty_of
from tomokit.diagnosis.geometry import Geometry
from tomokit.fiducials.tracks import Track, fit_tracks

Floats = NDArray[np.float64]

_LEAST_RATIO = 1.25
_LEAST_SIGMAS = 5.0
_WELL_PX = 3.0


def judge_tracks(tracks: Sequence[Track], geometry: Geometry) -> Judgement:
    """Judge angles by tracks of beads in aligned views.

    Parameters
    ----------
    tracks : sequence of Track
        Positions in aligned views, in raw pixels.
    geometry : Geometry
        As given.

    Returns
    -------
    Judgement
        Its finding has the geometry that explains the tracks.
    """
    tracks = [track for track in tracks if track.views.size >= 5]
    if not tracks:
        return Judgement("tracks", False, "no track of a bead over five views or more")
    tilt = geometry.tilt_deg
    swapped = [replace(track, u_px=track.v_px, v_px=-track.u_px) for track in tracks]
    trials = {
        "as they are": (tracks, geometry),
        "in reversed order": (tracks, geometry.with_angles(tilt[::-1])),
        "with the axis turned by 90 degrees": (swapped, geometry.turned(-90)),
    }
    squares = {name: _squares(used, changed) for name, (used, changed) in trials.items()}
    rms = {name: float(np.sqrt(each.mean())) for name, each in squares.items()}
    best = min(rms, key=lambda name: rms[name])
    figures = {f"rms {name}".replace(" ", "_") + "_px": value for name, value in rms.items()}
    summary = "beads fit to " + ", ".join(f"{value:.2f} px rms {name}" for name, value in rms.items())
    given = "as they are"
    difference = squares[given] - squares[best]
    sigmas = float(difference.mean() / max(difference.std(ddof=1) / np.sqrt(difference.size), 1e-12))
    if best != given and rms[given] > _LEAST_RATIO * rms[best] and sigmas > _LEAST_SIGMAS and rms[best] < _WELL_PX:
        finding = Finding(
            f"the angles do not explain the beads, but do {best}",
            f"{summary}; {sigmas:.0f} standard errors apart",
            certainty_of(sigmas),
            f"take them {best}",
            trials[best][1],
        )
        return Judgement("tracks", True, summary, (finding,), figures)
    sure = rms["in reversed order"] > _LEAST_RATIO * rms[given]
    text = (
        f"{summary}: the angles are right but for their sign" if sure else f"{summary}: a reversed order fits as well"
    )
    return Judgement("tracks", sure, text, (), figures)


def _squares(tracks: Sequence[Track], geometry: Geometry) -> Floats:
    """Squared residuals of all positions; far ones limited, since one wrong position is no fault of the angles."""
    fits = fit_tracks(tracks, geometry.tilt_deg)
    each = np.concatenate([fit.residual_u_px**2 + fit.residual_v_px**2 for fit in fits])
    return np.asarray(np.minimum(each, 100.0))


def as_aligned(tracks: Sequence[Track], before: Geometry, after: Geometry) -> list[Track]:
    """Move tracks from views that are aligned by one geometry to the same views aligned by another.

    Parameters
    ----------
    tracks : sequence of Track
        Positions in views that are aligned by `before`, in raw pixels.
    before, after : Geometry
        Of the same views.

    Returns
    -------
    list of Track
    """
    moved = []
    for track in tracks:
        at = np.stack([track.u_px, track.v_px], axis=1) - before.shifts_px[track.views]
        linear = [each.transform[track.views, :4].reshape(-1, 2, 2) for each in (before, after)]
        raw = np.linalg.solve(linear[0], at[:, :, None])
        u, v = ((linear[1] @ raw)[:, :, 0] + after.shifts_px[track.views]).T
        moved.append(replace(track, u_px=u, v_px=v))
    return moved
