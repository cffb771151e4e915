"""The score of views that were not fitted."""

from __future__ import annotations

import numpy as np
import pytest

from tomokit.pipeline.held_out import advise, score_view

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
