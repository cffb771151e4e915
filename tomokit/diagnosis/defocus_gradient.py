"""The hand by the defocus gradient: on which side of the tilt axis a tilted specimen is further from focus.

The defocus of column u, in pixels from the axis, is ``D + u tan(theta)`` in pixels, as in
:mod:`tomokit.data.phase_flipping`. The rings of the contrast transfer function keep their place on a scale of
``D k^2``: where D is larger by a fraction, log power changes by half that fraction times its slope against log k. The
change of log power with ``u tan(theta)``, over all tiles of all views, is compared with that slope at each frequency;
the sign of their ratio is the hand. What a tile shows in all views, and a view in all tiles, is taken out first.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tomokit.diagnosis.finding import Finding, Judgement, certainty_of
from tomokit.diagnosis.geometry import Geometry
from tomokit.geometry import centre

Floats = NDArray[np.float64]
Stack = NDArray[np.float32]

BAND = (0.10, 0.45)
"""Cycles per pixel between which rings are looked for."""
LEAST_CORRELATION = 0.6
LEAST_SIGMAS = 6.0
TILE_PX = 128
_LEAST_TILES = 4
_ROUNDS = 20


def judge_hand(images: Stack, mask: Stack | None, geometry: Geometry) -> Judgement:
    """Judge the sign of all angles by the defocus gradient across the tilt axis.

    Parameters
    ----------
    images : ndarray of float32, shape (n_views, n_y, n_x)
        Raw views, not binned; may be memory-mapped.
    mask : ndarray of float32, shape (n_views, n_y, n_x), optional
        Tiles of which pixels are 0 do not count.
    geometry : Geometry
        As given, its other faults mended.

    Returns
    -------
    Judgement
        Its finding has the geometry with all angles negated.
    """
    undecided = "the sign of all angles, and with it the hand, is not decidable from these images"
    if min(images.shape[1:]) < TILE_PX * _LEAST_TILES / 2 or np.ptp(geometry.tilt_deg) < 20:
        return Judgement("hand", False, f"{undecided}: too small, or too little tilt")
    log_power, place, known = _tiles(images, mask, geometry)
    if known.sum() < 50:
        return Judgement("hand", False, f"{undecided}: too few tiles")
    slope, sigmas, correlation = gradient(log_power, place, known)
    figures = {"correlation": correlation, "standard_errors": sigmas, "gradient_per_px": slope}
    evidence = (
        f"power across the tilt axis changes with the tilt as the rings of the defocus do with a correlation of "
        f"{correlation:.2f}, {abs(sigmas):.1f} standard errors from none"
    )
    if abs(correlation) < LEAST_CORRELATION or abs(sigmas) < LEAST_SIGMAS:
        return Judgement("hand", False, f"{undecided}: {evidence}", (), figures)
    if correlation > 0:
        return Judgement("hand", True, f"the sign of the angles is right: {evidence}", (), figures)
    finding = Finding(
        "the angles have the wrong sign, or the images are mirrored: the tomogram has the wrong hand",
        evidence,
        certainty_of(abs(sigmas)),
        "negate all angles, which is the same as a tilt axis turned by 180 degrees",
        geometry.with_angles(-geometry.tilt_deg),
    )
    return Judgement("hand", True, finding.what, (finding,), figures)


def gradient(log_power: Floats, place: Floats, known: NDArray[np.bool_]) -> tuple[float, float, float]:
    """Fit the change of log power with place by what a change of defocus makes of it.

    Parameters
    ----------
    log_power : ndarray of float64, shape (n_views, n_tiles, n_k)
        By frequency, evenly spaced from 0 to half a cycle per pixel.
    place : ndarray of float64, shape (n_views, n_tiles)
        ``u tan(theta)`` in pixels.
    known : ndarray of bool, shape (n_views, n_tiles)
        Tiles that count.

    Returns
    -------
    slope : float
        Relative change of defocus per pixel.
    sigmas : float
        It over its standard error, from leaving out one view after the other.
    correlation : float
        Of the change with what a change of defocus would make, over the frequencies.
    """
    n_views, _, n_k = log_power.shape
    k = (np.arange(n_k) + 0.5) / (2 * n_k)
    mean = log_power[known].mean(axis=0)
    of_defocus = np.gradient(mean, np.log(k)) / 2
    place = _without_means(place[:, :, None], known)[:, :, 0]
    residual = _without_means(log_power, known)
    by_view, weight = (place[:, :, None] * residual).sum(axis=1), (place**2).sum(axis=1)
    band = (k > BAND[0]) & (k < BAND[1])
    log_k = np.log(k[band])
    smooth = np.stack([np.ones(log_k.size), log_k, log_k**2], axis=1)
    # Thickness and dose change the spectrum as a whole; rings are what no parabola is.
    rings_of = np.eye(log_k.size) - smooth @ np.linalg.pinv(smooth)
    rings = rings_of @ of_defocus[band]
    norm = float(rings @ rings)
    if norm == 0 or weight.sum() == 0:
        return 0.0, 0.0, 0.0
    change = rings_of @ (by_view.sum(axis=0) / weight.sum())[band]
    slope = float(rings @ change) / norm
    parts = by_view[:, band] @ rings_of.T @ rings / norm
    without = (parts.sum() - parts) / np.maximum(weight.sum() - weight, 1e-12)
    error = float(np.sqrt((n_views - 1) / n_views * np.sum((without - without.mean()) ** 2)))
    scale = float(np.sqrt(norm * (change @ change)))
    return slope, slope / max(error, 1e-12), float(rings @ change) / scale if scale > 0 else 0.0


def _tiles(images: Stack, mask: Stack | None, geometry: Geometry) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Log power of columns of tiles by frequency, their ``u tan(theta)``, and which count."""
    n_views, n_y, n_x = images.shape
    half = TILE_PX // 2
    rows, columns = (np.arange(0, n - TILE_PX + 1, half) for n in (n_y, n_x))
    # Tiles of equal distance from the axis belong together: columns where the axis is nearer to vertical, else rows.
    turned = np.abs(geometry.transform[0, 1]) > np.abs(geometry.transform[0, 0])
    along, across = (columns, rows) if turned else (rows, columns)
    n = n_x if not turned else n_y
    edge = np.hanning(TILE_PX + 2)[1:-1]
    taper = edge[:, None] * edge[None, :]
    frequency = np.hypot(np.fft.fftfreq(TILE_PX)[:, None], np.fft.rfftfreq(TILE_PX)[None, :])
    shell = np.floor(frequency * TILE_PX).astype(np.intp).ravel()
    inside = shell < half
    counts = np.bincount(shell[inside], minlength=half)
    log_power = np.zeros((n_views, across.size, half))
    place = np.zeros((n_views, across.size))
    known = np.zeros((n_views, across.size), bool)
    tangent = np.tan(np.deg2rad(geometry.tilt_deg))
    for view in range(n_views):
        image = np.asarray(images[view], np.float64)
        mean = float(image.mean())
        row = geometry.transform[view]
        # The aligned u of a point on the middle line of the raw image.
        factor = row[1] if turned else row[0]
        for index, first in enumerate(across):
            u = factor * (first + half - 0.5 - centre(n)) + row[4]
            place[view, index] = u * tangent[view]
            tiles = []
            for other in along:
                top, left = (first, other) if turned else (other, first)
                window = (slice(top, top + TILE_PX), slice(left, left + TILE_PX))
                if mask is not None and mask[view][window].mean() < 0.9:
                    continue
                tiles.append((image[window] - image[window].mean()) / (mean if mean > 0 else 1.0) * taper)
            if not tiles:
                continue
            power = np.mean(np.abs(np.fft.rfft2(np.stack(tiles))) ** 2, axis=0).ravel()
            shells = np.bincount(shell[inside], power[inside], minlength=half) / counts
            if (shells > 0).all():
                log_power[view, index], known[view, index] = np.log(shells), True
    return log_power, place, known


def _without_means(values: Floats, known: NDArray[np.bool_]) -> Floats:
    """Values without the mean of each view over its tiles and of each tile over the views; 0 where not known."""
    weight = known[:, :, None].astype(np.float64)
    values = values * weight
    for _ in range(_ROUNDS):
        for axis in (1, 0):
            mean = values.sum(axis=axis, keepdims=True) / np.maximum(weight.sum(axis=axis, keepdims=True), 1)
            values = (values - mean) * weight
    return np.asarray(values)
