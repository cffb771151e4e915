"""The kernels of fits on the host, to be compiled while the data are read (:mod:`tomokit.kernels.ahead`).

Each list has the longest to compile first, and then what a run is at first. What is not called in the end is no harm
but for the time; what is missing is compiled when it is called.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.activation.functions import activate_leaves, invert_block
from tomokit.kernels.ahead import Call
from tomokit.methods.octree.fused_step import update_leaves
from tomokit.methods.octree.primal_dual_step import PrimalDualArrays, PrimalDualLengths, step_leaves
from tomokit.methods.octree.step_arrays import LeafArrays, PenaltyArrays, ResidualArrays, StepRules
from tomokit.methods.octree.texture import average_gradients
from tomokit.methods.octree.ties import average_equals, multiply_copies, soften_sides, tie_jumps
from tomokit.methods.octree.view_duals import filter_across
from tomokit.octree.resample import _interpolate_leaves
from tomokit.octree.sampling import _fill_leaves, _fill_upper_faces
from tomokit.projector.leaves_cpu import contract_rows, expand_rows, gather_leaves, project_groups
from tomokit.regularizers.boundary_kernels import compare_sides, copy_all_sides


def _of(axes: int, kind: type) -> NDArray[Any]:
    """An array of no size."""
    return np.empty((0,) * axes, kind)


_SINGLES = [_of(axes, np.float32) for axes in range(6)]
_DOUBLES = [_of(axes, np.float64) for axes in range(5)]
_WHOLE, _PAIRS = _of(1, np.int64), _of(2, np.int64)
_SHORT, _SHORTS = _of(1, np.int32), _of(3, np.int32)
_LEAVES = _SINGLES[4]
_VIEWS = (_DOUBLES[1], _DOUBLES[1], 0.0, _DOUBLES[2], _PAIRS, _SINGLES[5])
"""Tilts, shifts, centre, and the footprints' widths, taps and tables."""
_RESIDUAL = ResidualArrays(_LEAVES, 0, _WHOLE, _DOUBLES[2], _DOUBLES[1], _SHORT, *_VIEWS)
_PENALTIES = PenaltyArrays(
    _DOUBLES[1], 0, 0.0, 0, _LEAVES, _WHOLE, _DOUBLES[2], _SINGLES[3], 0.0, False, _LEAVES, _LEAVES
)
_PROJECT: Call = (
    project_groups,
    (_LEAVES, _PAIRS, _DOUBLES[2], _DOUBLES[1], _SHORT, *_VIEWS, _PAIRS, _PAIRS, _PAIRS, _SINGLES[1]),
)
_ROWS: list[Call] = [
    (expand_rows, (_SINGLES[3], *[_PAIRS] * 5, _SINGLES[1], _SHORTS, _SHORTS, _LEAVES, 0)),
    (contract_rows, (_SINGLES[3], _PAIRS, _LEAVES, 0, _SHORTS, _SHORTS, _LEAVES)),
]
_ACTIVATE: list[Call] = [
    (activate_leaves, (0, 0.0, _LEAVES, _LEAVES)),
    (invert_block, (0, 0.0, _SINGLES[1], _SINGLES[1], 0.0)),
]
_RESAMPLE: Call = (_interpolate_leaves, (_LEAVES, _WHOLE, _DOUBLES[2], _DOUBLES[1], _WHOLE, _LEAVES))
_SAMPLE: list[Call] = [
    (_fill_upper_faces, (_LEAVES, _WHOLE, _PAIRS, _PAIRS, _PAIRS, _DOUBLES[2], _DOUBLES[2], _SINGLES[3])),
    (_fill_leaves, (_LEAVES, _PAIRS, _PAIRS, _DOUBLES[2], _DOUBLES[2], _SINGLES[3])),
]


def kernels_of_gradient() -> list[Call]:
    """List what a fit with an optimizer of one pass over the leaves calls.

    Returns
    -------
    list of Call
    """
    leaves = LeafArrays(_LEAVES, _LEAVES, _SINGLES[1], _SINGLES[1], _LEAVES)
    rules = StepRules(0, 0.0, 0, _DOUBLES[1], 0)
    return [
        (update_leaves, (leaves, _RESIDUAL, _PENALTIES, rules, _DOUBLES[1])),
        _PROJECT,
        (
            compare_sides,
            (_LEAVES, _WHOLE, _WHOLE, *[_SHORT] * 4, _DOUBLES[2], _DOUBLES[1], 0.0, _LEAVES, _DOUBLES[1]),
        ),
        *_ACTIVATE,
        *_ROWS,
        (copy_all_sides, (_LEAVES, _LEAVES)),
        _RESAMPLE,
        *_SAMPLE,
    ]


def kernels_of_primal_dual() -> list[Call]:
    """List what a fit by the solver ``primal-dual`` calls, with the default options for specimens that fill the field.

    Returns
    -------
    list of Call
    """
    tied, below = np.empty((0, 0), np.bool_), np.empty(0, np.bool_)
    lengths = PrimalDualLengths(_SINGLES[1], _SINGLES[1], _SINGLES[1], tied, 0.0, 0.0, 0.0, _LEAVES)
    return [
        (step_leaves, (PrimalDualArrays(*[_LEAVES] * 5), _RESIDUAL, _PENALTIES, lengths, _DOUBLES[1])),
        _PROJECT,
        (
            gather_leaves,
            (_LEAVES, _WHOLE, _DOUBLES[2], _DOUBLES[1], _SHORT, *_VIEWS, _LEAVES, 0),
        ),
        *_ACTIVATE,
        *_ROWS,
        (average_equals, (_LEAVES, 0, _SHORT, _SHORT)),
        (multiply_copies, (_LEAVES, _SINGLES[1], tied)),
        (soften_sides, (_LEAVES, tied, 0.0)),
        (filter_across, (_SINGLES[3], _SINGLES[1], _SINGLES[3])),
        (tie_jumps, (_LEAVES, _SHORT, _SHORT, _SHORT, below, _DOUBLES[2], _DOUBLES[1])),
        (average_gradients, (_LEAVES, _DOUBLES[4])),
        _RESAMPLE,
        *_SAMPLE,
    ]
