"""The octree run: deterministic, resumable, honest about its volume, and better than where it starts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numba
import numpy as np
import pytest

from tomokit.data.problem import Problem
from tomokit.errors import OptionError
from tomokit.geometry import TiltGeometry
from tomokit.methods.capabilities import HasStructure
from tomokit.methods.octree.fit_plan import FitPlan
from tomokit.methods.octree.method import Octree, start_fit
from tomokit.methods.octree.options import OctreeOptions
from tomokit.methods.octree.run import OctreeRun
from tomokit.octree.cover import LeafBudgetError
from tomokit.phantom import simulate_series
from tomokit.projector import DenseProjector

SHAPE = (24, 48, 48)


def options(**changes: Any) -> OctreeOptions:
    """Small leaves, few epochs."""
    settings: dict[str, Any] = {
        "epochs": 4,
        "decay_epochs": 1,
        "n": 9,
        "max_leaves": 120,
        "leaf_px": 12.0,
        "optimizers": {"rmsprop": {"lr": 0.05}},
    }
    return OctreeOptions(**(settings | changes))


@pytest.fixture(scope="module")
def truth(problem: Problem) -> np.ndarray:
    series, volume = simulate_series(SHAPE, np.arange(-60.0, 61.0, 6.0), 0.05, 3)
    return volume.density.transpose(2, 0, 1) / series.images.max() * problem.geometry.n_u


def finish(run: OctreeRun, epochs: int) -> OctreeRun:
    """Do some epochs."""
    for _ in range(epochs):
        run.advance()
    return run


def test_the_fit_comes_close_to_the_truth(problem: Problem, truth: np.ndarray) -> None:
    run = start_fit(problem, options(epochs=15, decay_epochs=4))
    losses = [run.advance()["data"] for _ in range(15)]
    assert losses[-1] < 0.2 * losses[0]
    error = np.linalg.norm(run.volume() - truth) / np.linalg.norm(truth)
    assert error < 0.55


def test_the_volume_projects_to_the_prediction(problem: Problem) -> None:
    run = finish(start_fit(problem, options()), 4)
    dense = DenseProjector(problem.geometry, SHAPE[0])(run.volume()) * problem.geometry.kappa
    inside = slice(8, -8)
    predicted = run.predict(problem.geometry)
    difference = (dense - predicted)[:, inside, 2:-2]
    assert np.linalg.norm(difference) < 0.05 * np.linalg.norm(predicted[:, inside, 2:-2])


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"coarse_epochs": 2, "structure_epochs": (1, 2, 3), "structure_stall": 0.0, "leaf_px": 24.0, "finer": 1},
        {"optimizer": "adam", "optimizers": {"adam": {"lr": 0.05}}, "views_per_step": 3},
        {"regularizers": {"cnlc": {"weight": 1e-5, "every": 2}}, "activation": "softplus"},
        {"large_leaves": 0.8, "convex": 0.3, "regularizers": {"tv": {"variant": "concave"}}},
    ],
)
def test_going_on_from_the_arrays_changes_no_bit(problem: Problem, changes: dict[str, Any]) -> None:
    chosen = options(**changes)
    whole = finish(start_fit(problem, chosen), 4)
    first = finish(start_fit(problem, chosen), 2)
    kept = {name: array.copy() for name, array in first.arrays().items()}
    second = start_fit(problem, chosen)
    second.restore(2, kept)
    finish(second, 2)
    mine, theirs = second.arrays(), whole.arrays()
    assert mine.keys() == theirs.keys()
    for name, array in mine.items():
        np.testing.assert_array_equal(array, theirs[name], err_msg=name)
    np.testing.assert_array_equal(second.volume(), whole.volume())


def test_a_specimen_that_fills_the_field_has_its_own_strength_and_rate(problem: Problem) -> None:
    chosen = options(convex=0.5, convex_strength=0.1, strength=0.5, field_filling_strength=0.25, field_filling_rate=2.0)
    plain = options(strength=0.25)
    fills_field = replace(problem, fit_offsets=True)

    def weights(run: OctreeRun) -> list[float]:
        return [run.plan.regularizers(epoch, run.leaves.forest)[0].weight for epoch in (0, 3)]

    assert weights(start_fit(fills_field, chosen)) == weights(start_fit(fills_field, plain))
    early, late = weights(start_fit(problem, chosen))
    assert late == pytest.approx(10 * early)
    assert start_fit(fills_field, chosen).plan.rate(0) == 2 * start_fit(problem, chosen).plan.rate(0)


def test_the_same_bits_at_one_and_two_threads(problem: Problem) -> None:
    chosen = options(regularizers={"cnlc": {"weight": 1e-5}}, epochs=2)
    before = numba.get_num_threads()
    two = finish(start_fit(problem, chosen), 2)
    try:
        numba.set_num_threads(1)
        one = finish(start_fit(problem, chosen), 2)
    finally:
        numba.set_num_threads(before)
    np.testing.assert_array_equal(one.leaves.values, two.leaves.values)


def test_the_seed_orders_the_views(problem: Problem) -> None:
    one = finish(start_fit(problem, options()), 1)
    other = finish(start_fit(replace(problem, seed=6), options()), 1)
    assert (one.leaves.values != other.leaves.values).any()


def test_the_first_epochs_are_on_leaves_twice_as_large(problem: Problem) -> None:
    run = start_fit(problem, options(large_leaves=0.5, leaf_px=6.0, max_leaves=300))
    large = run.leaves.forest
    finish(run, 1)
    assert run.leaves.forest is large
    finish(run, 1)
    assert run.leaves.forest.size_px.min() == 6.0 == large.size_px.min() / 2
    finish(run, 2)
    assert run.leaves.forest.n_leaves > 4 * large.n_leaves


def test_the_fit_does_not_depend_on_the_units_of_the_projections(problem: Problem) -> None:
    chosen = options(
        convex=0.5, bend=0.01, optimizer="adam", start=1.0, regularizers={"tv": {"variant": "concave"}}, optimizers={}
    )
    volume = finish(start_fit(problem, chosen), 4).volume()
    scaled = finish(start_fit(replace(problem, projections=1e4 * problem.projections), chosen), 4).volume()
    np.testing.assert_allclose(scaled, 1e4 * volume, rtol=0.02, atol=1e4 * 0.005 * volume.max())


def test_a_concave_penalty_begins_as_the_isotropic_one(problem: Problem) -> None:
    def after(epochs: int, variant: str) -> np.ndarray:
        tv = {"variant": variant, "weight": 1e-3, "delta": 0.5}
        return finish(start_fit(problem, options(convex=0.5, regularizers={"tv": tv})), epochs).leaves.values

    np.testing.assert_array_equal(after(2, "concave"), after(2, "isotropic"))
    assert (after(3, "concave") != after(3, "isotropic")).any()


def test_priors_that_begin_after_the_convex_epochs_are_fitted(problem: Problem) -> None:
    run = finish(start_fit(problem, options(convex=0.5, convex_strength=0.0)), 2)
    assert run.advance()["boundary"] > 0


def test_structure_updates_refine_where_something_is(problem: Problem) -> None:
    run = start_fit(
        problem,
        options(leaf_px=24.0, finer=1, structure_epochs=(2,), structure_stall=0.0, max_leaves=40, epochs=3),
    )
    before = run.leaves.forest.n_leaves
    finish(run, 3)
    after = run.leaves.forest
    assert before < after.n_leaves <= 40
    assert after.level.max() > 0


def test_masked_pixels_change_nothing(problem: Problem) -> None:
    mask = np.ones_like(problem.projections)
    mask[:, 10:15, 20:30] = 0
    dirty = problem.projections.copy()
    dirty[mask == 0] = 1e3
    chosen = options(coarse_epochs=1, epochs=2)
    clean = finish(start_fit(replace(problem, mask=mask), chosen), 2)
    soiled = finish(start_fit(replace(problem, mask=mask, projections=dirty), chosen), 2)
    np.testing.assert_array_equal(clean.leaves.values, soiled.leaves.values)


def test_exposures_are_solved_for(problem: Problem) -> None:
    offsets = np.linspace(-0.2, 0.3, problem.geometry.n_views).astype(np.float32)
    moved = replace(problem, projections=problem.projections + offsets[:, None, None], fit_offsets=True)
    # The same specimen, the same margin, the same start: only the offsets have to differ.
    chosen = options(margin=0.0, epochs=10)
    run = finish(start_fit(moved, chosen), 10)
    found = run.offsets() - run.offsets().mean()
    np.testing.assert_allclose(found, offsets - offsets.mean(), atol=0.02)


def test_a_tree_that_cannot_meet_its_budget_is_refused(problem: Problem) -> None:
    with pytest.raises(LeafBudgetError, match="leaves"):
        start_fit(problem, options(max_leaves=3))


def test_views_beyond_what_the_detector_has_room_for_are_culled() -> None:
    geometry = TiltGeometry(np.array([-60.0, 0.0, 60.0]), 40, 24)
    mask = np.ones((3, 40, 24), np.float32)
    mask[:, :, 12:] = 0
    noise = np.random.default_rng(0).random(mask.shape, dtype=np.float32)
    whole = start_fit(Problem(noise, None, geometry, 16), options(leaf_px=6.0))
    half = start_fit(Problem(noise, mask, geometry, 16), options(leaf_px=6.0))
    assert half.leaves.forest.n_leaves < 0.7 * whole.leaves.forest.n_leaves


def test_a_backend_that_is_not_there_is_refused_by_name(problem: Problem) -> None:
    with pytest.raises(OptionError, match=r"--backend.*reference"):
        start_fit(replace(problem, backend="reference"), options())


def test_a_part_ends_on_the_leaves_of_the_whole(problem: Problem) -> None:
    """Not on those that its own noise would choose, and with the scales of all views."""
    chosen = options(leaf_px=24.0, n=9, finer=1, structure_epochs=(2,), structure_stall=0.0, push_roi=True, epochs=3)
    whole = Octree().start(problem, chosen)
    part = problem.part(range(0, 21, 2))
    assert isinstance(whole, HasStructure)
    for _ in range(2):
        whole.advance()
    half = Octree().start_on(part, chosen, whole.structure())
    assert isinstance(half, OctreeRun)
    assert half.plan.scales == FitPlan.of_problem(problem, chosen).scales
    for _ in range(2):
        half.advance()
    for name, array in whole.structure().items():
        np.testing.assert_array_equal(half.structure()[name], array)
    assert half.leaves.forest.n_leaves == 32
