"""The same bits at any number of threads and of work items."""

import numba
import numpy as np
import pytest

from tomokit.geometry import TiltGeometry
from tomokit.projector import DenseProjector
from tomokit.projector.voxels_cpu import forward


@pytest.fixture
def threads():
    """Sets the number of threads, and puts it back."""
    if numba.config.NUMBA_NUM_THREADS < 2:
        pytest.skip("one thread only on this machine")
    before = numba.get_num_threads()
    yield numba.set_num_threads
    numba.set_num_threads(before)


def test_threads_do_not_change_a_bit(threads):
    geometry = TiltGeometry(np.linspace(-65, 70, 21), 50, 131, np.linspace(-2, 3, 21), np.linspace(1, -1, 21))
    projector = DenseProjector(geometry, 21, 60, 140)
    rng = np.random.default_rng(0)
    volume = rng.normal(size=projector.volume_shape).astype(np.float32)
    stack = rng.normal(size=projector.stack_shape).astype(np.float32)
    results = []
    for count in (1, 2, 1, 2):
        threads(count)
        results.append((projector(volume).tobytes(), projector.T(stack).tobytes()))
    assert len(set(results)) == 1


@pytest.mark.parametrize("n_y", [1, 37, 130])
def test_slabs_do_not_change_a_bit(n_y):
    theta, shift = np.deg2rad(np.linspace(-60, 60, 5)), np.zeros(5)
    volume = np.random.default_rng(0).normal(size=(33, 12, n_y)).astype(np.float32)
    results = set()
    for n_slabs in (1, 2, 3, 7, n_y):
        stack = np.zeros((5, 33, n_y), np.float32)
        forward(volume, theta, shift, stack, n_slabs)
        results.add(stack.tobytes())
    assert stack.any()
    assert len(results) == 1
