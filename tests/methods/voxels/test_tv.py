"""The converged total-variation reconstruction against an independent solver of the same problem."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy.sparse import csr_array

from tomokit.data.ctf import Optics
from tomokit.data.phase_flipping import ViewOptics
from tomokit.data.problem import Problem
from tomokit.data.transfer_model import TransferModel
from tomokit.geometry import TiltGeometry
from tomokit.projector import DenseProjector

SHAPE = (6, 4, 5)
N = int(np.prod(SHAPE))
GEOMETRY = TiltGeometry(np.array([-60.0, -35, -10, 0, 15, 40, 60]), 6, 5)
TRANSFER = TransferModel(
    tuple(
        ViewOptics(Optics(300.0), (0.3 + 0.05 * view, 0.3 + 0.05 * view, 0.0), slope=float(np.tan(tilt)))
        for view, tilt in enumerate(GEOMETRY.tilt_rad)
    ),
    2.5,
    (0.0,) * 7,
)


def tiny(fit_offsets: bool, masked: str) -> Problem:
    """A box of density 1 in 6 x 4 x 5 voxels, noise, constants, a mask, and contrast transfer."""
    rng = np.random.default_rng(4)
    density = np.zeros(SHAPE)
    density[2:5, 1:3, 1:4] = 1
    density[0, 0, 0] = 0.5
    stack = DenseProjector(GEOMETRY, 4, backend="reference")(density)
    transfer = TRANSFER if "transfer" in masked else None
    if transfer is not None:
        transfer.apply(stack, range(7))
    stack += rng.normal(0, 0.15, (7, 6, 5))
    if fit_offsets:
        stack += rng.uniform(-1, 1, 7)[:, None, None]
    mask = None
    if masked and masked != "transfer":
        mask = (rng.random(stack.shape) > 0.2).astype(np.float32)
        mask[3] = 0
        if "weights" in masked:
            mask *= rng.choice([0.25, 0.5, 1.0], stack.shape)
    return Problem(
        stack.astype(np.float32),
        None if mask is None else mask.astype(np.float32),
        GEOMETRY,
        4,
        fit_offsets,
        transfer=transfer,
    )


@cache
def operators() -> tuple[np.ndarray, np.ndarray]:
    """The projector as a matrix, and the gradient (3 N, N)."""
    projector = DenseProjector(GEOMETRY, 4, backend="reference")
    unit = np.eye(N).reshape(N, *SHAPE)
    difference = np.zeros((3, N, *SHAPE))
    difference[0, :, :-1], difference[1, :, :, :-1], difference[2, ..., :-1] = (
        np.diff(unit, axis=axis) for axis in (1, 2, 3)
    )
    a = np.stack([projector(voxel).ravel() for voxel in unit], axis=1)
    return a, difference.transpose(0, 2, 3, 4, 1).reshape(3 * N, N)


@cache
def transferred() -> np.ndarray:
    """The projector with the contrast transfer of its views, as a matrix."""
    a = operators()[0].copy()
    for column in a.T:
        TRANSFER.apply(column.reshape(7, 6, 5), range(7))
    return a


def system(problem: Problem) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """``[A B]`` with the offsets' columns, data, weights, and the gradient."""
    a, difference = operators()
    if problem.transfer is not None:
        a = transferred()
    if problem.fit_offsets:
        a = np.hstack([a, np.kron(np.eye(7), np.ones((30, 1)))])
    data = problem.projections.ravel().astype(np.float64)
    weight = np.ones_like(data) if problem.mask is None else problem.mask.ravel().astype(np.float64)
    return a, data, weight, difference


def solve(problem: Problem, tv_weight: float, nonnegative: bool) -> np.ndarray:
    """Alternating directions with exact solves in float64: another algorithm, with nothing of ours in it."""
    a, data, weight, difference = system(problem)
    rho = 2.0
    normal = a.T @ (weight[:, None] * a)
    normal[:N, :N] += rho * (difference.T @ difference + np.eye(N))
    # A view that is masked has no offset: any will do.
    inverse = np.linalg.inv(normal + 1e-12 * np.eye(len(normal)))[:N]
    fixed, inverse = inverse @ (a.T @ (weight * data)), np.ascontiguousarray(inverse[:, :N])
    difference = csr_array(difference)
    transposed = difference.T.tocsr()
    z, u = np.zeros(3 * N), np.zeros(3 * N)
    v, s = np.zeros(N), np.zeros(N)
    for _ in range(3000):
        # Not `@`: on arrays as small as these BLAS spends its time on waking threads.
        d = fixed + np.einsum("ij,j->i", inverse, rho * (transposed @ (z - u) + v - s))
        slope = difference @ d
        length = (slope + u).reshape(3, N)
        size = np.sqrt((length**2).sum(axis=0))
        shrunk = length * np.maximum(0, 1 - tv_weight / rho / np.maximum(size, 1e-300))
        z = shrunk.ravel()
        v = np.maximum(d + s, 0) if nonnegative else d + s
        u += slope - z
        s += d - v
    assert np.abs(v - d).max() < 1e-6
    return v


def objective(problem: Problem, d: np.ndarray, tv_weight: float) -> float:
    """``1/2 sum m r^2 + weight TV(d)`` with the best offsets."""
    a, data, weight, difference = system(problem)
    residual = (data - a[:, :N] @ d).reshape(7, 30)
    weight = weight.reshape(7, 30)
    if problem.fit_offsets:
        residual -= ((weight * residual).sum(axis=1) / np.maximum(weight.sum(axis=1), 1e-30))[:, None]
    tv = np.sqrt(((difference @ d).reshape(3, N) ** 2).sum(axis=0)).sum()
    return float(0.5 * np.sum(weight * residual**2) + tv_weight * tv)


@pytest.mark.parametrize(
    ("nonnegative", "fit_offsets", "masked"),
    [
        (True, False, ""),
        (False, False, ""),
        (True, True, ""),
        (False, False, "mask"),
        (True, True, "mask"),
        (False, True, "mask"),
        (True, False, "weights"),
        (False, True, "weights"),
        (True, False, "transfer"),
        (False, True, "weights and transfer"),
    ],
)
def test_it_is_the_minimum(nonnegative, fit_offsets, masked, start):
    problem, tv_weight = tiny(fit_offsets, masked), 0.25
    expected = solve(problem, tv_weight, nonnegative)
    run = start("tv", problem, epochs=400, weight=tv_weight, nonnegative=nonnegative, margin=0.0)
    for _ in range(400):
        run.advance()
    found = run.volume().astype(np.float64).ravel() * problem.geometry.kappa
    least = objective(problem, expected, tv_weight)
    assert objective(problem, found, tv_weight) < least * (1 + 1e-5)
    assert np.linalg.norm(found - expected) < 5e-3 * np.linalg.norm(expected)
    # Not the trivial answer; and the constraint, where there is one, is felt (offsets lift the background).
    assert np.ptp(expected) > 0.3
    assert found.min() >= 0 if nonnegative else fit_offsets or expected.min() < -1e-3
    for seed in range(5):
        moved = found + 0.01 * np.random.default_rng(seed).normal(size=N)
        assert objective(problem, np.maximum(moved, 0) if nonnegative else moved, tv_weight) > least
    if fit_offsets:
        a, data, weight, _ = system(problem)
        residual = (data - a[:, :N] @ expected).reshape(7, 30)
        weight = weight.reshape(7, 30)
        seen = weight.sum(axis=1) > 0
        constants = (weight * residual).sum(axis=1)[seen] / weight.sum(axis=1)[seen]
        np.testing.assert_allclose(run.offsets()[seen], constants, atol=5e-3)


@pytest.mark.parametrize("balance", [1.0, 100.0])
def test_balance_changes_the_speed_only(balance, start):
    problem = tiny(False, "")
    expected = solve(problem, 0.25, True)
    run = start("tv", problem, epochs=1000, weight=0.25, balance=balance)
    for _ in range(1000):
        run.advance()
    found = run.volume().ravel() * problem.geometry.kappa
    assert objective(problem, found.astype(np.float64), 0.25) < objective(problem, expected, 0.25) * (1 + 1e-3)


def test_the_default_number_of_epochs_is_enough(small, start, finish):
    volumes = []
    for epochs in (80, 400):
        run = start("tv", small.problem, epochs=epochs)
        assert epochs == 400 or run.epochs == type(run.options)().epochs
        finish(run)
        volumes.append(run.volume())
    few, many = volumes
    assert np.linalg.norm(few - many) < 0.05 * np.linalg.norm(many)
    assert small.error(few) < 1.03 * small.error(many)


def test_no_weight_is_least_squares(specimen, start, finish):
    smooth = start("tv", specimen.problem, epochs=30)
    rough = start("tv", specimen.problem, epochs=30, weight=0.0)
    last = [finish(run)[-1] for run in (smooth, rough)]
    assert last[1]["tv"] == 0
    assert last[1]["data"] < 0.5 * last[0]["data"]


def test_the_weight_follows_the_noise_and_the_strength(specimen, start):
    from tomokit.data.contrast import tv_weight

    run = start("tv", specimen.problem, strength=2.0)
    assert run.weight == pytest.approx(2 * tv_weight(specimen.problem))
    assert start("tv", specimen.problem, weight=0.125, strength=2.0).weight == 0.125
