"""Regularizers written out term by term, so that any one of their terms can be got wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
from scipy import sparse

from tomokit.octree import Forest
from tomokit.octree.faces import shared_faces
from tomokit.plugin.options import option
from tomokit.pytest_plugin import tomokit_field, tomokit_forest, tomokit_specimen
from tomokit.regularizers.interface import Field

# By name too, for an installation from before they were announced.
__all__ = ["tomokit_field", "tomokit_forest", "tomokit_specimen"]


@dataclass(frozen=True)
class TermOptions:
    """Options of :class:`Terms`."""

    weight: float = option(0.0, "Weight.", minimum=0.0)
    every: int = option(1, "Every so many steps.", minimum=1)
    space: str = option("rho", "What it acts on.", choices=("rho", "raw"))


def boundary_terms(forest: Forest) -> sparse.csr_matrix:
    """Differences across shared faces, a row for each vertex of each finer side, the coarser one interpolated."""
    n, faces = forest.n, shared_faces(forest)
    number = np.arange(forest.n_leaves * n**3).reshape(forest.values_shape)
    rows: list[dict[int, float]] = []
    for face in range(faces.n_faces):
        axis, fine, coarse = int(faces.axis[face]), int(faces.fine[face]), int(faces.coarse[face])
        upper = faces.below[face] == fine
        fine_side = np.take(number[fine], n - 1 if upper else 0, axis=axis)
        coarse_side = np.take(number[coarse], 0 if upper else n - 1, axis=axis)
        for i in range(n):
            for j in range(n):
                row = {int(fine_side[i, j]): 1.0}
                a, b = faces.offset[face] + faces.scale[face] * np.array([i, j])
                for p, wp in ((int(a), 1 - a % 1), (int(a) + 1, a % 1)):
                    for q, wq in ((int(b), 1 - b % 1), (int(b) + 1, b % 1)):
                        if wp * wq > 0:
                            row[int(coarse_side[p, q])] = row.get(int(coarse_side[p, q]), 0.0) - wp * wq
                rows.append(row)
    return matrix(rows, number.size)


def difference_terms(forest: Forest) -> sparse.csr_matrix:
    """Differences of neighbours inside leaves."""
    number = np.arange(forest.n_leaves * forest.n**3).reshape(forest.values_shape)
    rows = []
    for axis in (1, 2, 3):
        ahead, behind = (np.delete(number, end, axis).ravel() for end in (0, -1))
        rows += [{int(a): 1.0, int(b): -1.0} for a, b in zip(ahead, behind, strict=True)]
    return matrix(rows, number.size)


def matrix(rows: list[dict[int, float]], size: int) -> sparse.csr_matrix:
    of_row = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    columns = np.array([column for row in rows for column in row], np.int64)
    values = np.array([value for row in rows for value in row.values()])
    return sparse.csr_matrix((values, (of_row, columns)), (len(rows), size))


_MATRICES: dict[Any, Any] = {}


class Terms:
    """Mean ``|D v|``, D a sparse matrix; right as it stands."""

    name: ClassVar[str] = "terms"
    summary: ClassVar[str] = "absolute differences across faces, for tests"
    Options: ClassVar[type] = TermOptions
    build: ClassVar[Callable[[Forest], sparse.csr_matrix]] = staticmethod(boundary_terms)

    def __init__(self, options: TermOptions) -> None:
        self.options = options

    def matrix(self, forest: Forest) -> sparse.csr_matrix:
        key = (self.build, forest.n, forest.roots, forest.level.tobytes(), forest.index.tobytes())
        if key not in _MATRICES:
            _MATRICES[key] = type(self).build(forest)
        return _MATRICES[key]

    def signs(self, forest: Forest, differences: np.ndarray) -> np.ndarray:
        """What each term hands back: where tests make mistakes."""
        return np.sign(differences)

    def value_and_gradient(self, field: Field, gradient: Any, scale: float) -> float:
        terms = self.matrix(field.forest)
        differences = terms @ field.values.ravel().astype(np.float64)
        share = 1.0 / max(len(differences), 1)
        if gradient.any() or scale:
            slope = terms.T @ self.signs(field.forest, differences)
            gradient += (scale * share * slope).reshape(gradient.shape).astype(gradient.dtype)
        return float(np.abs(differences).sum() * share)


@pytest.fixture(scope="session")
def right() -> type:
    return Terms


@pytest.fixture(scope="session")
def make_wrong() -> Callable[..., type]:
    """A class like :class:`Terms` with other methods or attributes."""

    def make(**changes: Any) -> type:
        return type("Wrong", (Terms,), changes)

    return make


@pytest.fixture(scope="session")
def differences() -> Callable[[Forest], sparse.csr_matrix]:
    return difference_terms
