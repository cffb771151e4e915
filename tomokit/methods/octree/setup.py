"""The start of a fit: its first forest, its optimizer and the density that it begins with."""

from __future__ import annotations

import dataclasses

import numpy as np

from tomokit.data.contrast import contrast
from tomokit.data.margin import margin_px
from tomokit.data.problem import Problem, ProblemShape
from tomokit.methods.octree.options import OctreeOptions
from tomokit.methods.octree.solver import PrimalDual, Texture
from tomokit.methods.octree.weights import spacing_px
from tomokit.octree import Forest
from tomokit.octree.cover import Region, cover
from tomokit.octree.leaf_size import choose_leaf_px, divide_thickness
from tomokit.optimizers.block import BlockOptimizer
from tomokit.optimizers.interface import Optimizer
from tomokit.plugin.manager import get_registry
from tomokit.plugin.options import build_options
from tomokit.plugin.settings import by_plugin_name, options_table


def region_of(shape: ProblemShape) -> Region:
    """The region of interest: the box around the origin that the volume shows.

    Parameters
    ----------
    shape : ProblemShape
        Sizes of the problem, in pixels.

    Returns
    -------
    Region
        As wide and long as the detector, as thick as the specimen.
    """
    return Region(shape.n_u, shape.n_y, shape.thickness_px)


def make_forest(shape: ProblemShape, options: OctreeOptions) -> Forest:
    """Lay out the first forest, before leaves that no ray meets are culled.

    Where the options name neither the distance of vertices nor the leaves' edge, it follows from the shape's noise.

    Parameters
    ----------
    shape : ProblemShape
    options : OctreeOptions

    Returns
    -------
    Forest
        Finest leaves over the region of interest, coarser ones over the margin.

    Raises
    ------
    LeafBudgetError
        If ``max_leaves`` is too small.
    """
    region, margin = region_of(shape), margin_px(shape, options.margin)
    room = options.depth_margin * shape.thickness_px
    spacing = options.spacing_px
    if spacing is None:
        spacing = spacing_px(shape.fit_offsets, shape.relative_noise)
    n, leaf = options.n, options.leaf_px
    if leaf is not None:
        # The edge is given: as many vertices as the spacing asks for, within the bounds of the option `n`.
        n = n or min(max(round(leaf / spacing) + 1, 4), 128)
    elif n is not None:
        leaf = choose_leaf_px(region, margin, n, options.max_leaves, options.coarser, spacing, room)
    else:
        # Neither is given: leaves that divide the thickness without a remainder, so that none extends beyond the slab.
        n, leaf = divide_thickness(region, margin, options.max_leaves, options.coarser, spacing, room)
    return cover(region, margin, n, leaf, options.coarser, options.max_leaves, room)


def make_optimizer(options: OctreeOptions) -> Optimizer | PrimalDual:
    """Make the optimizer with its options, or the solver in its place; those given for others are checked too.

    Parameters
    ----------
    options : OctreeOptions
        ``optimizer`` names it, ``optimizers`` has the settings by name.

    Returns
    -------
    Optimizer or PrimalDual

    Raises
    ------
    OptionError, PluginError
        If a name or an option is unknown.
    """
    registry = get_registry()
    cls = registry.get("optimizer", options.optimizer)
    settings_by_name = by_plugin_name(options.optimizers)
    # Also of optimizers that are not used: a misspelt option is refused wherever it stands.
    for name, settings in settings_by_name.items():
        where = f"optimizers.{name}"
        build_options(registry.get("optimizer", name).Options, options_table(settings, where), where)
    if options.solver == PrimalDual.name:
        texture = None
        if options.texture_strength < 1:
            texture = Texture(
                options.texture_strength, options.texture_gradient, options.texture_px, options.texture_begin
            )
        nonnegative = options.activation == "clipped"
        return PrimalDual(options.balance, nonnegative, options.negative_penalty, texture, options.tilt_weights)
    settings = dict(settings_by_name.get(cls.name, {}))
    if issubclass(cls, BlockOptimizer) and any(option.name == "eps" for option in dataclasses.fields(cls.Options)):
        # The data term is a mean over pixels, so a vertex's gradient is some 1e-9: PyTorch's 1e-8 would rule it.
        settings.setdefault("eps", 1e-15)
    optimizer: Optimizer = cls(build_options(cls.Options, settings, f"optimizers.{cls.name}"))
    return optimizer


def mean_density(problem: Problem) -> float:
    """Density of a uniform slab whose projections have the mean magnitude of the unmasked pixels.

    That of the whole, if the problem is a part of one. Where offsets are fitted projections are known up to a constant,
    so half their range stands for the magnitude.

    Parameters
    ----------
    problem : Problem
        At full resolution.

    Returns
    -------
    float
        Density in units of projection per pixel, not in the fit's unit.
    """
    problem = problem.scaled_by
    if problem.fit_offsets:
        mean = 0.5 * contrast(problem)
    else:
        # View by view: the magnitudes of all at once would double the memory of the data.
        total = weight = 0.0
        for view, image in enumerate(problem.projections):
            magnitude = np.abs(image)
            if problem.mask is None:
                total, weight = total + float(magnitude.sum(dtype=np.float64)), weight + magnitude.size
            else:
                magnitude *= problem.mask[view]
                total += float(magnitude.sum(dtype=np.float64))
                weight += float(problem.mask[view].sum(dtype=np.float64))
        mean = total / max(weight, 1.0)
    return mean / (problem.geometry.kappa * problem.thickness_px)
