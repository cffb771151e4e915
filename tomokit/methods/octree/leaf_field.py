"""The field being fitted: raw values and densities on a forest, with what the optimizer remembers of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tomokit.activation.functions import DEFAULT_PARAMETER, KINDS
from tomokit.methods.octree.solver import PrimalDual
from tomokit.methods.octree.texture import whole_limits
from tomokit.octree import Forest
from tomokit.optimizers.interface import Optimizer

_LEAST_DENSITY = 1e-3  # of the mean: where an inverse activation would run to minus infinity


class LeafField:
    """Values v, densities ``rho = s(v)`` and optimizer state on the leaves of a forest.

    Parameters
    ----------
    forest : Forest
    density : ndarray of float32, shape (n_leaves, n, n, n)
        Densities to start from, ``[leaf, x, z, y]``; raised to a small positive floor where the activation asks for it.
        The field keeps the array and changes it.
    activation : str
        ``"squareplus"``, ``"softplus"`` or ``"identity"``.
    optimizer : Optimizer or PrimalDual
        Its state starts from nothing.
    bend : float, optional
        The activation's parameter; by default the publication's.

    Attributes
    ----------
    values, density : ndarray of float32, shape (n_leaves, n, n, n)
        Raw values v and densities ``s(v)`` in the fit's unit, ``[leaf, x, z, y]``.
    kind : int
        The activation as kernels know it (:data:`tomokit.activation.functions.KINDS`).
    parameter : float
        The activation's parameter.
    state : dict
        The optimizer's arrays by name, each shaped like the values.
    count : int
        Optimizer steps since the state was made.
    sides : ndarray of float32, shape (n_leaves, 6, n, n), or with no leaves before :meth:`keep_sides`
        Densities on the leaves' sides, ``2 * axis + upper``.
    limits : ndarray of float32, shape (n_leaves, m, m, m), or with no leaves
        Factors of total variation's weight by texture (:mod:`tomokit.methods.octree.texture`).
    """

    def __init__(
        self,
        forest: Forest,
        density: NDArray[np.float32],
        activation: str,
        optimizer: Optimizer | PrimalDual,
        bend: float | None = None,
    ) -> None:
        from tomokit.activation.functions import activate_leaves, invert_block

        self.forest = forest
        self.activation = activation
        self.kind = KINDS[activation]
        self.parameter = DEFAULT_PARAMETER[activation] if bend is None else bend
        self.optimizer = optimizer
        self.values = np.empty(forest.values_shape, np.float32)
        # Leaf by leaf: the absolute values of all would be one more array of the field's size.
        mean = float(np.mean([np.abs(leaf).mean(dtype=np.float64) for leaf in density])) if len(density) else 0.0
        floor = _LEAST_DENSITY * max(mean, 1e-6)
        self.density = np.ascontiguousarray(density)
        # Densities below the floor are raised: the inverse is followed by the activation, so that both arrays agree.
        invert_block(self.kind, self.parameter, self.density.reshape(-1), self.values.reshape(-1), floor)
        activate_leaves(self.kind, self.parameter, self.values, self.density)
        if isinstance(optimizer, PrimalDual):
            # It changes densities themselves: one array, known by both names.
            self.values = self.density
        # A new forest has other vertices, so what the optimizer knew of the old ones is of no use to these.
        self.state = optimizer.state_arrays(self.values.shape, np.float32)
        textured = isinstance(optimizer, PrimalDual) and optimizer.texture is not None
        self.limits = whole_limits(forest) if textured else np.ones((0, 2, 2, 2), np.float32)
        self.count = 0
        self.sides = np.empty((0, 6, forest.n, forest.n), np.float32)

    def keep_sides(self) -> None:
        """Copy the leaves' sides now, and after every step from here on."""
        from tomokit.regularizers.boundary_kernels import copy_all_sides

        n = self.forest.n
        self.sides = np.empty((self.forest.n_leaves, 6, n, n), np.float32)
        copy_all_sides(self.density, self.sides)

    def on(self, forest: Forest) -> LeafField:
        """The field resampled to another forest, its optimizer's state forgotten; this one is given up.

        Parameters
        ----------
        forest : Forest
            The new leaves, of the same roots.

        Returns
        -------
        LeafField
        """
        from tomokit.octree.resample import resample

        # All that is needed is the density: two complete fields would be the most that a run ever holds.
        self.values = self.sides = np.empty((0, 0, 0, 0), np.float32)
        self.state = {}
        density = resample(self.density, self.forest, forest).astype(np.float32, copy=False)
        return LeafField(forest, density, self.activation, self.optimizer, self.parameter)
