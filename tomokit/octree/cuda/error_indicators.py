"""What each leaf adds to the error, measured on a device (see :mod:`tomokit.octree.error_indicators`)."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
from numba import cuda, float32

from tomokit.gpu.device import Device
from tomokit.gpu.interchange import for_numba
from tomokit.octree.error_indicators import ErrorIndicators

MOST_THREADS = 256


def measure_leaf(values: Any, error: Any, largest: Any) -> None:
    """Standard deviation and largest magnitude of one leaf's values; one block a leaf, threads a power of two.

    ``values[leaf, P]`` float32; written: ``error[leaf]`` and ``largest[leaf]``, float32. Two passes, because a variance
    from sums of squares loses its digits where the mean is large. Sums are of threads, then by halves: their rounding
    grows with the logarithm of their length only.
    """
    sums = cuda.shared.array(MOST_THREADS, float32)
    tops = cuda.shared.array(MOST_THREADS, float32)
    leaf, tid, threads = cuda.blockIdx.x, cuda.threadIdx.x, cuda.blockDim.x
    size = values.shape[1]
    mean = float32(0)
    top = float32(0)
    for pass_ in range(2):
        part = float32(0)
        for i in range(tid, size, threads):
            away = values[leaf, i] - mean
            part += away * away if pass_ else away
            top = max(top, abs(values[leaf, i]))
        sums[tid], tops[tid] = part, top
        half = threads // 2
        while half > 0:
            cuda.syncthreads()
            if tid < half:
                sums[tid] += sums[tid + half]
                tops[tid] = max(tops[tid], tops[tid + half])
            half //= 2
        cuda.syncthreads()
        mean = sums[0] / float32(size)
        cuda.syncthreads()
    if tid == 0:
        error[leaf], largest[leaf] = math.sqrt(mean), tops[0]


@cache
def _compiled() -> Any:
    return cuda.jit(measure_leaf)


def measure_indicators(device: Device, density: Any) -> ErrorIndicators:
    """ErrorIndicators of densities ``[leaf, x, z, y]`` on the device."""
    n_leaves = density.shape[0]
    with device:
        xp = device.xp
        error, largest = xp.zeros(n_leaves, np.float32), xp.zeros(n_leaves, np.float32)
        _compiled()[n_leaves, device.block_threads](
            for_numba(density.reshape(n_leaves, -1)), for_numba(error), for_numba(largest)
        )
        found = device.to_host(error).astype(np.float64), device.to_host(largest).astype(np.float64)
    return ErrorIndicators(*found)
