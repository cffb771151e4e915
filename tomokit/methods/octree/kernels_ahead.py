"""The kernels of a fit on the host, to be compiled while the data are read (:mod:`tomokit.kernels.ahead`)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.activation.functions import activate_leaves, invert_block
from tomokit.kernels.ahead import Call
from tomokit.methods.octree.fused_step import update_leaves
from tomokit.methods.octree.step_arrays import LeafArrays, PenaltyArrays, ResidualArrays, StepRules
from tomokit.octree.resample import _interpolate_leaves
from tomokit.octree.sampling import _fill_leaves, _fill_upper_faces
from tomokit.projector.leaves_cpu import contract_rows, expand_rows, project_groups
from tomokit.regularizers.boundary_kernels import compare_sides, copy_all_sides


def kernels() -> list[Call]:
    """List what a fit with an optimizer of one pass over the leaves calls.

    Returns
    -------
    list of Call
        The longest to compile first, and then in the order of a run, which is at the first ones soon. What is not
        called is no harm but for the time; what is missing here is compiled when it is called.
    """
    single, double, whole, short = np.float32, np.float64, np.int64, np.int32
    leaves = LeafArrays(_of(4, single), _of(4, single), _of(1, single), _of(1, single), _of(4, single))
    residual = ResidualArrays(
        _of(4, single), 0, _of(1, whole), _of(2, double), _of(1, double), _of(1, short), _of(1, double),
        _of(1, double), 0.0, _of(2, double), _of(2, whole), _of(5, single),
    )  # fmt: skip
    penalties = PenaltyArrays(
        _of(1, double), 0, 0.0, 0, _of(4, single), _of(1, whole), _of(2, double), _of(3, single), 0.0, False,
        _of(4, single), _of(4, single),
    )  # fmt: skip
    pairs = _of(2, whole)
    return [
        (update_leaves, (leaves, residual, penalties, StepRules(0, 0.0, 0, _of(1, double), 0), _of(1, double))),
        (project_groups, (
            _of(4, single), pairs, _of(2, double), _of(1, double), _of(1, short), _of(1, double), _of(1, double), 0.0,
            _of(2, double), pairs, _of(5, single), pairs, pairs, pairs, _of(1, single),
        )),
        (compare_sides, (
            _of(4, single), _of(1, whole), _of(1, whole), *[_of(1, short)] * 4, _of(2, double), _of(1, double), 0.0,
            _of(4, single), _of(1, double),
        )),
        (activate_leaves, (0, 0.0, _of(4, single), _of(4, single))),
        (expand_rows, (
            _of(3, single), pairs, pairs, pairs, pairs, pairs, _of(1, single), _of(3, short), _of(3, short),
            _of(4, single), 0,
        )),
        (contract_rows, (
            _of(3, single), pairs, _of(4, single), 0, _of(3, short), _of(3, short), _of(4, single),
        )),
        (copy_all_sides, (_of(4, single), _of(4, single))),
        (_interpolate_leaves, (
            _of(4, single), _of(1, whole), _of(2, double), _of(1, double), _of(1, whole), _of(4, single),
        )),
        (_fill_upper_faces, (
            _of(4, single), _of(1, whole), pairs, pairs, pairs, _of(2, double), _of(2, double), _of(3, single),
        )),
        (_fill_leaves, (_of(4, single), pairs, pairs, _of(2, double), _of(2, double), _of(3, single))),
        (invert_block, (0, 0.0, _of(1, single), _of(1, single), 0.0)),
    ]  # fmt: skip


def _of(axes: int, kind: type) -> NDArray[Any]:
    """An array of no size."""
    return np.empty((0,) * axes, kind)
