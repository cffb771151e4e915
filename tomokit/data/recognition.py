"""Whether dark or bright in the images is dense: decided from the evidence, doubted, or left to the user.

A decision is *clear* if evidence that discriminates agrees, *doubtful* if something speaks against it or could as well
be otherwise, and *undecided* if there is no reason for either. What discriminates is weighed in this order:

1. What the files record of the detector.
2. The trend of the mean with the path through the specimen. It falls in bright field alone. It rises in dark field and
   in line integrals; also in bright field where the exposure was made longer at high tilt, which the trend of the
   relative contrast tells.
3. The skewness, if the background is at 0 as that of line integrals is, or the relative contrast behaves accordingly.
   By itself it does not discriminate: a hole is to a film what a particle is to nothing.

Where views have been normalized to a mean of 0, nothing but the skewness is left, and no decision for bright is clear.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tomokit.data.evidence import Evidence

Confidence = Literal["clear", "doubtful", "undecided"]

# A background whose level is less than this part of the range of the images is at 0.
_AT_ZERO = 0.05
_SKEWED = 0.3
_STRONGLY_SKEWED = 1.0
_SIGNIFICANT = 5.0
_SEVERAL = 3.0


@dataclass(frozen=True)
class Contrast:
    """What is dense in the images of a series, and how sure that is.

    Attributes
    ----------
    dense : {"dark", "bright", "unknown"}
        The end of the grey scale that dense matter is at.
    confidence : {"clear", "doubtful", "undecided"}
        How sure it is.
    intensities : bool
        Whether the images can be intensities: positive, their zero that of the detector.
    reason : str
        The evidence in one line, with its numbers.
    """

    dense: Literal["dark", "bright", "unknown"]
    confidence: Confidence
    intensities: bool
    reason: str

    @property
    def kind(self) -> Literal["log", "linear", "invert"]:
        """The linearization that follows, of dark specimen if it is unknown."""
        if self.dense == "bright":
            return "linear"
        return "log" if self.intensities else "invert"


def recognize(evidence: Evidence, recorded: str = "") -> Contrast:
    """Decide whether dark or bright is dense.

    Parameters
    ----------
    evidence : Evidence
        What the images tell.
    recorded : {"", "bright field", "dark field"}
        What the files record of the detector.

    Returns
    -------
    Contrast
    """
    intensities = evidence.lowest >= 0 or evidence.mean > 1.5 * evidence.deviation
    dense, sure, why = _of_intensities(evidence) if intensities else _of_normalized(evidence)
    if recorded:
        dense, sure, why = _with_record(recorded, dense, sure, why, evidence)
    return Contrast(dense, sure, intensities, f"{why} ({_numbers(evidence)})" if _numbers(evidence) else why)


_Decision = tuple[Literal["dark", "bright", "unknown"], Confidence, str]


def _of_intensities(evidence: Evidence) -> _Decision:
    """The decision where the zero of the images is that of the detector, or a floor below."""
    trend, skewness = brightness_trend(evidence), _skewness(evidence)
    contrast = _contrast_trend(evidence)
    if trend < 0:
        if skewness >= _SKEWED and abs(evidence.level) < _AT_ZERO:
            return "bright", "doubtful", "bright things on a background of 0, but the mean falls with tilt"
        if skewness >= _STRONGLY_SKEWED:
            return "dark", "doubtful", "the mean falls with tilt as in bright field, but bright things stand out"
        return "dark", "clear", "the mean falls with tilt as in bright field"
    if trend > 0:
        falls = contrast is not None and contrast <= -0.2
        if skewness >= _SKEWED:
            # In bright field a hole stands out as one bright patch, and closes as the tilt grows.
            by_a_hole = skewness >= _STRONGLY_SKEWED and not _several(evidence)
            agrees = contrast is not None and contrast < 0.1 and not by_a_hole
            why = "the mean rises with tilt as in dark field, and bright things stand out"
            return "bright", "clear" if agrees else "doubtful", why
        if skewness > -_SKEWED:
            why = "the mean rises with tilt as in dark field, and the relative contrast "
            return "bright", "clear" if falls else "doubtful", why + ("falls" if falls else "does not tell")
        if falls:
            return "bright", "doubtful", "the mean rises with tilt as in dark field, but dark things stand out"
        if contrast is not None and contrast >= 0.05:
            return "dark", "doubtful", "dark things stand out, but the mean rises with tilt: by longer exposures?"
        return "unknown", "undecided", "the mean rises with tilt as in dark field, but dark things stand out"
    if skewness >= _SKEWED:
        if background_is_zero(evidence) and _mean_is_above_background(evidence):
            return "bright", "clear", "bright things on a background of 0"
        if _several(evidence):
            return "bright", "doubtful", "bright things stand out, but the background is not 0"
        return "unknown", "undecided", "one bright patch stands out, which may be a hole or the specimen"
    if skewness <= -_SKEWED:
        if contrast is not None and contrast >= 0.05 and _several(evidence) and not evidence.stretched:
            return "dark", "clear", "dark things on a bright background"
        return "dark", "doubtful", "dark things stand out, but holes in a bright film would too"
    return "unknown", "undecided", "neither dark nor bright stands out, and the mean does not move with tilt"


def _of_normalized(evidence: Evidence) -> _Decision:
    """The decision where nothing is known of the zero of the images."""
    trend, skewness = brightness_trend(evidence), _skewness(evidence)
    if trend < 0:
        return "dark", "clear", "the mean falls with tilt as in bright field"
    if background_is_zero(evidence) and skewness >= _STRONGLY_SKEWED and _mean_is_above_background(evidence):
        return "bright", "clear", "bright things on a background of 0"
    if trend > 0 and skewness < _STRONGLY_SKEWED:
        return "unknown", "undecided", "the mean rises with tilt, as in dark field, or in a part of normalized views"
    if skewness >= _STRONGLY_SKEWED:
        if _several(evidence) or trend > 0:
            return "bright", "doubtful", "bright things stand out, but the views have been normalized"
        return "unknown", "undecided", "one bright patch stands out of normalized views: a hole, or the specimen"
    return "dark", "doubtful", "normalized views, of which most are of a dark specimen"


def _with_record(recorded: str, dense: str, sure: Confidence, why: str, evidence: Evidence) -> _Decision:
    """The decision with what the files say of the detector."""
    says: Literal["dark", "bright"] = "bright" if recorded == "dark field" else "dark"
    if dense == says or sure == "undecided":
        return says, "clear", f"recorded as {recorded}; {why}"
    if sure == "doubtful" and not brightness_trend(evidence):
        return says, "clear", f"recorded as {recorded}; {why}"
    return says, "doubtful", f"recorded as {recorded}, although {why}"


def background_is_zero(evidence: Evidence) -> bool:
    """Tell whether the background is at 0, as that of line integrals is, as far as the noise allows to tell.

    Parameters
    ----------
    evidence : Evidence

    Returns
    -------
    bool
    """
    return abs(evidence.level) < max(_AT_ZERO, 1.5 * evidence.level_error)


def background_is_steady(evidence: Evidence) -> bool:
    """Tell whether the background is a pedestal: the darkest there is, the same in every view, and well known.

    Parameters
    ----------
    evidence : Evidence

    Returns
    -------
    bool
        False for a film, which is brighter where the path through it is longer, and may have holes.
    """
    depth = evidence.level * (1 - evidence.lowest / evidence.background) if evidence.background else 0.0
    return evidence.level_spread < _AT_ZERO and evidence.level_error < 0.1 and depth < 0.2


def brightness_trend(evidence: Evidence) -> int:
    """Tell whether the mean of the views moves with the path through the specimen beyond doubt.

    Parameters
    ----------
    evidence : Evidence

    Returns
    -------
    int
        1 if it rises, -1 if it falls, 0 if neither is certain.
    """
    trend = evidence.brightness
    if trend is None or abs(trend.significance) < 6 or evidence.deviation <= 0 or evidence.stretched:
        return 0
    in_deviations = trend.change / evidence.deviation
    if trend.change < 0:
        # A beam that fades takes a tenth; less may be that.
        return -1 if in_deviations < -0.25 and -trend.change > 0.1 * abs(evidence.mean) else 0
    return 1 if in_deviations > 0.5 and trend.change > 0.03 * abs(evidence.mean) else 0


def _skewness(evidence: Evidence) -> float:
    """The skewness if it is significant, else 0."""
    found = evidence.skewness
    return found.value if found is not None and abs(found.significance) >= _SIGNIFICANT else 0.0


def _several(evidence: Evidence) -> bool:
    return evidence.skewness is not None and evidence.skewness.patches >= _SEVERAL


def _contrast_trend(evidence: Evidence) -> float | None:
    """Relative change of the relative contrast, about its logarithm's; None if it is not known well enough."""
    trend = evidence.contrast
    if trend is None or trend.change == 0:
        return None
    error = abs(trend.change / trend.significance) if trend.significance else float("inf")
    if trend.middle <= 0 or error > 0.3 * trend.middle:
        return None
    return 0.5 * trend.change / trend.middle


def _mean_is_above_background(evidence: Evidence) -> bool:
    """Zero-mean images have a background near 0 as well."""
    return evidence.mean > 0.2 * evidence.deviation


def _numbers(evidence: Evidence) -> str:
    parts = []
    if evidence.brightness is not None and evidence.deviation > 0:
        change = evidence.brightness.change
        relative = f"{change / evidence.mean:+.0%}" if abs(evidence.mean) > 0.2 * evidence.deviation else ""
        parts.append(f"mean {relative or f'{change / evidence.deviation:+.2g} deviations'} with tilt")
    if (contrast := _contrast_trend(evidence)) is not None:
        parts.append(f"contrast {contrast:+.0%}")
    if evidence.skewness is not None:
        parts.append(f"skewness {evidence.skewness.value:+.2f}")
    if abs(evidence.level) < 3:
        parts.append(f"background at {evidence.level:.0%} of the range")
    return ", ".join(parts)
