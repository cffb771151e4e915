"""How much memory a fit takes, and in how many slabs it is done where memory does not hold it in one piece."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tomokit.data.problem import Problem, ProblemShape
from tomokit.methods.capabilities import EstimatesBytesOfData
from tomokit.methods.interface import Method
from tomokit.methods.slabs import ReconstructsInSlabs
from tomokit.pipeline.memory import available_bytes, check_memory
from tomokit.pipeline.plan import Plan
from tomokit.pipeline.request import ReconstructionRequest
from tomokit.pipeline.slabs import can_use_slabs

_COMFORT = 0.8
"""Share of the memory that slabs are cut for: what is available changes while a job runs."""
_LEAST_ROWS = 16
"""Rows of a slab that is cut unasked: with fewer of them most of the time would go into the weights of the rays."""


def least_bytes_of_fit(request: ReconstructionRequest, plan: Plan, method: Method, options: Any, backend: str) -> int:
    """Estimate the least bytes that a fit takes beyond the problem, before the data are read.

    Parameters
    ----------
    request : ReconstructionRequest
        The job.
    plan : Plan
        Its sizes.
    method : Method
    options : Options
        The method's own.
    backend : {"cpu", "cuda", "reference"}

    Returns
    -------
    int
        Of the fit in one piece, or in as many slabs as there may be.
    """
    rows = plan.volume_shape.n_y
    whole = _bytes_with_volume(method.estimate_bytes(plan.volume_shape, options), plan.volume_shape)
    if not can_use_slabs(method, backend):
        return whole
    count = _most_slabs(rows) if request.slabs is None else request.slabs
    in_slabs = _bytes_in_slabs(method, options, plan.shape, rows, count, request.state is not None)
    return min(whole, in_slabs) if request.slabs is None else whole if count == 1 else in_slabs


def choose_slabs(
    request: ReconstructionRequest, plan: Plan, problem: Problem, method: Method, options: Any, backend: str, what: str
) -> int:
    """Choose in how many slabs a problem that has been read is solved, by what memory has left.

    Parameters
    ----------
    request, plan, method, options, backend
        As of :func:`least_bytes_of_fit`.
    problem : Problem
        All rows of the detector; only those that are reconstructed, where the method knows no slabs.
    what : str
        What it is, for the message.

    Returns
    -------
    int
        0 if the method is to be started without slabs.

    Raises
    ------
    ResourceError
        If it does not fit; with the estimate.
    """
    if not can_use_slabs(method, backend):
        check_memory(_bytes_of_problem(problem, method, options), what)
        return 0
    shape, rows = ProblemShape.of(problem), plan.volume_shape.n_y
    rows_alone = replace(shape, n_y=rows)
    whole_bytes = _bytes_with_volume(method.estimate_bytes(rows_alone, options), rows_alone)
    keeps_state = request.state is not None
    count = request.slabs or _choose_count(method, options, shape, rows, whole_bytes, keeps_state)
    # Some rows alone are a slab: only so can views be treated as wholes.
    slabs = count if count > 1 or rows < shape.n_y else 0
    if not slabs:
        check_memory(whole_bytes, what)
        return 0
    needed = _bytes_in_slabs(method, options, shape, rows, slabs, keeps_state)
    # When the fit is done its arrays are gone, and the volume is levelled a block at a time.
    needed = max(needed, plan.box.levelling.block_bytes)
    # The file of the volume is mapped in the end, which takes addresses and no memory.
    check_memory(needed, what if slabs == 1 else f"{what} in {slabs} slabs", mapped_bytes=rows_alone.volume_bytes)
    return slabs


def _choose_count(
    method: Method, options: Any, shape: ProblemShape, rows: int, whole_bytes: int, keeps_state: bool
) -> int:
    """1 where the volume fits in one piece; else the least number of slabs that fit well, or at all."""
    available = available_bytes()
    if whole_bytes <= available:
        return 1
    for share in (_COMFORT, 1.0):
        for count in range(2, _most_slabs(rows) + 1):
            if _bytes_in_slabs(method, options, shape, rows, count, keeps_state) <= share * available:
                return count
    return _most_slabs(rows)


def _most_slabs(rows: int) -> int:
    """As many slabs as are cut unasked."""
    return max(1, rows // _LEAST_ROWS)


def _bytes_in_slabs(method: Method, options: Any, shape: ProblemShape, rows: int, count: int, keeps_state: bool) -> int:
    """Peak bytes of a fit in slabs, beyond the problem; `shape` has all rows of the detector."""
    if not isinstance(method, ReconstructsInSlabs):
        raise TypeError(f"method {method.name} takes the volume as a whole")
    fit = method.estimate_bytes_in_slabs(shape, options, rows, -(-rows // count))
    # For a state the density is assembled in memory, and with a margin it is up to twice as wide as the detector.
    return fit + (2 * shape.volume_bytes * rows // shape.n_y if keeps_state else 0)


def _bytes_with_volume(fit_bytes: int, shape: ProblemShape) -> int:
    """Peak bytes of fitting or of making the volume, whichever takes more, beyond the problem.

    When the fit is done the run gives a copy of its volume; the transposed one is made when the run is gone.
    """
    return max(fit_bytes + shape.volume_bytes, 2 * shape.volume_bytes)


def _bytes_of_problem(problem: Problem, method: Method, options: Any) -> int:
    """The same of a problem that has been read; of its sizes alone if the method asks for no more."""
    shape = ProblemShape.of(problem)
    if isinstance(method, EstimatesBytesOfData):
        fit_bytes = method.estimate_bytes_of(problem, options)
    else:
        fit_bytes = method.estimate_bytes(shape, options)
    return _bytes_with_volume(fit_bytes, shape)
