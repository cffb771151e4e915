"""Sums of blocks, added to totals that stay on the device (``reductions.cu``)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tomokit.gpu.arrays import DeviceArray
from tomokit.gpu.device import Device, Kernel

_SOURCE = Path(__file__).with_name("reductions.cu")
_THREADS = 1024  # the most that reductions.cu takes


def add_total(kernel: Kernel, partial: DeviceArray, totals: DeviceArray, slot: int, factor: float = 1.0) -> None:
    """Add a sum to one of several totals: ``totals[slot] += factor * sum(partial)``.

    The sum is in double precision and always in the same order, so it has the same bits at each run. Nothing waits:
    the totals stay on the device until the host asks for them.

    Parameters
    ----------
    kernel : Kernel
        The one called ``add_total``, from :func:`load_reductions`.
    partial : array of float32, of any shape
        What is summed, on the device: sums of blocks that another kernel left.
    totals : array of float64, shape (n_totals,), changed
        On the device.
    slot : int
        Index of the total that is added to.
    factor : float
        What the sum is multiplied by.
    """
    kernel((1, 1, 1), (_THREADS, 1, 1), (partial, totals, factor, slot, partial.size))


def load_reductions(device: Device) -> Mapping[str, Kernel]:
    """The kernels of ``reductions.cu``, compiled for a device.

    Parameters
    ----------
    device : Device

    Returns
    -------
    mapping
        ``sum_blocks`` and ``sum_squares`` (sums of consecutive pieces of an array, or of their squares), and
        ``add_total`` (see :func:`add_total`).
    """
    return device.load(_SOURCE)
