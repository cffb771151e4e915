"""Total variation inside leaves: the regularizer against noise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from tomokit.octree import Forest
from tomokit.plugin.options import option
from tomokit.regularizers.codes import VARIANTS
from tomokit.regularizers.fusion import LocalVariation
from tomokit.regularizers.interface import EVERY_HELP, Field

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tomokit.gpu.device import Device
    from tomokit.octree.partition import Partition
    from tomokit.regularizers.cuda.interface import LeavesOnGpu, TablesOnGpu
    from tomokit.regularizers.cuda.tv import TotalVariationOnGpu

TURNS = 8
"""Stencils: ways to take one difference along each axis at a vertex. Used one after the other from step to step they
penalize edges of every orientation more alike: the symmetric penalty at the price of one."""


@dataclass(frozen=True)
class TotalVariationOptions:
    """Options of total variation inside leaves, :class:`TotalVariation`."""

    weight: float = option(
        3e-4,
        "How strongly neighbouring samples are drawn together: the smoothing against noise. In an octree fit "
        "it follows from the noise unless it is given; try strength first, and give a weight only to repeat "
        "a setting. 0 switches it off.",
        minimum=0.0,
    )
    every: int = option(1, EVERY_HELP, minimum=1)
    space: str = option(
        "rho",
        "Whether densities (rho) are smoothed or the stored numbers before the activation (raw), which "
        "counts differences where all densities are nearly zero too. Leave it at rho unless you repeat a "
        "published setting.",
        choices=("rho", "raw"),
    )
    variant: str = option(
        "anisotropic",
        "What an edge costs. anisotropic and isotropic flatten contrast and favour, or do not favour, faces "
        "along the axes; huber leaves soft gradients smooth; concave spares high edges, s / (1 + s / delta), "
        "and suits specimens of clear contrast.",
        choices=tuple(VARIANTS),
    )
    delta: float = option(
        0.05,
        "Where an edge begins, as a difference of densities in the fit's unit: huber is soft below it, and "
        "concave counts no edge as more than it. In an octree fit it follows from the noise; lower it to "
        "spare weaker edges, raise it if noise is kept as edges.",
        minimum=1e-12,
    )
    measure: str = option(
        "leaf",
        "Whether every leaf counts alike with its plain differences (leaf, the publication's), or by its "
        "volume and slope (volume), which does not change when leaves are split. Try volume if large leaves "
        "come out rougher than small ones.",
        choices=("leaf", "volume"),
    )


def leaf_weights(forest: Forest, measure: str) -> NDArray[np.float64]:
    """Factor of each leaf's mean total variation in the penalty.

    Parameters
    ----------
    forest : Forest
    measure : str
        ``"leaf"``: ``1 / n_leaves`` each. ``"volume"``: the mean over the volume of the difference per length, the
        length being the spacing of the finest leaves, so that both measures agree on a forest of one level.

    Returns
    -------
    ndarray of float64, shape (n_leaves,)
    """
    if measure == "leaf":
        return np.full(forest.n_leaves, 1.0 / max(forest.n_leaves, 1))
    # A mean over volume, as leaves of all sizes fill the specimen; a coarse leaf's difference spans more pixels, so its
    # slope is that much less.
    size, spacing = forest.size_px, forest.spacing_px
    volume = size**3
    return volume / volume.sum() * (spacing.min(initial=np.inf) / spacing)


class TotalVariation:
    """Total variation: the mean absolute difference between neighbouring vertices of a leaf.

    Differences along x, z and y are summed or combined at each vertex by the option ``variant``, averaged over the
    vertices of a leaf, and over leaves by the option ``measure``.

    Parameters
    ----------
    options : TotalVariationOptions
    """

    name: ClassVar[str] = "tv"
    summary: ClassVar[str] = "total variation inside leaves: anisotropic, isotropic, Huber or concave"
    Options: ClassVar[type] = TotalVariationOptions

    def __init__(self, options: TotalVariationOptions) -> None:
        self.options = options

    @property
    def variant(self) -> int:
        """The variant as :func:`tomokit.regularizers.tv_kernel.tv_leaf` takes it."""
        return VARIANTS[self.options.variant]

    def leaf_weights(self, forest: Forest) -> NDArray[np.float64]:
        """Factor of each leaf's mean total variation in the penalty (see :func:`leaf_weights`)."""
        return leaf_weights(forest, self.options.measure)

    def stencil(self, step: int) -> int:
        """The stencil of a step: each of the :data:`TURNS`, one after the other, from evaluation to evaluation.

        Parameters
        ----------
        step : int
            Steps taken so far in the whole fit.

        Returns
        -------
        int
            Bits 0, 1 and 2 say whether differences along x, z and y are to the vertex before and not to the next.
        """
        return step // self.options.every % TURNS

    @property
    def needs_sides(self) -> bool:
        """Differences lie inside leaves: no sides are needed (see :class:`tomokit.regularizers.fusion.Fusable`)."""
        return False

    def fused_term(self, field: Field, sides: NDArray[np.floating], scale: float) -> LocalVariation | None:
        """The variation of densities, left to the pass (see :class:`tomokit.regularizers.fusion.Fusable`)."""
        if self.options.space != "rho":
            return None
        weight = scale * self.leaf_weights(field.forest)
        return LocalVariation(weight, self.variant, self.options.delta, self.stencil(field.step))

    def fused_bytes(self, n_leaves: int, n: int) -> int | None:
        """Nothing but a weight for each leaf (see :class:`tomokit.regularizers.fusion.Fusable`)."""
        return 0 if self.options.space == "rho" else None

    def convex_form(self) -> TotalVariationOptions:
        """The isotropic variant in place of the concave one (see
        :class:`tomokit.regularizers.interface.HasConvexForm`)."""
        return replace(self.options, variant="isotropic") if self.options.variant == "concave" else self.options

    def gpu_tables(
        self, device: Device, partitions: Sequence[Partition], here: Sequence[int], inside: NDArray[np.bool_]
    ) -> None:
        """None: a subdomain needs its own leaves alone (see
        :class:`tomokit.regularizers.cuda.interface.FusableOnGpu`)."""

    def gpu_term(
        self, leaves: LeavesOnGpu, forest: Forest, scale: float, tables: TablesOnGpu | None, number: int
    ) -> TotalVariationOnGpu:
        """Its term on a subdomain (see :class:`tomokit.regularizers.cuda.interface.FusableOnGpu`)."""
        from tomokit.regularizers.cuda.tv import TotalVariationOnGpu

        weight, is_raw = scale * self.leaf_weights(forest), self.options.space == "raw"
        return TotalVariationOnGpu(leaves, weight, self.variant, self.options.delta, self.stencil, is_raw)

    def gpu_term_bytes(self, n_own: int, n_leaves: int, n: int) -> int:
        """Nothing worth counting: arrays of a few numbers for each leaf (see
        :class:`tomokit.regularizers.cuda.interface.FusableOnGpu`)."""
        return 0

    @property
    def gpu_term_unsupported_reason(self) -> None:
        """None: every option has kernels (see :class:`tomokit.regularizers.cuda.interface.FusableOnGpu`)."""
        return

    @property
    def gpu_gradient_space(self) -> str | None:
        """The array that raw variation is added to (see :class:`tomokit.regularizers.cuda.interface.FusableOnGpu`)."""
        return "raw" if self.options.space == "raw" else None

    def value_and_gradient(self, field: Field, gradient: NDArray[np.floating], scale: float) -> float:
        """The penalty, its gradient added (see :class:`tomokit.regularizers.interface.Regularizer`)."""
        from tomokit.regularizers.tv_kernel import tv_leaves

        # The kernel is given the factor of the gradient and returns plain means: the value is without `scale`.
        weights = self.leaf_weights(field.forest)
        means = np.empty(field.forest.n_leaves)
        stencil = self.stencil(field.step)
        tv_leaves(field.values, gradient, scale * weights, self.variant, self.options.delta, stencil, means)
        return float(np.vdot(weights, means))
