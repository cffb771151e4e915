"""A small anisotropic forest with level jumps and boundaries, and how its penalties are differentiated."""

from __future__ import annotations

from collections.abc import Callable

import numba
import numpy as np
import pytest

from tomokit.octree import Forest
from tomokit.regularizers.interface import Field


@pytest.fixture(scope="session")
def forest() -> Forest:
    """Roots 2 x 1 x 3; one split, one of its children split again beside a root: jumps of one and of two levels."""
    leaves = [(0, (x, 0, y)) for x in range(2) for y in range(3) if (x, y) != (0, 1)]
    children = [(1, (x, z, 2 + y)) for x in range(2) for z in range(2) for y in range(2)]
    split = (1, (1, 0, 3))
    children.remove(split)
    grandchildren = [(2, (2 + x, z, 6 + y)) for x in range(2) for z in range(2) for y in range(2)]
    leaves += children + grandchildren
    return Forest(
        origin_px=(-8.0, -4.0, -12.0),
        root_px=8.0,
        roots=(2, 1, 3),
        n=4,
        level=np.array([level for level, _ in leaves], np.int32),
        index=np.array([index for _, index in leaves], np.int32),
    )


@pytest.fixture
def make_field(forest: Forest) -> Callable[..., Field]:
    def make(dtype: type = np.float64, seed: int = 3, spread: float = 1.0) -> Field:
        rng = np.random.default_rng(seed)
        values = (1.0 + spread * rng.standard_normal(forest.values_shape)).astype(dtype)
        inside = np.arange(forest.n_leaves) % 3 != 1
        return Field(forest=forest, values=values, inside=inside, rng=np.random.default_rng(seed))

    return make


@pytest.fixture(scope="session")
def numerical_gradient() -> Callable[..., np.ndarray]:
    """Central differences by every `stride`-th value; not a number at the others."""

    def central(value: Callable[[np.ndarray], float], values: np.ndarray, stride: int = 1) -> np.ndarray:
        step = 1e-5
        gradient = np.full(values.size, np.nan)
        moved = values.copy()
        flat = moved.reshape(-1)
        threads = numba.get_num_threads()
        numba.set_num_threads(1)  # Waking a second thread takes longer than these few leaves.
        for place in range(0, flat.size, stride):
            middle = flat[place]
            flat[place] = middle + step
            above = value(moved)
            flat[place] = middle - step
            gradient[place] = (above - value(moved)) / (2 * step)
            flat[place] = middle
        numba.set_num_threads(threads)
        return gradient.reshape(values.shape)

    return central


@pytest.fixture(scope="session")
def assert_same_vector() -> Callable[[np.ndarray, np.ndarray, float], None]:
    """Relative L2, cosine, and the same entries zero: what drops small true entries must not pass."""

    def check(found: np.ndarray, expected: np.ndarray, tolerance: float) -> None:
        found, size = found.astype(np.float64), np.linalg.norm(expected)
        assert size > 0
        assert np.linalg.norm(found - expected) <= tolerance * size
        assert np.vdot(found, expected) >= (1 - tolerance) * size * np.linalg.norm(found)
        floor = tolerance * size / np.sqrt(expected.size)
        np.testing.assert_array_equal(np.abs(found) > floor, np.abs(expected) > floor)

    return check


@pytest.fixture
def on_threads() -> object:
    """Run something on one thread and on two, and give both results."""
    if numba.config.NUMBA_NUM_THREADS < 2:
        pytest.skip("one thread only")
    before = numba.get_num_threads()

    def run(what: Callable[[], object]) -> tuple[object, object]:
        results = []
        for threads in (1, 2):
            numba.set_num_threads(threads)
            results.append(what())
        return results[0], results[1]

    yield run
    numba.set_num_threads(before)
