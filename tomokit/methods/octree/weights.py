"""The scales of a fit that follow from its data: the unit of density, and the priors that suit the noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tomokit.data.contrast import contrast
from tomokit.data.problem import Problem
from tomokit.octree import Forest

FOLLOW_NOISE = ("tv", "boundary")
"""Regularizers whose weights follow from the noise where none are given."""

_NOISE_RANGE = 6.18  # from 0.1 to 99.9 percent of white noise, in standard deviations
_LEAST_SIGNAL = 0.3  # of the contrast: where it is all noise, the noise does not say how much it hides
# What an edge costs at most under the concave total variation, in units of density (Scales.concave_delta).
_SHARP, _NOISY, _FIELD_FILLING = 0.7, 4.0, 30.0
# Spacing in pixels where there is little noise, how much that is, and how the spacing grows with more.
_SPACING, _FIELD_FILLING_SPACING = (0.5, 0.026, 3.8), (0.8, 0.035, 8.0)
_WIDEST = 1.0  # px: never wider than the detector's pixels


def spacing_px(fills_field: bool, relative_noise: float | None) -> float:
    """Distance between vertices: the finer, the less noise there is to fit.

    A trilinear field as coarse as the detector blurs the edges of voxels that are its means. Where the specimen fills
    the field there are few such edges.

    Parameters
    ----------
    fills_field : bool
        Whether the specimen fills the field, so that offsets are fitted.
    relative_noise : float or None
        Noise over the range of the projections without it; None for the widest distance that any has.

    Returns
    -------
    float
        In pixels.
    """
    finest, little, wider = _FIELD_FILLING_SPACING if fills_field else _SPACING
    if relative_noise is None:
        return _WIDEST
    return float(np.clip(finest + wider * (relative_noise - little), finest, _WIDEST))


@dataclass(frozen=True)
class Scales:
    """What the data say about densities and noise.

    Attributes
    ----------
    unit : float
        Density, per pixel and times kappa a projection, that the fit counts as 1: learning rates, the activation's
        bend and the penalties' deltas are in this unit.
    noise : float
        Standard deviation of the projections' noise.
    relative_noise : float
        The same over the range of the projections without it.
    pixels : float
        Sum of the mask, or number of pixels.
    kappa : float
        Projection per line integral of density in pixels.
    n_views : int
    fills_field : bool
        Whether the specimen fills the field, so that offsets are fitted.
    """

    unit: float
    noise: float
    relative_noise: float
    pixels: float
    kappa: float
    n_views: int
    fills_field: bool = False

    @classmethod
    def of(cls, problem: Problem, unit: float | None = None) -> Scales:
        """The scales of a problem, measured from its projections at full resolution; of a part those of the whole.

        The data term is a mean over pixels, so that one weight smooths a part as it does the whole.

        Parameters
        ----------
        problem : Problem
        unit : float, optional
            Unit of density; by default the density of a slab as thick as the volume whose projection is the range of
            the projections without noise.

        Returns
        -------
        Scales
        """
        problem = problem.scaled_by
        noise, contrast_with_noise = problem.noise_level, contrast(problem)
        # Ranges of signal and noise add in squares; what is left has a floor, as noise is known only so well.
        signal = math.sqrt(
            max(contrast_with_noise**2 - (_NOISE_RANGE * noise) ** 2, (_LEAST_SIGNAL * contrast_with_noise) ** 2)
        )
        kappa = problem.geometry.kappa
        if unit is None:
            unit = signal / (kappa * problem.thickness_px)
        pixels = float(problem.projections.size)
        if problem.mask is not None:
            pixels = float(problem.mask.sum(dtype=np.float64))
        return cls(
            unit if unit > 0 else 1.0,
            noise,
            noise / signal if signal > 0 else 0.0,
            max(pixels, 1.0),
            kappa,
            problem.geometry.n_views,
            problem.fit_offsets,
        )

    def total_variation_weight(self, forest: Forest) -> float:
        """Weight of the octree's total variation that does to the density what noise's own does to voxels.

        For voxels the objective is ``1/2 sum m r^2 + w sum |grad d|`` with ``d = kappa rho`` and one term a voxel, and
        ``w = noise sqrt(n_views)`` (:func:`tomokit.data.contrast.tv_weight`). Here it is ``sum m r^2 / sum m +
        lambda T``, T the mean over all ``n^3`` vertices of the absolute difference to the next, in this unit. A
        vertex stands for ``h^3`` voxels and a difference for ``h`` times the slope, so

            lambda = 2 w / sum(m) * kappa * unit * h^2 * n_leaves n^3,

        h the spacing of the finest leaves.

        Parameters
        ----------
        forest : Forest
            The present leaves: the weight changes with their number and spacing.

        Returns
        -------
        float
            Lambda, a weight in the loss.
        """
        w = self.noise * math.sqrt(self.n_views)
        h = float(forest.spacing_px.min())
        return 2 * w / self.pixels * self.kappa * self.unit * h * h * forest.n_leaves * forest.n**3

    def concave_delta(self) -> float:
        """What an edge costs at most under the concave total variation.

        Less than a typical contrast where there is little noise, more where noise must not pass for edges. A specimen
        that fills the field is not made of pieces of constant density, and what is spared as an edge there is single
        vertices of noise: the penalty stays nearly convex.

        Returns
        -------
        float
            Difference of densities, in the fit's unit.
        """
        if self.fills_field:
            return _FIELD_FILLING
        return _SHARP + _NOISY * self.relative_noise

    def defaults(self, forest: Forest, strength: float) -> dict[str, dict[str, float]]:
        """Options of the regularizers that follow the noise, for those that the user does not give.

        Parameters
        ----------
        forest : Forest
            The present leaves.
        strength : float
            Factor of the weights: 1 is what the noise alone asks for.

        Returns
        -------
        dict
            By name of the regularizer, a dictionary of its options.
        """
        weight = strength * self.total_variation_weight(forest)
        options: dict[str, dict[str, float]] = {name: {"weight": weight} for name in FOLLOW_NOISE}
        options["tv"]["delta"] = self.concave_delta()
        return options
