"""The voxel kernels, run by g++, against the float64 reference; and slabs against all rows at once."""

from __future__ import annotations

import numpy as np
import pytest
from cases import needs_compiler
from forests import geometry
from on_cpu import CpuDevice

from tomokit.errors import ResourceError
from tomokit.geometry import TiltGeometry
from tomokit.projector import DenseProjector
from tomokit.projector.cuda.voxels import VoxelProjectorInSlabs, VoxelProjectorOnDevice, box_views
from tomokit.projector.footprint import box_profile

pytestmark = needs_compiler

# Wider and narrower than the detector, more and fewer rows, more views than a chunk of weights, rows of several
# blocks; rows that are read four values at a time and others; tilts around those where fewer voxels are met.
CASES = {
    "wide": (geometry(19, 30), (23, 37, 30)),
    "long": (geometry(33, 21), (12, 9, 26)),
    "views": (TiltGeometry(np.linspace(-80, 80, 41), 9, 7), (9, 5, 7)),
    "quads": (geometry(19, 28), (23, 37, 28)),
    "tilts": (TiltGeometry(np.r_[-90.0:90.0:7.3, 44.999, 45.001, 60.0, -30.0], 41, 8), (30, 26, 8)),
    "few": (TiltGeometry(np.array([20.0, -50.0]), 2, 5), (5, 3, 5)),
    "rows": (TiltGeometry(np.array([0.0, 90.0, 45.0]), 10, 140), (11, 4, 140)),
}


@pytest.mark.parametrize("case", CASES)
def test_both_directions_agree_with_the_reference(case: str) -> None:
    views, shape = CASES[case]
    rng = np.random.default_rng(0)
    volume = rng.random(shape, dtype=np.float32)
    stack = rng.random((views.n_views, views.n_u, views.n_v), dtype=np.float32)
    exact = DenseProjector(views, shape[1], shape[0], shape[2], "reference")
    projector = VoxelProjectorInSlabs([CpuDevice(1)], views, shape)
    for found, expected in ((projector.forward(volume), exact(volume)), (projector.adjoint(stack), exact.T(stack))):
        assert np.linalg.norm(found - expected) < 1e-6 * np.linalg.norm(expected)
        np.testing.assert_allclose(found, expected, atol=2e-5 * expected.max())


@pytest.mark.parametrize("case", CASES)
def test_slabs_on_several_devices_give_the_same_bits(case: str) -> None:
    views, shape = CASES[case]
    rng = np.random.default_rng(1)
    volume = rng.random(shape, dtype=np.float32)
    stack = rng.random((views.n_views, views.n_u, views.n_v), dtype=np.float32)
    whole = VoxelProjectorInSlabs([CpuDevice()], views, shape)
    devices = [CpuDevice(1, is_strict=True), CpuDevice(2, is_strict=True)]
    for rows in (3, 8):
        slabs = VoxelProjectorInSlabs(devices, views, shape, most_rows=rows)
        np.testing.assert_array_equal(slabs.forward(volume), whole.forward(volume))
        np.testing.assert_array_equal(slabs.adjoint(stack), whole.adjoint(stack))
    assert min(device.launches for device in devices) > 0


def test_slabs_follow_the_memory() -> None:
    views, shape = geometry(19, 30), (23, 37, 30)
    volume = np.random.default_rng(2).random(shape, dtype=np.float32)
    expected = VoxelProjectorInSlabs([CpuDevice()], views, shape).forward(volume)
    small = CpuDevice(memory_bytes=100_000)
    np.testing.assert_array_equal(VoxelProjectorInSlabs([small], views, shape).forward(volume), expected)
    assert small.launches > 2
    with pytest.raises(ResourceError, match="MiB are free"):
        VoxelProjectorInSlabs([CpuDevice(memory_bytes=1000)], views, shape).forward(volume)


def test_adjoint_identity_without_leaving_the_device() -> None:
    views = TiltGeometry(np.array([-61.0, -7.0, 44.0, 90.0]), 21, 33, np.array([0.3, -1.2, 0.0, 2.0]))
    rng = np.random.default_rng(3)
    device = CpuDevice(4)
    projector = VoxelProjectorOnDevice(device, views, 27, 12)
    volume = rng.normal(size=(27, 12, 33)).astype(np.float32)
    stack = rng.normal(size=(4, 21, 33)).astype(np.float32)
    forward, back = projector.forward(device.xp.asarray(volume)), projector.adjoint(device.xp.asarray(stack))
    forward, back = device.to_host(forward), device.to_host(back)
    scale = np.linalg.norm(forward) * np.linalg.norm(stack)
    assert abs(np.vdot(forward.astype(float), stack) - np.vdot(volume.astype(float), back)) < 1e-6 * scale


def test_views_are_described_as_on_the_cpu() -> None:
    views = geometry()
    for row, theta in zip(box_views(views), views.tilt_rad, strict=True):
        np.testing.assert_allclose(row[3:], box_profile(theta), rtol=1e-14)
