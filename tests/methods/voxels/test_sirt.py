"""SIRT and SART: descent, fixed points, the limit, and what lies beyond the field."""

import numpy as np
import pytest

from tomokit.data.problem import Problem
from tomokit.geometry import TiltGeometry
from tomokit.phantom import project_analytic, random_shells, voxelize
from tomokit.projector import DenseProjector


@pytest.mark.parametrize("relaxation", [0.5, 1.0, 1.9])
@pytest.mark.parametrize(
    ("masked", "fit_offsets", "nonnegative"), [(0, 0, 1), (1, 0, 1), (0, 1, 1), (1, 1, 0), (0, 0, 0)]
)
def test_the_data_term_falls_with_every_iteration(relaxation, masked, fit_offsets, nonnegative, specimen, mask, start):
    problem = specimen.varied(mask=mask if masked else None, fit_offsets=bool(fit_offsets))
    run = start("sirt", problem, relaxation=relaxation, nonnegative=bool(nonnegative), epochs=25)
    losses = [run.advance()["data"] for _ in range(25)]
    assert (np.diff(losses) < 0).all()
    assert losses[-1] < 0.2 * losses[0]


@pytest.mark.parametrize("name", ["sirt", "sart"])
@pytest.mark.parametrize("fit_offsets", [False, True])
def test_the_solution_stays(name, fit_offsets, specimen, mask, start):
    density = specimen.truth * np.float32(specimen.problem.geometry.kappa)
    added = np.linspace(0, 0.01, 31).astype(np.float32) if fit_offsets else np.zeros(31, np.float32)
    exact = DenseProjector(specimen.problem.geometry, specimen.problem.thickness_px)(density) + added[:, None, None]
    run = start(name, specimen.varied(projections=exact, mask=mask, fit_offsets=fit_offsets), margin=0.0, epochs=3)
    run.projection_density[...] = density
    for _ in range(3):
        assert run.advance()["data"] < 1e-15
    np.testing.assert_allclose(run.projection_density, density, atol=2e-6 * density.max())
    seen = mask.any(axis=(1, 2))
    np.testing.assert_allclose(run.offsets()[seen], added[seen], atol=1e-7)


@pytest.mark.parametrize(
    ("name", "epochs", "options", "bound"),
    [("sirt", 1500, {"relaxation": 1.9}, 5e-3), ("sart", 300, {"relaxation": 1.0, "decay": 1.0}, 1e-3)],
)
def test_a_consistent_system_of_full_rank_is_solved(name, epochs, options, bound, start):
    # Of condition 49: half-way it is not solved, so what is bounded is the limit.
    geometry = TiltGeometry(np.arange(-90.0, 90.0, 10.0), 6, 2)
    truth = np.random.default_rng(0).random((6, 2, 2), np.float32)
    projections = DenseProjector(geometry, 2)(truth) * np.float32(geometry.kappa)
    run = start(name, Problem(projections, None, geometry, 2), epochs=epochs, nonnegative=False, **options)
    errors = []
    for _ in range(epochs):
        run.advance()
        errors.append(np.linalg.norm(run.volume() - truth) / np.linalg.norm(truth))
    assert errors[9] > 2 * bound
    assert errors[-1] < bound


@pytest.mark.parametrize("name", ["sirt", "sart", "sart-tv", "tv"])
def test_densities_are_not_negative_unless_allowed(name, specimen, start):
    for nonnegative in (True, False):
        run = start(name, specimen.problem, nonnegative=nonnegative)
        for _ in range(2):
            run.advance()
        assert bool(run.volume().min() >= 0) == nonnegative


def test_a_step_of_one_is_back_projected_as_the_formula_says(specimen, mask, start):
    run = start("sirt", specimen.varied(mask=mask), relaxation=0.7, nonnegative=False)
    run.advance()
    exact = DenseProjector(specimen.problem.geometry, 24, backend="reference")
    rays = exact(np.ones(exact.volume_shape))
    row = np.where(rays > 0.5, 1 / np.maximum(rays, 0.5), 0)
    column = exact.T(mask.astype(float))
    assert (column < 1e-3).any()  # voxels that no view sees
    expected = 0.7 * exact.T(row * mask * specimen.problem.projections) / np.where(column > 1e-3, column, np.inf)
    np.testing.assert_allclose(run.projection_density, expected, atol=1e-5 * np.abs(expected).max())


def test_sart_takes_views_in_an_order_of_its_seed(specimen, start):
    volumes = []
    for seed in (0, 1):
        run = start("sart", specimen.varied(seed=seed))
        run.advance()
        volumes.append(run.volume())
    assert np.abs(volumes[0] - volumes[1]).max() > 0
    assert np.linalg.norm(volumes[0] - volumes[1]) < 0.2 * np.linalg.norm(volumes[0])


def test_a_margin_holds_what_lies_beyond_the_field(start):
    # A specimen twice as wide as the detector: high tilts see some of it from the side.
    shape = (24, 32, 80)
    phantom = random_shells(shape, 2)
    geometry = TiltGeometry(np.arange(-60.0, 61.0, 4.0), 40, 32)
    projections = project_analytic(phantom, geometry).transpose(0, 2, 1) * np.float32(geometry.kappa)
    truth = voxelize(phantom, shape).transpose(2, 0, 1)[20:60]
    errors = {}
    for margin in (0.0, 0.5):
        run = start("sirt", Problem(np.ascontiguousarray(projections), None, geometry, 24), margin=margin)
        for _ in range(30):
            last = run.advance()["data"]
        errors[margin] = (np.linalg.norm(run.volume() - truth) / np.linalg.norm(truth), last)
    assert errors[0.5][0] < 0.9 * errors[0.0][0]
    assert errors[0.5][1] < 0.5 * errors[0.0][1]


def test_sart_steps_decay_with_every_sweep(specimen, start):
    changes = {}
    for decay in (1.0, 0.5, 0.1):
        run = start("sart", specimen.problem, decay=decay, nonnegative=False, relaxation=0.1)
        run.advance()
        first = run.projection_density.copy()
        run.advance()
        changes[decay] = np.linalg.norm(run.projection_density - first)
    assert changes[0.5] == pytest.approx(0.5 * changes[1.0], rel=0.2)
    assert changes[0.1] == pytest.approx(0.1 * changes[1.0], rel=0.4)


def test_a_sweep_of_sart_is_what_the_formula_says(specimen, mask, start):
    run = start("sart", specimen.varied(mask=mask, seed=5), relaxation=0.8, nonnegative=True)
    run.advance()
    exact = DenseProjector(specimen.problem.geometry, 24, backend="reference")
    rays = exact(np.ones(exact.volume_shape))
    density = np.zeros(exact.volume_shape)
    for view in np.random.default_rng((5, 0)).permutation(31):
        projector = exact.views([view])
        residual = mask[view] * (specimen.problem.projections[view] - projector(density)[0])
        residual *= np.where(rays[view] > 0.5, 1 / np.maximum(rays[view], 0.5), 0)
        density = np.maximum(density + 0.8 * projector.T(residual[None]), 0)
    np.testing.assert_allclose(run.projection_density, density, atol=2e-5 * density.max())
