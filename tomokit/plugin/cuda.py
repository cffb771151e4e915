"""What a plugin needs of a GPU, beside what its field brings: names to write types with, and the way to Numba.

A regularizer is given ``field.device``. On it,

- ``field.xp`` makes arrays (``cupy``); operators and methods of arrays work as NumPy's do;
- ``field.device.load(Path(__file__).with_name("mine.cu"), N=17)["kernel"](grid, block, arguments)`` launches a kernel
  of a file of one's own: constants become defines, ``#include "x.cuh"`` is taken from beside it, arguments are compared
  with the declaration (``float``, ``double``, ``int``, ``long long`` and arrays of them), and it is compiled once;
- a kernel of Numba's takes ``for_numba(array)``.

All of them launch on the default stream, one after the other, and none waits.
"""

from __future__ import annotations

from typing import Any

from tomokit.gpu.device import Device, Kernel

__all__ = ["Device", "Kernel", "for_numba"]


def for_numba(array: Any) -> Any:
    """An array on a device as Numba's kernels take it: the same memory, nothing waited for."""
    # Numba's CUDA target is imported only where it is asked for.
    from tomokit.gpu.interchange import for_numba as convert

    return convert(array)
