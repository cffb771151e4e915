"""The dense methods on a GPU, beside the CPU's and beside their floors: part of ``gpu.py``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from gpu_table import FLOAT, Row, Sizes, distance, judged, seconds

from tomokit.data.problem import Problem
from tomokit.geometry import TiltGeometry
from tomokit.gpu.device import Device
from tomokit.gpu.discovery import use_devices
from tomokit.methods.voxels.cuda.cosine import cosine_transform, has_cosine
from tomokit.methods.voxels.sart_tv import SartTv, SartTvOptions
from tomokit.methods.voxels.sirt import Sirt, SirtOptions
from tomokit.methods.voxels.tv import Tv, TvOptions
from tomokit.projector.cuda.voxels import VoxelProjectorOnDevice


def dense_methods(device: Device, sizes: Sizes) -> Iterator[Row]:
    """A few epochs against the CPU's: masked, shifted, offsets fitted."""
    edge, n_views = min(sizes.dense[0], 96), min(sizes.dense[1], 31)
    rng = np.random.default_rng(2)
    geometry = TiltGeometry(np.linspace(-60, 60, n_views), edge, edge, *rng.normal(size=(2, n_views)))
    mask = (rng.random((n_views, edge, edge)) > 0.05).astype(np.float32)
    data = rng.random(mask.shape, np.float32) + np.float32(np.hanning(edge)[:, None])
    methods: dict[str, tuple[Any, Any]] = {
        "sirt": (Sirt(), SirtOptions(epochs=5)),
        "sart-tv": (SartTv(), SartTvOptions(epochs=3)),
        "tv": (Tv(), TvOptions(epochs=5)),
    }
    transforms = has_cosine(device)
    yield Row("cuFFT transforms", "yes" if transforms else "no", "yes", transforms)
    for name, (method, options) in methods.items():
        volumes = []
        for backend in ("cpu", "cuda"):
            with use_devices([device]):
                run = method.start(Problem(data, mask, geometry, edge // 2, True, backend=backend), options)
                for _ in range(options.epochs):
                    run.advance()
                volumes.append(run.volume())
        where = "in slabs" if run.resolved_parameters()["in_slabs"] else "on the device"
        away = distance(volumes[1], volumes[0])
        yield Row(
            f"{name} {where}, {options.epochs} epochs, distance from the CPU", f"{away:.1e}", "1e-4", away <= 1e-4
        )


def dense_times(device: Device, sizes: Sizes, bandwidth: float, rate: float) -> Iterator[Row]:
    """Projection and adjoint of a cube."""
    edge, n_views = sizes.dense
    geometry = TiltGeometry(np.linspace(-60, 60, n_views), edge, edge)
    dense = VoxelProjectorOnDevice(device, geometry, edge, edge)
    volume, stack = device.xp.zeros((edge,) * 3, np.float32), device.xp.zeros((n_views, edge, edge), np.float32)
    floor = _floor(geometry, bandwidth, rate)
    for name, work in (("forward", lambda: dense.forward(volume)), ("adjoint", lambda: dense.adjoint(stack))):
        yield judged(f"dense {name}, {edge}^3, {n_views} views", seconds(device, work, sizes.repeats), floor, sizes)


def tv_times(device: Device, sizes: Sizes, bandwidth: float, rate: float) -> Iterator[Row]:
    """An iteration of total variation on a cube, with offsets and without a mask, and its transforms alone."""
    edge, n_views = sizes.dense
    geometry = TiltGeometry(np.linspace(-60, 60, n_views), edge, edge)
    voxels, pixels = edge**3, n_views * edge**2
    # Two transforms, each along three axes that are read and written once; CuPy's copies come on top of that.
    transforms = 2 * 3 * 2 * FLOAT * voxels / bandwidth
    if has_cosine(device):
        volume = device.xp.zeros((edge,) * 3, np.float32)

        def there_and_back(volume: Any = volume) -> None:
            for inverse in (False, True):
                cosine_transform(device, volume, inverse)

        yield _told(f"cosine transform there and back, {edge}^3", device, there_and_back, transforms, sizes)
        del volume, there_and_back
    # Bytes as counted at the heads of total_variation.cu and tv.cu; subtract_prediction reads P and p, writes one.
    floor = 2 * _floor(geometry, bandwidth, rate) + transforms + (88 * voxels + (12 + 12 + 8) * pixels) / bandwidth
    data = np.random.default_rng(1).random((n_views, edge, edge), np.float32)
    with use_devices([device]):
        run = Tv().start(Problem(data, None, geometry, edge, True, backend="cuda"), TvOptions(weight=0.1, margin=0.0))
        where = "in slabs" if run.resolved_parameters()["in_slabs"] else "on the device"
        yield _told(f"iteration of tv {where}, {edge}^3, {n_views} views", device, run.advance, floor, sizes)


def _floor(geometry: TiltGeometry, bandwidth: float, rate: float) -> float:
    """Of a projection of a cube, or its adjoint."""
    voxels, pixels = geometry.n_u**3, geometry.n_views * geometry.n_u**2
    # A voxel and a pixel overlap over 1 + c + s pixels.
    reach = float((1 + np.abs(np.cos(geometry.tilt_rad)) + np.abs(np.sin(geometry.tilt_rad))).sum())
    return max(FLOAT * (voxels + pixels) / bandwidth, 2.0 * voxels * reach / rate)


def _told(name: str, device: Device, work: Any, floor: float, sizes: Sizes) -> Row:
    """A time beside its floor, not held to a bound: most of it is CuPy's."""
    row = judged(name, seconds(device, work, sizes.repeats), floor, sizes)
    return Row(row.what, row.found)
