"""What a method says it will take, against what it takes."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from tomokit.data.ctf import Optics
from tomokit.data.phase_flipping import ViewOptics
from tomokit.data.problem import Problem, ProblemShape
from tomokit.data.transfer_model import TransferModel
from tomokit.geometry import TiltGeometry
from tomokit.plugin.manager import get_registry

# Python's own objects, which do not grow with the problem.
OVERHEAD = 100_000


def problem(n_views: int, n_u: int, n_y: int, thickness: int, masked: bool = False, shifted: bool = False) -> Problem:
    rng = np.random.default_rng(0)
    shift = 1.5 * rng.random(n_views) if shifted else np.zeros(n_views)
    geometry = TiltGeometry(np.linspace(-60, 60, n_views), n_u, n_y, shift, shift)
    projections = rng.random((n_views, n_u, n_y), np.float32)
    mask = (projections > 0.1).astype(np.float32) if masked else None
    return Problem(projections, mask, geometry, thickness, fit_offsets=masked)


def peak(method, given: Problem, options) -> int:
    """Most bytes at one time, from the start to the end of the second epoch."""
    tracemalloc.start()
    run = method.start(given, options)
    for _ in range(min(2, run.epochs)):
        run.advance()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most


SIZES = {
    "usual": (15, 64, 96, 32),
    "masked and shifted": (15, 56, 80, 28, True, True),
    "thin": (41, 64, 96, 8),
    "short": (31, 96, 16, 48),
    "one view": (1, 64, 64, 64),
}
OCTREE = {
    "octree": {},
    "octree, all at once": {
        "coarse_epochs": 1,
        "views_per_step": 4,
        "optimizer": "adam",
        "regularizers": {"cnlc": {"weight": 1e-6}, "tv": {"space": "raw"}},
    },
}


def microscope(given: Problem) -> Problem:
    """The same through contrast transfer, in strips where the tilt is high."""
    geometry = given.geometry
    views = tuple(ViewOptics(Optics(300.0), (1.0, 1.0, 0.0), slope=float(slope)) for slope in np.tan(geometry.tilt_rad))
    return replace(given, transfer=TransferModel(views, 3.0, (0.0,) * geometry.n_views))


def check(name: str, sizes: tuple[int, ...], changes: dict[str, object], modelled: bool = False) -> None:
    """The estimate is above what is taken, and at most twice that."""
    method = get_registry().get("method", name)()
    options = method.Options(**changes)
    peak(method, problem(3, 8, 8, 4, *sizes[4:]), options)  # imports and compiles
    given = microscope(problem(*sizes)) if modelled else problem(*sizes)
    if given.transfer is not None:
        given.transfer.apply(np.zeros((1, 8, 8), np.float32), [0])  # imports
    if hasattr(method, "estimate_bytes_of"):
        estimate = method.estimate_bytes_of(given, options)
    else:
        estimate = method.estimate_bytes(ProblemShape.of(given), options)
    measured = peak(method, given, options)
    assert measured < estimate + OVERHEAD
    assert 0.5 * estimate < measured


@pytest.mark.parametrize("name", ["wbp", "sirt", "sart", "sart-tv", "tv"])
@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_estimate_is_an_upper_bound_and_no_more_than_twice_the_peak(name, sizes):
    check(name, sizes, {})


@pytest.mark.parametrize("name", ["sirt", "tv", "octree"])
def test_the_same_where_views_are_predicted_through_their_contrast_transfer(name):
    check(name, SIZES["usual"], {"n": 24} if name == "octree" else {}, modelled=True)


@pytest.mark.parametrize("changes", OCTREE.values(), ids=OCTREE)
@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_the_same_of_the_octree(changes, sizes):
    check("octree", sizes, {"n": 24, **changes})


def test_before_the_noise_is_known_no_octree_is_refused_that_it_may_turn_out_to_be():
    """Vertices lie 0.5 to 1 px apart: up to eight times as many."""
    method, shape = get_registry().get("method", "octree")(), ProblemShape.of(problem(*SIZES["usual"]))
    unknown, noisy, clean = (
        method.estimate_bytes(replace(shape, relative_noise=noise), method.Options()) for noise in (None, 1.0, 0.0)
    )
    assert unknown == noisy < clean / 3


def test_structure_updates_are_counted_with_all_leaves_that_they_may_make():
    method = get_registry().get("method", "octree")()
    shape = ProblemShape.of(problem(*SIZES["usual"]))
    few, many = (
        method.estimate_bytes(shape, method.Options(n=24, leaf_px=24.0, max_leaves=most, **more))
        for most, more in ((200, {}), (200, {"structure_epochs": (1,), "finer": 1}))
    )
    leaves = 4 * 4 * 200 * 24**3
    assert few < leaves < many < 1.5 * leaves
