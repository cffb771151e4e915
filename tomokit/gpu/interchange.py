"""Arrays of a device as kernels written in Numba take them."""

from __future__ import annotations

import warnings
from typing import Any

from numba import cuda

from tomokit.gpu.arrays import DeviceArray

# Numba warns of every launch of fewer than 128 blocks, once for each number of blocks; a small forest is such a launch.
warnings.filterwarnings("ignore", message=".*Grid size .* under-utilization")


def for_numba(array: DeviceArray) -> Any:
    """An array of a device as an argument for a kernel of Numba's: the same memory, not a copy.

    The call does not wait until the array is computed: CuPy and Numba both launch on the default stream, in turn.

    Parameters
    ----------
    array : DeviceArray
        Of any type and shape.

    Returns
    -------
    numba.cuda array
        Of the same type and shape; to be given to a kernel and not kept.

    Raises
    ------
    TypeError
        If it is an array of the host, which Numba would copy there and back at each launch.
    """
    return cuda.as_cuda_array(array, sync=False)
