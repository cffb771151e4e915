"""The fit of method `neat`: features on nodes, their loss on a batch of rays, and the changes of the octree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from tomokit.data.problem import Problem
from tomokit.errors import InputError
from tomokit.octree import Forest
from tomokit.octree.cover import Region, cover
from tomokit.octree.error_indicators import IndicatorHistory
from tomokit.octree.leaf_size import choose_leaf_px
from tomokit.octree.structure import plan_update
from tomokit_neural.adam import Adam
from tomokit_neural.grids import Lookup, Seams, interpolate, total_variation
from tomokit_neural.neat_options import NeatOptions
from tomokit_neural.networks import perceptron
from tomokit_neural.rays import Rays
from tomokit_neural.run import LossTerm, NeuralRun, integral, stratified

_SPREAD = 0.1  # of the features at the start
_FOREST = ("forest_level", "forest_index")
_HISTORY = ("indicator_key", "indicator_contribution")


class NeatRun(NeuralRun):
    """A fit of features and decoder under way (see :class:`tomokit.methods.interface.Run`)."""

    def __init__(self, problem: Problem, options: NeatOptions) -> None:
        super().__init__(problem, options)
        self.options: NeatOptions
        region = Region(self.n_x, problem.geometry.n_v, problem.thickness_px)
        # An eighth of the nodes at first, which leaves room for splits; no vertices closer than two pixels until then.
        first = max(1, options.max_nodes // 8)
        leaf = choose_leaf_px(region, 0.0, options.n, first, 0, 2.0)
        forest = cover(region, 0.0, options.n, leaf, 0, options.max_nodes)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(problem.seed)
            self.decoder = perceptron([options.features, options.width, options.width, 1], torch.nn.SiLU)
            start = _SPREAD * torch.randn(forest.n_leaves * options.n**3, options.features)
        last = cast(torch.nn.Linear, self.decoder[-1])
        torch.nn.init.constant_(last.bias, -1.0)  # thin at the start
        self.indicator_history = IndicatorHistory()
        self._place(forest, start)

    @property
    def n_parameters(self) -> int:
        """How many numbers are fitted."""
        return sum(tensor.numel() for tensor in self.optimizer.parameters.values())

    def _place(self, forest: Forest, features: torch.Tensor, keep: Adam | None = None) -> None:
        """Continue with other nodes and their features.

        Adam's means of the decoder are taken from `keep`; those of the features, which are other ones, begin anew.
        """
        self.forest, self.lookup, self.seams = forest, Lookup.of(forest), Seams.of(forest)
        self.features = features.contiguous().requires_grad_()
        decoder = {f"decoder.{name}": value for name, value in self.decoder.named_parameters()}
        rates = {"features": self.options.grid_lr} | dict.fromkeys(decoder, self.options.decoder_lr)
        self.optimizer = Adam({"features": self.features, **decoder}, rates)
        if keep is not None:
            self.optimizer.count = keep.count
            for name in decoder:
                self.optimizer.mean[name], self.optimizer.square[name] = keep.mean[name], keep.square[name]
        self.error = torch.zeros(forest.n_leaves, dtype=torch.float64)

    def _decode(self, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Density at points, 0 outside the nodes, and the leaf that each is in, -1 for none."""
        leaf, vertex, weight = self.lookup.vertices(points)
        features = interpolate(self.features, vertex, weight)
        density = torch.nn.functional.softplus(self.decoder(features).squeeze(1), beta=2)
        return torch.where(leaf >= 0, density, torch.zeros(())), leaf

    def density(self, points: torch.Tensor) -> torch.Tensor:
        """Density decoded from the features at points (see :class:`tomokit_neural.run.NeuralRun`)."""
        return self._decode(points)[0]

    def loss(
        self, rays: Rays, data: torch.Tensor, weight: torch.Tensor, rng: np.random.Generator
    ) -> dict[str, LossTerm]:
        """Loss of a batch (see :class:`tomokit_neural.run.NeuralRun`).

        Its terms are least squares of projections, total variation of the features inside nodes, and their consistency
        between nodes. The squared errors are also added up by node.
        """
        options = self.options
        count = max(2, int(np.ceil(float(rays.length.max()) / options.samples_px)))
        along = stratified(rays, count, rng)
        density, leaf = self._decode(self.points(rays, along).flatten(0, 1))
        density, leaf = density.view(along.shape), leaf.view(along.shape)
        residual = self.centred(data - self.kappa * integral(density, along, rays), weight, rays.view)
        with torch.no_grad():
            # A node's error: the squared error of the rays through it, in proportion to its samples' densities.
            proportion = density / density.sum(dim=1, keepdim=True).clamp(min=1e-9)
            sample_error = (weight * residual * residual)[:, None] * proportion
            in_leaf = leaf.flatten() >= 0
            self.error.index_add_(0, leaf.flatten()[in_leaf], sample_error.flatten()[in_leaf].double())
        terms: dict[str, LossTerm] = {"data": (weight * residual * residual).sum() / weight.sum().clamp(min=1e-6)}
        if options.tv > 0:
            terms["tv"] = options.tv * total_variation(self.features, options.n)
        if options.boundary > 0:
            terms["boundary"] = options.boundary * self.seams.distance(self.features)
        return terms

    @torch.no_grad()
    def after_epoch(self) -> None:
        """Split and merge nodes after some of the epochs, by the integer program of the octree method.

        A node's gain is its error over the epoch. Features of the new nodes are interpolated in the old ones.
        """
        error = self.error.numpy().copy()
        self.error.zero_()
        if self.epoch not in self.options.structure_epochs or self.epoch >= self.epochs:
            return
        self.indicator_history.record(self.forest, error)
        planned = plan_update(
            self.forest,
            error,
            self.options.max_nodes,
            finest_level=self.options.depth - 1,
            indicator_history=self.indicator_history,
        )
        if planned.n_leaves == self.forest.n_leaves and (planned.index == self.forest.index).all():
            return
        n = planned.n
        lattice = torch.from_numpy(np.stack(np.meshgrid(*[np.arange(n)] * 3, indexing="ij"), -1).reshape(-1, 3))
        features = []
        for leaf in range(planned.n_leaves):
            corner, step = torch.from_numpy(planned.corner_px[leaf]), float(planned.spacing_px[leaf])
            # A little inside: a point on the outermost face would lie in no leaf.
            at = (lattice * step).clamp(1e-4 * step, (n - 1 - 1e-4) * step) + corner
            _, vertex, weight = self.lookup.vertices(at.float())
            features.append(interpolate(self.features, vertex, weight))
        self._place(planned, torch.cat(features), keep=self.optimizer)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Nodes, what is remembered of earlier ones, and all that is fitted (see :class:`NeuralRun`)."""
        fitted = super().arrays() | self.indicator_history.to_arrays()
        return fitted | {"forest_level": self.forest.level, "forest_index": self.forest.index}

    def restore(self, epoch: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Continue from the arrays of a run with the same options (see :class:`NeuralRun`).

        Raises
        ------
        InputError
            If an array is missing or of another shape or type; the run is then as it was.
        """
        for name in (*_FOREST, *_HISTORY):
            if name not in arrays:
                raise InputError("not in the state", field=name)
        level, index = (np.asarray(arrays[name]) for name in _FOREST)
        if level.ndim != 1 or index.shape != (level.size, 3):
            raise InputError(f"shapes {level.shape} and {index.shape} disagree", field=", ".join(_FOREST))
        if arrays[_HISTORY[0]].shape != arrays[_HISTORY[1]].shape or arrays[_HISTORY[0]].ndim != 1:
            raise InputError("the shapes disagree", field=", ".join(_HISTORY))
        # The shapes of all that is fitted follow from the nodes, so these come first; what is there now is kept until
        # everything has been checked.
        before = (self.forest, self.features.detach(), self.optimizer, self.indicator_history)
        forest = Forest(self.forest.origin_px, self.forest.root_px, self.forest.roots, self.forest.n, level, index)
        self._place(forest, torch.zeros(forest.n_leaves * forest.n**3, self.options.features))
        self.indicator_history = IndicatorHistory.from_arrays(arrays)
        rest = {name: array for name, array in arrays.items() if name not in (*_FOREST, *_HISTORY)}
        try:
            missing = next((name for name in super().arrays() if name not in rest), None)
            if missing is not None:
                raise InputError("not in the state", field=missing)
            super().restore(epoch, {**self.arrays(), **rest})
        except InputError:
            self._place(before[0], before[1], keep=before[2])
            self.optimizer, self.indicator_history = before[2], before[3]
            # The very tensor that the old optimizer changes, not the copy that was placed.
            self.features = before[2].parameters["features"]
            raise
