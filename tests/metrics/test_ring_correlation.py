"""Fourier ring correlation by known filters and noise, and the ceiling that noise sets."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.fft

from tomokit.metrics.ring_correlation import N_RINGS, RING_WIDTH, ring_ceiling, ring_correlation, tapered_spectrum

SHAPE = (140, 150)
RADIUS = np.hypot(np.fft.fftfreq(SHAPE[0])[:, None], np.fft.rfftfreq(SHAPE[1]))


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(SHAPE)


def filtered(image: np.ndarray, gain: np.ndarray) -> np.ndarray:
    return scipy.fft.irfft2(scipy.fft.rfft2(image) * gain, image.shape)


def correlate(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return ring_correlation(tapered_spectrum(first), tapered_spectrum(second), first.shape[1])


def test_a_filter_that_differs_by_ring_changes_no_ring_and_a_sign_does() -> None:
    """Every ring has a weight of its own, about which a correlation within rings does not care."""
    ring = (RADIUS / RING_WIDTH).astype(int)
    np.testing.assert_allclose(correlate(noise(0), 7 + filtered(noise(0), 1.0 + ring % 3)), 1, atol=0.08)
    # Rings from 0.3 on reversed: but for the one on the border all others are as they were.
    turned = correlate(noise(0), filtered(noise(0), np.where(RADIUS < 0.3, 1, -1)))
    np.testing.assert_allclose(turned[:5], 1, atol=0.02)
    np.testing.assert_allclose(turned[7:], -1, atol=0.02)


def test_noise_lowers_each_ring_by_its_share_and_the_ceiling_says_so() -> None:
    gain = 3 * np.exp(-((RADIUS / 0.12) ** 2))
    signal = filtered(noise(1), gain)
    noisy = signal + noise(2)
    found, ceiling = correlate(noisy, signal), ring_ceiling(tapered_spectrum(noisy), SHAPE[1])
    for ring in range(7):
        inside = np.floor(RADIUS / RING_WIDTH).astype(int) == ring
        power = float(np.mean(gain[inside] ** 2))
        assert found[ring] == pytest.approx(np.sqrt(power / (1 + power)), abs=0.05)
        assert ceiling[ring] ** 2 == pytest.approx(power / (1 + power), abs=0.07)
    assert ceiling[8:].max() < 0.3


def test_independent_noise_is_0_within_its_confidence() -> None:
    found = np.array([correlate(noise(seed), noise(seed + 50)) for seed in range(8)])
    count = np.bincount((RADIUS[RADIUS < 0.5] / RING_WIDTH).astype(int), minlength=N_RINGS)
    assert np.all(np.abs(found.mean(axis=0)) < 4 / np.sqrt(8 * count))


def test_the_edges_of_the_images_do_not_correlate() -> None:
    """Slopes from one edge to the other would meet as a step, the same in both."""
    slope = 30 * np.linspace(-1, 1, SHAPE[0])[:, None] + np.zeros(SHAPE)
    found = correlate(noise(3) + slope, noise(4) + slope)
    assert found[0] > 0.9
    assert np.abs(found[3:]).max() < 0.08


def test_what_is_nothing_and_what_is_not_finite() -> None:
    assert (correlate(noise(0), np.ones(SHAPE)) == 0).all()
    spoilt = noise(0)
    spoilt[3, 4] = np.inf
    assert np.isnan(correlate(noise(0), spoilt)).all()
    small = correlate(noise(0)[:6, :6], noise(0)[:6, :6])
    assert np.isnan(small[0])
    np.testing.assert_allclose(small[[3, 4]], 1)
    assert np.isnan(ring_ceiling(tapered_spectrum(np.ones((1, 1))), 1)).all()
