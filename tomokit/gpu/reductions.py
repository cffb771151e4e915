"""Sums of blocks, added to totals that stay on the device (``reductions.cu``)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tomokit.gpu.device import Device, Kernel

_SOURCE = Path(__file__).with_name("reductions.cu")
_THREADS = 1024  # the most that reductions.cu takes


def add_total(kernel: Kernel, partial: Any, totals: Any, slot: int, factor: float = 1.0) -> None:
    """``totals[slot] += factor * sum(partial)``, in double precision and a fixed order.

    Parameters
    ----------
    kernel : Kernel
        ``add_total`` of ``reductions.cu``.
    partial : array of float32, of any shape
        On the device.
    totals : array of float64, shape (n_totals,), changed
        On the device.
    slot : int
    factor : float
    """
    kernel((1, 1, 1), (_THREADS, 1, 1), (partial, totals, factor, slot, partial.size))


def load_reductions(device: Device) -> Mapping[str, Kernel]:
    """The kernels of ``reductions.cu`` on a device: ``sum_blocks`` and ``add_total``."""
    return device.load(_SOURCE)
