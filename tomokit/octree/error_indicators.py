"""What each leaf adds to the error that the structure update minimizes, and what is remembered of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import ArrayLike, NDArray

from tomokit.errors import InputError
from tomokit.octree.forest import Forest
from tomokit.octree.lookup import cell_keys


@dataclass(frozen=True)
class ErrorIndicators:
    """Error indicators of each leaf's vertices, shape (n_leaves,) each.

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
        """Error times density times the share of a root that the leaf fills, shape (n_leaves,).

        The volume makes contributions add up: without it, eight children that resolve nothing new would together
        count eight times their parent, and predictions for a split (0.75) and a merge (1.1) would contradict what is
        measured after it.
        """
        return self.error * self.density * 0.125 ** forest.level.astype(np.float64)


def measure_indicators(density: NDArray[np.floating]) -> ErrorIndicators:
    """Error indicators of densities ``[leaf, x, z, y]``, shape (n_leaves, n, n, n); sums are in float64."""
    if density.ndim != 4:
        raise InputError(f"densities of shape {density.shape} instead of [leaf, x, z, y]")
    error, largest = _indicators_of_leaves(np.ascontiguousarray(density).reshape(len(density), -1))
    return ErrorIndicators(error, largest)


@dataclass
class IndicatorHistory:
    """Contributions of states the tree was in, by the key of the cube; they are preferred to predictions.

    Attributes
    ----------
    saved : dict
        Contribution by key (:func:`tomokit.octree.lookup.cell_keys`).
    """

    saved: dict[int, float] = field(default_factory=dict)

    def record(self, forest: Forest, contribution: ArrayLike) -> None:
        """Remember the contributions of a forest's leaves, the latest of each cube."""
        keys = cell_keys(forest.level, forest.index)
        self.saved.update(zip(keys.tolist(), np.asarray(contribution, float).tolist(), strict=True))

    def recall(self, keys: ArrayLike) -> NDArray[np.float64]:
        """Contributions of cubes, NaN for those that never were leaves."""
        wanted = np.asarray(keys, np.int64)
        return np.array([self.saved.get(int(key), np.nan) for key in wanted.ravel()]).reshape(wanted.shape)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Arrays for the state file: ``indicator_key`` (int64, ascending) and ``indicator_contribution`` (float64)."""
        keys = sorted(self.saved)
        return {
            "indicator_key": np.array(keys, np.int64),
            "indicator_contribution": np.array([self.saved[key] for key in keys], np.float64),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> IndicatorHistory:
        """What :meth:`to_arrays` was called on."""
        for name in ("indicator_key", "indicator_contribution"):
            if name not in arrays:
                raise InputError("missing", field=f"octree array {name}", remedy="use a state file that is complete")
        keys, contributions = arrays["indicator_key"], arrays["indicator_contribution"]
        if keys.shape != contributions.shape or keys.ndim != 1:
            raise InputError(f"{keys.shape} keys for {contributions.shape} values", field="octree array indicator_key")
        return cls(dict(zip(keys.tolist(), contributions.tolist(), strict=True)))


@njit(cache=True, error_model="numpy", parallel=True)
def _indicators_of_leaves(values: Any) -> Any:
    """Two passes a leaf, because a variance from sums of squares loses its digits where the mean is large."""
    leaves, size = values.shape
    error = np.zeros(leaves)
    largest = np.zeros(leaves)
    for leaf in prange(leaves):
        total = 0.0
        top = 0.0
        for i in range(size):
            value = np.float64(values[leaf, i])
            total += value
            top = max(top, abs(value))
        mean = total / size
        squares = 0.0
        for i in range(size):
            away = np.float64(values[leaf, i]) - mean
            squares += away * away
        error[leaf] = np.sqrt(squares / size)
        largest[leaf] = top
    return error, largest
