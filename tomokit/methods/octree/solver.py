"""The settings of the primal-dual solver, and the views that its steps take together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tomokit.errors import OptionError
from tomokit.optimizers.interface import State
from tomokit.regularizers.fusion import fusable
from tomokit.regularizers.tv import TotalVariation

if TYPE_CHECKING:
    from tomokit.methods.octree.penalties import WeightedRegularizer

STATE_ARRAYS = ("data_pull", "variation_pull", "dual_x", "dual_z", "dual_y")
"""Arrays of the field's size that the solver remembers (see
:class:`tomokit.methods.octree.primal_dual_step.PrimalDualArrays`)."""


@dataclass(frozen=True)
class PrimalDual:
    """The solver's settings, in the place that an optimizer has for a field.

    Attributes
    ----------
    balance : float
        Step of the data's duals, sigma.
    nonnegative : bool
        Whether densities are kept from becoming negative.
    """

    name: ClassVar[str] = "primal-dual"

    balance: float
    nonnegative: bool

    def state_arrays(self, shape: tuple[int, ...], dtype: DTypeLike) -> State:
        """The arrays that it remembers, as they are before the first step (see
        :class:`tomokit.optimizers.interface.Optimizer`)."""
        return {name: np.zeros(shape, dtype) for name in STATE_ARRAYS}


def view_groups(n_views: int, views_per_step: int) -> list[NDArray[np.int64]]:
    """The groups of views that steps take, each spread over the whole range of tilts.

    Views far apart see little in common, which allows longer steps than neighbours do.

    Parameters
    ----------
    n_views : int
    views_per_step : int
        Most views of a group.

    Returns
    -------
    list of ndarray of int64
        Every view once.
    """
    n_groups = -(-n_views // views_per_step)
    return [np.arange(first, n_views, n_groups) for first in range(n_groups)]


def check_regularizers(regularizers: Sequence[WeightedRegularizer]) -> None:
    """Refuse regularizers that the primal-dual solver does not solve.

    Parameters
    ----------
    regularizers : sequence of WeightedRegularizer
        Those that a fit may have.

    Raises
    ------
    OptionError
        For total variation of another variant than the isotropic one, or of values other than densities, and for what
        compares the sides of leaves, which are tied.
    """
    for weighted in regularizers:
        regularizer = weighted.regularizer
        field = f"method octree: regularizers.{weighted.name}"
        if isinstance(regularizer, TotalVariation) and regularizer.options.variant != "isotropic":
            raise OptionError(
                f"solver=primal-dual minimizes isotropic total variation alone, not {regularizer.options.variant}",
                field=f"{field}.variant",
                remedy="give isotropic, or solver=gradient",
            )
        offered = fusable(regularizer)
        if offered is not None and offered.needs_sides:
            raise OptionError(
                "solver=primal-dual ties the leaves' sides, so that there is nothing to compare",
                field=field,
                remedy="leave it out, or give solver=gradient",
            )
