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

import numpy as np

from tomokit.gpu.arrays import DeviceArray
from tomokit.gpu.device import Device

_SLAB_VOXELS = 1 << 24  # 64 MiB, which keeps a GPU busy for longer than its launches take
_COPY_BYTES = 5 * 4  # of copies for each voxel of a slab: s + 2 s + 2 s, as above
# What each plan keeps for each voxel of a slab: two complex numbers. cuFFT asks for one or none where the length has
# small factors; for others its documentation promises eight at most.
_PLAN_BYTES = 2 * 8


def cosine_transform(device: Device, volume: DeviceArray, inverse: bool) -> None:
    """Orthonormal cosine transform of type II along all three axes, or its inverse, in place.

    Parameters
    ----------
    device : Device
    volume : array of float32, shape (n_x, n_z, n_y)
        Values, which are replaced by coefficients, or the other way round.
    inverse : bool
        Whether to transform back.
    """
    n_x, n_z, n_y = volume.shape
    with device:
        transform = device.fft.idct if inverse else device.fft.dct
        for axis, length in enumerate(volume.shape):
            if length == 1:
                continue
            for slab in _slabs((n_x, n_z, n_y), axis):
                volume[slab] = transform(volume[slab], axis=axis, norm="ortho")


def cosine_bytes(shape: tuple[int, int, int]) -> int:
    """Most memory of the device that :func:`cosine_transform` takes beside the volume.

    Parameters
    ----------
    shape : tuple of int
        ``(n_x, n_z, n_y)`` of the volume.

    Returns
    -------
    int
        Bytes: the most of an axis' copies, and the plans of all axes, since these are kept.
    """
    copies = plans = 0
    for axis, length in enumerate(shape):
        if length == 1:
            continue
        sizes = {math.prod(shape) // shape[_across(axis)] * (s.stop - s.start) for *_, s in _slabs(shape, axis)}
        copies = max(copies, _COPY_BYTES * max(sizes))
        plans += _PLAN_BYTES * sum(sizes)
    return copies + plans


def has_cosine(device: Device) -> bool:
    """Whether a small cosine transform on a device gives what it has to.

    CuPy leaves it to cuFFT, a library of its own, which may be missing or not fit.

    Parameters
    ----------
    device : Device

    Returns
    -------
    bool
    """
    given = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    try:
        with device:
            volume = device.xp.asarray(given)
            cosine_transform(device, volume, inverse=False)
            first = float(device.to_host(volume)[0, 0, 0])
            cosine_transform(device, volume, inverse=True)
            returned = device.to_host(volume)
    except Exception:  # CuPy, the loader and cuFFT each raise their own
        return False
    # Coming back unchanged is not enough: doing nothing would do so, too.
    return abs(first - given.sum() / math.sqrt(24)) < 1e-3 and bool(np.abs(returned - given).max() < 1e-3)


def _across(axis: int) -> int:
    """The axis that slabs are cut across: the outermost other one, so that they lie in longer pieces of memory."""
    return 1 if axis == 0 else 0


def _slabs(shape: tuple[int, int, int], axis: int) -> list[tuple[slice, ...]]:
    """Slices of a volume with all of an axis, as even as can be, so that they need plans for two sizes at most."""
    n = shape[_across(axis)]
    most = max(1, _SLAB_VOXELS // (math.prod(shape) // n))
    thickness = -(-n // -(-n // most))
    cuts = (slice(begin, min(n, begin + thickness)) for begin in range(0, n, thickness))
    return [(slice(None), cut) if axis == 0 else (cut,) for cut in cuts]
