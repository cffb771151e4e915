"""The share of signal and the noise from two halves, against fields whose signal and noise are known."""

from __future__ import annotations

import numpy as np
import pytest

from tomokit.metrics.local_agreement import chance_level, local_agreement

SHAPE = (32, 40, 36)
RNG = np.random.default_rng(3)


def fields(signal: float, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Two halves of white signal and white noise of these deviations, on a level of 100."""
    common = signal * RNG.standard_normal(SHAPE)
    first, second = (100 + common + noise * RNG.standard_normal(SHAPE) for _ in range(2))
    return first.astype(np.float32), second.astype(np.float32)


@pytest.mark.parametrize(("signal", "noise"), [(2.0, 1.0), (1.0, 1.0), (1.0, 3.0)])
def test_white_fields_give_their_share_and_noise(signal: float, noise: float) -> None:
    found = local_agreement(*fields(signal, noise))
    # The mean of both halves has the signal and noise of half the variance.
    expected = signal**2 / (signal**2 + noise**2 / 2)
    assert float(found.signal.mean()) == pytest.approx(expected, abs=0.03)
    assert float(found.noise.mean()) == pytest.approx(noise / np.sqrt(2), rel=0.02)
    assert found.signal.min() >= 0
    assert found.signal.max() <= 1


def test_a_half_with_itself_is_signal_alone_whatever_its_scale() -> None:
    for scale in (1e-8, 1e8):
        half = (scale * RNG.standard_normal(SHAPE)).astype(np.float32)
        found = local_agreement(half, half)
        np.testing.assert_allclose(found.signal, 1, atol=1e-4)
        assert float(found.noise.max()) < 1e-3 * scale


def test_what_is_constant_or_opposed_has_no_signal() -> None:
    half = RNG.standard_normal(SHAPE).astype(np.float32)
    for other in (np.ones(SHAPE, np.float32), -half):
        assert float(local_agreement(half, other).signal.max()) == 0


def test_it_is_local() -> None:
    first, second = fields(1.0, 0.0)
    second[:, :, 18:] = RNG.standard_normal((32, 40, 18))
    found = local_agreement(first, second, window_px=2.0)
    assert float(found.signal[:, :, :10].min()) > 0.99
    assert float(found.signal[:, :, 26:].mean()) < 0.15


def test_chance_is_what_noise_stays_below_and_signal_exceeds() -> None:
    noise = fields(0.0, 1.0)
    level = chance_level(*noise)
    above = np.mean(local_agreement(*noise).signal > level)
    assert 0.02 < above < 0.09
    assert np.mean(local_agreement(*fields(1.0, 1.0)).signal > level) > 0.99
