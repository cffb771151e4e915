"""The regularizers of a fit on a device: launches before the pass over the leaves, and what the pass is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tomokit.gpu.reductions import add_total, load_reductions
from tomokit.methods.octree.cuda.partition import Partition
from tomokit.octree import Forest
from tomokit.octree.faces import shared_faces
from tomokit.regularizers.boundary import Boundary
from tomokit.regularizers.cross_node import CrossNode
from tomokit.regularizers.cuda import BOUNDARY_SOURCE, LOCAL_PENALTY_SOURCE
from tomokit.regularizers.interface import Field, is_built_in
from tomokit.regularizers.tv import TotalVariation

if TYPE_CHECKING:
    from tomokit.methods.octree.cuda.field import FieldOnDevice
    from tomokit.methods.octree.penalties import Weighted
    from tomokit.regularizers.cuda.cross_node import CrossNodeOnDevice

_SIDE_THREADS = 128  # as in boundary.cu


@dataclass
class Pair:
    """The cross-node constraint's tables: row of each leaf, grids, cubics, factor, and whether of raw values."""

    pair_of: Any
    grid: Any
    table: Any
    scale: float
    raw: bool


@dataclass
class PenaltyGradientsOnDevice:
    """What ``leaf_update.cu`` adds to the data term's gradient; None for what there is not."""

    tv_step: Any = None
    tv_variant: int = 0
    tv_delta: float = 1.0
    tv_stencil: int = 0
    variation: Any = None
    sides: Any = None
    pair: Pair | None = None
    extra: Any = None
    extra_raw: Any = None


class PenaltiesOnDevice:
    """The regularizers on the leaves of one forest.

    Parameters
    ----------
    field : FieldOnDevice
        The part that is here; working arrays are taken where its own are.
    regularizers : list of Weighted
        Those that :mod:`tomokit.methods.octree.cuda.support` does not refuse.
    forest : Forest
        All leaves.
    cross : CrossNodeOnDevice or None
        The cross-node constraint, if it is among the regularizers.
    inside : ndarray of bool, shape (n_leaves,), optional
        Leaves in the region of interest, for regularizers of plugins; these need a part that is all of the forest.

    Attributes
    ----------
    draws_in_steps : bool
        Whether random numbers are drawn while steps are launched, and not before an epoch: what plugins draw is not
        known before, and all draw from one generator in their order.
    names : list of str
        The penalties, in the order of their sums among the totals.
    compares : str or None
        Whose layers beyond the cuts are needed, ``"values"`` or ``"density"``.
    """

    def __init__(
        self,
        field: FieldOnDevice,
        regularizers: list[Weighted],
        forest: Forest,
        cross: CrossNodeOnDevice | None,
        inside: NDArray[np.bool_] | None = None,
    ) -> None:
        self._field, self.forest, self.regularizers = field, field.forest, regularizers
        self.whole, self.inside = forest, inside
        self.draws_in_steps = not all(has_kernels(item) for item in regularizers)
        self.cross = cross
        self.names = [item.regularizer.name for item in regularizers]
        self.compares: str | None = None
        device, partition, n = field.device, field.partition, forest.n
        self._side_blocks = -(-n * n // _SIDE_THREADS)
        self._arrays: dict[str, Any] = {}
        xp = device.xp
        with device:
            self._add_total = load_reductions(device)["add_total"]
            for item in regularizers:
                if is_built_in(item.regularizer, TotalVariation):
                    share = item.regularizer.leaf_weights(forest) / (n * n * (n - 1.0))
                    step = item.weight * item.options.every * share[partition.own]
                    self._arrays["tv_step"] = xp.asarray(step.astype(np.float32))
                elif is_built_in(item.regularizer, Boundary):
                    self.compares = "values" if item.options.space == "raw" else "density"
                    found = side_faces(forest, partition)
                    self._arrays |= {name: xp.asarray(array) for name, array in found.items()}
                    self._n_faces = shared_faces(forest).n_faces
                    self._compare = device.load(BOUNDARY_SOURCE, N=n)["boundary_gradient"]
            if any(has_kernels(item) and self._keeps_gradient(item) for item in regularizers):
                self._local = device.load(LOCAL_PENALTY_SOURCE, **field.constants)["local_penalty"]

    def evaluate(
        self, step: int, totals: Any, first_slot: int, beyond: Any = None, rng: np.random.Generator | None = None
    ) -> PenaltyGradientsOnDevice:
        """Everything that must be known before any leaf changes.

        The cross-node constraint is tabulated already, but where random numbers are drawn in steps.

        Parameters
        ----------
        step : int
            Steps taken so far in the whole fit.
        totals : array of float64
            Weighted penalties are added, from `first_slot` on; total variation of densities by :meth:`add_variation`.
        first_slot : int
        beyond : array of float32, shape (n_ghosts, n, n), optional
            The other parts' layers at the cuts, of :attr:`compares`.
        rng : numpy.random.Generator, optional
            The host's, where random numbers are drawn in steps.
        """
        penalty_gradients = PenaltyGradientsOnDevice()
        for slot, item in enumerate(self.regularizers, first_slot):
            if step % item.options.every:
                continue
            scale = item.weight * item.options.every
            raw = item.options.space == "raw"
            field = self._field.values if raw else self._field.density
            if is_built_in(item.regularizer, TotalVariation):
                penalty_gradients.tv_variant, penalty_gradients.tv_delta = item.regularizer.variant, item.options.delta
                penalty_gradients.tv_stencil = item.regularizer.stencil(step)
                if raw:
                    self._add_raw(field, penalty_gradients, variation=True)
                    self.add_variation(totals, slot)
                else:
                    penalty_gradients.tv_step, penalty_gradients.variation = self._arrays["tv_step"], self._variation()
            elif is_built_in(item.regularizer, Boundary):
                self._differentiate_sides(field, beyond, scale, totals, slot)
                if raw:
                    self._add_raw(field, penalty_gradients, variation=False)
                else:
                    penalty_gradients.sides = self._sides()
            elif not is_built_in(item.regularizer, CrossNode):
                assert rng is not None
                value = self._ask(item, field, penalty_gradients, scale, step, rng)
                # One number on the device or the host; in neither case is anything waited for here.
                totals[slot : slot + 1] += scale * value
            else:
                cross = self.cross
                assert cross is not None
                if self.draws_in_steps:
                    assert rng is not None
                    cross.count(field)
                    partners = self._field.device.xp.asarray(cross.tables.draw(rng, 1)[0])
                    cross.tables.tabulate(self.forest.n**3, partners)
                penalty_gradients.pair = Pair(cross.pair_of, cross.tables.grid, cross.tables.table, scale, raw)
                # The means are all parts'; the first one adds them.
                add_total(self._add_total, cross.tables.means, totals, slot, scale if cross.is_first else 0.0)
        return penalty_gradients

    def add_variation(self, totals: Any, slot: int) -> None:
        """Add the weighted total variation that the pass over the leaves, or the one over raw values, has left."""
        add_total(self._add_total, self._variation(), totals, slot)

    def variation_slot(self, first_slot: int) -> int:
        """Where total variation is among the totals."""
        return first_slot + self.names.index(TotalVariation.name)

    @staticmethod
    def _keeps_gradient(item: Weighted) -> str | None:
        """The array that its gradient goes to before the pass over the leaves."""
        raw = item.options.space == "raw"
        if has_kernels(item):
            return "extra_raw" if raw and not isinstance(item.regularizer, CrossNode) else None
        return "extra_raw" if raw else "extra"

    def _ask(
        self,
        item: Weighted,
        values: Any,
        penalty_gradients: PenaltyGradientsOnDevice,
        scale: float,
        step: int,
        rng: np.random.Generator,
    ) -> Any:
        """Have a plugin's regularizer add its gradient; its value, on the host or the device."""
        assert self.inside is not None
        name = self._keeps_gradient(item)
        assert name is not None
        n = self.forest.n
        gradient = self._working(name, n, n, n)
        if getattr(penalty_gradients, name) is None:
            gradient.fill(0)
            setattr(penalty_gradients, name, gradient)
        field = Field(self.whole, values, self.inside, rng, step, self._field.device)
        return item.regularizer.value_and_gradient(field, gradient, scale)

    def _variation(self) -> Any:
        return self._working("variation", self._field.blocks)

    def _sides(self) -> Any:
        return self._working("sides", 6, self.forest.n, self.forest.n)

    def _working(self, name: str, *of_leaf: int) -> Any:
        return self._field.buffers.array(name, self.forest.n_leaves, of_leaf)

    def _differentiate_sides(self, field: Any, beyond: Any, scale: float, totals: Any, slot: int) -> None:
        a, n, n_leaves = self._arrays, self.forest.n, self.forest.n_leaves
        share = scale / max(self._n_faces * n * n, 1)
        differences = self._working("differences", 6, self._side_blocks)
        self._compare(
            (self._side_blocks, 6, n_leaves), (_SIDE_THREADS, 1, 1),
            (field, beyond, a["faces_of"], a["other"], a["offset"], a["scales"], a["is_fine"], self._sides(),
             differences, share, n_leaves),
        )  # fmt: skip
        add_total(self._add_total, differences, totals, slot, share)

    def _add_raw(self, field: Any, penalty_gradients: PenaltyGradientsOnDevice, variation: bool) -> None:
        """Add the gradient of total variation, or else of the sides, to that by raw values."""
        n = self.forest.n
        extra = self._working("extra_raw", n, n, n)
        self._local(
            *self._field.grid,
            (field, self._arrays["tv_step"] if variation else None, None if variation else self._sides(), extra,
             self._variation() if variation else None, penalty_gradients.tv_variant, penalty_gradients.tv_delta,
             penalty_gradients.tv_stencil, int(penalty_gradients.extra_raw is not None)),
        )  # fmt: skip
        penalty_gradients.extra_raw = extra


def has_kernels(item: Weighted) -> bool:
    """Whether this is a built-in regularizer, which the fused step has kernels of."""
    return type(item.regularizer) in (TotalVariation, Boundary, CrossNode)


def side_faces(forest: Forest, partition: Partition) -> dict[str, NDArray[Any]]:
    """The faces on each side of a part's leaves, as ``boundary.cu`` takes them; ghosts are counted after them.

    Returns
    -------
    dict
        ``faces_of`` (int32, shape (6 * n_own + 1,)): entries of side ``2 * axis + upper`` of a leaf; ``other`` and
        ``is_fine`` (int32), ``offset`` (float32, shape (n_entries, 2)), ``scales`` (float32), ordered by leaf, side and
        face.
    """
    faces = shared_faces(forest)
    face = np.tile(np.arange(faces.n_faces), 2)
    leaf = np.concatenate([faces.below, faces.above]).astype(np.int64)
    side = 2 * np.tile(faces.axis, 2) + np.repeat([1, 0], faces.n_faces)
    place = 6 * leaf + side
    order = np.lexsort((face, place))
    here = np.full(forest.n_leaves, -1, np.int64)
    held = np.concatenate([partition.own, partition.ghosts])
    here[held] = np.arange(held.size)
    order = order[(here[leaf[order]] >= 0) & (here[leaf[order]] < partition.own.size)]
    face, leaf, place = face[order], leaf[order], 6 * here[leaf[order]] + side[order]
    is_fine = faces.fine[face] == leaf
    return {
        "faces_of": np.searchsorted(place, np.arange(6 * partition.own.size + 1)).astype(np.int32),
        "other": here[np.where(is_fine, faces.coarse[face], faces.fine[face])].astype(np.int32),
        "offset": faces.offset[face].astype(np.float32),
        "scales": faces.scale[face].astype(np.float32),
        "is_fine": is_fine.astype(np.int32),
    }
