"""Weights of views from noise and tilt."""

import numpy as np
import pytest

from tomokit.data.view_weights import MOST, view_weights

TILT = np.array([-60.0, 0.0, 60.0])


def test_noise_counts_by_the_inverse_of_its_variance() -> None:
    noise = np.random.default_rng(0).normal(size=(3, 128, 128)) * np.array([2.0, 1.0, 2.0])[:, None, None]
    weights = view_weights("noise", noise, None, TILT)
    assert weights.mean() == pytest.approx(1)
    np.testing.assert_allclose(weights / weights[1], [0.25, 1, 0.25], rtol=0.1)


def test_tilt_counts_by_its_cosine() -> None:
    np.testing.assert_allclose(view_weights("tilt", np.zeros((3, 8, 8)), None, TILT), [0.75, 1.5, 0.75])


def test_no_view_drowns_the_others_and_one_without_noise_is_typical() -> None:
    noise = np.random.default_rng(0).normal(size=(3, 128, 128)) * np.array([1.0, 1.0, 1e-4])[:, None, None]
    weights = view_weights("noise", noise, None, TILT)
    assert weights[2] / np.median(weights) == pytest.approx(MOST)
    noise[2] = 0
    assert view_weights("noise", noise, None, TILT)[2] == pytest.approx(1, rel=0.1)
    assert (view_weights("noise", np.zeros((3, 9, 9)), None, TILT) == 1).all()


def test_masked_pixels_have_no_say_in_the_noise() -> None:
    noise = np.random.default_rng(0).normal(size=(3, 128, 128))
    mask = np.ones(noise.shape, np.float32)
    mask[0, 20:90] = 0
    noise[0, 20:90] *= 100
    np.testing.assert_allclose(view_weights("noise", noise, mask, TILT), 1, rtol=0.1)
