"""Sums of blocks, added to totals that stay on the device (``totals.cu``)."""

from __future__ import annotations

from typing import Any

from tomokit.cuda.device import Kernel

_THREADS = 1024  # the most that totals.cu takes


def add_total(kernel: Kernel, partial: Any, totals: Any, slot: int, factor: float = 1.0) -> None:
    """``totals[slot] += factor * sum(partial)``, in double precision and a fixed order.

    Parameters
    ----------
    kernel : Kernel
        ``add_total`` of ``totals.cu``.
    partial : array of float32, of any shape
        On the device.
    totals : array of float64, shape (n_totals,), changed
        On the device.
    slot : int
    factor : float
    """
    kernel((1, 1, 1), (_THREADS, 1, 1), (partial, totals, factor, slot, partial.size))
