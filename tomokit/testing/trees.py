"""Small forests, random fields on them, and the places where their vertices lie."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.octree import Forest
from tomokit.octree.faces import shared_faces
from tomokit.octree.lookup import CHILDREN
from tomokit.regularizers.interface import Field

INSIDE = "inside a leaf"
OUTER = "on the outer boundary"
EQUAL = "on a face between equal leaves"
COARSE = "at a level jump, on the coarse side"
FINE = "at a level jump, on the fine side"
PLACES = (INSIDE, OUTER, EQUAL, COARSE, FINE)


def two_level_forest(n: int = 5) -> Forest:
    """Make an anisotropic forest of 13 leaves, with faces between equals and level jumps.

    It has 2 x 1 x 3 roots (x, z, y), one of which is split into eight; level jumps are across x and y.

    Parameters
    ----------
    n : int
        Vertices along a leaf's edge.

    Returns
    -------
    Forest
    """
    split = (1, 0, 1)
    leaves: list[tuple[int, tuple[int, ...]]] = [
        (0, (x, 0, y)) for x in range(2) for y in range(3) if (x, 0, y) != split
    ]
    leaves += [(1, tuple(int(c) for c in 2 * np.array(split) + child)) for child in CHILDREN]
    return Forest(
        origin_px=(-9.0, -4.0, -11.0),
        root_px=8.0,
        roots=(2, 1, 3),
        n=n,
        level=np.array([level for level, _ in leaves], np.int32),
        index=np.array([index for _, index in leaves], np.int32),
    )


def without_leaf(forest: Forest, leaf: int) -> Forest:
    """Make a hole in a forest, as there is where no ray sees a leaf.

    Parameters
    ----------
    forest : Forest
    leaf : int
        Index of the leaf to leave out.

    Returns
    -------
    Forest
        A new one; the other leaves are in the same order.
    """
    keep = np.arange(forest.n_leaves) != leaf
    return replace(forest, level=forest.level[keep], index=forest.index[keep])


def single_leaf(n: int = 5) -> Forest:
    """Make a forest of one leaf, which has no neighbours.

    Parameters
    ----------
    n : int
        Vertices along the leaf's edge.

    Returns
    -------
    Forest
    """
    return Forest((-4.0, -4.0, -4.0), 8.0, (1, 1, 1), n, np.zeros(1, np.int32), np.zeros((1, 3), np.int32))


def random_field(
    forest: Forest, seed: int = 0, *, rough: bool = True, positive: bool = True, dtype: type = np.float64
) -> Field:
    """Make a random field to check a regularizer on.

    Parameters
    ----------
    forest : Forest
    seed : int
        Seed of the values, and of the field's own generator.
    rough : bool
        Whether values are independent, with a spread of about 1; otherwise they are slow waves, a little noise, and
        steps between leaves.
    positive : bool
        Whether values are positive, as densities are; otherwise of either sign, as raw values are.
    dtype : type
        ``numpy.float64`` or ``numpy.float32``.

    Returns
    -------
    Field
        On the host, with about three quarters of the leaves in the region of interest.
    """
    rng = np.random.default_rng((seed, 11))
    shape = forest.values_shape
    if rough:
        values = 0.7 + rng.standard_normal(shape)
    else:
        at = vertices_px(forest)
        # Another wavelength along each axis: an axis taken for another must not go unnoticed.
        waves = np.sin(at[..., 0] / 5 + 1) + 0.7 * np.sin(at[..., 1] / 3) + 0.5 * np.cos(at[..., 2] / 4)
        values = 0.5 + 0.3 * waves + 0.05 * rng.standard_normal(shape)
        values += 0.05 * rng.standard_normal((shape[0], 1, 1, 1))
    if positive:
        # Squareplus: smooth, so that it adds no kinks.
        values = 0.5 * (values + np.sqrt(values * values + 0.25))
    inside = np.arange(forest.n_leaves) % 4 != 2
    return Field(forest, values.astype(dtype), inside, np.random.default_rng((seed, 12)), step=3)


def vertices_px(forest: Forest) -> NDArray[np.float64]:
    """Coordinates of all vertices of a forest.

    Parameters
    ----------
    forest : Forest

    Returns
    -------
    ndarray of float64, shape (n_leaves, n, n, n, 3)
        ``(x, z, y)`` in pixels at ``[leaf, x, z, y]``.
    """
    lattice = np.stack(np.meshgrid(*[np.arange(forest.n)] * 3, indexing="ij"), axis=-1)
    corner = forest.corner_px[:, None, None, None, :]
    return corner + lattice * forest.spacing_px[:, None, None, None, None]


def places(forest: Forest) -> NDArray[np.int64]:
    """Classify the vertices of a forest by where they lie: inside, on a boundary, at a level jump.

    A vertex on several faces has the last of their places in the order of :data:`PLACES`.

    Parameters
    ----------
    forest : Forest

    Returns
    -------
    ndarray of int64, shape (n_leaves, n, n, n)
        Index into :data:`PLACES` of each vertex, ``[leaf, x, z, y]``.
    """
    n = forest.n
    place = np.full(forest.values_shape, PLACES.index(INSIDE), np.int64)
    # All faces of leaves count as outer at first; those that two leaves share then get a later place.
    for axis in range(3):
        for vertex in (0, n - 1):
            place[(slice(None), *[vertex if i == axis else slice(None) for i in range(3)])] = PLACES.index(OUTER)
    faces = shared_faces(forest)
    for face in range(faces.n_faces):
        axis, below, above = int(faces.axis[face]), int(faces.below[face]), int(faces.above[face])
        for leaf, vertex in ((below, n - 1), (above, 0)):
            area = [slice(None), slice(None)]
            kind = EQUAL
            if faces.scale[face] < 1:
                kind = FINE if leaf == faces.fine[face] else COARSE
            if kind == COARSE:
                # Only the part of the coarse face that the fine leaf covers, with the vertices about it.
                start, end = faces.offset[face], faces.offset[face] + faces.scale[face] * (n - 1)
                area = [slice(int(np.floor(low)), int(np.ceil(high)) + 1) for low, high in zip(start, end, strict=True)]
            where: Any = (leaf, *area[:axis], vertex, *area[axis:])
            place[where] = np.maximum(place[where], PLACES.index(kind))
    return place
