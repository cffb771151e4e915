"""The regularizers of a fit on one subdomain: what is launched before the update of the leaves, and what it adds."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tomokit.gpu.arrays import DeviceArray
from tomokit.methods.octree.penalties import WeightedRegularizer
from tomokit.octree import Forest
from tomokit.regularizers.cuda.interface import (
    GradientsOnGpu,
    LeavesOnGpu,
    StepOnGpu,
    TablesOnGpu,
    TermOnGpu,
    fusable_on_gpu,
)
from tomokit.regularizers.interface import Field


class WholeFieldTerm:
    """A regularizer that is given all leaves of the fit on one device (see
    :class:`tomokit.regularizers.cuda.interface.TermOnGpu`).

    Parameters
    ----------
    weighted : WeightedRegularizer
        One that :class:`tomokit.regularizers.interface.RunsOnGpu` says can be evaluated there.
    leaves : LeavesOnGpu
        All leaves of the fit.
    forest : Forest
        The same leaves, as the host knows them.
    inside : ndarray of bool, shape (n_leaves,)
        Leaves in the region of interest.
    """

    compares = None

    def __init__(
        self, weighted: WeightedRegularizer, leaves: LeavesOnGpu, forest: Forest, inside: NDArray[np.bool_]
    ) -> None:
        self._weighted, self._leaves, self._forest, self._inside = weighted, leaves, forest, inside

    def prepare(self, step: StepOnGpu) -> None:
        """Nothing: there are no other subdomains (see :class:`tomokit.regularizers.cuda.interface.TermOnGpu`)."""

    def add(self, gradients: GradientsOnGpu, step: StepOnGpu, slot: int) -> None:
        """Have the regularizer add its gradient (see :class:`tomokit.regularizers.cuda.interface.TermOnGpu`)."""
        assert step.rng is not None
        weighted, leaves, n = self._weighted, self._leaves, self._forest.n
        name = "by_value" if weighted.is_raw else "by_density"
        gradient = leaves.working(name, n, n, n)
        if getattr(gradients, name) is None:
            gradient.fill(0)
            setattr(gradients, name, gradient)
        penalized = leaves.values if weighted.is_raw else leaves.density
        field = Field(self._forest, penalized, self._inside, step.rng, step.number, leaves.device)  # type: ignore[arg-type]
        value = weighted.regularizer.value_and_gradient(field, gradient, weighted.scale)  # type: ignore[arg-type]
        # The value is a number of the host or an array without axes on the device; neither is waited for here.
        step.totals[slot : slot + 1] += weighted.scale * value

    def finish(self, step: StepOnGpu, slot: int) -> None:
        """Nothing: the penalty is known before the update (see
        :class:`tomokit.regularizers.cuda.interface.TermOnGpu`)."""


class PenaltiesOnGpu:
    """The regularizers of an epoch on the leaves of one subdomain.

    Parameters
    ----------
    leaves : LeavesOnGpu
        The subdomain's leaves; working arrays are taken where theirs are.
    regularizers : list of WeightedRegularizer
        Those that :mod:`tomokit.methods.octree.cuda.support` does not refuse.
    forest : Forest
        All leaves of the fit.
    inside : ndarray of bool, shape (n_leaves,)
        Leaves of the whole forest in the region of interest.
    tables : mapping of int to TablesOnGpu
        The tables that the terms of a regularizer share on this device, by its place in the list.
    number : int
        Which of the partitions this is.

    Attributes
    ----------
    compares : str or None
        The field whose vertices beyond the cuts are needed, ``"values"`` or ``"density"``.
    """

    def __init__(
        self,
        leaves: LeavesOnGpu,
        regularizers: list[WeightedRegularizer],
        forest: Forest,
        inside: NDArray[np.bool_],
        tables: Mapping[int, TablesOnGpu],
        number: int,
    ) -> None:
        self._regularizers = regularizers
        self._terms: list[TermOnGpu] = []
        # A regularizer with tables has them once on each device, for all subdomains there.
        with leaves.device:
            for place, weighted in enumerate(regularizers):
                offered = fusable_on_gpu(weighted.regularizer)
                self._terms.append(
                    WholeFieldTerm(weighted, leaves, forest, inside)
                    if offered is None
                    else offered.gpu_term(leaves, forest, weighted.scale, tables.get(place), number)
                )
        self.compares = next((term.compares for term in self._terms if term.compares is not None), None)

    def prepare(self, step: StepOnGpu) -> None:
        """Launch what other subdomains need of these leaves in a step.

        Parameters
        ----------
        step : StepOnGpu
        """
        for term, _ in self._due(step, 0):
            term.prepare(step)

    def evaluate(self, step: StepOnGpu, first_slot: int) -> GradientsOnGpu:
        """Launch everything that must be known before any leaf changes.

        Parameters
        ----------
        step : StepOnGpu
        first_slot : int
            Slot of the first regularizer's penalty among the totals; the others' follow.

        Returns
        -------
        GradientsOnGpu
            What the update is to add.
        """
        gradients = GradientsOnGpu()
        for term, slot in self._due(step, first_slot):
            term.add(gradients, step, slot)
        return gradients

    def finish(self, step: StepOnGpu, first_slot: int) -> None:
        """Add to the totals what the update itself has measured.

        Parameters
        ----------
        step : StepOnGpu
        first_slot : int
            As for :meth:`evaluate`.
        """
        for term, slot in self._due(step, first_slot):
            term.finish(step, slot)

    def _due(self, step: StepOnGpu, first_slot: int) -> list[tuple[TermOnGpu, int]]:
        """The terms that a step evaluates, each with its slot."""
        pairs = zip(self._regularizers, self._terms, strict=True)
        return [(term, slot) for slot, (weighted, term) in enumerate(pairs, first_slot) if weighted.is_due(step.number)]


def layers_at_cut(leaves: LeavesOnGpu, compares: str) -> DeviceArray:
    """The field whose planes of vertices at the cuts are exchanged: raw values or densities.

    Parameters
    ----------
    leaves : LeavesOnGpu
        The subdomain's leaves.
    compares : str
        ``"values"`` or ``"density"``.

    Returns
    -------
    array of float32, shape (n_own, n, n, n)
    """
    return leaves.values if compares == "values" else leaves.density
