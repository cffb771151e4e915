"""The cross-node non-local constraint: each leaf is explained by the values of another one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from tomokit.plugin.options import option
from tomokit.regularizers.codes import KERNELS
from tomokit.regularizers.fusion import ValueTable
from tomokit.regularizers.interface import EVERY_HELP, Field

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tomokit.gpu.device import Device
    from tomokit.octree import Forest
    from tomokit.octree.partition import Partition
    from tomokit.regularizers.cuda.cross_node import CrossNodeOnGpu, PairTables
    from tomokit.regularizers.cuda.interface import LeavesOnGpu, TablesOnGpu


MOST_GPU_BINS = 1024
"""Nodes whose arrays fit into the shared memory of any GPU's block."""

# Of each leaf and node: 32 cells of 8 bytes, two counts in double precision, and the table's row of 8 floats.
_NODE_BYTES = 32 * 8 + 2 * 8 + 8 * 4
# On a GPU likewise, the counts in single precision.
_GPU_NODE_BYTES = 32 * 8 + 2 * 4 + 8 * 4


@dataclass(frozen=True)
class CrossNodeOptions:
    """Options of the cross-node non-local constraint, :class:`CrossNode`."""

    weight: float = option(
        1e-6,
        "How strongly each leaf is made of values that occur in a random other leaf of the tomogram, which "
        "helps where the specimen repeats itself. Off in an octree fit unless an option of it is given; "
        "raise it (1e-6, 1e-5) for repetitive specimens. 0 switches it off.",
        minimum=0.0,
    )
    every: int = option(1, EVERY_HELP, minimum=1)
    space: str = option(
        "raw",
        "Whether stored numbers before the activation are compared (raw, the publication's) or densities "
        "(rho). Leave it at raw; take rho with the gaussian kernel if bandwidth is to be a contrast of "
        "densities.",
        choices=("rho", "raw"),
    )
    kernel: str = option(
        "dot",
        "How alike two values are: by their product (dot, the publication's, which favours the largest "
        "values), or by a Gaussian of their difference (gaussian, the classical non-local mean). Try "
        "gaussian if contrast is exaggerated.",
        choices=tuple(KERNELS),
    )
    temperature: float = option(
        1.0,
        "What the product of the dot kernel is divided by. A lower one makes a value depend on few values of "
        "the other leaf, a higher one on the mean of all, which smooths more; without effect on gaussian.",
        minimum=1e-6,
    )
    bandwidth: float = option(
        0.25,
        "Width of the gaussian kernel, the standard deviation of a difference in units of the values. Lower "
        "it to keep weaker contrasts apart, raise it for more smoothing; without effect on dot.",
        minimum=1e-6,
    )
    bins: int = option(
        128,
        "Steps into which the values of a leaf are sorted to make this fast. Leave it; raise it if the "
        "values have a very wide range, at the cost of memory.",
        minimum=16,
        maximum=4096,
    )


@dataclass
class CrossNodeTables:
    """Tables of :func:`tomokit.regularizers.cross_node_kernels.cross_node_leaf` for each leaf that takes part.

    Attributes
    ----------
    value : float
        The penalty; not a number if a value is not finite, and then the rest is of no use.
    leaves : ndarray of int64, shape (n_pairs,)
        The leaves that take part, one for each pair with its partner.
    grid : ndarray of float64, shape (n_pairs, 2)
        Least value and spacing of each leaf's nodes, in units of the values.
    table : ndarray like the values, shape (n_pairs, bins, 8)
        Cubics between the nodes: of the error, and of the gradient by a leaf as partner.
    """

    value: float
    leaves: NDArray[np.int64]
    grid: NDArray[np.float64]
    table: NDArray[np.floating]


class CrossNode:
    """Mean ``|A v' - v|`` of each leaf v in the region of interest and a partner v', ``A = softmax_rows(k(v, v'))``.

    Partners are a fresh random permutation of these leaves at each evaluation; a leaf may get itself. The gradient goes
    through both. Summed over leaves, as published. Cost is linear in the vertices: the answer to a value depends on
    that value alone, and is tabulated.

    Parameters
    ----------
    options : CrossNodeOptions
    """

    name: ClassVar[str] = "cnlc"
    summary: ClassVar[str] = "cross-node non-local constraint: each leaf explained by a random other one"
    Options: ClassVar[type] = CrossNodeOptions
    tabulated: ClassVar[bool] = True

    def __init__(self, options: CrossNodeOptions) -> None:
        self.options = options
        # Cells, grids, counts and tables, kept between evaluations: fresh memory would take longer to get than to fill.
        self._memory: (
            tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64], NDArray[np.floating]] | None
        ) = None

    @property
    def _spread(self) -> float:
        """What the kernel divides by: the product's temperature, or the Gaussian's standard deviation."""
        return self.options.temperature if self.options.kernel == "dot" else self.options.bandwidth

    def tabulate(self, field: Field) -> CrossNodeTables:
        """Draw partners and tabulate the constraint for all pairs, before any leaf changes.

        Parameters
        ----------
        field : Field
            Densities or raw values on the host; one permutation is drawn from its generator.

        Returns
        -------
        CrossNodeTables
            Good until the next evaluation, which writes into the same memory.
        """
        from tomokit.regularizers.cross_node_grid import FINE
        from tomokit.regularizers.cross_node_kernels import count_leaves, tabulate_pairs

        leaves = np.flatnonzero(field.inside)
        partner = field.rng.permutation(leaves.size)
        bins = self.options.bins
        shape = (leaves.size, bins, 8)
        if self._memory is None or self._memory[-1].shape != shape or self._memory[-1].dtype != field.values.dtype:
            cells = np.empty((leaves.size, FINE * (bins - 1)), np.int64)
            grid, counts = np.empty((leaves.size, 2)), np.empty((leaves.size, bins, 2))
            self._memory = (cells, grid, counts, np.empty(shape, field.values.dtype))
        cells, grid, counts, table = self._memory
        finite = np.empty(leaves.size, np.bool_)
        # A histogram of each leaf, unless a value is not finite, which no table could answer.
        count_leaves(field.values, leaves, grid, cells, counts, finite)
        if not finite.all():
            return CrossNodeTables(float("nan"), leaves, grid, table)
        kernel, spread = KERNELS[self.options.kernel], self._spread
        # One mean for each pair: their sum does not depend on the number of threads.
        means = np.empty(leaves.size)
        tabulate_pairs(field.forest.n**3, partner, grid, cells, counts, kernel, spread, table, means)
        return CrossNodeTables(float(means.sum()), leaves, grid, table)

    @property
    def needs_sides(self) -> bool:
        """Leaves are compared as sets of values: no sides are needed (see
        :class:`tomokit.regularizers.fusion.Fusable`)."""
        return False

    def fused_term(self, field: Field, sides: NDArray[np.floating], scale: float) -> ValueTable:
        """The tables of this step's partners (see :class:`tomokit.regularizers.fusion.Fusable`)."""
        tables = self.tabulate(field)
        if np.isnan(tables.value):
            # Nothing has been tabulated, and what the memory holds must not be looked up: no leaf takes part, and the
            # penalty says that the fit has diverged.
            return ValueTable(tables.leaves[:0], tables.grid[:0], tables.table[:0], scale, math.nan)
        return ValueTable(tables.leaves, tables.grid, tables.table, scale, scale * tables.value)

    def fused_bytes(self, n_leaves: int, n: int) -> int:
        """Fine cells, counts and tables of each leaf (see :class:`tomokit.regularizers.fusion.Fusable`)."""
        return n_leaves * self.options.bins * _NODE_BYTES

    def gpu_tables(
        self, device: Device, partitions: Sequence[Partition], here: Sequence[int], inside: NDArray[np.bool_]
    ) -> PairTables:
        """The tables of all pairs (see :class:`tomokit.regularizers.cuda.interface.FusableOnGpu`)."""
        from tomokit.regularizers.cuda.cross_node import PairTables

        kernel, spread = KERNELS[self.options.kernel], self._spread
        return PairTables(device, self.options.bins, kernel, spread, partitions, here, inside)

    def gpu_term(
        self, leaves: LeavesOnGpu, forest: Forest, scale: float, tables: TablesOnGpu | None, number: int
    ) -> CrossNodeOnGpu:
        """Its term on a subdomain (see :class:`tomokit.regularizers.cuda.interface.FusableOnGpu`)."""
        from tomokit.regularizers.cuda.cross_node import CrossNodeOnGpu, PairTables

        assert isinstance(tables, PairTables)
        return CrossNodeOnGpu(leaves, scale, tables, number, self.options.space == "raw")

    def gpu_term_bytes(self, n_own: int, n_leaves: int, n: int) -> int:
        """Fine cells, counts and tables of all leaves (see
        :class:`tomokit.regularizers.cuda.interface.FusableOnGpu`)."""
        return n_leaves * self.options.bins * _GPU_NODE_BYTES

    @property
    def gpu_term_unsupported_reason(self) -> str | None:
        """Why a GPU cannot tabulate so many nodes (see :class:`tomokit.regularizers.cuda.interface.FusableOnGpu`)."""
        if self.options.bins <= MOST_GPU_BINS:
            return None
        return f"regularizers.cnlc.bins={self.options.bins} nodes do not fit into a GPU block, {MOST_GPU_BINS} do"

    @property
    def gpu_gradient_space(self) -> None:
        """None: tables are looked up by the update (see :class:`tomokit.regularizers.cuda.interface.FusableOnGpu`)."""
        return

    def value_and_gradient(self, field: Field, gradient: NDArray[np.floating], scale: float) -> float:
        """The penalty, its gradient added (see :class:`tomokit.regularizers.interface.Regularizer`).

        If a value is not finite, the result is not a number and the gradient is left as it is.
        """
        from tomokit.regularizers.cross_node_kernels import add_leaves

        tables = self.tabulate(field)
        if not np.isnan(tables.value):
            add_leaves(field.values, tables.leaves, tables.grid, tables.table, scale, gradient)
        return tables.value
