"""Features on the leaves of a forest: where a point's eight vertices are, and the penalties."""

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
    """Finds the vertices about points.

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
        """Make it for a forest."""
        finest = int(forest.level.max(initial=0))
        cubes = 1 << (finest - forest.level.astype(np.int64))
        owner = np.full([extent << finest for extent in forest.roots], -1, np.int64)
        for leaf, edge in enumerate(cubes.tolist()):
            x, z, y = forest.index[leaf].astype(np.int64) * edge
            owner[x : x + edge, z : z + edge, y : y + edge] = leaf
        return cls(forest, torch.from_numpy(owner))

    def vertices(self, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Leaf, vertices and weights of points.

        Parameters
        ----------
        points : tensor, shape (n, 3)
            ``(x, z, y)`` in pixels.

        Returns
        -------
        leaf : tensor of int64, shape (n,)
            -1 for points in no leaf, whose weights are all 0.
        vertex : tensor of int64, shape (n, 8)
            Numbers of vertices, ``leaf * n**3 + ...``.
        weight : tensor of float32, shape (n, 8)
        """
        forest, n = self.forest, self.forest.n
        origin = torch.tensor(forest.origin_px, dtype=torch.float32)
        finest_px = forest.root_px * forest.roots[0] / self.owner.shape[0]
        extent = torch.tensor(self.owner.shape)
        cell = torch.floor((points - origin) / finest_px).long()
        inside = ((cell >= 0) & (cell < extent)).all(dim=1)
        cell = cell.clamp(min=torch.zeros(3, dtype=torch.long), max=extent - 1)
        leaf = torch.where(inside, self.owner[cell[:, 0], cell[:, 1], cell[:, 2]], torch.tensor(-1))
        held = leaf.clamp(min=0)
        corner = torch.from_numpy(forest.corner_px.astype(np.float32))[held]
        spacing = torch.from_numpy(forest.spacing_px.astype(np.float32))[held]
        at = ((points - corner) / spacing[:, None]).clamp(0, n - 1)
        below = at.floor().clamp(max=n - 2)
        part = at - below
        place = below.long()[:, None, :] + _CORNERS
        vertex = held[:, None] * n**3 + (place[..., 0] * n + place[..., 1]) * n + place[..., 2]
        weight = torch.where(_CORNERS.bool(), part[:, None, :], 1 - part[:, None, :]).prod(dim=2)
        return leaf, vertex, torch.where((leaf >= 0)[:, None], weight, torch.zeros(()))


def interpolate(features: torch.Tensor, vertex: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Trilinear features, shape (n, n_features), from those of all vertices, shape (n_vertices, n_features)."""
    return torch.nn.functional.embedding_bag(vertex, features, per_sample_weights=weight, mode="sum")


def total_variation(features: torch.Tensor, n: int) -> torch.Tensor:
    """Mean absolute difference of neighbours inside leaves, summed over the axes and averaged over features."""
    grids = features.view(-1, n, n, n, features.shape[1])
    return sum(torch.diff(grids, dim=axis).abs().mean() for axis in (1, 2, 3))  # type: ignore[return-value]


@dataclass(frozen=True)
class Seams:
    """The vertices of the finer side of every shared face, and what they meet on the other side.

    Attributes
    ----------
    fine : tensor of int64, shape (n_points,)
    coarse : tensor of int64, shape (n_points, 4)
    weight : tensor of float32, shape (n_points, 4)
    """

    fine: torch.Tensor
    coarse: torch.Tensor
    weight: torch.Tensor

    @classmethod
    def of(cls, forest: Forest) -> Seams:
        """Find them for a forest."""
        n, faces = forest.n, shared_faces(forest)
        number = np.arange(forest.n_leaves * n**3).reshape(forest.values_shape)
        fine, coarse, weight = [np.zeros(0, np.int64)], [np.zeros((0, 4), np.int64)], [np.zeros((0, 4), np.float32)]
        for face in range(faces.n_faces):
            axis = int(faces.axis[face])
            upper = bool(faces.fine_is_below[face])
            one = np.take(number[faces.fine[face]], n - 1 if upper else 0, axis=axis)
            other = np.take(number[faces.coarse[face]], 0 if upper else n - 1, axis=axis)
            at = faces.offset[face][:, None] + faces.scale[face] * np.arange(n)
            below = np.minimum(at.astype(np.int64), n - 2)
            part = at - below
            fine.append(one.ravel())
            corners, weights = _corners(other, below, part)
            coarse.append(corners)
            weight.append(weights)
        whole = (np.concatenate(fine), np.concatenate(coarse), np.concatenate(weight))
        return cls(*(torch.from_numpy(array) for array in whole))

    def distance(self, features: torch.Tensor) -> torch.Tensor:
        """Mean absolute difference across the seams, over points and features."""
        if not len(self.fine):
            return features.new_zeros(())
        return (features[self.fine] - interpolate(features, self.coarse, self.weight)).abs().mean()


def _corners(
    side: NDArray[np.int64], below: NDArray[np.int64], part: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    corners, weights = [], []
    for a in (0, 1):
        for b in (0, 1):
            corners.append(side[below[0][:, None] + a, below[1][None, :] + b].ravel())
            one, other = (part[0] if a else 1 - part[0]), (part[1] if b else 1 - part[1])
            weights.append((one[:, None] * other[None, :]).ravel())
    return np.stack(corners, axis=1), np.stack(weights, axis=1).astype(np.float32)
