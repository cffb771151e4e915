"""Features at the vertices of a forest's leaves: their interpolation at points, and the penalties on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from tomokit.octree import Forest
from tomokit.octree.faces import shared_faces

_CORNERS = torch.tensor([(x, z, y) for x in (0, 1) for z in (0, 1) for y in (0, 1)])


@dataclass(frozen=True)
class Lookup:
    """A table of which leaf is where, to find the eight vertices about any point.

    Attributes
    ----------
    forest : Forest
    owner : tensor of int64, shape (n_x, n_z, n_y)
        The leaf that holds each cube of the finest level, -1 where there is none.
    """

    forest: Forest
    owner: torch.Tensor

    @classmethod
    def of(cls, forest: Forest) -> Lookup:
        """Make the table for a forest.

        Parameters
        ----------
        forest : Forest

        Returns
        -------
        Lookup
        """
        finest = int(forest.level.max(initial=0))
        cubes = 1 << (finest - forest.level.astype(np.int64))
        owner = np.full([extent << finest for extent in forest.roots], -1, np.int64)
        for leaf, edge in enumerate(cubes.tolist()):
            x, z, y = forest.index[leaf].astype(np.int64) * edge
            owner[x : x + edge, z : z + edge, y : y + edge] = leaf
        return cls(forest, torch.from_numpy(owner))

    def vertices(self, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Find the leaf that each point is in, and the vertices and weights to interpolate with.

        Parameters
        ----------
        points : tensor of float32, shape (n, 3)
            ``(x, z, y)`` in pixels.

        Returns
        -------
        leaf : tensor of int64, shape (n,)
            -1 for points in no leaf, whose weights are all 0.
        vertex : tensor of int64, shape (n, 8)
            Numbers of vertices, ``leaf * n**3 + ...``.
        weight : tensor of float32, shape (n, 8)
            Trilinear weights of these vertices.
        """
        forest, n = self.forest, self.forest.n
        origin = torch.tensor(forest.origin_px, dtype=torch.float32)
        finest_px = forest.root_px * forest.roots[0] / self.owner.shape[0]
        extent = torch.tensor(self.owner.shape)
        cell = torch.floor((points - origin) / finest_px).long()
        inside = ((cell >= 0) & (cell < extent)).all(dim=1)
        # Points outside are looked up somewhere in the table all the same: a batch is computed as one.
        cell = cell.clamp(min=torch.zeros(3, dtype=torch.long), max=extent - 1)
        leaf = torch.where(inside, self.owner[cell[:, 0], cell[:, 1], cell[:, 2]], torch.tensor(-1))
        leaf_or_first = leaf.clamp(min=0)
        corner = torch.from_numpy(forest.corner_px.astype(np.float32))[leaf_or_first]
        spacing = torch.from_numpy(forest.spacing_px.astype(np.float32))[leaf_or_first]
        at = ((points - corner) / spacing[:, None]).clamp(0, n - 1)
        # A point on a leaf's upper face belongs to its last cell.
        below = at.floor().clamp(max=n - 2)
        upper = at - below
        corners = below.long()[:, None, :] + _CORNERS
        vertex = leaf_or_first[:, None] * n**3 + (corners[..., 0] * n + corners[..., 1]) * n + corners[..., 2]
        weight = torch.where(_CORNERS.bool(), upper[:, None, :], 1 - upper[:, None, :]).prod(dim=2)
        return leaf, vertex, torch.where((leaf >= 0)[:, None], weight, torch.zeros(()))


def interpolate(features: torch.Tensor, vertex: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Interpolate features at points, as a weighted sum over the vertices of each.

    Parameters
    ----------
    features : tensor of float32, shape (n_vertices, n_features)
        Features of all vertices.
    vertex : tensor of int64, shape (n, k)
        Numbers of each point's vertices.
    weight : tensor of float32, shape (n, k)
        Their weights.

    Returns
    -------
    tensor of float32, shape (n, n_features)
    """
    return torch.nn.functional.embedding_bag(vertex, features, per_sample_weights=weight, mode="sum")


def total_variation(features: torch.Tensor, n: int) -> torch.Tensor:
    """Mean absolute difference of neighbouring vertices inside leaves, summed over the three axes.

    Parameters
    ----------
    features : tensor of float32, shape (n_leaves * n**3, n_features)
    n : int
        Vertices along a leaf's edge.

    Returns
    -------
    tensor of float32, without axes
        The mean is over leaves, vertices and features.
    """
    grids = features.view(-1, n, n, n, features.shape[1])
    return sum(torch.diff(grids, dim=axis).abs().mean() for axis in (1, 2, 3))  # type: ignore[return-value]


@dataclass(frozen=True)
class Seams:
    """The vertices on the finer side of every shared face, each with those that it meets on the other side.

    Attributes
    ----------
    fine : tensor of int64, shape (n_points,)
        Numbers of the vertices on the finer side.
    coarse : tensor of int64, shape (n_points, 4)
        Numbers of the four vertices about each on the coarser side.
    weight : tensor of float32, shape (n_points, 4)
        Their bilinear weights.
    """

    fine: torch.Tensor
    coarse: torch.Tensor
    weight: torch.Tensor

    @classmethod
    def of(cls, forest: Forest) -> Seams:
        """Find the seams of a forest.

        Parameters
        ----------
        forest : Forest

        Returns
        -------
        Seams
        """
        n, faces = forest.n, shared_faces(forest)
        number = np.arange(forest.n_leaves * n**3).reshape(forest.values_shape)
        # Each list begins with an empty array, so that a forest without shared faces concatenates too.
        fine, coarse, weight = [np.zeros(0, np.int64)], [np.zeros((0, 4), np.int64)], [np.zeros((0, 4), np.float32)]
        for face in range(faces.n_faces):
            axis = int(faces.axis[face])
            # The finer leaf meets the face with its last vertices where it lies below, with its first otherwise.
            upper = bool(faces.fine_is_below[face])
            fine_side = np.take(number[faces.fine[face]], n - 1 if upper else 0, axis=axis)
            coarse_side = np.take(number[faces.coarse[face]], 0 if upper else n - 1, axis=axis)
            # Positions of the fine vertices in the coarse side's lattice, along the face's two axes.
            at = faces.offset[face][:, None] + faces.scale[face] * np.arange(n)
            below = np.minimum(at.astype(np.int64), n - 2)
            fine.append(fine_side.ravel())
            vertices, weights = _bilinear_taps(coarse_side, below, at - below)
            coarse.append(vertices)
            weight.append(weights)
        joined = (np.concatenate(fine), np.concatenate(coarse), np.concatenate(weight))
        return cls(*(torch.from_numpy(array) for array in joined))

    def distance(self, features: torch.Tensor) -> torch.Tensor:
        """Mean absolute difference of features across the seams.

        Parameters
        ----------
        features : tensor of float32, shape (n_vertices, n_features)

        Returns
        -------
        tensor of float32, without axes
            The mean is over vertices on seams and over features; 0 without seams.
        """
        if not len(self.fine):
            return features.new_zeros(())
        return (features[self.fine] - interpolate(features, self.coarse, self.weight)).abs().mean()


def _bilinear_taps(
    side: NDArray[np.int64], below: NDArray[np.int64], upper: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The four vertices of a side about each point, and their weights, both of shape (n_points, 4).

    `below` and `upper`, of shape (2, n), have the lower vertex and the upper one's weight along both axes of the face.
    """
    vertices, weights = [], []
    for a in (0, 1):
        for b in (0, 1):
            vertices.append(side[below[0][:, None] + a, below[1][None, :] + b].ravel())
            along_first, along_second = (upper[0] if a else 1 - upper[0]), (upper[1] if b else 1 - upper[1])
            weights.append((along_first[:, None] * along_second[None, :]).ravel())
    return np.stack(vertices, axis=1), np.stack(weights, axis=1).astype(np.float32)
