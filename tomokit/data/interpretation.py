"""What the images of a series are taken for: their linearization, their zero, and what the user is told of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tomokit.data.evidence import Evidence, gather
from tomokit.data.recognition import Contrast, background_is_steady, background_is_zero, recognize
from tomokit.errors import InputError

Float = NDArray[np.floating]
Kind = Literal["log", "linear", "invert"]

STORED_OFFSET = 32768.0
"""What is taken from unsigned 16-bit counts to store them as signed ones."""

_SAMPLES_PER_VIEW = 20_000
_OPTIONS = {"linear": "linear if bright is dense", "log": "log if dark is dense", "invert": "invert if dark is dense"}


@dataclass(frozen=True)
class Interpretation:
    """What the images of a series are taken for.

    Attributes
    ----------
    kind : {"log", "linear", "invert"}
        The linearization.
    chosen_by : {"user", "auto"}
        Whether the kind was given or recognized.
    reason : str
        Why, in one line; empty if there is nothing to say.
    offset : float
        The constant that is subtracted from every pixel, in units of the images.
    background : bool
        Whether ``linear`` images have a background beyond the offset, which differs from view to view: a film.
    warnings : tuple of str
        Doubts that the user should hear before the work.
    """

    kind: Kind
    chosen_by: str = "user"
    reason: str = ""
    offset: float = 0.0
    background: bool = False
    warnings: tuple[str, ...] = field(default=())


def interpret(
    images: Float,
    mask: Float | None = None,
    tilt_deg: Float | None = None,
    *,
    kind: str = "auto",
    recorded: str = "",
    exposure: Float | None = None,
) -> Interpretation:
    """Find out what the images of a series are.

    Whoever gives views that are not binned, and all that are used, gets the same answer at any binning.

    Parameters
    ----------
    images : ndarray, shape (n_views, n_y, n_x)
        The images as they were read.
    mask : ndarray or None, shape (n_views, n_y, n_x)
        Pixels of 0 do not count; None if all do.
    tilt_deg : ndarray or None, shape (n_views,)
        Tilt angles in degrees, if they are known.
    kind : {"auto", "log", "linear", "invert"}
        The linearization that was asked for; one that is given is obeyed.
    recorded : {"", "bright field", "dark field"}
        What the files record of the detector.
    exposure : ndarray or None, shape (n_views,)
        Exposure of each view in any unit, if it is known.

    Returns
    -------
    Interpretation

    Raises
    ------
    InputError
        If `kind` is ``"auto"`` and there is no reason to take dark for dense rather than bright.
    """
    if kind == "log":
        # Intensities cannot be negative, so that counts have to be as they were.
        offset, told = _stored_offset(images, mask)
        return Interpretation("log", offset=offset, warnings=told)
    if kind == "invert":
        # A constant has no say in it.
        return Interpretation("invert")
    offset, told = _stored_offset(images, mask)
    evidence = gather(images, mask, tilt_deg, offset=offset, exposure=exposure)
    if not evidence.deviation > 0:
        # Images that are the same everywhere are refused by whoever scales them.
        return Interpretation("linear", "user" if kind == "linear" else "auto", offset=offset, warnings=told)
    if kind == "linear":
        return _with_background(Interpretation("linear", offset=offset, warnings=told), evidence)
    found = recognize(evidence, recorded)
    if found.confidence == "undecided":
        raise _undecided(found)
    if found.confidence == "doubtful":
        told = (*told, _doubt(found))
    chosen = Interpretation(found.kind, "auto", found.reason, offset, warnings=told)
    return _with_background(chosen, evidence) if found.kind == "linear" else chosen


def _with_background(found: Interpretation, evidence: Evidence) -> Interpretation:
    """What is to be done with a background that is not at 0: subtract a pedestal, or fit an offset to each view."""
    if background_is_zero(evidence):
        return found
    if background_is_steady(evidence):
        text = f"a background of {evidence.background:.6g} is subtracted"
        offset, varies = found.offset + evidence.background, False
    else:
        text = "the background is not at 0, so that an offset is fitted to each view unless --offsets zero is given"
        offset, varies = found.offset, True
    reason = f"{found.reason}; {text}" if found.reason else text
    return replace(found, reason=reason, offset=offset, background=varies)


def _doubt(found: Contrast) -> str:
    other = "linear" if found.dense == "dark" else "log" if found.intensities else "invert"
    name = "bright field" if found.dense == "dark" else "dark field"
    opposite = "bright" if found.dense == "dark" else "dark"
    return (
        f"taken as {name} in doubt, {found.dense} in the images = dense: {found.reason}; "
        f"give --linearization {other} if {opposite} is dense"
    )


def _undecided(found: Contrast) -> InputError:
    dark = "log" if found.intensities else "invert"
    return InputError(
        f"whether dark or bright in them is dense cannot be told: {found.reason}",
        field="images",
        remedy=f"give --linearization {_OPTIONS[dark]}, --linearization {_OPTIONS['linear']}",
    )


def _stored_offset(images: Float, mask: Float | None) -> tuple[float, tuple[str, ...]]:
    """The constant that counts were stored with: whole numbers of 16 bits, far below 0 and not about it."""
    samples = []
    for view in range(images.shape[0]):
        pixels = np.asarray(images[view]).ravel()
        stride = max(1, pixels.size // _SAMPLES_PER_VIEW)
        sample = pixels[::stride]
        samples.append(sample if mask is None else sample[np.asarray(mask[view]).ravel()[::stride] > 0])
    values = np.concatenate(samples).astype(np.float64) if samples else np.zeros(0)
    if values.size == 0 or not np.isfinite(values).all() or (values != np.rint(values)).any():
        return 0.0, ()
    low, mean = float(np.percentile(values, 1)), float(values.mean())
    if values.min() < -STORED_OFFSET or values.max() >= STORED_OFFSET or low > -1000 or abs(mean) < 0.5 * values.std():
        return 0.0, ()
    text = (
        f"whole numbers from {values.min():.0f} with a mean of {mean:.0f}: taken for counts that were stored minus "
        f"{STORED_OFFSET:.0f}, which is added again"
    )
    return -STORED_OFFSET, (text,)
