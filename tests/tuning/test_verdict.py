"""Judgement of settings: epochs, the best one, and its gain against the spread over folds."""

from __future__ import annotations

import numpy as np
import pytest

from tomokit.tuning.trials import Fit
from tomokit.tuning.verdict import Gain, as_given, best_epoch, best_of, judge, mean_curve


def fits(*curves: list[float], **values: float) -> list[Fit]:
    return [Fit(values, fold, rings, [ring + 0.1 for ring in rings], 1.5) for fold, rings in enumerate(curves)]


def test_a_setting_is_the_mean_over_folds_at_its_epoch() -> None:
    pair = fits([0.1, 0.5, 0.3], [0.3, 0.4, 0.2], strength=2.0)
    assert mean_curve(pair) == pytest.approx([0.2, 0.45, 0.25])
    whole, cut = judge(pair), judge(pair, best_epoch(mean_curve(pair)))
    assert (whole.score, whole.epochs, whole.is_cut) == (pytest.approx(0.25), 3, False)
    assert (cut.score, cut.epochs, cut.is_cut, cut.by_fold) == (pytest.approx(0.45), 2, True, [0.5, 0.4])
    assert (cut.correlation, cut.seconds) == (pytest.approx(0.55), 3.0)
    assert as_given(cut).values == {"strength": 2.0, "epochs": 2}
    assert as_given(whole) is whole


def test_epochs_are_not_cut_for_nothing() -> None:
    assert best_epoch(np.array([0.1, 0.3004, 0.3])) == 3
    assert best_epoch(np.array([0.1, 0.302, 0.3])) == 2


def test_the_best_is_never_worse_than_what_was_given() -> None:
    given, better, failed = judge(fits([0.3])), judge(fits([0.4], a=1)), judge([Fit({"a": 2}, 0, [], [], 0.0, "bad")])
    assert best_of([given, failed, better]) is better
    assert best_of([given, failed, judge(fits([0.3004], a=3)), judge(fits([0.1], a=4))]) is given
    assert failed.score is None
    assert failed.to_json()["failure"] == "bad"


def test_a_gain_is_compared_with_its_spread_over_folds() -> None:
    given = judge(fits([0.30], [0.40], [0.35]))
    sure = Gain.of(given, judge(fits([0.32], [0.43], [0.36], a=1)))
    assert (sure.before, sure.after, sure.mean) == pytest.approx((0.35, 0.37, 0.02))
    assert sure.spread == pytest.approx(0.01)
    assert sure.is_beyond_spread
    assert "more than its spread 0.0100" in sure.text()
    unsure = Gain.of(given, judge(fits([0.36], [0.39], [0.36], a=1)))
    assert unsure.mean == pytest.approx(0.02)
    assert unsure.is_beyond_spread is False
    assert "may explain" in unsure.text()
    single = Gain.of(judge(fits([0.3])), judge(fits([0.4], a=1)))
    assert (single.spread, single.is_beyond_spread) == (None, None)
