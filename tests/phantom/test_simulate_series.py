"""Simulated series: noise of the given size, streams apart, provenance complete."""

import json

import numpy as np
import pytest

from tomokit.errors import OptionError
from tomokit.phantom import simulate_series

SHAPE, TILTS = (24, 48, 64), np.arange(-60, 61, 10.0)


def test_series_and_truth_match_and_tell_how_they_were_made():
    series, truth = simulate_series(SHAPE, TILTS, noise=0.1, seed=3, pixel_size_angstrom=7.5)
    assert series.images.shape == (13, 48, 64)
    assert series.images.dtype == np.float32
    assert truth.density.shape == SHAPE
    assert series.pixel_size_angstrom == truth.voxel_size_angstrom == 7.5
    np.testing.assert_array_equal(series.geometry.tilt_deg, TILTS)
    record = json.loads(json.dumps(series.provenance))["simulation"]
    assert record["seed"] == 3
    assert record["noise"] == 0.1
    assert record["tomokit"]
    clean, _ = simulate_series(SHAPE, TILTS, seed=3)
    assert record["scale"] == clean.images.max()


def test_noise_has_the_given_deviation_relative_to_the_maximum():
    clean, _ = simulate_series(SHAPE, TILTS, noise=0, seed=4)
    noisy, _ = simulate_series(SHAPE, TILTS, noise=0.2, seed=4)
    residual = (noisy.images - clean.images) / clean.images.max()
    assert residual.std() == pytest.approx(0.2, rel=0.02)
    assert abs(residual.mean()) < 5 * 0.2 / np.sqrt(residual.size)
    # White: neighbours and views know nothing of each other.
    assert abs(np.corrcoef(residual[:, :, 1:].ravel(), residual[:, :, :-1].ravel())[0, 1]) < 0.03
    assert abs(np.corrcoef(residual[1].ravel(), residual[0].ravel())[0, 1]) < 0.1


def test_noise_leaves_the_specimen_as_it_is_and_scales():
    _, truth = simulate_series(SHAPE, TILTS, noise=0.0, seed=5)
    clean, _ = simulate_series(SHAPE, TILTS, noise=0.0, seed=5)
    low, truth_low = simulate_series(SHAPE, TILTS, noise=0.05, seed=5)
    high, _ = simulate_series(SHAPE, TILTS, noise=0.5, seed=5)
    np.testing.assert_array_equal(truth.density, truth_low.density)
    np.testing.assert_allclose(10 * (low.images - clean.images), high.images - clean.images, atol=1e-3)


def test_another_seed_gives_another_specimen_and_other_noise():
    first, truth_first = simulate_series(SHAPE, TILTS, noise=0.1, seed=0)
    again, _ = simulate_series(SHAPE, TILTS, noise=0.1, seed=0)
    second, truth_second = simulate_series(SHAPE, TILTS, noise=0.1, seed=1)
    np.testing.assert_array_equal(first.images, again.images)
    assert not np.array_equal(truth_first.density, truth_second.density)
    assert not np.array_equal(first.images, second.images)


@pytest.mark.parametrize("noise", [-0.1, np.nan, np.inf])
def test_impossible_noise_is_refused(noise):
    with pytest.raises(OptionError, match="--noise"):
        simulate_series(SHAPE, TILTS, noise=noise)


def test_negative_seed_is_refused():
    with pytest.raises(OptionError, match="--seed"):
        simulate_series(SHAPE, TILTS, seed=-1)
