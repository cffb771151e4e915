"""Check that a gradient is the derivative of the value, and say in words where it is not.

The gradient is compared with directional derivatives, along a set of directions for each place where a vertex can lie:
random ones, in which every term counts, and the gradient's own, in which a wrong factor cannot hide. If one fails,
single vertices are differentiated to say where and by how much.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tomokit.regularizers.interface import Field
from tomokit.testing.checks import CheckError
from tomokit.testing.derivative import slope
from tomokit.testing.trees import PLACES, places

Evaluate = Callable[[Field], tuple[float, NDArray[np.floating]]]

_DIRECTIONS = 2
_FIELDS = 8
_VERTICES = 200
# Places where the gradient is this much smaller than elsewhere are held to what it is elsewhere.
_SMALL = 1e-2


def check_gradient(evaluate: Evaluate, make: Callable[[int], Field], tolerance: float, step: float, seed: int) -> bool:
    """Compare a regularizer's gradient with finite differences of its value at all places of a field.

    Parameters
    ----------
    evaluate : callable
        ``evaluate(field)`` gives value and gradient.
    make : callable
        ``make(number)`` gives a field; another one is tried where differences tell nothing.
    tolerance : float
        Largest difference, relative to the norm of the gradient at vertices of the same place.
    step : float
        Step of the finite differences.
    seed : int
        Seed of the directions.

    Returns
    -------
    bool
        Whether the gradient was zero everywhere, and so were the differences.

    Raises
    ------
    CheckError
        If they disagree, saying where and how.
    """
    for number in range(_FIELDS):
        try:
            return _compare(evaluate, make(number), tolerance, step, np.random.default_rng((seed, number)))
        except _NoDerivativeError:
            continue
    raise CheckError(
        f"its value has jumps or kinks within {step:g} of each of {_FIELDS} random fields: compute in the type of "
        "field.values throughout; if it is tabulated, check it with a larger step and tolerance"
    )


class _NoDerivativeError(Exception):
    """A field is so near to a kink that differences tell nothing."""


def _compare(evaluate: Evaluate, field: Field, tolerance: float, step: float, rng: np.random.Generator) -> bool:
    """Compare on one field; whether gradient and differences are zero everywhere."""
    _, gradient = evaluate(field)
    place = places(field.forest)

    def value(values: NDArray[np.float64]) -> float:
        return evaluate(replace(field, values=values))[0]

    at = np.asarray(field.values, np.float64)
    norm = float(np.linalg.norm(gradient))
    quiet = True
    for kind in range(len(PLACES)):
        here = place == kind
        if not here.any():
            continue
        norm_here = float(np.linalg.norm(gradient[here]))
        for direction in _directions(gradient, here, rng):
            derivative = slope(value, at, direction, step)
            apart = abs(derivative.value - float(np.vdot(gradient, direction)))
            quiet &= norm == 0 and abs(derivative.value) <= derivative.rounding
            if apart <= tolerance * max(norm_here, _SMALL * norm) + derivative.rounding:
                continue
            # A kink changes the slope with the step, a wrong gradient does not: only what a kink cannot explain counts.
            wider = slope(value, at, direction, 100 * step).value
            if max(derivative.kink, abs(wider - derivative.value)) > apart / 2:
                raise _NoDerivativeError
            problem = _describe_disagreement(evaluate, field, gradient, here, PLACES[kind], tolerance, step, rng)
            raise CheckError(problem)
    return quiet


def _directions(
    gradient: NDArray[np.floating], here: NDArray[np.bool_], rng: np.random.Generator
) -> list[NDArray[np.float64]]:
    """Directions that move only the vertices `here`: random ones, and that of the gradient if it is not zero."""
    directions = [np.where(here, rng.standard_normal(here.shape), 0.0) for _ in range(_DIRECTIONS)]
    largest = float(np.abs(gradient[here]).max())
    if largest > 0:
        directions.append(np.where(here, gradient / largest, 0.0))
    return directions


def _describe_disagreement(
    evaluate: Evaluate,
    field: Field,
    gradient: NDArray[np.floating],
    here: NDArray[np.bool_],
    place: str,
    tolerance: float,
    step: float,
    rng: np.random.Generator,
) -> str:
    """What is wrong at the vertices of one place, in words, from differences at single vertices."""
    where = np.argwhere(here)
    if len(where) > _VERTICES:
        where = where[np.sort(rng.choice(len(where), _VERTICES, replace=False))]
    differences: NDArray[np.float64] = np.empty(len(where))
    step = max(step, 1e-5)  # one vertex alone is far from any kink, and its part of the value is small
    for i, vertex in enumerate(where):
        moved = [field.values.copy() for _ in range(2)]
        moved[0][tuple(vertex)] += step
        moved[1][tuple(vertex)] -= step
        above, below = (evaluate(replace(field, values=values))[0] for values in moved)
        differences[i] = (above - below) / (2 * step)
    claimed = gradient[tuple(where.T)]
    scale = max(float(np.abs(differences).max()), float(np.abs(claimed).max()))
    wrong = np.abs(claimed - differences) > max(10 * tolerance, 1e-3) * scale
    head = f"the gradient is not the derivative {place}"
    factor = float(np.vdot(claimed, differences) / max(float(np.vdot(differences, differences)), 1e-300))
    apart = float(np.linalg.norm(claimed - factor * differences))
    if differences.any() and apart <= 1e-4 * float(np.linalg.norm(claimed)):
        return f"{head}: it is {factor:.4g} times as large" if factor != 0 else f"{head}: it is missing"
    if not wrong.any():
        return f"{head}: single vertices agree, but all together do not"
    worst = int(np.argmax(np.abs(claimed - differences)))
    leaf, *vertex = where[worst].tolist()
    text = (
        f"{head}: {int(wrong.sum())} of {len(where)} vertices; the worst is vertex {tuple(vertex)} of leaf {leaf}, "
        f"{claimed[worst]:.4g} where differences give {differences[worst]:.4g}"
    )
    # The usual mistakes each leave a mark of their own.
    untouched = wrong & (np.abs(differences) < 1e-6 * scale)
    if untouched.any():
        text += f"; at {int(untouched.sum())} of them the value does not depend on what is there: does it write "
        text += "outside its leaf?"
    elif (wrong & (np.abs(claimed + differences) < 1e-3 * scale)).sum() == wrong.sum():
        text += "; its sign is the other way round"
    elif not claimed[wrong].any():
        text += "; nothing is added there"
    return text
