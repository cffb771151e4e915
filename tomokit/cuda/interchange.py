"""CuPy's arrays as Numba's kernels take them."""

from __future__ import annotations

from typing import Any

from numba import cuda


def for_numba(array: Any) -> Any:
    """The same memory, without waiting for it: CuPy and Numba both launch on the default stream, in turn.

    Raises
    ------
    TypeError
        If it is an array of the host, which Numba would copy there and back at each launch.
    """
    return cuda.as_cuda_array(array, sync=False)
