"""The search: the settings as given first, then DIRECT over the ranges, until the budget is spent."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from tomokit.tuning.parameters import Parameter, Values

_REPEATS = 60
"""So many points in a row that round to settings which are known: there is nothing left to be found."""


class _Spent(Exception):
    """The budget is."""


def search(
    parameters: Sequence[Parameter], score: Callable[[Values], float | None], is_spent: Callable[[], bool]
) -> None:
    """Try settings until the budget is spent; which come next depends on the scores alone, so that a search repeats.

    DIRECT in its locally biased form (Gablonsky and Kelley, J. Global Optim. 21, 27, 2001), SciPy's: it divides the box
    of the ranges into ever smaller ones about the points that were tried, the middle first, and needs neither
    gradients nor random numbers.

    Parameters
    ----------
    parameters : sequence of Parameter
        What is varied; for none only the settings as given are tried.
    score : callable
        Tries values by name, the empty ones being the settings as given, and tells their score, None if it failed. It
        is asked once for each setting.
    is_spent : callable
        Asked before each setting but the first.
    """
    from scipy.optimize import direct

    known: dict[tuple[tuple[str, float], ...], float] = {}
    repeats = 0

    def cost(places: NDArray[np.float64]) -> float:
        nonlocal repeats
        values = {one.name: one.value(float(place)) for one, place in zip(parameters, places, strict=True)}
        key = tuple(values.items())
        repeats = repeats + 1 if key in known else 0
        if repeats > _REPEATS or (key not in known and is_spent()):
            raise _Spent
        if key not in known:
            found = score(values)
            known[key] = 2.0 if found is None else 1 - found  # no correlation is below -1
        return known[key]

    score({})
    if not parameters or is_spent():
        return
    try:
        # By no other measure than the budget.
        direct(cost, [(0.0, 1.0)] * len(parameters), maxfun=100_000, maxiter=100_000, vol_tol=0.0, len_tol=0.0)
    except _Spent:
        return
