"""Fused terms: gradients that a regularizer leaves to the pass over the leaves, in place of an array of its own.

The pass visits one leaf after the other while it is in cache (:mod:`tomokit.methods.octree.fused_step`). Beside the
data term's gradient it can add three kinds of terms, each of which costs little memory:

- :class:`LocalVariation`, differences inside a leaf, which the pass works out itself;
- :class:`SideGradient`, a gradient on the six sides of each leaf;
- :class:`ValueTable`, a gradient that depends on a vertex's own value alone, tabulated for each leaf.

A regularizer that can say its gradient as one of these offers ``fused_term`` (:class:`Fusable`), the built-in ones and
anyone else's. A step takes one term of each kind; a second one of a kind is added to a gradient array as any other
regularizer's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from tomokit.regularizers.interface import Field, Regularizer, is_own


@dataclass(frozen=True)
class LocalVariation:
    """A fused term: total variation inside leaves, which the pass itself measures and differentiates.

    Attributes
    ----------
    weight : ndarray of float64, shape (n_leaves,)
        Factor of each leaf's mean total variation in the loss.
    variant : int
        0 anisotropic, 1 isotropic, 2 Huber, 3 concave (:data:`tomokit.regularizers.codes.VARIANTS`).
    delta : float
        Difference at which Huber's penalty turns linear, or what an edge costs the concave one; in the field's unit.
    stencil : int
        Bits 0, 1 and 2 say whether differences along x, z and y are to the vertex before and not to the next.
    """

    weight: NDArray[np.float64]
    variant: int
    delta: float
    stencil: int

    @property
    def value(self) -> float | None:
        """None: the penalty is known only when the pass has measured it."""
        return None

    def add_to(self, penalized: NDArray[np.floating], gradient: NDArray[np.floating]) -> float:
        """Add the weighted gradient to an array of the field's size.

        Parameters
        ----------
        penalized : ndarray of float32, shape (n_leaves, n, n, n)
            Densities or raw values ``[leaf, x, z, y]``, whichever the regularizer acts on.
        gradient : ndarray like `penalized`, changed

        Returns
        -------
        float
            The weighted penalty.
        """
        from tomokit.regularizers.tv_kernel import tv_leaves

        means = np.empty(len(penalized))
        tv_leaves(penalized, gradient, self.weight, self.variant, self.delta, self.stencil, means)
        return float(np.vdot(self.weight, means))


@dataclass(frozen=True)
class SideGradient:
    """A fused term: a gradient by the densities on the leaves' sides.

    Attributes
    ----------
    gradient : ndarray of float32, shape (n_leaves, 6, n, n)
        Weighted; side ``2 * axis + upper`` of a leaf, axes in the order x, z, y, as
        :func:`tomokit.regularizers.boundary_kernels.copy_sides` lays them out.
    value : float
        The weighted penalty.
    """

    gradient: NDArray[np.floating]
    value: float

    def add_to(self, penalized: NDArray[np.floating], gradient: NDArray[np.floating]) -> float:
        """Add the weighted gradient to an array of the field's size.

        Parameters
        ----------
        penalized : ndarray of float32, shape (n_leaves, n, n, n)
            Densities or raw values ``[leaf, x, z, y]``, whichever the regularizer acts on.
        gradient : ndarray like `penalized`, changed

        Returns
        -------
        float
            The weighted penalty.
        """
        from tomokit.regularizers.boundary_kernels import add_all_sides

        add_all_sides(self.gradient, gradient)
        return self.value


@dataclass(frozen=True)
class ValueTable:
    """A fused term: a gradient that is a function of the vertex's own value, for each leaf that takes part.

    Attributes
    ----------
    leaves : ndarray of int64, shape (n_rows,)
        The leaves that take part.
    grid : ndarray of float64, shape (n_rows, 2)
        Least value and spacing of each leaf's nodes, in units of the values.
    table : ndarray like the values, shape (n_rows, n_nodes, 8)
        Cubics between the nodes: see :func:`tomokit.regularizers.cross_node_kernels.cross_node_leaf`.
    scale : float
        Factor of the gradient.
    value : float
        The weighted penalty.
    """

    leaves: NDArray[np.int64]
    grid: NDArray[np.float64]
    table: NDArray[np.floating]
    scale: float
    value: float

    def add_to(self, penalized: NDArray[np.floating], gradient: NDArray[np.floating]) -> float:
        """Add the weighted gradient to an array of the field's size.

        Parameters
        ----------
        penalized : ndarray of float32, shape (n_leaves, n, n, n)
            Densities or raw values ``[leaf, x, z, y]``, whichever the regularizer acts on.
        gradient : ndarray like `penalized`, changed

        Returns
        -------
        float
            The weighted penalty.
        """
        from tomokit.regularizers.cross_node_kernels import add_leaves

        # With a value that is not finite the tables are undefined; the penalty itself says that the fit has diverged.
        if not np.isnan(self.value):
            add_leaves(penalized, self.leaves, self.grid, self.table, self.scale, gradient)
        return self.value


FusedTerm = LocalVariation | SideGradient | ValueTable
"""Any of the terms that a pass can take, one of each kind."""


@runtime_checkable
class Fusable(Protocol):
    """A regularizer that the pass over the leaves can take a term of.

    A class that is derived from one and has its own ``value_and_gradient`` is not asked for a term, unless it has its
    own ``fused_term`` too.
    """

    @property
    def needs_sides(self) -> bool:
        """Whether the regularizer's term needs the densities on the leaves' sides."""
        ...

    def fused_term(self, field: Field, sides: NDArray[np.floating], scale: float) -> FusedTerm | None:
        """Prepare the term that the pass is to add, before any leaf changes; random numbers are drawn here.

        Parameters
        ----------
        field : Field
            The field that is penalized, as ``value_and_gradient`` is given it.
        sides : ndarray of float32, shape (n_leaves, 6, n, n), or with no leaves
            The densities on the leaves' sides, where :attr:`needs_sides`.
        scale : float
            The weight, times ``every`` where the regularizer is not evaluated at each step.

        Returns
        -------
        FusedTerm or None
            None where these options cannot be fused: then ``value_and_gradient`` is called. Nothing may have been drawn
            then.
        """
        ...

    def fused_bytes(self, n_leaves: int, n: int) -> int | None:
        """Memory that a term takes in one step.

        Parameters
        ----------
        n_leaves, n : int
            Leaves of the forest, and vertices along a leaf's edge.

        Returns
        -------
        int or None
            Bytes of the term and of what is made on the way to it; None where these options cannot be fused.
        """
        ...


def fusable(regularizer: Regularizer) -> Fusable | None:
    """The regularizer as one whose term the pass may take in place of ``value_and_gradient``.

    Parameters
    ----------
    regularizer : Regularizer

    Returns
    -------
    Fusable or None
        None where it offers no term, or its class overrides ``value_and_gradient`` alone.
    """
    return regularizer if isinstance(regularizer, Fusable) and is_own(regularizer, "fused_term") else None
