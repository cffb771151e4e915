"""Each view predicted from the others by a quick reconstruction: how well a geometry explains the views.

Views are left out in blocks, since a neighbour that is three degrees away predicts a view well in any geometry.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.fft import next_fast_len

from tomokit.diagnosis.small_views import Stack
from tomokit.geometry import TiltGeometry
from tomokit.methods.voxels.ramp import angular_weights, filter_views, ramp, window
from tomokit.projector.voxels import DenseProjector

Floats = NDArray[np.float64]

THICKNESS_SHARE = 0.6
"""Thickness of the quick reconstruction over the width of the views."""
_CUTOFF = 0.7
_FOLDS = 3


@dataclass(frozen=True)
class Prediction:
    """Views predicted from the others.

    Attributes
    ----------
    views : ndarray of float32, shape (n_views, n_y, n_x)
        Predicted views, in a scale of their own.
    correlation : ndarray of float64, shape (n_views,)
        Correlation of each view with its prediction where it is used; 0 where too little is used.
    """

    views: Stack
    correlation: Floats

    @property
    def score(self) -> float:
        """Mean of the correlations."""
        return float(self.correlation.mean())


def reconstruct(views: Stack, tilt_deg: Floats, thickness_px: int) -> NDArray[np.float32]:
    """Reconstruct views by weighted back-projection.

    Parameters
    ----------
    views : ndarray of float32, shape (n_views, n_y, n_x)
        Aligned views of mean 0.
    tilt_deg : ndarray of float64, shape (n_views,)
        Degrees.
    thickness_px : int
        Voxels along z.

    Returns
    -------
    ndarray of float32, shape (n_x, n_z, n_y)
        ``[x, z, y]``.
    """
    projector = _projector(views.shape[1], views.shape[2], tuple(tilt_deg), thickness_px)
    return np.asarray(projector.T(_filtered(views, tilt_deg)), np.float32)


def predict_views(views: Stack, weight: Stack, tilt_deg: Floats, block: int | None = None) -> Prediction:
    """Predict every view from those of other blocks.

    In the order of their angles the views are cut into blocks, every third of which is predicted from the two others.

    Parameters
    ----------
    views, weight : ndarray of float32, shape (n_views, n_y, n_x)
        Aligned views of mean 0, and where they are known.
    tilt_deg : ndarray of float64, shape (n_views,)
        Degrees.
    block : int, optional
        Views of a block; by default a fifth of them, whose middle ones are far from all that they are predicted from.

    Returns
    -------
    Prediction
    """
    n_views, n_y, n_x = views.shape
    thickness = max(8, round(THICKNESS_SHARE * n_x))
    filtered = _filtered(views, tilt_deg)
    place = np.empty(n_views, np.intp)
    place[np.argsort(tilt_deg, kind="stable")] = np.arange(n_views)
    size = max(1, round(n_views / 5)) if block is None else block
    fold = place // size % _FOLDS
    predicted = np.zeros((n_views, n_y, n_x), np.float32)
    for one in np.unique(fold):
        left_out, rest = np.flatnonzero(fold == one), np.flatnonzero(fold != one)
        density = _projector(n_y, n_x, tuple(tilt_deg[rest]), thickness).T(filtered[rest])
        predicted[left_out] = _projector(n_y, n_x, tuple(tilt_deg[left_out]), thickness)(density).transpose(0, 2, 1)
    correlation = [weighted_correlation(*images) for images in zip(views, predicted, weight, strict=True)]
    return Prediction(predicted, np.array(correlation))


def weighted_correlation(first: NDArray[np.floating], second: NDArray[np.floating], weight: Stack) -> float:
    """Pearson's correlation of two images where both are known.

    Parameters
    ----------
    first, second, weight : ndarray, shape (n_y, n_x)

    Returns
    -------
    float
        0 if nothing is known or an image is constant.
    """
    total = float(weight.sum(dtype=np.float64))
    if total < 16:
        return 0.0
    a, b = first.astype(np.float64), second.astype(np.float64)
    a = a - float((a * weight).sum()) / total
    b = b - float((b * weight).sum()) / total
    scale = float(np.sqrt((weight * a * a).sum() * (weight * b * b).sum()))
    return float((weight * a * b).sum()) / scale if scale > 0 else 0.0


def sigmas_better(better: Floats, worse: Floats) -> float:
    """Tell by how many standard errors the views' correlations are better.

    Parameters
    ----------
    better, worse : ndarray of float64, shape (n_views,)

    Returns
    -------
    float
        Mean of the differences over its standard error, as if views were independent.
    """
    difference = better - worse
    error = float(difference.std(ddof=1)) / np.sqrt(difference.size)
    return float(difference.mean()) / max(error, 1e-12)


@lru_cache(maxsize=12)
def _projector(n_y: int, n_x: int, tilt_deg: tuple[float, ...], thickness_px: int) -> DenseProjector:
    """A projector, kept: its tables take longer than small views do."""
    return DenseProjector(TiltGeometry(np.array(tilt_deg), n_u=n_x, n_v=n_y), thickness_px)


def _filtered(views: Stack, tilt_deg: Floats) -> NDArray[np.float32]:
    """Views ``[tilt, u, y]`` under the ramp, each weighted by the angle that it stands for."""
    stack = np.array(views.transpose(0, 2, 1), np.float32, order="C")
    n = next_fast_len(2 * stack.shape[1], real=True)
    tilt = np.deg2rad(tilt_deg)
    filter_views(stack, ramp(n) * window("hann", n, _CUTOFF, 1, 1.0, 1.0), n, 1)
    stack *= angular_weights(tilt)[:, None, None].astype(np.float32)
    return stack
