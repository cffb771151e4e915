"""Boundary consistency: keeps equal the densities that neighbouring leaves store twice, at the vertices they share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from tomokit.octree import Forest
from tomokit.plugin.options import option
from tomokit.regularizers.fusion import SideGradient
from tomokit.regularizers.interface import EVERY_HELP, Field

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tomokit.gpu.device import Device
    from tomokit.octree.partition import Partition
    from tomokit.regularizers.cuda.boundary import BoundaryOnGpu
    from tomokit.regularizers.cuda.interface import LeavesOnGpu, TablesOnGpu


@dataclass(frozen=True)
class BoundaryOptions:
    """Options of boundary consistency between leaves, :class:`Boundary`."""

    weight: float = option(
        3e-4,
        "How strongly neighbouring leaves are held equal on the face that they share. In an octree fit it "
        "follows from the noise unless it is given; raise it if the borders of leaves are seen as a grid of "
        "cubes. 0 switches it off.",
        minimum=0.0,
    )
    every: int = option(1, EVERY_HELP, minimum=1)
    space: str = option(
        "rho",
        "Whether densities (rho) are held equal or the stored numbers before the activation (raw). Leave it "
        "at rho unless you repeat a published setting.",
        choices=("rho", "raw"),
    )


class Boundary:
    """Mean ``|rho_a - rho_b|`` over the lattice points of all faces that two leaves share.

    The points are those of the finer side, n x n a face; the coarser side is interpolated bilinearly.

    Parameters
    ----------
    options : BoundaryOptions
    """

    name: ClassVar[str] = "boundary"
    summary: ClassVar[str] = "consistency of neighbouring leaves on their shared faces, across level jumps"
    Options: ClassVar[type] = BoundaryOptions

    def __init__(self, options: BoundaryOptions) -> None:
        self.options = options
        self._forest: Forest | None = None

    def prepare(self, forest: Forest) -> None:
        """Find the faces that leaves share; they are kept until another forest is given.

        Parameters
        ----------
        forest : Forest
        """
        if self._forest is forest:
            return
        from tomokit.octree.faces import shared_faces

        self._faces = shared_faces(forest)
        # The kernel runs over leaves, each of which looks up its own faces: no two threads write to one leaf.
        self._first_face, self._faces_by_leaf = self._faces.by_leaf(forest.n_leaves)
        self._forest = forest

    def compare(
        self, forest: Forest, sides: NDArray[np.floating], side_gradient: NDArray[np.floating], scale: float
    ) -> float:
        """Compute the penalty from the leaves' sides, and its gradient by them, before a fused pass changes any leaf.

        Parameters
        ----------
        forest : Forest
        sides : ndarray of float32 or float64, shape (n_leaves, 6, n, n)
            From :func:`tomokit.regularizers.boundary_kernels.copy_sides`.
        side_gradient : ndarray like `sides`, written
            `scale` times the gradient; for :func:`tomokit.regularizers.boundary_kernels.add_sides`.
        scale : float
            Factor of the gradient.

        Returns
        -------
        float
            The penalty, without `scale`.
        """
        from tomokit.regularizers.boundary_kernels import compare_sides

        self.prepare(forest)
        faces = self._faces
        # The mean is over n x n points of every face; a forest of one leaf has none.
        per_point = 1.0 / max(faces.n_faces * forest.n**2, 1)
        # One sum for each leaf, added up below in a fixed order whatever the number of threads.
        sums = np.empty(forest.n_leaves)
        compare_sides(
            sides, self._first_face, self._faces_by_leaf, faces.axis, faces.below, faces.fine, faces.coarse,
            faces.offset, faces.scale, scale * per_point, side_gradient, sums,
        )  # fmt: skip
        return float(sums.sum()) * per_point

    @property
    def needs_sides(self) -> bool:
        """Whether densities are compared, and not raw values (see :class:`tomokit.regularizers.fusion.Fusable`)."""
        return self.options.space == "rho"

    def fused_term(self, field: Field, sides: NDArray[np.floating], scale: float) -> SideGradient | None:
        """The gradient by the sides that are given (see :class:`tomokit.regularizers.fusion.Fusable`)."""
        if not self.needs_sides:
            return None
        side_gradient = np.empty_like(sides)
        value = self.compare(field.forest, sides, side_gradient, scale)
        return SideGradient(side_gradient, scale * value)

    def fused_bytes(self, n_leaves: int, n: int) -> int | None:
        """The sides, and the gradient by them (see :class:`tomokit.regularizers.fusion.Fusable`)."""
        return 2 * 6 * 4 * n_leaves * n**2 if self.needs_sides else None

    def gpu_tables(
        self, device: Device, partitions: Sequence[Partition], here: Sequence[int], inside: NDArray[np.bool_]
    ) -> None:
        """None: a subdomain needs its own leaves alone (see
        :class:`tomokit.regularizers.cuda.interface.FusableOnGpu`)."""

    def gpu_term(
        self, leaves: LeavesOnGpu, forest: Forest, scale: float, tables: TablesOnGpu | None, number: int
    ) -> BoundaryOnGpu:
        """Its term on a subdomain (see :class:`tomokit.regularizers.cuda.interface.FusableOnGpu`)."""
        from tomokit.regularizers.cuda.boundary import BoundaryOnGpu

        return BoundaryOnGpu(leaves, forest, scale, self.options.space == "raw")

    def gpu_term_bytes(self, n_own: int, n_leaves: int, n: int) -> int:
        """The gradient by the sides (see :class:`tomokit.regularizers.cuda.interface.FusableOnGpu`)."""
        return 6 * 4 * n_own * n**2

    @property
    def gpu_term_unsupported_reason(self) -> None:
        """None: every option has kernels (see :class:`tomokit.regularizers.cuda.interface.FusableOnGpu`)."""
        return

    @property
    def gpu_gradient_space(self) -> str | None:
        """The array that raw sides are added to (see :class:`tomokit.regularizers.cuda.interface.FusableOnGpu`)."""
        return "raw" if self.options.space == "raw" else None

    def value_and_gradient(self, field: Field, gradient: NDArray[np.floating], scale: float) -> float:
        """The penalty, its gradient added (see :class:`tomokit.regularizers.interface.Regularizer`)."""
        from tomokit.regularizers.boundary_kernels import add_all_sides, copy_all_sides

        # The same two steps as in a fused pass, with the sides copied here.
        n = field.forest.n
        sides = np.empty((field.forest.n_leaves, 6, n, n), field.values.dtype)
        side_gradient = np.empty_like(sides)
        copy_all_sides(field.values, sides)
        value = self.compare(field.forest, sides, side_gradient, scale)
        add_all_sides(side_gradient, gradient)
        return value
