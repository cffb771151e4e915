"""What every method owes: its contract, and what follows from the physics, whatever the representation."""

from __future__ import annotations

import math

import numba
import numpy as np
import pytest

from tomokit.data.problem import Problem, ProblemShape
from tomokit.errors import InputError
from tomokit.geometry import TiltGeometry
from tomokit.methods.interface import Method
from tomokit.plugin.manager import get_registry
from tomokit.projector import DenseProjector

# Relative error on the small specimen, as measured and a tenth more.
BOUNDS = {"wbp": 0.67, "sirt": 0.45, "sart": 0.335, "sart-tv": 0.37, "tv": 0.295, "octree": 0.52}
# The octree's field is no grid of voxels: what its volume says between two vertices of the field is a mean of both.
# Relative L2 distance of its prediction from its volume's projection, as measured and half as much again.
PREDICTION = {"octree": 0.04}
# Its optimizer divides by the size of gradients, so that the rounding of data moved by a constant grows (to 4e-3).
MOVED = {"octree": 1e-2}
# Its densities are positive: in place of zero stands a small share of the least that data can tell.
ZERO = {"octree": 1e-6}
every_method = pytest.mark.parametrize("name", BOUNDS)


def test_all_are_registered():
    assert set(BOUNDS) <= set(get_registry().names("method"))


@every_method
def test_is_a_method(name):
    assert isinstance(get_registry().get("method", name)(), Method)


@every_method
def test_reduces_the_error_and_the_loss(name, specimen, start, finish):
    run = start(name, specimen.problem)
    assert run.epoch == 0
    history = finish(run)
    assert run.epoch == run.epochs == len(history)
    volume = run.volume()
    assert volume.shape == specimen.truth.shape
    assert volume.dtype == np.float32
    assert specimen.error(volume) < BOUNDS[name]
    assert all(math.isfinite(value) for terms in history for value in terms.values())
    assert all({"loss", "data"} <= set(terms) for terms in history)
    variance = float(np.mean(specimen.problem.projections.astype(np.float64) ** 2))
    assert history[-1]["data"] < 0.5 * variance
    if len(history) > 1:
        assert history[-1]["loss"] < history[0]["loss"]


@every_method
def test_volume_and_prediction_agree(name, specimen, start, finish):
    run = start(name, specimen.problem, epochs=3)
    finish(run)
    elsewhere = TiltGeometry([-33.0, 5.0], 48, 48, [0.0, 1.5])
    expected = DenseProjector(elsewhere, 24)(run.volume()) * elsewhere.kappa
    predicted = run.predict(elsewhere)
    assert predicted.dtype == np.float32
    if name in PREDICTION:
        assert np.linalg.norm(predicted - expected) < PREDICTION[name] * np.linalg.norm(expected)
    else:
        np.testing.assert_allclose(predicted, expected, atol=3e-6 * np.abs(expected).max())
    assert np.abs(expected).max() > 0


@every_method
def test_same_again_and_at_any_number_of_threads(name, small, start, finish):
    before, results = numba.get_num_threads(), set()
    try:
        for threads in (1, 1, min(2, numba.config.NUMBA_NUM_THREADS)):
            numba.set_num_threads(threads)
            run = start(name, small.varied(seed=7, fit_offsets=True), epochs=3)
            finish(run)
            results.add((run.volume().tobytes(), run.offsets().tobytes()))
    finally:
        numba.set_num_threads(before)
    assert len(results) == 1


@every_method
def test_nothing_under_the_mask_matters(name, small, small_mask, start, finish):
    volumes = []
    for garbage in (0.0, 1e3):
        projections = np.where(small_mask > 0, small.problem.projections, np.float32(garbage))
        run = start(name, small.varied(projections=projections, mask=small_mask, fit_offsets=True), epochs=3)
        history = finish(run)
        volumes.append((run.volume(), run.offsets(), [terms["loss"] for terms in history]))
    for clean, dirty in zip(*volumes, strict=True):
        np.testing.assert_array_equal(clean, dirty)
    assert volumes[0][0].any()


@every_method
def test_unmasked_is_a_mask_of_ones(name, small, start, finish):
    runs = [
        start(name, small.varied(mask=given), epochs=3) for given in (None, np.ones_like(small.problem.projections))
    ]
    for run in runs:
        finish(run)
    without, with_ones = (run.volume() for run in runs)
    np.testing.assert_allclose(with_ones, without, atol=1e-4 * np.abs(without).max())


@every_method
@pytest.mark.parametrize("masked", [False, True])
def test_exposures_take_up_constants(name, masked, small, small_mask, start, finish):
    added = (
        np.random.default_rng(3).uniform(-1, 1, small.problem.geometry.n_views) * small.problem.projections.max()
    ).astype(np.float32)
    changed = small.problem.projections + added[:, None, None]
    runs = [
        start(name, small.varied(projections=p, fit_offsets=True, mask=small_mask if masked else None), epochs=15)
        for p in (small.problem.projections, changed)
    ]
    for run in runs:
        finish(run)
    plain, shifted = (run.volume() for run in runs)
    assert np.linalg.norm(shifted - plain) < MOVED.get(name, 1e-3) * np.linalg.norm(plain)
    seen = np.ones(added.size, bool) if not masked else small_mask.any(axis=(1, 2))
    difference = (runs[1].offsets() - runs[0].offsets())[seen]
    np.testing.assert_allclose(difference, added[seen], atol=0.1 * MOVED.get(name, 1e-3) * np.abs(added).max())


@every_method
def test_no_exposure_unless_asked(name, small, start, finish):
    run = start(name, small.problem, epochs=2)
    finish(run)
    assert not run.offsets().any()


@every_method
def test_continues_bit_for_bit(name, small, small_mask, start):
    problem = small.varied(mask=small_mask, fit_offsets=True, seed=3)
    whole = start(name, problem)
    k, m = (1, 0) if whole.epochs == 1 else (3, 2)
    for _ in range(k):
        whole.advance()
    saved = {key: value.copy() for key, value in whole.arrays().items()}
    losses = [whole.advance() for _ in range(m)]
    again = start(name, problem)
    again.restore(k, saved)
    assert again.epoch == k
    assert losses == [again.advance() for _ in range(m)]
    np.testing.assert_array_equal(again.volume(), whole.volume())
    np.testing.assert_array_equal(again.offsets(), whole.offsets())
    for key, value in whole.arrays().items():
        np.testing.assert_array_equal(again.arrays()[key], value)


@every_method
def test_a_foreign_state_is_refused_by_name(name, small, start):
    # With changes of structure, so that every array the octree has holds something.
    changes = {"structure_epochs": (2,), "structure_stall": 0.0, "finer": 1, "views_per_step": 31}
    run = start(name, small.problem, **changes)
    done = min(2, run.epochs)
    for _ in range(done):
        run.advance()
    saved = {key: value.copy() for key, value in run.arrays().items()}
    fresh = start(name, small.problem, **changes)
    for key, value in saved.items():
        with pytest.raises(InputError, match=key):
            fresh.restore(done, {other: saved[other] for other in saved if other != key})
        with pytest.raises(InputError, match=key):
            fresh.restore(done, {**saved, key: value[:-1] if value.ndim else value[None]})
    assert fresh.epoch == 0
    fresh.restore(done, saved)
    assert fresh.epoch == done


@every_method
@pytest.mark.parametrize("margin", [0.0, 0.25, None])
def test_a_margin_is_not_seen_from_outside(name, margin, small, start):
    run = start(name, small.varied(fit_offsets=True), margin=margin)
    run.advance()
    assert run.volume().shape == small.truth.shape
    assert run.predict(small.problem.geometry).shape == small.problem.projections.shape


@every_method
def test_odd_sizes_shifts_and_a_single_view(name, start):
    rng = np.random.default_rng(0)
    for tilt, n_u, n_y, thickness in (([12.0], 9, 5, 3), ([-50.0, 0.0, 61.0], 7, 1, 1), ([40.0, -40.0], 1, 6, 4)):
        geometry = TiltGeometry(tilt, n_u, n_y, rng.normal(size=len(tilt)), rng.normal(size=len(tilt)))
        projections = rng.random((len(tilt), n_u, n_y), np.float32)
        run = start(name, Problem(projections, None, geometry, thickness), epochs=2)
        while run.epoch < run.epochs:
            assert math.isfinite(run.advance()["loss"])
        assert run.volume().shape == (n_u, thickness, n_y)
        assert np.isfinite(run.volume()).all()


@every_method
def test_nothing_but_zeros_gives_zeros(name, small, start, finish):
    run = start(name, small.varied(projections=np.zeros_like(small.problem.projections)), epochs=2)
    finish(run)
    assert np.abs(run.volume()).max() <= ZERO.get(name, 0.0)


@every_method
def test_everything_masked_gives_zeros(name, small, start, finish):
    nothing = np.zeros_like(small.problem.projections)
    run = start(name, small.varied(mask=nothing, fit_offsets=True), epochs=2)
    finish(run)
    assert np.abs(run.volume()).max() <= ZERO.get(name, 0.0)
    assert not run.offsets().any()


def test_a_problem_of_wrong_shapes_is_refused(small):
    problem = small.problem
    with pytest.raises(InputError, match="geometry"):
        small.varied(projections=problem.projections[:-1])
    with pytest.raises(InputError, match="mask"):
        small.varied(mask=problem.projections[:, :-1])
    with pytest.raises(InputError, match="--thickness"):
        small.varied(thickness_px=0)
    shape = ProblemShape.of(problem)
    assert shape.stack_bytes == problem.projections.nbytes
    assert shape.volume_bytes == small.truth.nbytes
