"""Fourier shell correlation against what is known of it beforehand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.fft

from tomokit.errors import InputError, OptionError
from tomokit.metrics.fourier_shells import shell_correlation
from tomokit.metrics.phase_randomization import randomize_phases, true_correlation
from tomokit.metrics.resolution import effective_voxels, find_crossing, half_bit_curve
from tomokit.metrics.soft_masks import auto_mask, box_mask, soften, sphere_mask

SHAPE = (24, 48, 40)


def frequencies(shape=SHAPE):
    z, y, x = np.fft.fftfreq(shape[0]), np.fft.fftfreq(shape[1]), np.fft.rfftfreq(shape[2])
    return z[:, None, None], y[:, None], x


def noise(seed, shape=SHAPE):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def filtered(values, gain):
    return scipy.fft.irfftn(scipy.fft.rfftn(values) * gain, values.shape).astype(np.float32)


def correlate(a, b, tilt_range=None):
    return shell_correlation(scipy.fft.rfftn(a), scipy.fft.rfftn(b), a.shape, tilt_range)


def test_a_volume_with_itself_is_1_and_with_its_negative_minus_1():
    volume = noise(0)
    np.testing.assert_allclose(correlate(volume, volume).correlation, 1, rtol=1e-12)
    np.testing.assert_allclose(correlate(volume, -3 * volume).correlation, -1, rtol=1e-6)


@pytest.mark.parametrize("shape", [SHAPE, (9, 15, 11), (8, 8, 13)])
def test_it_is_its_formula_over_the_whole_spectrum(shape):
    a, b = noise(1, shape), noise(2, shape) + 0.5 * noise(1, shape)
    f, g = np.fft.fftn(a.astype(np.float64)), np.fft.fftn(b.astype(np.float64))
    z, y, x = (np.fft.fftfreq(n) for n in shape)
    shell = np.floor(np.sqrt(z[:, None, None] ** 2 + y[:, None] ** 2 + x**2) * max(shape) + 0.5).astype(int)
    found = correlate(a, b)
    assert found.frequency[-1] == max(shape) // 2 / max(shape)
    for k, (correlation, voxels) in enumerate(zip(found.correlation, found.voxels, strict=True), 1):
        at = shell == k
        expected = np.sum(f[at] * np.conj(g[at])).real / math.sqrt(np.sum(abs(f[at]) ** 2) * np.sum(abs(g[at]) ** 2))
        assert (correlation, voxels) == (pytest.approx(expected, abs=1e-6), at.sum())


def test_two_noisy_copies_are_signal_over_signal_and_noise():
    """Gaussian fields of known spectra: each shell within five standard errors of SNR / (1 + SNR)."""
    shape = (40, 64, 64)
    z, y, x = frequencies(shape)
    radius = np.sqrt(z**2 + y**2 + x**2)
    signal = filtered(noise(3, shape), 2 * np.exp(-((radius / 0.2) ** 2)))
    found = correlate(signal + noise(4, shape), signal + noise(5, shape))
    snr = 4 * np.exp(-2 * (found.frequency / 0.2) ** 2)
    expected = snr / (1 + snr)
    # The steepness of the signal within a shell adds to the spread.
    error = 5 * (1 - expected**2) / np.sqrt(found.voxels) + 0.01
    assert np.all(np.abs(found.correlation - expected) < error)
    assert expected[0] > 0.79
    assert expected[-1] < 0.01


def test_independent_noise_is_0_within_its_confidence():
    found = correlate(noise(6), noise(7))
    deviations = found.correlation * np.sqrt(found.voxels)
    assert np.all(np.abs(deviations[2:]) < 4)
    assert 0.5 < np.std(deviations[2:]) < 1.6


def test_the_range_of_tilts_leaves_the_wedge_out():
    """A wedge that holds other noise in both volumes has no say, and the range the wrong way about does."""
    z, _, x = frequencies()
    angle = np.degrees(np.arctan2(-z, x))
    measured = ((angle > -50) & (angle < 30)) | ((z == 0) & (x == 0))
    common = filtered(noise(8), measured)
    halves = [common + filtered(noise(seed), ~measured) for seed in (9, 10)]
    inside = correlate(*halves, (-49.9, 29.9))
    np.testing.assert_allclose(inside.correlation, 1, atol=1e-4)
    assert correlate(*halves).correlation[5:].max() < 0.75
    assert correlate(*halves, (-29.9, 49.9)).correlation[5:].max() < 0.95
    whole, all_tilts = correlate(*halves), correlate(*halves, (-90, 90))
    np.testing.assert_array_equal(whole.voxels, all_tilts.voxels)
    # Of 180 degrees about y 79.8 are measured.
    assert inside.voxels.sum() / whole.voxels.sum() == pytest.approx(79.8 / 180, abs=0.03)


@pytest.mark.parametrize("tilts", [(60, -60), (0, 0), (-91, 60), (-60, math.nan)])
def test_no_range_of_tilts(tilts):
    with pytest.raises(OptionError, match="no range of tilt angles"):
        correlate(noise(0), noise(0), tilts)


def test_the_half_bit_curve_is_the_published_one():
    n = np.array([1.0, 4, 25, 100, 1e4, 1e12])
    root = np.sqrt(n)
    np.testing.assert_allclose(half_bit_curve(n), (0.2071 + 1.9102 / root) / (1.2071 + 0.9102 / root), rtol=2e-4)
    assert half_bit_curve(np.array([0.1, 1e12])) == pytest.approx([1, 0.1716], abs=1e-4)


def test_effective_voxels_are_those_that_vary_independently():
    voxels = np.array([100, 1000])
    np.testing.assert_allclose(effective_voxels(voxels, None), [100, 1000])
    half = np.zeros((4, 4, 4), np.float32)
    half[:2] = 1
    np.testing.assert_allclose(effective_voxels(voxels, half), np.array([100, 1000]) / 2 ** (2 / 3))


@pytest.mark.parametrize("mask", [sphere_mask((32, 32, 32), 6), box_mask((32, 32, 32), 4), box_mask((16, 32, 40), 4)])
def test_their_number_is_one_over_the_variance_under_a_mask(mask):
    found = [correlate(noise(s, mask.shape) * mask, noise(s + 99, mask.shape) * mask) for s in range(6)]
    deviations = [f.correlation[4:] * np.sqrt(effective_voxels(f.voxels, mask)[4:]) for f in found]
    assert np.std(deviations) == pytest.approx(1, abs=0.2)


def test_crossings():
    frequency = np.array([0.1, 0.2, 0.3, 0.4])
    falling = np.array([0.9, 0.6, 0.2, 0.3])
    crossed = find_crossing(frequency, falling, 0.5)
    assert (crossed.frequency, crossed.found) == (pytest.approx(0.225), "crossed")
    assert find_crossing(frequency, falling, 0.1).found == "above to the end"
    assert find_crossing(frequency, falling, np.full(4, 0.95)).found == "never above"
    late = find_crossing(frequency, np.array([0.1, math.nan, 0.9, 0.1]), 0.5)
    assert late.frequency == pytest.approx(0.35)


def test_random_phases_recover_the_true_correlation_under_a_tight_mask():
    """Noise that both halves share up to 0.15 cycles a voxel, and a mask so tight that it alone correlates."""
    shape = (48, 48, 48)
    z, y, x = frequencies(shape)
    radius = np.sqrt(z**2 + y**2 + x**2)
    # A level that the mask imprints on every shell, beside a signal up to 0.15.
    signal = filtered(noise(11, shape), 3.0 * (radius < 0.15)) + np.float32(12)
    halves = [signal + noise(seed, shape) for seed in (12, 13)]
    mask = np.zeros(shape, np.float32)
    mask[12:36, 10:34, 14:40] = 1
    spectra = [scipy.fft.rfftn(half) for half in halves]
    masked = shell_correlation(*(scipy.fft.rfftn(half * mask) for half in halves), shape)
    beyond = 0.17
    randomized = shell_correlation(
        *(
            scipy.fft.rfftn(scipy.fft.irfftn(randomize_phases(spectrum, shape, beyond, seed), shape) * mask)
            for seed, spectrum in enumerate(spectra)
        ),
        shape,
    )
    true = true_correlation(masked.frequency, masked.correlation, randomized.correlation, beyond)
    far = masked.frequency > 0.22
    assert masked.correlation[far].mean() > 0.3
    assert abs(true[far].mean()) < 0.1
    near = masked.frequency < beyond
    np.testing.assert_array_equal(true[near], masked.correlation[near])


def test_random_phases_keep_amplitudes_and_what_lies_before_them():
    volume = noise(14)
    spectrum = scipy.fft.rfftn(volume)
    random = randomize_phases(spectrum, SHAPE, 0.2, 1)
    again = scipy.fft.rfftn(scipy.fft.irfftn(random, SHAPE))
    np.testing.assert_allclose(abs(again), abs(spectrum), rtol=1e-3, atol=0.05)
    found = shell_correlation(spectrum, random, SHAPE)
    np.testing.assert_allclose(found.correlation[found.frequency < 0.18], 1, rtol=1e-6)
    assert np.abs(found.correlation[found.frequency > 0.24]).max() < 0.15


def test_masks_fall_softly_and_lie_within():
    for mask in (box_mask(SHAPE, 5), sphere_mask(SHAPE, 5)):
        assert mask.shape == SHAPE
        assert mask.dtype == np.float32
        assert mask.max() == 1
        assert mask.min() >= 0
        assert np.abs(np.diff(mask, axis=2)).max() < 0.4
        np.testing.assert_allclose(mask, mask[::-1, ::-1, ::-1], atol=1e-6)
    core = np.zeros(SHAPE, bool)
    core[10:14, 20:30, 15:25] = True
    soft = soften(core, 4)
    assert (soft[core] == 1).all()
    assert soft[12, 25, 24 + 2] == pytest.approx(0.5)
    assert soft[12, 25, 24 + 4] == pytest.approx(0, abs=1e-7)
    np.testing.assert_array_equal(soften(core, 0), core)
    with pytest.raises(InputError, match="no voxel"):
        soften(np.zeros(SHAPE, bool), 4)


def test_the_auto_mask_finds_where_structure_is():
    volume = 0.1 * noise(15)
    volume[8:16, 14:34, 10:30] += 3 * noise(16)[8:16, 14:34, 10:30]
    mask = auto_mask(volume, 2)
    assert mask[9:15, 15:33, 11:29].min() > 0.9
    assert mask.mean() < 0.4
    with pytest.raises(InputError, match="constant"):
        auto_mask(np.ones(SHAPE, np.float32), 2)
