"""Isotropic total variation of a volume on a device (``total_variation.cu``)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tomokit.gpu.arrays import DeviceArray
from tomokit.gpu.device import Device
from tomokit.gpu.reductions import add_total, load_reductions

_SOURCE = Path(__file__).with_name("total_variation.cu")
_LANES, _LINES, _DEPTH = 32, 8, 16  # as in total_variation.cu


def voxel_launch(shape: tuple[int, ...], depth: int = 1) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Grid and block of kernels with lanes along y, lines along z, and one or some voxels of a thread along x.

    Parameters
    ----------
    shape : tuple of int
        ``(n_x, n_z, n_y)`` of the volume.
    depth : int
        Voxels that a thread goes through along x.

    Returns
    -------
    grid, block : tuple of int
        Blocks and threads along y, z and x, in this order.
    """
    n_x, n_z, n_y = shape
    return (-(-n_y // _LANES), -(-n_z // _LINES), -(-n_x // depth)), (_LANES, _LINES, 1)


class VariationOnDevice:
    """Dual step, divergence, value and proximal map of total variation, between arrays that lie on a device.

    The twin of :mod:`tomokit.methods.voxels.total_variation`.

    Parameters
    ----------
    device : Device
        Where the kernels run.
    """

    def __init__(self, device: Device) -> None:
        self.device = device
        with device:
            self._kernels, self._add_total = device.load(_SOURCE), load_reductions(device)["add_total"]

    def dual_step(
        self,
        density: DeviceArray,
        dual: DeviceArray | None,
        rate: float,
        nonnegativity_dual: DeviceArray | None = None,
        nonnegativity_rate: float = 0.0,
    ) -> None:
        """``q <- project(q + rate grad d)`` and ``r <- min(0, r + nonnegativity_rate d)``, in place and in one pass.

        Parameters
        ----------
        density : array of float32, shape (n_x, n_z, n_y)
            The density d.
        dual : array of float32, shape (3, n_x, n_z, n_y), or None
            Dual of the gradient q, components along x, z and y; None for none.
        rate : float
            Step of q, in units of one over density.
        nonnegativity_dual : array of float32, shape (n_x, n_z, n_y), optional
            Dual of non-negativity r.
        nonnegativity_rate : float
            Step of r.
        """
        arguments = (density, dual, nonnegativity_dual, rate, nonnegativity_rate, *density.shape)
        self._kernels["variation_dual"](*voxel_launch(density.shape), arguments)

    def add_divergence(
        self,
        given: DeviceArray | None,
        dual: DeviceArray | None,
        weight: float,
        nonnegative: bool,
        out: DeviceArray,
        added: DeviceArray | None = None,
    ) -> None:
        """``out = given + weight div q + added``, clipped at zero if asked.

        Parameters
        ----------
        given : array of float32, shape (n_x, n_z, n_y), or None
            None for what is in `out`.
        dual : array of float32, shape (3, n_x, n_z, n_y), or None
            Dual of the gradient q; None for no divergence.
        weight : float
            Factor on the divergence.
        nonnegative : bool
            Whether negative values are set to zero.
        out : array of float32, shape (n_x, n_z, n_y)
            Written; may be `given`.
        added : array of float32, shape (n_x, n_z, n_y), optional
            Another summand.
        """
        arguments = (given, dual, added, out, weight, int(nonnegative), *out.shape)
        self._kernels["variation_divergence"](*voxel_launch(out.shape), arguments)

    def add_value(self, density: DeviceArray, totals: DeviceArray, slot: int) -> None:
        """Add the total variation of a volume to a sum that stays on the device.

        Parameters
        ----------
        density : array of float32, shape (n_x, n_z, n_y)
            The volume.
        totals : array of float64, shape (n_totals,)
            Sums, of which one is added to.
        slot : int
            Its index.
        """
        grid, block = voxel_launch(density.shape, _DEPTH)
        partial = self.device.xp.empty(grid, np.float32)
        self._kernels["variation_value"](grid, block, (density, partial, *density.shape))
        add_total(self._add_total, partial, totals, slot)

    def proximal(
        self, given: DeviceArray, dual: DeviceArray, weight: float, iterations: int, nonnegative: bool
    ) -> DeviceArray:
        """Approximate ``argmin_d 1/2 |d - given|^2 + weight TV(d)``, over ``d >= 0`` if asked.

        Parameters
        ----------
        given : array of float32, shape (n_x, n_z, n_y)
            The density to denoise, left as it is.
        dual : array of float32, shape (3, n_x, n_z, n_y)
            Dual to start from; improved in place.
        weight : float
            Weight of total variation, in units of density.
        iterations : int
            Gradient projections of the dual.
        nonnegative : bool
            Whether the minimum is over densities that are not negative.

        Returns
        -------
        array of float32, shape (n_x, n_z, n_y)
            A new one.
        """
        from tomokit.methods.voxels.total_variation import dual_rate

        out: DeviceArray = self.device.xp.empty(given.shape, np.float32)
        if weight <= 0:
            self.add_divergence(given, None, 0.0, nonnegative, out)
            return out
        for _ in range(iterations):
            self.add_divergence(given, dual, weight, nonnegative, out)
            self.dual_step(out, dual, dual_rate(weight))
        self.add_divergence(given, dual, weight, nonnegative, out)
        return out
