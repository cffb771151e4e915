"""How well a density predicts views that it was not fitted to."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.data.json_numbers import finite_or_none
from tomokit.data.masked_fill import fill_from_around
from tomokit.data.transfer_model import TransferModel
from tomokit.geometry import TiltGeometry
from tomokit.methods.interface import Run
from tomokit.metrics.ring_correlation import ring_ceiling, ring_correlation, tapered_spectrum

Stack = NDArray[np.float32]

_BEYOND_NOISE = 0.1
"""How far above the estimated ceiling a ring has to be for the estimate to be wrong beyond doubt."""

_TELLING = 1e-3
"""Smaller differences of correlation are not worth a word."""


@dataclass(frozen=True)
class HeldOut:
    """Views that are scored and not fitted.

    Attributes
    ----------
    views : tuple of int
        Their indices in the original stack.
    projections : ndarray of float32, shape (n_views, n_u, n_y)
        Transformed as the fitted ones.
    mask : ndarray of float32 or None, same shape
        Weights.
    geometry : TiltGeometry
        The geometry of exactly these views.
    transfer : TransferModel or None
        Contrast transfer that predictions of these views are given, where the fitted views have one in their model.
    """

    views: tuple[int, ...]
    projections: Stack
    mask: Stack | None
    geometry: TiltGeometry
    transfer: TransferModel | None = None

    def crop(self, first: int, stop: int) -> HeldOut:
        """Cut the views down to some rows of the detector.

        Parameters
        ----------
        first, stop : int
            First row, and the one after the last.

        Returns
        -------
        HeldOut
        """
        return replace(
            self,
            projections=self.projections[:, :, first:stop],
            mask=None if self.mask is None else self.mask[:, :, first:stop],
            geometry=replace(self.geometry, n_v=stop - first),
        )

    @cached_property
    def spectra(self) -> list[NDArray[np.complex64]]:
        """The transforms of the views, masked pixels filled; made once, as they do not change."""
        return [self._spectrum(i, view).astype(np.complex64) for i, view in enumerate(self.projections)]

    def ceiling(self) -> list[float | None]:
        """Estimate what correlation a perfect prediction would have with these views, noisy as they are.

        Returns
        -------
        list of float or None
            For each ring, averaged over views (see :func:`tomokit.metrics.ring_correlation.ring_ceiling`); None where
            a ring holds no frequency.
        """
        n_y = self.projections.shape[2]
        return _plain(np.mean([ring_ceiling(spectrum, n_y) for spectrum in self.spectra], axis=0))

    def score(self, run: Run) -> dict[str, Any]:
        """Score how well a run predicts these views.

        Parameters
        ----------
        run : Run

        Returns
        -------
        dict
            ``"correlation"`` and ``"residual"``, each the mean over views of what :func:`score_view` gives;
            ``"ring_correlation"``, for each ring of 0.05 cycles a pixel the mean over views of their Fourier ring
            correlation with the prediction, None where a ring holds no frequency or the prediction is not finite; and
            ``"mean_ring_correlation"``, the mean over rings, or None.
        """
        predicted = run.predict(self.geometry)
        if self.transfer is not None:
            self.transfer.apply(predicted, range(len(predicted)))
        scores = [
            score_view(self.projections[i], predicted[i], None if self.mask is None else self.mask[i])
            for i in range(len(self.views))
        ]
        correlation, residual = np.mean(scores, axis=0)
        n_y = self.projections.shape[2]
        by_view = [
            ring_correlation(spectrum, self._spectrum(i, predicted[i]), n_y) for i, spectrum in enumerate(self.spectra)
        ]
        rings = _plain(np.mean(by_view, axis=0))
        return {
            "correlation": float(correlation),
            "residual": float(residual),
            "ring_correlation": rings,
            "mean_ring_correlation": mean_of_rings(rings),
        }

    def _spectrum(self, i: int, image: Stack) -> NDArray[np.complex128]:
        """The transform of view i or of its prediction: masked pixels hold what those around them do in either."""
        if self.mask is not None:
            # Filled from the same image, so that what is masked brings in neither edges nor an agreement of its own.
            image = fill_from_around(image, self.mask[i] > 0)
        return tapered_spectrum(image)


def mean_of_rings(rings: Sequence[float | None]) -> float | None:
    """Average a correlation over the rings that have one.

    Parameters
    ----------
    rings : sequence of float or None

    Returns
    -------
    float or None
        None where no ring has one.
    """
    known = [ring for ring in rings if ring is not None]
    return float(np.mean(known)) if known else None


def ceiling_is_disproved(rings: Sequence[float | None], ceiling: Sequence[float | None]) -> bool:
    """Tell whether a prediction shows that what was taken for noise is detail: no ceiling is better than a wrong one.

    Parameters
    ----------
    rings, ceiling : sequence of float or None
        Of the same rings.

    Returns
    -------
    bool
        Whether a ring lies above its ceiling by more than the estimate may be wrong by.
    """
    return any(
        ring is not None and top is not None and ring > top + _BEYOND_NOISE
        for ring, top in zip(rings, ceiling, strict=True)
    )


def _plain(rings: NDArray[np.float64]) -> list[float | None]:
    """Numbers for JSON, which has no NaN."""
    return [finite_or_none(ring) for ring in rings]


def advise(correlations: Sequence[float], options: Collection[str]) -> str | None:
    """Say what the scores of all epochs advise to try next.

    Parameters
    ----------
    correlations : sequence of float
        Of the held-out views after each epoch.
    options : collection of str
        Names of the method's options: only what it has is advised.

    Returns
    -------
    str or None
        One line, or None where the last epoch is about the best and the scores have levelled off.
    """
    n, last = len(correlations), correlations[-1]
    best = max(range(n), key=lambda epoch: correlations[epoch])
    smoother = [f"more smoothing (--set {name}=)" for name in ("strength", "weight") if name in options][:1]
    if correlations[best] - last > _TELLING and best + 1 < n:
        ways = [f"--set epochs={best + 1}"] * ("epochs" in options) + smoother
        tried = f"; try {' or '.join(ways)}" if ways else ""
        return (
            f"stopped improving after epoch {best + 1} of {n} ({correlations[best]:.4f}, now {last:.4f}): later epochs "
            f"fit noise{tried}"
        )
    # Over the last tenth, as single epochs go up and down.
    earlier = correlations[-1 - max(1, n // 10)] if n > 1 else last
    if "epochs" in options and last - earlier > _TELLING:
        return f"was still improving at the last epoch: try more, such as --set epochs={2 * n}"
    return None


def score_view(data: Stack, predicted: Stack, mask: Stack | None) -> tuple[float, float]:
    """Score one view: weighted Pearson correlation, and variance of the residual over that of the data.

    Both are taken about weighted means, so an additive offset of the view, fitted in closed form, cancels.

    Parameters
    ----------
    data, predicted : ndarray, any one shape
        A view and its prediction.
    mask : ndarray or None, same shape
        Weights.

    Returns
    -------
    correlation, residual : float
        0 and 1 for a prediction that is constant, as nothing is explained.
    """
    # In double precision, and with them every sum below: a view has a million pixels.
    weights = np.ones(data.shape) if mask is None else mask.astype(np.float64)
    total = weights.sum()
    d = data - np.sum(weights * data) / total
    p = predicted - np.sum(weights * predicted) / total
    dd, pp, dp = (float(np.sum(weights * product)) for product in (d * d, p * p, d * p))
    residual = float(np.sum(weights * (d - p) ** 2)) / dd if dd > 0 else 1.0
    return (dp / np.sqrt(dd * pp) if dd > 0 and pp > 0 else 0.0), residual
