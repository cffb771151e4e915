"""The density's texture as a device has it: mean gradients (``texture.cu``), from which the host makes the limits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tomokit.gpu.arrays import DeviceArray
from tomokit.gpu.device import Device
from tomokit.methods.octree.texture import cells_along
from tomokit.octree import Forest

_SOURCE = Path(__file__).with_name("texture.cu")
_THREADS = 256  # as in texture.cu


def mean_gradients(device: Device, density: DeviceArray, forest: Forest) -> NDArray[np.float64]:
    """Mean length of the gradient in the cells of each leaf.

    The same as :func:`tomokit.methods.octree.texture.mean_gradients`, with sums in single precision.

    Parameters
    ----------
    device : Device
    density : array of float32, shape (n_leaves, n, n, n)
        ``[leaf, x, z, y]``, on the device.
    forest : Forest

    Returns
    -------
    ndarray of float64, shape (n_leaves, c, c, c)
        ``[leaf, x, z, y]``, per pixel, on the host.
    """
    cells = cells_along(forest)
    with device:
        means = device.xp.empty((forest.n_leaves, cells, cells, cells), np.float32)
        kernel = device.load(_SOURCE, N=forest.n, NODES=cells + 1)["mean_gradients"]
        kernel((forest.n_leaves, -(-(cells**3) // _THREADS), 1), (_THREADS, 1, 1), (density, means))
        on_host = device.to_host(means)
    return on_host / forest.spacing_px[:, None, None, None]
