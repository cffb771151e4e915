"""CuPy's arrays as Numba's kernels take them."""

from __future__ import annotations

import warnings
from typing import Any

from numba import cuda

# Of a launch of fewer than 128 blocks, which a small forest is; for each number of them anew.
warnings.filterwarnings("ignore", message=".*Grid size .* under-utilization")


def for_numba(array: Any) -> Any:
    """The same memory, without waiting for it: CuPy and Numba both launch on the default stream, in turn.

    Raises
    ------
    TypeError
        If it is an array of the host, which Numba would copy there and back at each launch.
    """
    return cuda.as_cuda_array(array, sync=False)
