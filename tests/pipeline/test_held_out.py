"""The score of views that were not fitted."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from tomokit.geometry import TiltGeometry
from tomokit.pipeline.held_out import HeldOut, advise, score_view

RNG = np.random.default_rng(2)


def test_correlation_is_pearsons_over_the_mask() -> None:
    data, predicted = RNG.normal(size=(2, 9, 11))
    mask = (RNG.random((9, 11)) > 0.3).astype(np.float32)
    correlation, residual = score_view(data, predicted, mask)
    a, b = data[mask > 0], predicted[mask > 0]
    assert correlation == pytest.approx(np.corrcoef(a, b)[0, 1])
    assert residual == pytest.approx(np.var(a - b) / np.var(a))


def test_what_is_masked_has_no_say() -> None:
    data, predicted = RNG.normal(size=(2, 9, 11))
    mask = np.ones((9, 11), dtype=np.float32)
    mask[:3] = 0
    spoilt = predicted.copy()
    spoilt[:3] = 1e6
    assert score_view(data, spoilt, mask) == pytest.approx(score_view(data, predicted, mask))
    assert score_view(data, spoilt, None) != pytest.approx(score_view(data, predicted, None))


def test_an_exposure_of_the_view_cancels() -> None:
    data, predicted = RNG.normal(size=(2, 9, 11))
    assert score_view(data, predicted + 3, None) == pytest.approx(score_view(data, predicted, None))


def test_a_perfect_prediction_and_none() -> None:
    data = RNG.normal(size=(9, 11))
    assert score_view(data, data, None) == pytest.approx((1, 0))
    assert score_view(data, np.zeros_like(data), None) == pytest.approx((0, 1))
    assert score_view(data, -data, None) == pytest.approx((-1, 4))


@pytest.mark.parametrize(
    ("scores", "options", "said"),
    [
        ([0.5, 0.9, 0.97, 0.96, 0.94, 0.93], ("epochs", "strength"),
         "stopped improving after epoch 3 of 6 (0.9700, now 0.9300): later epochs fit noise; "
         "try --set epochs=3 or more smoothing (--set strength=)"),
        ([0.5, 0.9, 0.8], ("epochs",), "stopped improving after epoch 2 of 3 (0.9000, now 0.8000): later epochs fit "
         "noise; try --set epochs=2"),
        ([0.9, 0.8], (), "stopped improving after epoch 1 of 2 (0.9000, now 0.8000): later epochs fit noise"),
        ([0.5, 0.6, 0.7], ("epochs",), "was still improving at the last epoch: try more, such as --set epochs=6"),
        ([0.5, 0.6, 0.7], (), None),
        ([0.5, 0.9, 0.9002, 0.9001], ("epochs",), None),
        ([0.5], ("epochs",), None),
    ],
)  # fmt: skip
def test_scores_advise_fewer_epochs_more_or_nothing(scores: list[float], options: list[str], said: str | None) -> None:
    assert advise(scores, options) == said


class Predicting:
    """A run that predicts what it is given."""

    def __init__(self, images: np.ndarray) -> None:
        self.images = images

    def predict(self, geometry: TiltGeometry) -> np.ndarray:
        return self.images


def views_of(data: np.ndarray, mask: np.ndarray | None) -> HeldOut:
    geometry = TiltGeometry(np.linspace(-20, 20, len(data)), data.shape[1], data.shape[2])
    return HeldOut(tuple(range(len(data))), data, mask, geometry)


def noisy_pair(n: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Two views of coarse detail on a slope, and what predicts them but for noise."""
    rng = np.random.default_rng(5)
    signal = gaussian_filter(rng.standard_normal((2, n, n)), (0, 3, 3)) * 8 + np.linspace(0, 5, n)
    data, predicted = (signal + 0.5 * rng.standard_normal(signal.shape) for _ in range(2))
    return data.astype(np.float32), predicted.astype(np.float32)


def test_a_masked_bead_changes_no_ring_by_more_than_noise() -> None:
    data, predicted = noisy_pair()
    clean = views_of(data, None).score(Predicting(predicted))
    mask = np.ones_like(data)
    u, y = np.ogrid[:200, :200]
    for at_u, at_y in ((40, 50), (100, 120), (150, 60), (170, 170)):
        mask[:, (u - at_u) ** 2 + (y - at_y) ** 2 < 10**2] = 0
    # What the mask hides is the same in both: were it seen, fine rings would correlate.
    beads = 100 * np.random.default_rng(6).standard_normal(data.shape) * (mask == 0)
    found = views_of((data + beads).astype(np.float32), mask).score(Predicting((predicted + beads).astype(np.float32)))
    seen = views_of((data + beads).astype(np.float32), None).score(Predicting((predicted + beads).astype(np.float32)))
    pixels = np.pi * 0.05**2 * np.diff(np.arange(11) ** 2) * 200**2 * 2
    change = np.subtract(found["ring_correlation"], clean["ring_correlation"])
    assert np.all(np.abs(change) < 3 / np.sqrt(pixels) + 0.005)
    assert min(seen["ring_correlation"][3:]) > 0.9
    assert max(found["ring_correlation"][5:]) < 0.1


def test_rings_are_means_over_views_and_their_mean_over_rings() -> None:
    data, predicted = noisy_pair(80)
    both = views_of(data, None).score(Predicting(predicted))
    each = [views_of(data[[i]], None).score(Predicting(predicted[[i]])) for i in (0, 1)]
    expected = np.mean([score["ring_correlation"] for score in each], axis=0)
    np.testing.assert_allclose(both["ring_correlation"], expected, rtol=1e-12)
    assert both["mean_ring_correlation"] == pytest.approx(np.mean(expected))
    ceiling = views_of(data, None).ceiling()
    assert ceiling[0] > 0.95
    assert ceiling[9] < 0.3
    assert views_of(data, None).score(Predicting(data))["mean_ring_correlation"] == pytest.approx(1, abs=1e-6)


def test_rings_of_rows_that_are_cropped_are_those_of_the_rows() -> None:
    data, predicted = noisy_pair(80)
    whole = views_of(data, np.ones_like(data))
    assert len(whole.spectra) == 2
    cropped = whole.crop(20, 60).score(Predicting(predicted[:, :, 20:60]))
    assert cropped == views_of(data[:, :, 20:60], None).score(Predicting(predicted[:, :, 20:60]))


def test_views_of_few_pixels_and_predictions_that_overflow_have_no_rings() -> None:
    data, predicted = noisy_pair(80)
    few = views_of(data[:, :10, :10], None).score(Predicting(predicted[:, :10, :10]))
    assert few["ring_correlation"][0] is None
    assert few["mean_ring_correlation"] is not None
    predicted[0, 3, 3] = np.inf
    with np.errstate(invalid="ignore"):
        spoilt = views_of(data, None).score(Predicting(predicted))
    assert set(spoilt["ring_correlation"]) == {None}
    assert spoilt["mean_ring_correlation"] is None
