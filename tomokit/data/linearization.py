"""From the images of a tilt series to projections ``p``, line integrals scaled to about [0, 1].

========  =============================================================  ===============================
kind      images                                                         projections
========  =============================================================  ===============================
log       intensities, bright where there is nothing                     ``ln(Imax/I) / ln(Imax/Imin)``
linear    line integrals already                                         ``I / max(I)``
invert    zero-mean images of a dark specimen                            ``-I / max(-I)``
========  =============================================================  ===============================

I is a pixel less a constant, where counts were stored with one. Imin, Imax and the maxima are taken over the pixels
whose mask is not 0; beads and padding have no say. In ``log`` a projection is the logarithm of Beer and Lambert's law,
divided by the largest one so that it lies in [0, 1]. Which kind images are is found by
:mod:`tomokit.data.interpretation`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.data.interpretation import Interpretation, Kind, interpret
from tomokit.errors import InputError, OptionError

Float = NDArray[np.floating]

FLOOR = 1e-5
"""Intensities are clamped to at least this fraction of their range before the logarithm."""

SAMPLES = 2_000_000
"""Statistics other than extremes are taken from about so many pixels, evenly strided, so that they are repeatable."""


@dataclass(frozen=True)
class Linearization:
    """The formula by which images become projections, with its constants.

    Attributes
    ----------
    kind : {"log", "linear", "invert"}
        The formula, as in the table above.
    imin, imax : float
        The extremes (or percentiles) of the images less the offset, in their units.
    scale : float
        Divisor of the formula: ``ln(imax/imin)``, ``imax`` or ``-imin``.
    chosen_by : {"user", "auto"}
        Whether the kind was given by the user or found by :func:`tomokit.data.interpretation.interpret`.
    reason : str
        Why, in one line; empty if there is nothing to say.
    offset : float
        What is subtracted from every pixel first, in units of the images.
    background : bool
        Whether ``linear`` images have a background beyond that, which an offset of each view then stands for.
    """

    kind: Kind
    imin: float
    imax: float
    scale: float
    chosen_by: str = "user"
    reason: str = ""
    offset: float = 0.0
    background: bool = False

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Linearization:
        """Rebuild a linearization from its record in a provenance or a state.

        Parameters
        ----------
        record : mapping
            What :meth:`to_json` gave; records made before there was an offset have none.

        Returns
        -------
        Linearization
        """
        return cls(**{item.name: record[item.name] for item in fields(cls) if item.name in record})

    def apply(self, images: Float) -> NDArray[np.float32]:
        """Compute the projections of images.

        Parameters
        ----------
        images : ndarray of any real type and shape
            Pixels as they were read.

        Returns
        -------
        ndarray of float32, same shape
            Projections ``p``, without a unit, about 0 to 1.
        """
        pixels = np.asarray(images, dtype=np.float32)
        if self.offset:
            pixels = pixels - np.float32(self.offset)
        if self.kind == "linear":
            return (pixels / np.float32(self.scale)).astype(np.float32, copy=False)
        if self.kind == "invert":
            return (pixels / np.float32(-self.scale)).astype(np.float32, copy=False)
        # A dead pixel must not become infinite: of an intensity of 0 there is no logarithm.
        floor = max(FLOOR * (self.imax - self.imin), float(np.finfo(np.float32).tiny))
        clamped = np.maximum(pixels, np.float32(floor))
        return ((np.log(np.float32(self.imax)) - np.log(clamped)) / np.float32(self.scale)).astype(np.float32)

    def volume_scale(self, kappa: float) -> float:
        """Factor by which a method's density becomes the volume that is written.

        A method's density satisfies ``kappa * line integral in pixels = p``. For ``linear`` the volume is in the
        units of the input: its reprojection is the input, less offsets. For ``log`` and ``invert`` it is in units of p
        per pixel.

        Parameters
        ----------
        kappa : float
            Projection units per line integral in pixels (:attr:`~tomokit.geometry.TiltGeometry.kappa`).

        Returns
        -------
        float
        """
        return kappa * self.scale if self.kind == "linear" else kappa

    @property
    def units(self) -> str:
        """Unit of the volume that is written, in words."""
        return "input units per pixel" if self.kind == "linear" else "scaled projection per pixel"

    def to_json(self) -> dict[str, Any]:
        """Represent the linearization as a dictionary for provenance and state.

        Returns
        -------
        dict
            All attributes, and ``volume_units``; JSON-serializable.
        """
        return {**asdict(self), "volume_units": self.units}


def choose_linearization(
    images: Float,
    mask: Float | None = None,
    *,
    kind: str = "auto",
    percentiles: tuple[float, float] | None = None,
    interpretation: Interpretation | None = None,
) -> Linearization:
    """Choose the linearization of a series, its scale taken from the pixels that count.

    Parameters
    ----------
    images : ndarray, shape (n_views, n_y, n_x)
        The images as they were read.
    mask : ndarray or None, shape (n_views, n_y, n_x)
        Pixels of 0 do not count; None if all do.
    kind : {"auto", "log", "linear", "invert"}
        ``auto`` chooses by the data.
    percentiles : tuple of float, optional
        Take these instead of the extremes, such as ``(0.01, 99.99)``; p then exceeds [0, 1] at outliers.
    interpretation : Interpretation, optional
        What the images are, if that has been found out from more of the series than is here; `kind` has no say then.

    Returns
    -------
    Linearization

    Raises
    ------
    InputError
        If no pixel counts, a pixel that counts is not finite, the values do not fit the kind, or it cannot be told.
    OptionError
        If `kind` is unknown or the percentiles are not ``0 <= low < high <= 100``.
    """
    if kind not in ("auto", "log", "linear", "invert"):
        raise OptionError(f"{kind!r} is unknown", field="--linearization", remedy="choose auto, log, linear or invert")
    if percentiles is not None and not 0 <= percentiles[0] < percentiles[1] <= 100:
        raise OptionError(f"{percentiles} is not a range", field="--percentiles", remedy="give such as 0.01,99.99")
    sample, low, high = _sample_and_extremes(images, mask)
    if percentiles is not None:
        low, high = (float(value) for value in np.percentile(sample, percentiles))
    if not high > low:
        raise InputError(f"every pixel that counts is {low:g}", field="images", remedy="check the stack and its mask")
    found = interpret(images, mask, kind=kind) if interpretation is None else interpretation
    low, high = low - found.offset, high - found.offset
    scale = _divisor(found.kind, low, high)
    return Linearization(found.kind, low, high, scale, found.chosen_by, found.reason, found.offset, found.background)


def _divisor(kind: str, low: float, high: float) -> float:
    """The scale of a kind from the extremes of the images, or an error where they do not fit the kind."""
    if kind == "log":
        if high <= 0:
            raise InputError(
                f"the brightest pixel is {high:g}, no intensity", field="images", remedy="give --linearization invert"
            )
        return float(np.log(high / max(low, FLOOR * (high - low))))
    if kind == "linear":
        if high <= 0:
            raise InputError(
                f"the largest line integral is {high:g}", field="images", remedy="give --linearization invert"
            )
        return high
    if low >= 0:
        raise InputError(
            f"the darkest pixel is {low:g}, not below 0", field="images", remedy="give --linearization log"
        )
    return -low


def _sample_and_extremes(images: Float, mask: Float | None) -> tuple[NDArray[np.float32], float, float]:
    """An even sample of the pixels that count, and their exact extremes; one view in memory at a time."""
    stride = max(1, int(np.prod(images.shape)) // SAMPLES)
    samples, low, high = [], np.inf, -np.inf
    for view in range(images.shape[0]):
        pixels = np.asarray(images[view], dtype=np.float32)
        counted = pixels.ravel() if mask is None else pixels[np.asarray(mask[view]) > 0]
        if counted.size == 0:
            continue
        low, high = min(low, float(counted.min())), max(high, float(counted.max()))
        # Another start in every view, so that the sample is not of the same pixels throughout.
        samples.append(counted[view % stride :: stride])
    sample = np.concatenate(samples) if samples else np.zeros(0, dtype=np.float32)
    if sample.size == 0:
        raise InputError("no pixel counts", field="mask", remedy="check the mask: 1 = use, 0 = bead or padding")
    if not np.isfinite([low, high]).all():
        raise InputError("a pixel that counts is not finite", field="images", remedy="mask it or exclude its view")
    return sample, low, high
