"""Boundary consistency of the leaves of one subdomain on a GPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tomokit.gpu.reductions import add_total, load_reductions
from tomokit.octree import Forest
from tomokit.octree.faces import shared_faces
from tomokit.octree.partition import Partition
from tomokit.regularizers.cuda.interface import GradientsOnGpu, LeavesOnGpu, StepOnGpu
from tomokit.regularizers.cuda.tv import LOCAL_PENALTY_SOURCE

BOUNDARY_SOURCE = Path(__file__).with_name("boundary.cu")
_THREADS = 128  # as in boundary.cu


class BoundaryOnGpu:
    """The term of boundary consistency on one subdomain (see :class:`tomokit.regularizers.cuda.interface.TermOnGpu`).

    Parameters
    ----------
    leaves : LeavesOnGpu
        The subdomain's leaves.
    forest : Forest
        All leaves of the fit.
    scale : float
        Factor of the penalty.
    is_raw : bool
        Whether raw values are compared, not densities.
    """

    def __init__(self, leaves: LeavesOnGpu, forest: Forest, scale: float, is_raw: bool) -> None:
        self._leaves, self._is_raw, n = leaves, is_raw, forest.n
        self._blocks = -(-n * n // _THREADS)
        # The mean is over n x n points of every face, of all subdomains.
        self._per_point = scale / max(shared_faces(forest).n_faces * n * n, 1)
        device = leaves.device
        faces = side_faces(forest, leaves.partition)
        self._faces = {name: device.xp.asarray(array) for name, array in faces.items()}
        self._add_total = load_reductions(device)["add_total"]
        self._compare = device.load(BOUNDARY_SOURCE, N=n)["boundary_gradient"]
        if self._is_raw:
            self._local_penalty = device.load(LOCAL_PENALTY_SOURCE, **leaves.constants)["local_penalty"]

    @property
    def compares(self) -> str:
        """The field that is compared (see :class:`tomokit.regularizers.cuda.interface.TermOnGpu`)."""
        return "values" if self._is_raw else "density"

    def prepare(self, step: StepOnGpu) -> None:
        """Nothing: vertices at the cuts are exchanged for all terms (see
        :class:`tomokit.regularizers.cuda.interface.TermOnGpu`)."""

    def add(self, gradients: GradientsOnGpu, step: StepOnGpu, slot: int) -> None:
        """Compare the sides, and add the gradient by them (see
        :class:`tomokit.regularizers.cuda.interface.TermOnGpu`)."""
        leaves, faces = self._leaves, self._faces
        n, n_own = leaves.partition.forest.n, leaves.partition.own.size
        sides = leaves.working("sides", 6, n, n)
        differences = leaves.working("differences", 6, self._blocks)
        field = leaves.values if self._is_raw else leaves.density
        self._compare(
            (self._blocks, 6, n_own), (_THREADS, 1, 1),
            (field, step.beyond, faces["faces_of"], faces["other"], faces["offset"], faces["scales"],
             faces["is_fine"], sides, differences, self._per_point, n_own),
        )  # fmt: skip
        add_total(self._add_total, differences, step.totals, slot, self._per_point)
        if not self._is_raw:
            gradients.sides = sides
            return
        # By raw values the update takes no sides: they go into the gradient array.
        gradient = leaves.working("by_value", n, n, n)
        is_begun = int(gradients.by_value is not None)
        self._local_penalty(*leaves.grid, (field, None, sides, gradient, None, 0, 1.0, 0, is_begun))
        gradients.by_value = gradient

    def finish(self, step: StepOnGpu, slot: int) -> None:
        """Nothing: the penalty is known before the update (see
        :class:`tomokit.regularizers.cuda.interface.TermOnGpu`)."""


def side_faces(forest: Forest, partition: Partition) -> dict[str, NDArray[np.int32] | NDArray[np.float32]]:
    """The faces on each side of a partition's leaves, as ``boundary.cu`` takes them.

    Parameters
    ----------
    forest : Forest
        All leaves of the fit.
    partition : Partition
        The leaves whose faces are wanted; neighbours beyond the cuts are counted after them.

    Returns
    -------
    dict
        ``faces_of`` (int32, shape (6 * n_own + 1,)): entries of side ``2 * axis + upper`` of a leaf; ``other`` and
        ``is_fine`` (int32), ``offset`` (float32, shape (n_entries, 2)), ``scales`` (float32), ordered by leaf, side and
        face.
    """
    faces = shared_faces(forest)
    # Every face twice: on the upper side of the leaf below it, and on the lower side of the leaf above.
    face = np.tile(np.arange(faces.n_faces), 2)
    leaf = np.concatenate([faces.below, faces.above]).astype(np.int64)
    side = 2 * np.tile(faces.axis, 2) + np.repeat([1, 0], faces.n_faces)
    place = 6 * leaf + side
    # Ordered by leaf and side, and within a side by face: sums have the same order on any number of devices.
    order = np.lexsort((face, place))
    # Number of each leaf in the subdomain: its own first, then its neighbours beyond the cuts; -1 for all others.
    here = np.full(forest.n_leaves, -1, np.int64)
    own_and_ghosts = np.concatenate([partition.own, partition.ghosts])
    here[own_and_ghosts] = np.arange(own_and_ghosts.size)
    order = order[(here[leaf[order]] >= 0) & (here[leaf[order]] < partition.own.size)]
    face, leaf, place = face[order], leaf[order], 6 * here[leaf[order]] + side[order]
    # The finer leaf of a face has the points, the coarser one interpolates.
    is_fine = faces.fine[face] == leaf
    return {
        "faces_of": np.searchsorted(place, np.arange(6 * partition.own.size + 1)).astype(np.int32),
        "other": here[np.where(is_fine, faces.coarse[face], faces.fine[face])].astype(np.int32),
        "offset": faces.offset[face].astype(np.float32),
        "scales": faces.scale[face].astype(np.float32),
        "is_fine": is_fine.astype(np.int32),
    }
