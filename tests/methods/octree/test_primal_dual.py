"""The primal-dual solver: its step against float64, what it comes to rest at, ties, states, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numba
import numpy as np
import pytest

from tomokit.data.ctf import Optics
from tomokit.data.phase_flipping import ViewOptics
from tomokit.data.problem import Problem, ProblemShape
from tomokit.data.transfer_model import TransferModel
from tomokit.errors import OptionError
from tomokit.geometry import TiltGeometry
from tomokit.methods.octree.fit_plan import FitPlan
from tomokit.methods.octree.memory import estimate_bytes
from tomokit.methods.octree.method import start_fit
from tomokit.methods.octree.options import OctreeOptions
from tomokit.methods.octree.penalties import PenaltyGradients
from tomokit.methods.octree.primal_dual_step import PrimalDualArrays, PrimalDualLengths, step_leaves
from tomokit.methods.octree.run import OctreeRun
from tomokit.methods.octree.solver import variation_factors, view_groups
from tomokit.methods.octree.step_arrays import penalty_arrays, residual_arrays
from tomokit.methods.octree.ties import Ties
from tomokit.octree.faces import shared_faces
from tomokit.projector.leaves import LeafProjector
from tomokit.testing.trees import two_level_forest


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small fields are not worth waiting for a second thread."""
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)


def options(**changes: Any) -> OctreeOptions:
    """The solver on small leaves."""
    settings: dict[str, Any] = {
        "solver": "primal-dual",
        "activation": "clipped",
        "start": 0.0,
        "epochs": 4,
        "n": 9,
        "max_leaves": 120,
        "leaf_px": 12.0,
        "views_per_step": 3,
        "regularizers": {"tv": {"variant": "isotropic"}},
    }
    return OctreeOptions(**(settings | changes))


def finish(run: OctreeRun, epochs: int) -> OctreeRun:
    """Do some epochs."""
    for _ in range(epochs):
        run.advance()
    return run


def transposed_gradient(q: np.ndarray) -> np.ndarray:
    """The transpose of forward differences, of duals ``[3, leaf, x, z, y]`` that are 0 at the last vertex."""
    pull = -q.sum(axis=0)
    for axis in range(3):
        behind = np.roll(q[axis], 1, axis=1 + axis)
        np.moveaxis(behind, 1 + axis, 0)[0] = 0
        pull += behind
    return pull


def differences(d: np.ndarray) -> np.ndarray:
    """Forward differences ``[3, leaf, x, z, y]``, 0 at the last vertex."""
    return np.stack([np.diff(d, axis=1 + axis, append=d.take([-1], axis=1 + axis)) for axis in range(3)])


def counted(ties: Ties, n: int) -> np.ndarray:
    """Which vertices have differences of their own in their leaf."""
    mask = np.ones((len(ties.tied), n, n, n))
    for axis in range(3):
        np.moveaxis(mask, 1 + axis, 1)[ties.tied[:, 2 * axis + 1], -1] = 0
    return mask


def copies(ties: Ties, n: int) -> np.ndarray:
    """How often each vertex is stored among equal leaves."""
    number = np.ones((len(ties.tied), n, n, n))
    for axis in range(3):
        along = np.moveaxis(number, 1 + axis, 1)
        along[ties.tied[:, 2 * axis], 0] *= 2
        along[ties.tied[:, 2 * axis + 1], -1] *= 2
    return number


def interpolated(limits: np.ndarray, n: int) -> np.ndarray:
    """Limits at a leaf's vertices, linear between its nodes."""
    at = np.arange(n) * (limits.shape[1] - 1) / (n - 1)
    hats = np.maximum(0, 1 - np.abs(at[:, None] - np.arange(limits.shape[1])))
    return np.einsum("xa,zb,yc,labc->lxzy", hats, hats, hats, limits.astype(np.float64))


@pytest.mark.parametrize(("kept_negative", "nodes"), [(0.0, 0), (0.4, 3), (1.0, 4)])
def test_a_step_is_that_of_the_formula_in_double_precision(problem: Problem, kept_negative: float, nodes: int) -> None:
    forest = two_level_forest(n=6)
    rng = np.random.default_rng(1)
    n, shape = forest.n, forest.values_shape
    ties, views = Ties.of(forest), np.array([2, 9, 15])
    field = PrimalDualArrays(*(rng.random(shape, np.float32) for _ in range(5)))
    before = [array.astype(np.float64) for array in field]
    for name, axis in (("dual_x", 1), ("dual_z", 2), ("dual_y", 3)):
        np.moveaxis(getattr(field, name), axis, 0)[-1] = 0
    before = [array.astype(np.float64) for array in field]
    change = rng.standard_normal((3, problem.geometry.n_u, problem.geometry.n_v)).astype(np.float32)
    projector = LeafProjector(forest, problem.geometry)
    n_leaves = forest.n_leaves
    limits = rng.uniform(0.2, 1, (n_leaves if nodes else 0, *(3 * (nodes or 2,)))).astype(np.float32)
    step, weight, rate = (rng.random(n_leaves).astype(np.float32) * scale for scale in (1e-3, 3.0, 2.0))
    lengths = PrimalDualLengths(step, weight, rate, ties.tied, 7.0, 0.5, kept_negative, limits)
    penalties = PenaltyGradients(forest)
    penalties.gradient(raw=False)[...] = other = rng.standard_normal(shape).astype(np.float32)
    variation = np.zeros(n_leaves)
    step_leaves(
        field,
        residual_arrays(projector, projector.contract(change, views), views),
        penalty_arrays(penalties),
        lengths,
        variation,
    )
    d, z, *q = before
    v = transposed_gradient(np.stack(q))
    by_leaf = (slice(None), None, None, None)
    # Footprint tables are no matter of this kernel: the projector has tests of its own.
    gathered = projector.T(change, views).astype(np.float64)
    kept, slopes = counted(ties, n), differences(d)
    most = interpolated(limits, n) if nodes else np.ones(shape)
    moved = np.stack(q) + rate.astype(np.float64)[by_leaf] * slopes
    new_q = moved * kept * most / np.maximum(most, np.sqrt(np.sum(moved**2, axis=0)))
    pull = transposed_gradient(new_q)
    downhill = z + 8 * gathered + weight.astype(np.float64)[by_leaf] * (2 * pull - v) + 0.5 * other
    new_d = d - step.astype(np.float64)[by_leaf] * copies(ties, n) * downhill
    new_d = np.where((copies(ties, n) > 1) | (new_d > 0), new_d, kept_negative * new_d)
    for mine, expected in zip(field, (new_d, z + gathered, *new_q), strict=True):
        assert np.linalg.norm(mine - expected) < 2e-6 * np.linalg.norm(expected)
    lengths_of_slopes = (kept * most * np.sqrt(np.sum(slopes**2, axis=0))).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(variation, lengths_of_slopes, rtol=1e-5)


def few_rows(problem: Problem) -> Problem:
    """A third of the rows: enough for two leaves along the tilt axis, and for many epochs."""
    projections = np.ascontiguousarray(problem.projections[:, :, 16:32])
    geometry = TiltGeometry(problem.geometry.tilt_deg, problem.geometry.n_u, 16)
    return replace(problem, projections=projections, geometry=geometry)


def microscope(problem: Problem) -> TransferModel:
    """Contrast transfer with a zero, in strips where the tilt is high."""
    slopes = np.tan(problem.geometry.tilt_rad)
    views = tuple(ViewOptics(Optics(300.0), (0.6, 0.6, 0.0), slope=float(slope)) for slope in slopes)
    return TransferModel(views, 4.0, tuple(problem.geometry.shift_u_px))


@pytest.mark.parametrize(
    ("fit_offsets", "penalty", "modelled", "deep", "tilt_weights"),
    [
        (False, None, False, False, 0.0),
        (True, None, True, False, 0.0),
        (True, 0.5, False, False, 1.5),
        (True, 0.5, False, True, 0.0),
    ],
)
def test_it_comes_to_rest_at_the_minimum(
    problem: Problem, fit_offsets: bool, penalty: float | None, modelled: bool, deep: bool, tilt_weights: float
) -> None:
    """At the minimum of ``1/2 sum v m r^2 + w TV``, v the weights of views, over densities not negative or with
    a price where they are, the duals are the weighted residuals, and no change of the density makes it less."""
    problem = few_rows(problem)
    mask = np.ones_like(problem.projections)
    mask[:, 10:14, 4:10] = 0
    given = replace(problem, mask=mask, fit_offsets=fit_offsets, transfer=microscope(problem) if modelled else None)
    if given.transfer is not None:
        given = replace(given, projections=problem.projections.copy())
        given.transfer.apply(given.projections, range(21))
    sizes: dict[str, Any] = {"margin": 0.25, "depth_margin": 0.4, "max_leaves": 300} if deep else {"margin": 0.0}
    # Leaves of two sizes take longer, and so do low frequencies of which contrast transfer leaves little.
    epochs = 250 if modelled else 150 if deep else 90
    settings = {"epochs": epochs, "views_per_step": 7, "negative_penalty": penalty, "tilt_weights": tilt_weights}
    run = start_fit(given, options(**settings, **sizes))
    of_view = np.cos(given.geometry.tilt_rad)[:, None, None] ** tilt_weights
    of_view /= of_view.mean()
    finish(run, epochs)
    assert (np.ptp(run.leaves.forest.level) > 0) == deep
    leaves, level = run.leaves, run.fine
    forest, kappa, d = leaves.forest, level.kappa, leaves.density.astype(np.float64)
    projector = LeafProjector(forest, given.geometry)

    def predicted(density: np.ndarray) -> np.ndarray:
        seen = projector(density.astype(np.float32)).astype(np.float64)
        run.fine.transfer(seen, np.arange(21))
        return kappa * seen

    residual = predicted(leaves.density) - given.projections
    if fit_offsets:
        residual -= (residual * mask).sum(axis=(1, 2), keepdims=True) / mask.sum(axis=(1, 2), keepdims=True)
        assert np.abs(level.dual.sum(axis=(1, 2))).max() < 1e-4
    residual *= mask * of_view
    assert np.linalg.norm(level.dual - residual) < 0.01 * np.linalg.norm(residual)
    pulling = level.dual.copy()
    level.transfer(pulling, np.arange(21))
    pulled = kappa * projector.T(pulling)
    assert np.linalg.norm(leaves.state["data_pull"] - pulled) < 1e-3 * np.linalg.norm(pulled)
    # The same again for the objective: no direction that is tried goes downhill by more than rounding.
    weight = 0.5 * mask.sum() * run.plan.regularizers(0, forest)[0].weight / forest.n_leaves
    weight /= forest.n**2 * (forest.n - 1)
    ties = Ties.of(forest)

    def price(density: np.ndarray) -> float:
        # Each vertex once, by its mass.
        of_vertex = 0.5 * (penalty or 0) * weight * forest.spacing_px.min() * h**3 / copies(ties, forest.n)
        return float(np.sum(of_vertex * np.minimum(density, 0) ** 2))

    # By volume: a vertex's mass goes with the cube of the spacing, a difference is one spacing times the slope.
    h = (forest.spacing_px / forest.spacing_px.min())[:, None, None, None]

    def objective(density: np.ndarray) -> float:
        tied = density.astype(np.float32)
        ties.apply(tied, 1.0 if penalty else 0.0)
        density = tied.astype(np.float64)
        r = predicted(density) - given.projections
        if fit_offsets:
            r -= (r * mask).sum(axis=(1, 2), keepdims=True) / mask.sum(axis=(1, 2), keepdims=True)
        variation = h**2 * counted(ties, forest.n) * np.sqrt(np.sum(differences(density) ** 2, axis=0))
        return 0.5 * float(np.sum(of_view * mask * r**2)) + weight * float(variation.sum()) + price(density)

    assert (d.min() < -0.01) == (penalty is not None)
    least, rng = objective(d), np.random.default_rng(0)
    for size in (0.3, 0.03):
        for _ in range(4):
            tried = d * (1 + size * rng.standard_normal(d.shape)) + size * 0.1 * rng.random(d.shape)
            assert objective(tried if penalty else np.maximum(tried, 0)) > least
    # A weight that is a tenth wrong goes downhill here.
    assert objective(0.995 * d) > least
    assert objective(1.005 * d) > least
    if penalty and not deep:
        # More and less of what is negative: what the rest of the objective gains, the price takes.
        more, less = d + 0.2 * np.minimum(d, 0), d - 0.2 * np.minimum(d, 0)
        assert abs(objective(more) - objective(less)) < 0.2 * (price(more) - price(less))


def test_a_slope_has_the_same_variation_in_leaves_of_all_sizes() -> None:
    spacing_px = np.array([1.5, 3.0, 6.0])
    vertices = 60.0**3 / spacing_px**3
    np.testing.assert_allclose(variation_factors(spacing_px) * vertices * 0.1 * spacing_px, 0.1 * 1.5 * vertices[0])


def test_ties_keep_a_field_that_is_tied() -> None:
    forest = two_level_forest(n=7)
    assert (shared_faces(forest).scale < 1).any()
    ties = Ties.of(forest)
    # Linear along each axis: what is interpolated between coarse vertices is what the fine ones have.
    at = forest.corner_px[:, None, :] + forest.spacing_px[:, None, None] * np.arange(forest.n)[None, :, None]
    x, z, y = (at[:, :, axis] for axis in range(3))
    linear = (1 + 0.3 * x[:, :, None, None] - 0.2 * z[:, None, :, None] + 0.1 * y[:, None, None, :]).astype(np.float32)
    tied = linear.copy()
    ties.apply(tied)
    np.testing.assert_allclose(tied, linear, atol=2e-5)


def test_ties_join_what_leaves_share() -> None:
    forest = two_level_forest(n=7).with_finest_merged()
    ties, rng = Ties.of(forest), np.random.default_rng(2)
    field = rng.standard_normal(forest.values_shape).astype(np.float32)
    whole = field.copy()
    assert sum(len(below) for below, _ in ties.equals) >= 6
    ties.apply(field)
    for axis, (below, above) in enumerate(ties.equals):
        lower = np.moveaxis(field[below], 1 + axis, 1)[:, -1]
        upper = np.moveaxis(field[above], 1 + axis, 1)[:, 0]
        np.testing.assert_allclose(lower, upper, atol=1e-6)
    inside = (slice(None), *(slice(1, -1),) * 3)
    np.testing.assert_array_equal(field[inside], whole[inside])
    softened = field.copy()
    ties.apply(softened, 0.25)
    ties.apply(field, 0.0)
    assert field[:, 0].min() >= 0
    # What is negative on a tied side once, however many sides a vertex lies on.
    shared = copies(ties, forest.n) > 1
    np.testing.assert_array_equal(softened[~shared & (softened != field)] < 0, True)
    assert np.all(softened[shared & (field == 0)] <= 0)


def test_equal_leaves_end_without_seams(problem: Problem) -> None:
    run = finish(start_fit(problem, options(margin=0.0)), 4)
    density, ties = run.leaves.density, Ties.of(run.leaves.forest)
    for axis, (below, above) in enumerate(ties.equals):
        lower = np.moveaxis(density[below], 1 + axis, 1)[:, -1]
        upper = np.moveaxis(density[above], 1 + axis, 1)[:, 0]
        np.testing.assert_allclose(lower, upper, atol=1e-6)
    assert density.min() >= 0
    assert density.max() > 0


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"large_leaves": 0.6},
        {"regularizers": {"tv": {"variant": "isotropic"}, "cnlc": {"weight": 1e-5, "every": 2}}},
        {"structure_epochs": (1, 3), "structure_stall": 0.0, "leaf_px": 24.0, "finer": 1, "activation": "identity"},
    ],
)
def test_going_on_from_the_arrays_changes_no_bit(problem: Problem, changes: dict[str, Any]) -> None:
    chosen, given = options(**changes), replace(problem, fit_offsets=True)
    whole = finish(start_fit(given, chosen), 4)
    first = finish(start_fit(given, chosen), 2)
    kept = {name: array.copy() for name, array in first.arrays().items()}
    second = start_fit(given, chosen)
    second.restore(2, kept)
    finish(second, 2)
    mine, theirs = second.arrays(), whole.arrays()
    assert mine.keys() == theirs.keys()
    for name, array in mine.items():
        np.testing.assert_array_equal(array, theirs[name], err_msg=name)


def test_the_same_bits_at_one_and_two_threads(problem: Problem) -> None:
    results = []
    for threads in (1, 2):
        numba.set_num_threads(threads)
        results.append(finish(start_fit(problem, options()), 2).volume())
    np.testing.assert_array_equal(*results)


def test_the_fit_does_not_depend_on_the_units_of_the_projections(problem: Problem) -> None:
    scaled = replace(problem, projections=problem.projections * np.float32(2.0**13))
    plain, large = (finish(start_fit(given, options()), 3).volume() for given in (problem, scaled))
    np.testing.assert_allclose(large, plain * 2.0**13, rtol=2e-3, atol=2e-3 * plain.max() * 2.0**13)


def test_groups_have_every_view_once_and_are_spread() -> None:
    groups = view_groups(41, 14)
    assert sorted(np.concatenate(groups)) == list(range(41))
    assert max(len(group) for group in groups) == 3
    assert min(np.diff(group).min() for group in groups if len(group) > 1) == len(groups)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"activation": "squareplus", "start": 0.1}, "activation"),
        ({"coarse_epochs": 2}, "coarse_epochs"),
        ({"solver": "gradient"}, "activation"),
        ({"regularizers": {"tv": {"variant": "concave"}}}, "variant"),
        ({"regularizers": {}}, "variant"),
        ({"regularizers": {"tv": {"variant": "isotropic"}, "boundary": {"weight": 1e-4}}}, "boundary"),
    ],
)
def test_what_does_not_go_together_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(OptionError) as refused:
        FitPlan.of_shape(ProblemShape(21, 48, 48, 24), options(**changes)).possible_regularizers  # noqa: B018
    assert said in str(refused.value.field)


def test_memory_is_counted_with_its_duals() -> None:
    shape = ProblemShape(21, 48, 48, 24)
    gradient = OctreeOptions(epochs=4, n=9, max_leaves=120, leaf_px=12.0, optimizer="adam")
    field = 4 * FitPlan.of_shape(shape, gradient).layout.leaves * 9**3
    more = estimate_bytes(FitPlan.of_shape(shape, options())) - estimate_bytes(FitPlan.of_shape(shape, gradient))
    assert more > 3 * field + shape.stack_bytes - field
