"""The pass over the leaves, run by g++, against the CPU's, whose gradient is tested against finite differences."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from cases import jumping_forest, needs_compiler
from forests import two_level_forest
from on_cpu import CpuDevice

from tomokit.data.problem import Problem
from tomokit.geometry import TiltGeometry
from tomokit.methods.octree.cuda.device_buffers import DeviceBuffers
from tomokit.methods.octree.cuda.field import FieldOnDevice, hyper_rows
from tomokit.methods.octree.cuda.penalties import PenaltiesOnGpu
from tomokit.methods.octree.cuda.pyramid_level import LevelOnDevice
from tomokit.methods.octree.epoch_plan import EpochPlan
from tomokit.methods.octree.host_engine import HostEngine
from tomokit.methods.octree.leaf_field import LeafField
from tomokit.methods.octree.penalties import WeightedRegularizer
from tomokit.methods.octree.pyramid_level import PyramidLevel
from tomokit.methods.pausing import EpochProgress
from tomokit.octree import Forest
from tomokit.octree.partition import split
from tomokit.optimizers.block import BlockOptimizer
from tomokit.optimizers.rules import Adam, AdamOptions, Rmsprop, RmspropOptions, Sgd, SgdOptions
from tomokit.regularizers.boundary import Boundary, BoundaryOptions
from tomokit.regularizers.cuda.interface import StepOnGpu
from tomokit.regularizers.tv import TotalVariation, TotalVariationOptions

pytestmark = needs_compiler

SGD = Sgd(SgdOptions(lr=1.0, momentum=0.0))


def problem(seed: int = 3) -> Problem:
    """Three masked views, offsets fitted."""
    rng = np.random.default_rng(seed)
    shape = (3, 19, 21)
    views = TiltGeometry(np.array([-55.0, -10.0, 35.0]), 19, 21, rng.normal(size=3), rng.normal(size=3))
    mask = (rng.random(shape) > 0.2).astype(np.float32)
    return Problem(rng.random(shape).astype(np.float32), mask, views, 8, fit_offsets=True)


def both(
    forest: Forest,
    regularizers: list[WeightedRegularizer],
    optimizer: BlockOptimizer = SGD,
    steps: int = 1,
    activation: str = "squareplus",
    data: bool = True,
) -> tuple[LeafField, LeafField, dict[str, float], dict[str, float]]:
    """The same steps on the CPU and on the tests' device: fields, and the terms of the last step."""
    rng = np.random.default_rng(1)
    start = rng.random(forest.values_shape, dtype=np.float32)
    # Equal neighbours too: there the penalties have a kink.
    start[0, 1:3] = start[0, 0]
    given = problem()
    if not data:
        given = Problem(given.projections, np.zeros_like(given.mask), given.geometry, given.thickness_px)
    fields, terms = [], []
    cpu, device = LeafField(forest, start.copy(), activation, optimizer), CpuDevice(7)
    level = PyramidLevel(given, 1, given.geometry.kappa)
    inside, views = np.ones(forest.n_leaves, bool), np.array([2, 0])
    engine = HostEngine(cpu)
    for step in range(steps):
        rng = np.random.default_rng(0)
        engine.begin(EpochPlan(level, regularizers, inside, [views], 1, step, 0.5, rng, EpochProgress()))
        engine.step(0)
    progress = engine.progress()
    fields.append(cpu)
    terms.append({"squares": progress.squares, "weight": progress.weight, **progress.terms})

    host = LeafField(forest, start.copy(), activation, optimizer)
    (partition,) = split(forest, 1)
    field = FieldOnDevice(
        DeviceBuffers(device, forest.n, [forest.n_leaves], (*FieldOnDevice.BUFFERS, *host.state)),
        host,
        optimizer,
        partition,
    )
    on_device = PenaltiesOnGpu(field, regularizers, forest, inside, {}, 0)
    there = LevelOnDevice(device, PyramidLevel(given, 1, given.geometry.kappa), partition)
    put, names = device.xp.asarray, [weighted.name for weighted in regularizers]
    hyper = put(hyper_rows(optimizer, 0.5, 1, steps))
    for step in range(steps):
        told = StepOnGpu(step, put(np.zeros(2 + len(names))), None, None)
        gradients = on_device.evaluate(told, 2)
        forward = there.forward(field, put(views.astype(np.int32)), views)
        there.update(field, forward, forward.partial, gradients, hyper[step], told.totals)
        on_device.finish(told, 2)
    field.fetch(host)
    there.fetch_offsets()
    np.testing.assert_allclose(there.level.offsets, level.offsets, atol=1e-6)
    fields.append(host)
    terms.append(dict(zip(["squares", "weight", *names], device.to_host(told.totals), strict=True)))
    return fields[0], fields[1], terms[0], terms[1]


def close(found: np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    """Relative distance, and the same entries."""
    assert np.linalg.norm(found - expected) <= tolerance * np.linalg.norm(expected)
    large = np.abs(expected) > 1e-3 * np.abs(expected).max()
    assert (np.sign(found[large]) == np.sign(expected[large])).all()


def _change(field: LeafField, like: LeafField) -> np.ndarray:
    """What the steps changed."""
    rng = np.random.default_rng(1)
    start = rng.random(field.values.shape, dtype=np.float32)
    start[0, 1:3] = start[0, 0]
    before = LeafField(like.forest, start, like.activation, SGD)
    return field.values.astype(float) - before.values


@pytest.mark.parametrize("n", [4, 7])
@pytest.mark.parametrize("forest", [two_level_forest, jumping_forest])
def test_the_gradient_of_the_data_term(n: int, forest: Callable[[int], Forest]) -> None:
    # So large a step that the values it starts from do not hide the gradient.
    cpu, device, terms, found = both(forest(n), [], Sgd(SgdOptions(lr=1e5, momentum=0.0)), activation="identity")
    close(_change(device, cpu), _change(cpu, cpu), 2e-5)
    np.testing.assert_allclose(found["squares"], terms["squares"], rtol=2e-5)
    assert found["weight"] == terms["weight"]


@pytest.mark.parametrize("variant", ["anisotropic", "isotropic", "huber", "concave"])
@pytest.mark.parametrize("measure", ["leaf", "volume"])
def test_total_variation(variant: str, measure: str) -> None:
    options = TotalVariationOptions(variant=variant, measure=measure)
    regularizers = [WeightedRegularizer(TotalVariation(options), options, 0.7)]
    cpu, device, terms, found = both(two_level_forest(5), regularizers, data=False)
    close(_change(device, cpu), _change(cpu, cpu), 1e-4)
    np.testing.assert_allclose(found["tv"], terms["tv"], rtol=1e-5)


@pytest.mark.parametrize("n", [4, 7])
@pytest.mark.parametrize("forest", [two_level_forest, jumping_forest])
def test_boundary_consistency(n: int, forest: Callable[[int], Forest]) -> None:
    options = BoundaryOptions()
    cpu, device, terms, found = both(forest(n), [WeightedRegularizer(Boundary(options), options, 5.0)], data=False)
    close(_change(device, cpu), _change(cpu, cpu), 1e-4)
    np.testing.assert_allclose(found["boundary"], terms["boundary"], rtol=1e-5)


def test_penalties_on_raw_values() -> None:
    tv, sides = TotalVariationOptions(space="raw"), BoundaryOptions(space="raw")
    regularizers = [WeightedRegularizer(TotalVariation(tv), tv, 0.7), WeightedRegularizer(Boundary(sides), sides, 3.0)]
    for chosen in (regularizers, regularizers[::-1]):
        cpu, device, terms, found = both(jumping_forest(5), chosen, data=False)
        close(_change(device, cpu), _change(cpu, cpu), 1e-4)
        np.testing.assert_allclose(found["tv"], terms["tv"], rtol=1e-5)
        np.testing.assert_allclose(found["boundary"], terms["boundary"], rtol=1e-5)


@pytest.mark.parametrize("activation", ["squareplus", "softplus", "identity"])
@pytest.mark.parametrize(
    "optimizer",
    [
        SGD,
        Sgd(SgdOptions(lr=0.5, momentum=0.8)),
        Rmsprop(RmspropOptions(lr=0.02, eps=1e-8)),
        Adam(AdamOptions(lr=0.02)),
    ],
)
def test_steps_of_everything(optimizer: BlockOptimizer, activation: str) -> None:
    tv, sides = TotalVariationOptions(every=2), BoundaryOptions()
    regularizers = [
        WeightedRegularizer(TotalVariation(tv), tv, 0.05),
        WeightedRegularizer(Boundary(sides), sides, 0.05),
    ]
    cpu, device, terms, found = both(two_level_forest(5), regularizers, optimizer, 3, activation)
    close(_change(device, cpu), _change(cpu, cpu), 2e-4)
    np.testing.assert_allclose(device.density, cpu.density, rtol=2e-4, atol=2e-5)
    for name, array in cpu.state.items():
        np.testing.assert_allclose(device.state[name], array, rtol=2e-3, atol=1e-4 * np.abs(array).max())
    np.testing.assert_allclose(found["squares"], terms["squares"], rtol=1e-4)
