"""The search: first what is given, never more than the budget, the same each time, and near the best at its end."""

from __future__ import annotations

import math

import pytest

from tomokit.tuning.parameters import Parameter, Values
from tomokit.tuning.search import search

STRENGTH, START = Parameter("strength", 0.175, 2.8, True), Parameter("start", 0.0625, 1, True)


def tried(parameters: list[Parameter], most: int, best: Values) -> list[tuple[Values, float | None]]:
    """All that a search tries of a smooth score with a maximum; the settings as given lie at its foot."""
    calls: list[tuple[Values, float | None]] = []

    def score(values: Values) -> float | None:
        distances = [math.log(values.get(name, 2.8) / value) for name, value in best.items()]
        calls.append((values, 0.5 - 0.05 * sum(one * one for one in distances)))
        return calls[-1][1]

    search(parameters, score, lambda: len(calls) >= most)
    return calls


@pytest.mark.parametrize("best", [0.3, 0.7, 1.9])
def test_a_dozen_settings_find_the_best_of_one_option(best: float) -> None:
    calls = tried([STRENGTH], 12, {"strength": best})
    assert len(calls) == 12
    assert calls[0][0] == {}
    values, _ = max(calls, key=lambda call: call[1] or 0)
    assert values["strength"] == pytest.approx(best, rel=0.1)


def test_twenty_find_the_best_of_two() -> None:
    best = {"strength": 0.35, "start": 0.2}
    calls = tried([STRENGTH, START], 20, best)
    assert max(score or 0 for _, score in calls) > 0.495
    assert calls == tried([STRENGTH, START], 20, best)
    assert calls[:7] == tried([STRENGTH, START], 7, best)


def test_no_setting_is_tried_twice_and_whole_numbers_come_to_an_end() -> None:
    calls = tried([Parameter("n", 3, 6, False, True)], 100, {"n": 4})
    assert sorted(values["n"] for values, _ in calls[1:]) == [3, 4, 5, 6]


def test_nothing_to_vary_and_no_budget() -> None:
    assert [values for values, _ in tried([], 9, {"strength": 1})] == [{}]
    assert [values for values, _ in tried([STRENGTH], 1, {"strength": 1})] == [{}]


def test_a_setting_that_fails_is_worse_than_any() -> None:
    calls: list[float] = []

    def score(values: Values) -> float | None:
        calls.append(values.get("strength", 0.7))
        return None if calls[-1] > 1 else -0.9

    search([STRENGTH], score, lambda: len(calls) >= 9)
    assert sum(one > 1 for one in calls) <= 4
