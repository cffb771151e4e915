"""Grid sampling against the CPU's, which is tested against the reference."""

from __future__ import annotations

import numpy as np
import pytest
from cases import needs_compiler
from forests import two_level_forest
from on_cpu import CpuDevice

from tomokit.octree import sampling
from tomokit.octree.cuda.sampling import sample, sample_volume

pytestmark = needs_compiler


def test_every_point_is_the_cpus() -> None:
    forest = two_level_forest(6)
    values = np.random.default_rng(0).normal(size=forest.values_shape).astype(np.float32)
    # Points on faces, beyond the forest and, where a root is missing, in holes.
    for start, step, shape in (
        ((-13.0, -8.0, -7.5), (1.0, 1.0, 0.5), (25, 17, 33)),
        ((-14.2, -9.0, -8.3), (0.7, 1.3, 0.9), (38, 14, 20)),
    ):
        device = CpuDevice(1)
        there = sample(device, device.xp.asarray(values), forest, np.array(start), np.array(step), shape)
        found = device.to_host(there)
        lattice = [item for triple in zip(start, step, shape, strict=True) for item in triple]
        expected = sampling.sample(values, forest, *lattice)
        assert (expected == 0).any()
        np.testing.assert_allclose(found, expected, atol=1e-6 * np.abs(expected).max())
        np.testing.assert_array_equal(found == 0, expected == 0)


@pytest.mark.long
def test_a_volume_in_pieces_is_the_volume() -> None:
    forest = two_level_forest()
    values = np.random.default_rng(1).normal(size=forest.values_shape).astype(np.float32)
    shape = (21, 13, 14)
    expected = sampling.sample_volume(values, forest, *shape)
    pieces = CpuDevice(2, memory_bytes=values.nbytes + 2 * 4 * 13 * 14 * 4)
    for device in (CpuDevice(), pieces):
        found = sample_volume(device, device.xp.asarray(values), forest, shape)
        np.testing.assert_allclose(found, expected, atol=1e-6 * np.abs(expected).max())
    assert pieces.launches > 5
