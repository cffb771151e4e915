"""Angles and tilt axes as other files record them, against those that are used."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tomokit.diagnosis.finding import Finding, Judgement
from tomokit.diagnosis.geometry import Geometry

Floats = NDArray[np.float64]

_CLOSE_DEG = 2.0
"""Refined angles differ from recorded ones by less than this, a constant apart."""
_ALIKE_DEG = 0.2
_AXIS_DEG = 15.0


def judge_records(geometry: Geometry, angles: Mapping[str, Floats], axes_deg: Mapping[str, float]) -> Judgement:
    """Judge angles and axis by what other files say of them.

    Parameters
    ----------
    geometry : Geometry
        As given.
    angles : mapping of str to ndarray of float64, shape (n_views,)
        Tilt angles in degrees in the order of the stack, by the name of the file that records them.
    axes_deg : mapping of str to float
        Angle of the tilt axis in the raw images from vertical in degrees, by the name of the file.

    Returns
    -------
    Judgement
    """
    findings = [finding for name, each in angles.items() if (finding := _against(geometry, name, each))]
    turn = _rotation(geometry)
    for name, axis in axes_deg.items():
        # Transforms that turn an axis upright turn it back by its angle.
        off = (turn + axis + 180) % 360 - 180
        if turn and abs(off) > 180 - _AXIS_DEG:
            findings.append(
                Finding(
                    f"the transforms turn the views by 180 degrees more than the tilt axis of {name}",
                    f"they turn them by {turn:.1f} degrees, and the axis lies at {axis:.1f}",
                    "possible",
                    "negate all angles if nothing else did so: a tilt axis upside down is the same",
                    geometry.with_angles(-geometry.tilt_deg),
                )
            )
        elif turn and 90 - _AXIS_DEG < abs(off) < 90 + _AXIS_DEG:
            findings.append(
                Finding(
                    f"the transforms turn the views by 90 degrees more or less than the tilt axis of {name}",
                    f"they turn them by {turn:.1f} degrees, and the axis lies at {axis:.1f}",
                    "possible",
                    "look at what the views themselves say of the axis",
                )
            )
    compared = [
        name
        for name, each in angles.items()
        # The very same numbers are those that are used, and say nothing of them.
        if each.size == geometry.tilt_deg.size and not np.array_equal(each, geometry.tilt_deg)
    ]
    compared += [name for name in axes_deg if turn]
    if not compared:
        return Judgement("records", False, "no other file records angles or tilt axis")
    agree = "contradict" if findings else "agree with"
    return Judgement("records", True, f"{', '.join(compared)} {agree} the angles and the axis", tuple(findings))


def _against(geometry: Geometry, name: str, recorded: Floats) -> Finding | None:
    tilt = geometry.tilt_deg
    if recorded.size != tilt.size or tilt.size < 3 or not np.isfinite(recorded).all() or _apart(tilt, recorded) == 0:
        return None
    given = _apart(tilt, recorded)
    if given < _CLOSE_DEG:
        return None
    trials = {
        "negated": geometry.with_angles(-tilt),
        "in reversed order": geometry.with_angles(tilt[::-1]),
    }
    apart = {text: _apart(changed.tilt_deg, recorded) for text, changed in trials.items()}
    matching = [text for text in apart if apart[text] < min(_CLOSE_DEG, min(apart.values()) + _ALIKE_DEG)]
    if matching:
        words = " or ".join(matching)
        return Finding(
            f"the angles are {words} against those of {name}",
            f"they differ by up to {given:.0f} degrees, and by {apart[matching[0]]:.1f} if taken {words}",
            "likely",
            f"take those of {name}, unless it is the one that is wrong",
            trials[matching[0]],
        )
    if _apart(np.sort(tilt), np.sort(recorded)) < _CLOSE_DEG:
        # Each recorded angle is replaced by the one of its rank among those given.
        sorted_like = np.empty_like(tilt)
        sorted_like[np.argsort(recorded, kind="stable")] = np.sort(tilt)
        return Finding(
            f"the angles are in another order than those of {name}",
            f"they are the same but for their order, and differ by up to {given:.0f} degrees",
            "likely",
            f"take the order of {name}, unless it is the one that is wrong",
            geometry.with_angles(sorted_like),
        )
    return None


def _apart(first: Floats, second: Floats) -> float:
    """Largest difference in degrees, a constant apart."""
    difference = first - second
    return float(np.abs(difference - np.median(difference)).max())


def _rotation(geometry: Geometry) -> float:
    """Median angle in degrees by which the transforms turn the views, x to y."""
    a11, a12, a21, a22 = geometry.transform[:, :4].T
    return float(np.rad2deg(np.median(np.arctan2(a21 - a12, a11 + a22))))
