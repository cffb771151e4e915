"""Boundary consistency: holds together the vertices that neighbouring leaves store twice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tomokit.octree import Forest
from tomokit.plugin.options import option
from tomokit.regularizers.interface import Field


@dataclass(frozen=True)
class BoundaryOptions:
    """Options of :class:`Boundary`."""

    weight: float = option(3e-4, "Weight in the loss; 0 switches it off.", minimum=0.0)
    every: int = option(1, "Evaluated every so many steps, with its weight scaled to match.", minimum=1)
    space: str = option("rho", "What it acts on: densities, or raw values.", choices=("rho", "raw"))


class Boundary:
    """Mean ``|rho_a - rho_b|`` over the lattice points of all faces that two leaves share.

    The points are those of the finer side, n x n a face; the coarser side is interpolated bilinearly.
    """

    name: ClassVar[str] = "boundary"
    summary: ClassVar[str] = "consistency of neighbouring leaves on their shared faces, across level jumps"
    Options: ClassVar[type] = BoundaryOptions

    def __init__(self, options: BoundaryOptions) -> None:
        self.options = options
        self._forest: Forest | None = None

    def prepare(self, forest: Forest) -> None:
        """Find the faces of `forest`; kept until another forest comes."""
        if self._forest is forest:
            return
        from tomokit.octree.faces import shared_faces

        self._faces = shared_faces(forest)
        self._start, self._face = self._faces.by_leaf(forest.n_leaves)
        self._forest = forest

    def compare(
        self, forest: Forest, sides: NDArray[np.floating], side_gradient: NDArray[np.floating], scale: float
    ) -> float:
        """The penalty from the leaves' sides, and its gradient by them: the part that a fused pass does beforehand.

        Parameters
        ----------
        forest : Forest
        sides : ndarray, shape (n_leaves, 6, n, n)
            From :func:`tomokit.regularizers.boundary_kernels.copy_sides`.
        side_gradient : ndarray like `sides`, written
            `scale` times the gradient; for :func:`tomokit.regularizers.boundary_kernels.add_sides`.
        scale : float
        """
        from tomokit.regularizers.boundary_kernels import compare_sides

        self.prepare(forest)
        faces = self._faces
        share = 1.0 / max(faces.n_faces * forest.n**2, 1)
        sums = np.empty(forest.n_leaves)
        compare_sides(
            sides, self._start, self._face, faces.axis, faces.below, faces.fine, faces.coarse, faces.offset,
            faces.scale, scale * share, side_gradient, sums,
        )  # fmt: skip
        return float(sums.sum()) * share

    def value_and_gradient(self, field: Field, gradient: NDArray[np.floating], scale: float) -> float:
        """Value, and gradient times `scale` added (see :class:`tomokit.regularizers.interface.Regularizer`)."""
        from tomokit.regularizers.boundary_kernels import add_all_sides, copy_all_sides

        n = field.forest.n
        sides = np.empty((field.forest.n_leaves, 6, n, n), field.values.dtype)
        side_gradient = np.empty_like(sides)
        copy_all_sides(field.values, sides)
        value = self.compare(field.forest, sides, side_gradient, scale)
        add_all_sides(side_gradient, gradient)
        return value
