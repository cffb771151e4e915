"""GPU interface for plugins: the types of devices and kernels, and how an array gets to Numba.

A regularizer whose field lies on a GPU is given ``field.device``. There,

- ``field.xp`` makes arrays (``cupy``); operators and methods of arrays work as NumPy's do;
- ``field.device.load(Path(__file__).with_name("mine.cu"), N=17)["kernel"](grid, block, arguments)`` launches a kernel
  from a source file of the plugin: constants become defines, ``#include "x.cuh"`` is taken from the same folder,
  arguments are checked against the kernel's declaration (``float``, ``double``, ``int``, ``long long`` and arrays of
  them), and the source is compiled once;
- a kernel of Numba's takes ``for_numba(array)``.

All of them launch on the default stream, so that they run one after the other, and none waits for its result.
"""

from __future__ import annotations

from typing import Any

from tomokit.gpu.arrays import DeviceArray
from tomokit.gpu.device import Device, Kernel

__all__ = ["Device", "DeviceArray", "Kernel", "for_numba"]


def for_numba(array: DeviceArray) -> Any:
    """Give an array on a device to Numba's kernels: the same memory, without waiting for pending work.

    Parameters
    ----------
    array : array on a device
        Of any type and shape; it has to live as long as what is returned is used.

    Returns
    -------
    numba.cuda device array
        Of the same type and shape.
    """
    # Numba's CUDA target is imported only where it is asked for.
    from tomokit.gpu.interchange import for_numba as convert

    return convert(array)
