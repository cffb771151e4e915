"""What each leaf adds to the error, measured on a device (see :mod:`tomokit.octree.error_indicators`)."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
from numba import cuda, float32
from numpy.typing import NDArray

from tomokit.gpu.arrays import DeviceArray
from tomokit.gpu.device import Device
from tomokit.gpu.interchange import for_numba
from tomokit.octree.error_indicators import ErrorIndicators

MOST_THREADS = 256


def measure_leaf(values: NDArray[np.float32], error: NDArray[np.float32], largest: NDArray[np.float32]) -> None:
    """Kernel: standard deviation and largest magnitude of the densities of one leaf.

    A block of threads, their number a power of two up to :data:`MOST_THREADS`, takes one leaf. Two passes, because a
    variance from sums of squares loses its digits where the mean is large. Each thread sums every so many values, and
    threads are summed by halves: in single precision the rounding of such sums grows slowly with their length.

    Parameters
    ----------
    values : array of float32, shape (n_leaves, n**3)
        Densities.
    error, largest : array of float32, shape (n_leaves,), written
        Standard deviation and largest absolute value.
    """
    sums = cuda.shared.array(MOST_THREADS, float32)
    tops = cuda.shared.array(MOST_THREADS, float32)
    leaf, tid, threads = cuda.blockIdx.x, cuda.threadIdx.x, cuda.blockDim.x
    size = values.shape[1]
    mean = float32(0)
    top = float32(0)
    # The first pass sums the values themselves, since the mean is still 0; the second their squared deviations from it.
    for pass_ in range(2):
        part = float32(0)
        for i in range(tid, size, threads):
            deviation = values[leaf, i] - mean
            part += deviation * deviation if pass_ else deviation
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
        cuda.syncthreads()  # all have read sums[0] before the next pass writes it
    if tid == 0:
        error[leaf], largest[leaf] = math.sqrt(mean), tops[0]


@cache
def _compiled() -> Any:
    """The kernel, compiled when it is first asked for: importing this module needs no GPU."""
    return cuda.jit(measure_leaf)


def measure_indicators(device: Device, density: DeviceArray) -> ErrorIndicators:
    """Measure the error indicators of every leaf on a device; sums are in single precision.

    Parameters
    ----------
    device : Device
    density : array of float32, shape (n_leaves, n, n, n)
        ``[leaf, x, z, y]``, on the device.

    Returns
    -------
    ErrorIndicators
        On the host.
    """
    n_leaves = density.shape[0]
    with device:
        xp = device.xp
        error, largest = xp.zeros(n_leaves, np.float32), xp.zeros(n_leaves, np.float32)
        _compiled()[n_leaves, device.block_threads](
            for_numba(density.reshape(n_leaves, -1)), for_numba(error), for_numba(largest)
        )
        on_host = device.to_host(error).astype(np.float64), device.to_host(largest).astype(np.float64)
    return ErrorIndicators(*on_host)
