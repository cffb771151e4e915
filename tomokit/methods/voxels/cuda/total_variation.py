"""Isotropic total variation of a dense volume on a device (``total_variation.cu``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tomokit.gpu.device import Device
from tomokit.gpu.reductions import add_total, load_reductions

_SOURCE = Path(__file__).with_name("total_variation.cu")
_LANES, _LINES, _DEPTH = 32, 8, 16  # as in total_variation.cu


def voxel_launch(shape: tuple[int, int, int], depth: int = 1) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Grid and block of kernels with lanes along y, lines along z, and so many voxels of a thread along x."""
    n_x, n_z, n_y = shape
    return (-(-n_y // _LANES), -(-n_z // _LINES), -(-n_x // depth)), (_LANES, _LINES, 1)


class VariationOnDevice:
    """What :mod:`tomokit.methods.voxels.total_variation` does, between arrays that lie on a device.

    Parameters
    ----------
    device : Device
    """

    def __init__(self, device: Device) -> None:
        self.device = device
        with device:
            self._kernels, self._add_total = device.load(_SOURCE), load_reductions(device)["add_total"]

    def dual_step(
        self, density: Any, dual: Any, rate: float, sign: Any = None, nonnegativity_rate: float = 0.0
    ) -> None:
        """``q <- project(q + rate grad d)`` and ``r <- min(0, r + nonnegativity_rate d)``, in place.

        Parameters
        ----------
        density : array, shape (n_x, n_z, n_y)
        dual : array, shape (3, n_x, n_z, n_y), or None
            q.
        rate : float
        sign : array, shape (n_x, n_z, n_y), optional
            r, the dual of non-negativity.
        nonnegativity_rate : float
        """
        arguments = (density, dual, sign, rate, nonnegativity_rate, *density.shape)
        self._kernels["variation_dual"](*voxel_launch(density.shape), arguments)

    def add_divergence(
        self, given: Any, dual: Any, weight: float, nonnegative: bool, out: Any, added: Any = None
    ) -> None:
        """``out = given + weight div q + added``, clipped at zero if asked.

        Parameters
        ----------
        given : array, shape (n_x, n_z, n_y), or None
            None for `out` itself.
        dual : array, shape (3, n_x, n_z, n_y), or None
        weight : float
        nonnegative : bool
        out : array, shape (n_x, n_z, n_y), written
        added : array, shape (n_x, n_z, n_y), optional
        """
        arguments = (given, dual, added, out, weight, int(nonnegative), *out.shape)
        self._kernels["variation_divergence"](*voxel_launch(out.shape), arguments)

    def add_value(self, density: Any, totals: Any, slot: int) -> None:
        """Add the total variation of a volume to ``totals[slot]``, float64."""
        grid, block = voxel_launch(density.shape, _DEPTH)
        partial = self.device.xp.empty(grid, np.float32)
        self._kernels["variation_value"](grid, block, (density, partial, *density.shape))
        add_total(self._add_total, partial, totals, slot)

    def proximal(self, given: Any, dual: Any, weight: float, iterations: int, nonnegative: bool) -> Any:
        """Approximate ``argmin_d 1/2 |d - given|^2 + weight TV(d)``, over ``d >= 0`` if asked.

        See :func:`tomokit.methods.voxels.total_variation.proximal`; the dual is improved in place.

        Returns
        -------
        array, shape (n_x, n_z, n_y)
            A new one.
        """
        from tomokit.methods.voxels.total_variation import dual_rate

        out = self.device.xp.empty(given.shape, np.float32)
        if weight <= 0:
            self.add_divergence(given, None, 0.0, nonnegative, out)
            return out
        for _ in range(iterations):
            self.add_divergence(given, dual, weight, nonnegative, out)
            self.dual_step(out, dual, dual_rate(weight))
        self.add_divergence(given, dual, weight, nonnegative, out)
        return out
