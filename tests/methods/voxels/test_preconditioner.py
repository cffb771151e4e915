"""The preconditioner's one promise, on problems small enough to write out as matrices."""

from functools import cache

import numpy as np
import pytest

from tomokit.geometry import TiltGeometry
from tomokit.methods.voxels.preconditioner import CosinePreconditioner
from tomokit.projector import DenseProjector

CASES = {
    "symmetric": (np.linspace(-60, 60, 13), 7, (7, 4, 3), 0.0),
    "asymmetric range": (np.linspace(-20, 70, 10), 7, (7, 4, 3), 0.0),
    "single view": (np.array([25.0]), 7, (7, 4, 3), 0.0),
    "margin": (np.linspace(-60, 60, 13), 5, (11, 4, 2), 0.0),
    "narrower than the detector": (np.linspace(-60, 60, 5), 15, (5, 4, 3), 0.0),
    "all round": (np.linspace(-90, 75, 12), 6, (6, 6, 2), 0.0),
    "shifted": (np.linspace(-60, 60, 7), 7, (7, 4, 3), 1.3),
    "two by three": (np.array([0.0, 40.0]), 3, (3, 2, 2), 0.0),
    "one voxel": (np.array([0.0, 40.0]), 1, (1, 1, 1), 0.0),
    "one layer": (np.linspace(-60, 60, 41), 12, (12, 1, 3), 0.0),
    "thick": (np.linspace(-60, 60, 5), 5, (5, 9, 2), 0.0),
}


@cache
def parts(case: str) -> tuple[TiltGeometry, np.ndarray, np.ndarray]:
    """Geometry, ``A^T A`` and ``grad^T grad``."""
    tilt, n_u, shape, shift = CASES[case]
    spread = shift * np.linspace(-1, 1, tilt.size)
    geometry = TiltGeometry(tilt, n_u, shape[2], spread, spread[::-1])
    projector = DenseProjector(geometry, shape[1], shape[0], shape[2], backend="reference")
    n = int(np.prod(shape))
    unit = np.eye(n).reshape(n, *shape)
    a = np.stack([projector(voxel).ravel() for voxel in unit], axis=1)
    differences = [np.diff(unit, axis=axis).reshape(n, -1) for axis in (1, 2, 3)]
    return geometry, a.T @ a, sum(d @ d.T for d in differences)


def matrices(case: str, gradient_weight: float, constant: float) -> tuple[np.ndarray, np.ndarray]:
    """``K^T K = A^T A + g grad^T grad + c`` and ``M^-1``."""
    geometry, data, smooth = parts(case)
    unit = np.eye(len(data))
    shape = CASES[case][2]
    precondition = CosinePreconditioner(geometry, shape, gradient_weight, constant, threads=1)
    inverse = np.stack([precondition(voxel.reshape(shape)).ravel() for voxel in unit], axis=1)
    return data + gradient_weight * smooth + constant * unit, inverse


# All cases with middling weights, and two of them with the others, as `nox -s long` takes all.
@pytest.mark.parametrize(
    ("case", "weights"),
    [
        pytest.param(
            case, weights, marks=[] if weights == (0.3, 0.3) or case in ("shifted", "single view") else pytest.mark.long
        )
        for case in CASES
        for weights in [(0.3, 0.3), (1e-6, 1e-6), (1000.0, 1000.0), (3.0, 1e-3)]
    ],
)
def test_no_eigenvalue_exceeds_one(case, weights):
    normal, inverse = matrices(case, *weights)
    np.testing.assert_allclose(inverse, inverse.T, atol=1e-6 * np.abs(inverse).max())
    values, vectors = np.linalg.eigh((inverse + inverse.T) / 2)
    assert values.min() > 0
    root = vectors * np.sqrt(values) @ vectors.T
    largest = np.linalg.eigvalsh(root @ normal @ root).max()
    assert largest <= 1
    # No smaller than it has to be; shifts along y, which take mass off the detector, are not made use of.
    assert largest > (0.5 if case == "shifted" else 0.97)


def test_where_the_data_say_nothing_it_is_the_exact_inverse_to_its_scale():
    # One view of weight next to nothing against the gradient: M is the Laplacian, which cosines diagonalize.
    normal, inverse = matrices("single view", 1e4, 1e4)
    product = inverse @ normal
    np.testing.assert_allclose(product / product[0, 0], np.eye(len(product)), atol=2e-3)


def test_does_not_change_its_argument_and_keeps_its_type():
    precondition = CosinePreconditioner(TiltGeometry([0.0, 30.0], 6, 4), (6, 5, 4), 1.0, 1.0, 1)
    for dtype in (np.float32, np.float64):
        v = np.random.default_rng(0).normal(size=(6, 5, 4)).astype(dtype)
        before = v.copy()
        assert precondition(v).dtype == dtype
        np.testing.assert_array_equal(v, before)
