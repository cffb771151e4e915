"""Terms that a regularizer leaves to the pass over the leaves on a GPU, as :mod:`tomokit.regularizers.fusion` has them
for the host.

A fit on GPUs has its leaves in one subdomain or several, each with a kernel that takes all of a step at once
(``methods/octree/cuda/leaf_update.cu``). A regularizer that offers ``gpu_term`` (:class:`FusableOnGpu`) has one
:class:`TermOnGpu` on each subdomain, which launches what has to come before that kernel and says what it is to add. A
regularizer without a term is given the field of all leaves, in a fit that has a single subdomain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from tomokit.gpu.arrays import DeviceArray
from tomokit.gpu.device import Device
from tomokit.octree import Forest
from tomokit.octree.partition import Partition
from tomokit.regularizers.interface import Regularizer, is_own


@dataclass(frozen=True)
class ValueTableOnGpu:
    """A gradient that is a function of the vertex's own value, tabulated for each leaf that takes part.

    Attributes
    ----------
    row : array of int32, shape (n_own,)
        Row of each of the subdomain's leaves in the tables, -1 for leaves that take no part.
    grid, table : array of float32, shapes (n_rows, 2) and (n_rows, n_nodes, 8)
        As :class:`tomokit.regularizers.fusion.ValueTable` has them.
    scale : float
        Factor of the gradient.
    is_raw : bool
        Whether it is by raw values, not densities.
    """

    row: DeviceArray
    grid: DeviceArray
    table: DeviceArray
    scale: float
    is_raw: bool


@dataclass
class GradientsOnGpu:
    """Gradients that ``leaf_update.cu`` adds to the data term's; None for those that there are not.

    Attributes
    ----------
    variation_step : array of float32, shape (n_own,)
        Gradient of one difference in each leaf, for total variation of densities.
    variant, delta, stencil
        As :class:`tomokit.regularizers.fusion.LocalVariation` has them.
    variation : array of float32, shape (n_own, blocks)
        Receives the weighted variation of each block of a leaf.
    sides : array of float32, shape (n_own, 6, n, n)
        Gradient by the densities on the leaves' sides.
    table : ValueTableOnGpu
        Tabulated gradient.
    by_density, by_value : array of float32, shape (n_own, n, n, n)
        Gradients of all other penalties, by density and by raw value.
    """

    variation_step: DeviceArray | None = None
    variant: int = 0
    delta: float = 1.0
    stencil: int = 0
    variation: DeviceArray | None = None
    sides: DeviceArray | None = None
    table: ValueTableOnGpu | None = None
    by_density: DeviceArray | None = None
    by_value: DeviceArray | None = None


class LeavesOnGpu(Protocol):
    """The leaves of one subdomain, as they are given to a term; their device is the current one in all its methods.

    Attributes
    ----------
    device : Device
        Where the leaves lie.
    partition : Partition
        Which leaves of the whole forest these are, and their neighbours beyond the cuts.
    blocks : int
        Blocks of a launch over the leaves that share a leaf.
    """

    device: Device
    partition: Partition
    blocks: int

    @property
    def values(self) -> DeviceArray:
        """Raw values ``[leaf, x, z, y]``, float32 of shape (n_own, n, n, n)."""
        ...

    @property
    def density(self) -> DeviceArray:
        """Densities ``[leaf, x, z, y]``, float32 of shape (n_own, n, n, n)."""
        ...

    @property
    def constants(self) -> dict[str, int]:
        """Constants that kernels over all vertices are compiled with: ``N``, ``COLUMNS``, ``PASSES``."""
        ...

    @property
    def grid(self) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
        """Grid and block of kernels over all vertices."""
        ...

    def working(self, name: str, *of_leaf: int) -> DeviceArray:
        """A working array that subdomains on one device share; its content is kept until the step's update.

        Parameters
        ----------
        name : str
            Which array: the same memory under the same name.
        *of_leaf : int
            Shape for each leaf.

        Returns
        -------
        array of float32, shape (n_own, *of_leaf)
        """
        ...


@dataclass(frozen=True)
class StepOnGpu:
    """One step of a fit, as it is described to a regularizer's term.

    Attributes
    ----------
    number : int
        Steps taken so far in the whole fit.
    totals : array of float64
        The epoch's sums on the device; a term adds its weighted penalty to ``totals[slot]``.
    beyond : array of float32, shape (n_ghosts, n, n), or None
        The neighbours' vertices at the cuts, of the field that the term compares.
    rng : numpy.random.Generator or None
        The host's, where random numbers are drawn step by step; None where :class:`TablesOnGpu` drew them before.
    """

    number: int
    totals: DeviceArray
    beyond: DeviceArray | None
    rng: np.random.Generator | None


class TermOnGpu(Protocol):
    """One regularizer on the leaves of one subdomain."""

    @property
    def compares(self) -> str | None:
        """The field whose vertices beyond the cuts the term needs, ``"values"`` or ``"density"``; None for neither."""
        ...

    def prepare(self, step: StepOnGpu) -> None:
        """Launch what other subdomains need of these leaves, before any of them uses it.

        Parameters
        ----------
        step : StepOnGpu
        """
        ...

    def add(self, gradients: GradientsOnGpu, step: StepOnGpu, slot: int) -> None:
        """Launch what has to come before the update, and enter what the update is to add.

        Parameters
        ----------
        gradients : GradientsOnGpu
            Written to: the fields that this term fills.
        step : StepOnGpu
        slot : int
            Of the term's penalty among the totals.
        """
        ...

    def finish(self, step: StepOnGpu, slot: int) -> None:
        """Add to the totals what the update itself has measured.

        Parameters
        ----------
        step : StepOnGpu
        slot : int
            Of the term's penalty among the totals.
        """
        ...


class TablesOnGpu(Protocol):
    """Tables that the terms of one regularizer share on one device, made from the leaves of all devices.

    Attributes
    ----------
    device : Device
        Where the tables lie.
    """

    device: Device

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.int32]:
        """Random numbers for several evaluations, drawn as the host draws them.

        Parameters
        ----------
        rng : numpy.random.Generator
        count : int
            How many evaluations.

        Returns
        -------
        ndarray of int32, shape (count, n_rows)
        """
        ...

    def share(self, others: Sequence[TablesOnGpu]) -> None:
        """Give every device the data that the subdomains on all of them have prepared.

        Parameters
        ----------
        others : sequence of TablesOnGpu
            The tables of all devices, these among them.
        """
        ...

    def tabulate(self, drawn: DeviceArray) -> None:
        """Fill the tables from what all devices have prepared.

        Parameters
        ----------
        drawn : array of int32, shape (n_rows,)
            This evaluation's random numbers.
        """
        ...


@runtime_checkable
class FusableOnGpu(Protocol):
    """A regularizer that has a term on each subdomain of a fit on GPUs.

    A class that is derived from one and has its own ``value_and_gradient`` is not asked for a term, unless it has its
    own ``gpu_term`` too.
    """

    def gpu_tables(
        self, device: Device, partitions: Sequence[Partition], here: Sequence[int], inside: NDArray[np.bool_]
    ) -> TablesOnGpu | None:
        """The tables that the regularizer's terms share on a device; None if each needs its own leaves alone.

        Parameters
        ----------
        device : Device
        partitions : sequence of Partition
            All of the fit, in their order along y.
        here : sequence of int
            Those of them that lie on this device.
        inside : ndarray of bool, shape (n_leaves,)
            Leaves of the whole forest in the region of interest.

        Returns
        -------
        TablesOnGpu or None
        """
        ...

    def gpu_term(
        self, leaves: LeavesOnGpu, forest: Forest, scale: float, tables: TablesOnGpu | None, number: int
    ) -> TermOnGpu:
        """Make the regularizer's term on a subdomain.

        Parameters
        ----------
        leaves : LeavesOnGpu
            The subdomain's leaves.
        forest : Forest
            All leaves of the fit.
        scale : float
            The weight, times ``every`` where the regularizer is not evaluated at each step.
        tables : TablesOnGpu or None
            What :meth:`gpu_tables` made on the subdomain's device.
        number : int
            Which of the partitions this is.

        Returns
        -------
        TermOnGpu
        """
        ...

    def gpu_term_bytes(self, n_own: int, n_leaves: int, n: int) -> int:
        """Bytes that its terms and tables hold on a device, gradient arrays aside.

        Parameters
        ----------
        n_own, n_leaves, n : int
            Leaves of the largest subdomain there, leaves of the forest, and vertices along a leaf's edge.

        Returns
        -------
        int
            Bytes.
        """
        ...

    @property
    def gpu_term_unsupported_reason(self) -> str | None:
        """Why it has no term on a GPU with its present options, in a short clause; None if it has one."""
        ...

    @property
    def gpu_gradient_space(self) -> str | None:
        """The gradient array that its term adds to: by density, ``"rho"``, or raw value, ``"raw"``; or None."""
        ...


def fusable_on_gpu(regularizer: Regularizer) -> FusableOnGpu | None:
    """The regularizer as one that has a term on each subdomain.

    Parameters
    ----------
    regularizer : Regularizer

    Returns
    -------
    FusableOnGpu or None
        None where it offers no term, or its class overrides ``value_and_gradient`` alone.
    """
    return regularizer if isinstance(regularizer, FusableOnGpu) and is_own(regularizer, "gpu_term") else None
