"""Which octree fits can run on a GPU, and which of them cannot be cut into subdomains."""

from __future__ import annotations

from tomokit.methods.octree import setup
from tomokit.methods.octree.fit_plan import FitPlan
from tomokit.methods.octree.options import OctreeOptions
from tomokit.methods.octree.penalties import WeightedRegularizer, make_regularizers
from tomokit.methods.octree.solver import PrimalDual
from tomokit.methods.octree.weights import FOLLOW_NOISE
from tomokit.optimizers.block import is_block_optimizer
from tomokit.regularizers.cuda.interface import fusable_on_gpu
from tomokit.regularizers.interface import CountsGpuBytes, RunsOnGpu


def unsupported_reason(options: OctreeOptions) -> str | None:
    """Why an octree fit with these options cannot run on a GPU.

    Parameters
    ----------
    options : OctreeOptions

    Returns
    -------
    str or None
        A short clause that names optimizer or regularizer; None if they can.

    Raises
    ------
    OptionError, PluginError
        If an optimizer, a regularizer or an option of one is unknown.
    """
    optimizer = setup.make_optimizer(options)
    if not isinstance(optimizer, PrimalDual) and not is_block_optimizer(optimizer):
        return f"optimizer {optimizer.name} has no CUDA kernel"
    possible = make_regularizers(options.regularizers, {name: {"weight": 1.0} for name in FOLLOW_NOISE})
    return next((reason for reason in map(_reason_of_regularizer, possible) if reason is not None), None)


def _reason_of_regularizer(weighted: WeightedRegularizer) -> str | None:
    """Why a regularizer cannot run on a GPU, by its term or else by ``value_and_gradient``; None if it can."""
    offered = fusable_on_gpu(weighted.regularizer)
    if offered is not None:
        reason = offered.gpu_term_unsupported_reason
    elif isinstance(weighted.regularizer, RunsOnGpu):
        reason = weighted.regularizer.cuda_unsupported_reason(weighted.options)
    else:
        return f"regularizer {weighted.name} has no path on a GPU"
    return None if reason is None else f"regularizer {weighted.name} cannot be used on a GPU: {reason}"


def needs_all_leaves(plan: FitPlan) -> str | None:
    """What has to see all leaves at once, so that the fit cannot be cut into partitions.

    The primal-dual solver ties leaves across any cut, and knows no exchange of what is tied. A regularizer without
    terms on subdomains is given the field as the host has it, with all leaves: which leaves of other partitions it
    depends on is not known.

    Parameters
    ----------
    plan : FitPlan

    Returns
    -------
    str or None
        Which solver or regularizer it is, for a message; None if there is none.
    """
    if isinstance(plan.optimizer, PrimalDual):
        return f"solver={plan.optimizer.name}"
    without_terms = (
        f"regularizer {weighted.name}"
        for weighted in plan.possible_regularizers
        if fusable_on_gpu(weighted.regularizer) is None
    )
    return next(without_terms, None)


def whole_field_bytes(weighted: WeightedRegularizer, n_leaves: int, n: int) -> int:
    """Bytes that a regularizer without terms on subdomains holds on the device, its gradient not counted.

    Parameters
    ----------
    weighted : WeightedRegularizer
    n_leaves, n : int
        Leaves of the forest, and vertices along a leaf's edge.

    Returns
    -------
    int
        As the regularizer says; twice the field's size if it says nothing.
    """
    if isinstance(weighted.regularizer, CountsGpuBytes):
        return int(weighted.regularizer.cuda_bytes(weighted.options, n_leaves, n))
    return 2 * 4 * n_leaves * n**3
