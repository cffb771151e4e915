"""The cosine transform of a volume on a device, in place and in slabs.

CuPy makes one of reordered copies, a complex transform and factors, and returns a view of the real part. Along one axis
of a real array of s bytes it holds at once, forward, the reordered copy (s), its complex twin (2 s) and, unless the
axis is the last, another with the axes swapped (2 s); backward less (``_realtransforms.py`` of ``cupyx.scipy.fft`` and
``_fft.py`` of ``cupy.fft``, 14.2). What it returns keeps 2 s alive, so that the next axis would find 7 s taken beside
what was given. And for each length and number of transforms cuFFT's work area stays in CuPy's cache of plans.

So one axis is taken after another, each in slabs across another axis whose size is bounded: what it takes does not grow
with the volume, and one slab's results are written over it. An axis of one voxel has nothing to transform.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tomokit.gpu.device import Device

_SLAB = 1 << 24  # voxels: 64 MiB, which keeps a GPU busy for longer than its launches take
_COPIES = 5 * 4  # bytes a voxel of a slab, as above
# Bytes a voxel of a slab that each plan keeps: two complex numbers. cuFFT asks for one or none where the length has
# small factors; for others its documentation promises eight at most.
_PLAN = 2 * 8


def cosine_transform(device: Device, volume: Any, inverse: bool) -> None:
    """The orthonormal transform of type II along all three axes, or its inverse, in place.

    Parameters
    ----------
    device : Device
    volume : array of float32, shape (n_x, n_z, n_y)
        On the device.
    inverse : bool
    """
    with device:
        transform = device.fft.idct if inverse else device.fft.dct
        for axis, length in enumerate(volume.shape):
            if length == 1:
                continue
            for slab in _slabs(volume.shape, axis):
                volume[slab] = transform(volume[slab], axis=axis, norm="ortho")


def cosine_bytes(shape: tuple[int, int, int]) -> int:
    """What :func:`cosine_transform` takes on the device beside the volume."""
    copies = plans = 0
    for axis, length in enumerate(shape):
        if length == 1:
            continue
        sizes = {math.prod(shape) // shape[_across(axis)] * (s.stop - s.start) for *_, s in _slabs(shape, axis)}
        copies = max(copies, _COPIES * max(sizes))
        plans += _PLAN * sum(sizes)
    return copies + plans


def has_cosine(device: Device) -> bool:
    """Whether the device transforms: cuFFT is a library of its own, which may be missing or another's."""
    given = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    try:
        with device:
            volume = device.xp.asarray(given)
            cosine_transform(device, volume, inverse=False)
            first = float(device.to_host(volume)[0, 0, 0])
            cosine_transform(device, volume, inverse=True)
            found = device.to_host(volume)
    except Exception:  # CuPy, the loader and cuFFT each raise their own
        return False
    return abs(first - given.sum() / math.sqrt(24)) < 1e-3 and bool(np.abs(found - given).max() < 1e-3)


def _across(axis: int) -> int:
    """The axis that slabs are cut across: the outermost other one, where they lie in longer pieces."""
    return 1 if axis == 0 else 0


def _slabs(shape: tuple[int, int, int], axis: int) -> list[tuple[slice, ...]]:
    """Parts of a volume with all of an axis, as even as can be: plans are for one size, and one of the last."""
    n = shape[_across(axis)]
    most = max(1, _SLAB // (math.prod(shape) // n))
    each = -(-n // -(-n // most))
    cuts = (slice(begin, min(n, begin + each)) for begin in range(0, n, each))
    return [(slice(None), cut) if axis == 0 else (cut,) for cut in cuts]
