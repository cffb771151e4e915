"""What both methods share: batches of rays, offsets, volume, prediction and state.

A batch holds rays of a few views. Where offsets are fitted, each view's is solved for within the batch: the mean of
its residuals. The offsets that a run reports are those of the whole views.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numba
import numpy as np
import torch
from numpy.typing import NDArray

from tomokit.data.margin import margin_px
from tomokit.data.problem import Problem, ProblemShape
from tomokit.errors import InputError, OptionError
from tomokit.geometry import TiltGeometry, centre
from tomokit.projector import DenseProjector
from tomokit_neural.adam import Adam
from tomokit_neural.rays import Box, Rays, make_rays, used_pixels

_CHUNK = 1 << 16


class NeuralRun(ABC):
    """A reconstruction under way (see :class:`tomokit.methods.interface.Run`).

    Parameters
    ----------
    problem : Problem
    options : object
        With ``epochs``, ``rays_per_step``, ``margin``.

    Raises
    ------
    OptionError
        For another backend than the CPU.
    """

    def __init__(self, problem: Problem, options: Any) -> None:
        if problem.backend != "cpu":
            raise OptionError(f"no {problem.backend} backend", field="--backend", remedy="choose cpu")
        # As many threads as tomokit's own kernels have, which is what --threads sets.
        torch.set_num_threads(numba.get_num_threads())
        self.problem, self.options = problem, options
        self.epochs, self.epoch = options.epochs, 0
        geometry = problem.geometry
        self.margin = margin_px(ProblemShape.of(problem), options.margin)
        self.n_x = geometry.n_u + 2 * self.margin
        self.box = Box(self.n_x / 2, problem.thickness_px / 2, geometry.n_v / 2)
        self.kappa = geometry.kappa
        self.used = used_pixels(problem)
        self.steps = 0

    # What a method brings.

    optimizer: Adam

    @abstractmethod
    def density(self, points: torch.Tensor) -> torch.Tensor:
        """Density at points ``(x, z, y)`` in pixels, shape (n, 3); shape (n,)."""

    @abstractmethod
    def loss(self, rays: Rays, data: torch.Tensor, weight: torch.Tensor, rng: np.random.Generator) -> dict[str, Any]:
        """Loss terms of a batch by name, ``data`` among them: the mean squared residual of projections.

        What is fitted is their sum, but for terms whose name begins with ``_``, which are fitted and not told, and
        for those whose value is a float, which are told and not fitted.
        """

    def after_epoch(self) -> None:  # noqa: B027 (a method may have nothing to do)
        """What is done between epochs."""

    # The run.

    def advance(self) -> dict[str, float]:
        """One pass over all pixels that count, in an order drawn from the seed."""
        rng = np.random.default_rng((self.problem.seed, self.epoch, 31))
        _, n_u, n_y = self.problem.projections.shape
        pixels = rng.permutation(self.used)
        steps = max(1, math.ceil(pixels.size / self.options.rays_per_step))
        totals: dict[str, float] = {}
        flat = self.problem.projections.reshape(-1)
        mask = None if self.problem.mask is None else self.problem.mask.reshape(-1)
        for batch in np.array_split(pixels, steps):
            if not batch.size:
                continue
            batch = np.sort(batch)
            view, rest = np.divmod(batch, n_u * n_y)
            rays = make_rays(self.problem.geometry, self.box, view, *np.divmod(rest, n_y))
            weight = np.ones(batch.size, np.float32) if mask is None else mask[batch]
            terms = self.loss(rays, torch.from_numpy(flat[batch]), torch.from_numpy(weight), rng)
            total = sum(value for value in terms.values() if isinstance(value, torch.Tensor))
            if isinstance(total, torch.Tensor) and total.requires_grad:
                total.backward()
                self.optimizer.step(self.rate())
            self.steps += 1
            for name, value in terms.items():
                if not name.startswith("_"):
                    totals[name] = totals.get(name, 0.0) + _number(value) / steps
        self.epoch += 1
        self.after_epoch()
        return {"loss": sum(totals.values()), "data": 0.0, **totals}

    def rate(self) -> float:
        """Factor of the learning rates: falls to a tenth in the last quarter of the epochs."""
        return 0.1 if self.epoch >= self.epochs - self.epochs // 4 and self.epochs >= 4 else 1.0

    def centred(self, residual: torch.Tensor, weight: torch.Tensor, view: NDArray[np.int64]) -> torch.Tensor:
        """Residuals of a batch after each view's offset."""
        if not self.problem.fit_offsets:
            return residual
        which = torch.from_numpy(view)
        zeros = torch.zeros(self.problem.geometry.n_views)
        sums = zeros.index_add(0, which, weight * residual)
        counts = zeros.index_add(0, which, weight)
        return residual - (sums / counts.clamp(min=1e-6))[which]

    def points(self, rays: Rays, along: torch.Tensor) -> torch.Tensor:
        """Points ``(x, z, y)`` at `along`, shape (n_rays, n_samples): shape (n_rays, n_samples, 3)."""
        offset, y, cos, sin = (torch.from_numpy(a)[:, None] for a in (rays.offset, rays.y, rays.cos, rays.sin))
        return torch.stack([offset * cos + along * sin, along * cos - offset * sin, y.expand_as(along)], dim=-1)

    @torch.no_grad()
    def _wide_volume(self) -> NDArray[np.float32]:
        """The density at voxel centres, with the margin, ``[x, z, y]``."""
        n_z, n_y = self.problem.thickness_px, self.problem.geometry.n_v
        axes = [torch.arange(n, dtype=torch.float32) - centre(n) for n in (self.n_x, n_z, n_y)]
        volume = np.empty((self.n_x, n_z, n_y), np.float32)
        if not self.used.size:
            return np.zeros_like(volume)
        flat = volume.reshape(-1)
        for begin in range(0, flat.size, _CHUNK):
            number = torch.arange(begin, min(begin + _CHUNK, flat.size))
            x, z, y = number // (n_z * n_y), number // n_y % n_z, number % n_y
            points = torch.stack([axes[0][x], axes[1][z], axes[2][y]], dim=-1)
            flat[begin : begin + len(number)] = self.density(points).numpy()
        return volume

    def volume(self) -> NDArray[np.float32]:
        """The density at voxel centres, ``[x, z, y]``."""
        return np.ascontiguousarray(self._wide_volume()[self.margin : self.margin + self.problem.geometry.n_u])

    def predict(self, geometry: TiltGeometry) -> NDArray[np.float32]:
        """Line integrals of the volume, with its margin, times kappa."""
        projector = DenseProjector(geometry, self.problem.thickness_px, self.n_x)
        return (projector(self._wide_volume()) * np.float32(self.kappa)).astype(np.float32, copy=False)

    def offsets(self) -> NDArray[np.float32]:
        """Masked mean of each view's residual; zeros where offsets are not fitted."""
        geometry = self.problem.geometry
        if not self.problem.fit_offsets:
            return np.zeros(geometry.n_views, np.float32)
        residual = self.problem.projections - self.predict(geometry)
        mask = np.ones_like(residual) if self.problem.mask is None else self.problem.mask
        sums = np.where(mask > 0, mask * residual, 0).sum(axis=(1, 2), dtype=np.float64)
        return (sums / np.maximum(mask.sum(axis=(1, 2), dtype=np.float64), 1e-6)).astype(np.float32)

    # The state.

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Parameters, Adam's two means of each, and counters."""
        found = {"counters": np.array([self.steps, self.optimizer.count], np.int64)}
        for kind, tensors in self._tensors().items():
            found |= {f"{kind}_{name}": tensor.detach().numpy() for name, tensor in tensors.items()}
        return found

    def restore(self, epoch: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Continue after `epoch` epochs.

        Raises
        ------
        InputError
            If an array is missing or of another shape or type; the run is then as it was.
        """
        own = self.arrays()
        for name, mine in own.items():
            if name not in arrays:
                raise InputError("not in the state", field=name)
            if arrays[name].shape != mine.shape or arrays[name].dtype != mine.dtype:
                given = arrays[name]
                raise InputError(f"{given.dtype}{given.shape}, expected {mine.dtype}{mine.shape}", field=name)
        with torch.no_grad():
            for kind, tensors in self._tensors().items():
                for name, tensor in tensors.items():
                    tensor.copy_(torch.from_numpy(np.array(arrays[f"{kind}_{name}"])))
        self.steps, self.optimizer.count = (int(number) for number in arrays["counters"])
        self.epoch = epoch

    def _tensors(self) -> dict[str, dict[str, Any]]:
        adam = self.optimizer
        return {"value": adam.parameters, "mean": adam.mean, "square": adam.square}


def _number(value: Any) -> float:
    return float(value.detach()) if isinstance(value, torch.Tensor) else float(value)


def integral(density: torch.Tensor, along: torch.Tensor, rays: Rays) -> torch.Tensor:
    """Line integrals in pixels from samples at ascending `along`, each standing for its share of the ray.

    A sample's share reaches half way to its neighbours; the first and the last reach to the box.
    """
    near, far = torch.from_numpy(rays.near)[:, None], torch.from_numpy(rays.far)[:, None]
    middle = 0.5 * (along[:, 1:] + along[:, :-1])
    edges = torch.cat([near, middle, far], dim=1)
    return (density * (edges[:, 1:] - edges[:, :-1])).sum(dim=1)


def stratified(rays: Rays, count: int, rng: np.random.Generator) -> torch.Tensor:
    """One sample drawn in each of `count` equal parts of every ray, shape (n_rays, count)."""
    part = (np.arange(count) + rng.random((len(rays.near), count))) / count
    return torch.from_numpy((rays.near[:, None] + part * rays.length[:, None]).astype(np.float32))
