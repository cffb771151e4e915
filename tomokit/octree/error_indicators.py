"""How much each leaf contributes to the error that the structure update minimizes, and what earlier states measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tomokit.errors import InputError
from tomokit.kernels.shared import Share, items_of, shared_out
from tomokit.octree.forest import Forest
from tomokit.octree.lookup import cell_keys


@dataclass(frozen=True)
class ErrorIndicators:
    """How much the density varies in each leaf, and how large it is; arrays of shape (n_leaves,).

    Attributes
    ----------
    error : ndarray of float64
        Standard deviation of the density.
    density : ndarray of float64
        Largest absolute density: the maximum, where densities are not negative.
    """

    error: NDArray[np.float64]
    density: NDArray[np.float64]

    def contribution(self, forest: Forest) -> NDArray[np.float64]:
        """What each leaf contributes: error times density times the fraction of a root cube that the leaf fills.

        The volume makes contributions add up: without it, eight children that resolve nothing new would together
        count eight times their parent, and predictions for a split (0.75) and a merge (1.1) would contradict what is
        measured after it.

        Parameters
        ----------
        forest : Forest
            The leaves that were measured.

        Returns
        -------
        ndarray of float64, shape (n_leaves,)
            In density squared.
        """
        return self.error * self.density * 0.125 ** forest.level.astype(np.float64)


def measure_indicators(density: NDArray[np.floating]) -> ErrorIndicators:
    """Measure the error indicators of every leaf; sums are in double precision.

    Parameters
    ----------
    density : ndarray, shape (n_leaves, n, n, n)
        ``[leaf, x, z, y]``.

    Returns
    -------
    ErrorIndicators

    Raises
    ------
    InputError
        If the array has not four axes.
    """
    if density.ndim != 4:
        raise InputError(f"densities of shape {density.shape} instead of [leaf, x, z, y]")
    error, largest = np.empty(len(density)), np.empty(len(density))
    _indicators_of_leaves(np.ascontiguousarray(density).reshape(len(density), -1), error, largest)
    return ErrorIndicators(error, largest)


@dataclass
class IndicatorHistory:
    """Contributions measured in earlier states of the tree, by cube; they are preferred to predictions.

    Attributes
    ----------
    saved : dict
        Contribution (float) by the cube's key (:func:`tomokit.octree.lookup.cell_keys`).
    """

    saved: dict[int, float] = field(default_factory=dict)

    def record(self, forest: Forest, contribution: ArrayLike) -> None:
        """Remember the contributions of a forest's leaves, in place of what the same cubes had before.

        Parameters
        ----------
        forest : Forest
        contribution : array_like, shape (n_leaves,)
            From :meth:`ErrorIndicators.contribution`.
        """
        keys = cell_keys(forest.level, forest.index)
        self.saved.update(zip(keys.tolist(), np.asarray(contribution, float).tolist(), strict=True))

    def recall(self, keys: ArrayLike) -> NDArray[np.float64]:
        """Look up the contributions of cubes.

        Parameters
        ----------
        keys : array_like of int
            Keys of the cubes (:func:`tomokit.octree.lookup.cell_keys`), of any shape.

        Returns
        -------
        ndarray of float64
            Of the same shape; NaN for cubes that never were leaves.
        """
        wanted = np.asarray(keys, np.int64)
        return np.array([self.saved.get(int(key), np.nan) for key in wanted.ravel()]).reshape(wanted.shape)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """The history as named arrays for the state file.

        Returns
        -------
        dict of ndarray
            ``indicator_key`` (int64, ascending) and ``indicator_contribution`` (float64), shape (n_saved,) each.
        """
        keys = sorted(self.saved)
        return {
            "indicator_key": np.array(keys, np.int64),
            "indicator_contribution": np.array([self.saved[key] for key in keys], np.float64),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> IndicatorHistory:
        """The history that :meth:`to_arrays` made arrays of.

        Parameters
        ----------
        arrays : mapping of ndarray
            Arrays by name; others than these two may be among them.

        Returns
        -------
        IndicatorHistory

        Raises
        ------
        InputError
            If an array is missing, or the two do not match.
        """
        for name in ("indicator_key", "indicator_contribution"):
            if name not in arrays:
                raise InputError("missing", field=f"octree array {name}", remedy="use a state file that is complete")
        keys, contributions = arrays["indicator_key"], arrays["indicator_contribution"]
        if keys.shape != contributions.shape or keys.ndim != 1:
            raise InputError(f"{keys.shape} keys for {contributions.shape} values", field="octree array indicator_key")
        return cls(dict(zip(keys.tolist(), contributions.tolist(), strict=True)))


@shared_out()
def _indicators_of_leaves(
    share: Share, values: NDArray[np.floating], error: NDArray[np.float64], largest: NDArray[np.float64]
) -> None:
    """Two passes a leaf, because a variance from sums of squares loses its digits where the mean is large."""
    leaves, size = values.shape
    for leaf in items_of(share, leaves):
        total = 0.0
        top = 0.0
        for i in range(size):
            value = np.float64(values[leaf, i])
            total += value
            top = max(top, abs(value))
        mean = total / size
        squares = 0.0
        for i in range(size):
            deviation = np.float64(values[leaf, i]) - mean
            squares += deviation * deviation
        error[leaf] = np.sqrt(squares / size)
        largest[leaf] = top
