"""What a method says it will take, against what it takes."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from tomokit.geometry import TiltGeometry
from tomokit.methods.contract import Problem, ProblemShape
from tomokit.plugin.manager import get_registry

# Python's own objects, which do not grow with the problem.
OVERHEAD = 100_000


def problem(n_views: int, n_u: int, n_y: int, thickness: int, masked: bool = False, shifted: bool = False) -> Problem:
    rng = np.random.default_rng(0)
    shift = 1.5 * rng.random(n_views) if shifted else np.zeros(n_views)
    geometry = TiltGeometry(np.linspace(-60, 60, n_views), n_u, n_y, shift, shift)
    projections = rng.random((n_views, n_u, n_y), np.float32)
    mask = (projections > 0.1).astype(np.float32) if masked else None
    return Problem(projections, mask, geometry, thickness, fit_exposure=masked)


def peak(method, given: Problem) -> int:
    """Most bytes at one time, from the start to the end of the second epoch."""
    tracemalloc.start()
    run = method.start(given, method.Options())
    for _ in range(min(2, run.epochs)):
        run.advance()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most


@pytest.mark.parametrize("name", ["wbp", "sirt", "sart", "sart-tv", "tv"])
@pytest.mark.parametrize(
    "sizes",
    [(31, 96, 128, 48), (31, 80, 112, 40, True, True), (61, 96, 128, 8), (31, 96, 16, 48), (1, 64, 64, 64)],
    ids=["usual", "masked and shifted", "thin", "short", "one view"],
)
def test_estimate_is_an_upper_bound_and_no_more_than_twice_the_peak(name, sizes):
    method = get_registry().get("method", name)()
    peak(method, problem(3, 8, 8, 4, *sizes[4:]))  # imports and compiles
    given = problem(*sizes)
    estimate = method.estimate_bytes(ProblemShape.of(given), method.Options())
    measured = peak(method, given)
    assert measured < estimate + OVERHEAD
    assert estimate < 2 * measured
