"""What the runs of both methods share: batches of rays, offsets, volume, prediction and state.

A batch holds rays of a few views. Where offsets are fitted, each view's is solved for within the batch: the mean of
its residuals. The offsets that a run reports are those of the whole views.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, TypeAlias

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

LossTerm: TypeAlias = "torch.Tensor | float"
"""A term that is fitted, as a tensor without axes, or one that is only reported, as a number."""

_CHUNK = 1 << 16  # voxels that the volume is evaluated at once


class NeuralRun(ABC):
    """A reconstruction under way (see :class:`tomokit.methods.interface.Run`).

    Parameters
    ----------
    problem : Problem
    options : object
        The method's options, with at least ``epochs``, ``rays_per_step`` and ``margin``.

    Attributes
    ----------
    optimizer : Adam
        What is fitted; made by the method.
    box : Box
        The region that is reconstructed, with its margin.
    used : ndarray of int64, shape (n_used,)
        Flat indices of the pixels that carry weight.
    steps : int
        Optimizer steps done so far.

    Raises
    ------
    OptionError
        If the backend is another than the CPU.
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
        """Evaluate the density at points.

        Parameters
        ----------
        points : tensor of float32, shape (n, 3)
            Coordinates ``(x, z, y)`` in pixels.

        Returns
        -------
        tensor of float32, shape (n,)
            Such that ``kappa * line integral in pixels`` is the projection.
        """

    @abstractmethod
    def loss(
        self, rays: Rays, data: torch.Tensor, weight: torch.Tensor, rng: np.random.Generator
    ) -> dict[str, LossTerm]:
        """Loss terms of a batch of rays.

        Parameters
        ----------
        rays : Rays
        data, weight : tensor of float32, shape (n_rays,)
            Projection and weight of each ray.
        rng : numpy.random.Generator
            The only source of randomness.

        Returns
        -------
        dict
            Terms by name, ``data`` among them: the mean squared residual of projections. Tensors are fitted, numbers
            only reported; terms whose name begins with ``_`` are not reported.
        """

    def after_epoch(self) -> None:  # noqa: B027 (a method may have nothing to do)
        """Do what a method does between epochs, such as changing its structure."""

    # The run.

    def advance(self) -> dict[str, float]:
        """Do one pass over all pixels that carry weight, in an order drawn from the seed.

        Returns
        -------
        dict
            Means of the reported loss terms over the steps, by name; ``"loss"`` is their sum.
        """
        # Seeded anew for each epoch: a run that is restored draws what an uninterrupted one does.
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
            # In order of views and columns, which reads the images in the order of their memory.
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
        """Factor of the learning rates, which falls to a tenth in the last quarter of the epochs.

        Returns
        -------
        float
        """
        return 0.1 if self.epoch >= self.epochs - self.epochs // 4 and self.epochs >= 4 else 1.0

    def centred(self, residual: torch.Tensor, weight: torch.Tensor, view: NDArray[np.int64]) -> torch.Tensor:
        """Residuals of a batch with each view's offset taken off, where offsets are fitted.

        Parameters
        ----------
        residual, weight : tensor of float32, shape (n_rays,)
            Data minus prediction, and weight of each ray.
        view : ndarray of int64, shape (n_rays,)
            View of each ray.

        Returns
        -------
        tensor of float32, shape (n_rays,)
            Residuals minus the weighted mean over the batch's rays of the same view.
        """
        if not self.problem.fit_offsets:
            return residual
        which = torch.from_numpy(view)
        zeros = torch.zeros(self.problem.geometry.n_views)
        sums = zeros.index_add(0, which, weight * residual)
        counts = zeros.index_add(0, which, weight)
        return residual - (sums / counts.clamp(min=1e-6))[which]

    def points(self, rays: Rays, along: torch.Tensor) -> torch.Tensor:
        """Points on rays at given places along them.

        Parameters
        ----------
        rays : Rays
        along : tensor of float32, shape (n_rays, n_samples)
            Places s in pixels.

        Returns
        -------
        tensor of float32, shape (n_rays, n_samples, 3)
            Coordinates ``(x, z, y)`` in pixels.
        """
        per_ray = (rays.offset, rays.y, rays.cos, rays.sin)
        offset, y, cos, sin = (torch.from_numpy(array)[:, None] for array in per_ray)
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
        """The density at the tomogram's voxel centres.

        Returns
        -------
        ndarray of float32, shape (n_u, thickness_px, n_v)
            ``[x, z, y]``, without the margin.
        """
        return np.ascontiguousarray(self._wide_volume()[self.margin : self.margin + self.problem.geometry.n_u])

    def predict(self, geometry: TiltGeometry) -> NDArray[np.float32]:
        """Project the present density, sampled at voxel centres, with its margin.

        Parameters
        ----------
        geometry : TiltGeometry
            Any views of the same detector.

        Returns
        -------
        ndarray of float32, shape (n_views, n_u, n_v)
            Line integrals in pixels times kappa, without offsets.
        """
        projector = DenseProjector(geometry, self.problem.thickness_px, self.n_x)
        return (projector(self._wide_volume()) * np.float32(self.kappa)).astype(np.float32, copy=False)

    def offsets(self) -> NDArray[np.float32]:
        """The additive offset of each view: the weighted mean of its residual.

        Returns
        -------
        ndarray of float32, shape (n_views,)
            In projection units; zeros where offsets are not fitted.
        """
        geometry = self.problem.geometry
        if not self.problem.fit_offsets:
            return np.zeros(geometry.n_views, np.float32)
        residual = self.problem.projections - self.predict(geometry)
        mask = np.ones_like(residual) if self.problem.mask is None else self.problem.mask
        sums = np.where(mask > 0, mask * residual, 0).sum(axis=(1, 2), dtype=np.float64)
        return (sums / np.maximum(mask.sum(axis=(1, 2), dtype=np.float64), 1e-6)).astype(np.float32)

    # The state.

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All that is needed to continue: parameters, Adam's two means of each, and counters.

        Returns
        -------
        dict of str to ndarray
            The parameters' own memory, which the next step changes.
        """
        arrays: dict[str, NDArray[Any]] = {"counters": np.array([self.steps, self.optimizer.count], np.int64)}
        for kind, tensors in self._tensors().items():
            arrays |= {f"{kind}_{name}": tensor.detach().numpy() for name, tensor in tensors.items()}
        return arrays

    def restore(self, epoch: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Continue from the arrays of a run with the same options.

        Parameters
        ----------
        epoch : int
            Epochs after which the arrays were taken.
        arrays : mapping of str to ndarray
            What :meth:`arrays` gave then.

        Raises
        ------
        InputError
            If an array is missing or of another shape or type; the run is then as it was.
        """
        # All are checked before any is copied.
        for name, expected in self.arrays().items():
            if name not in arrays:
                raise InputError("not in the state", field=name)
            if arrays[name].shape != expected.shape or arrays[name].dtype != expected.dtype:
                given = arrays[name]
                raise InputError(f"{given.dtype}{given.shape}, expected {expected.dtype}{expected.shape}", field=name)
        with torch.no_grad():
            for kind, tensors in self._tensors().items():
                for name, tensor in tensors.items():
                    tensor.copy_(torch.from_numpy(np.array(arrays[f"{kind}_{name}"])))
        self.steps, self.optimizer.count = (int(number) for number in arrays["counters"])
        self.epoch = epoch

    def _tensors(self) -> dict[str, dict[str, torch.Tensor]]:
        """Parameters and their means by kind and name, as they are saved."""
        adam = self.optimizer
        return {"value": adam.parameters, "mean": adam.mean, "square": adam.square}


def _number(value: LossTerm) -> float:
    return float(value.detach()) if isinstance(value, torch.Tensor) else float(value)


def integral(density: torch.Tensor, along: torch.Tensor, rays: Rays) -> torch.Tensor:
    """Integrate along rays from samples, each of which stands for the section of the ray about it.

    A sample's section ends half way to its neighbours; those of the first and the last end at the box.

    Parameters
    ----------
    density : tensor of float32, shape (n_rays, n_samples)
    along : tensor of float32, shape (n_rays, n_samples)
        Places of the samples in pixels, ascending.
    rays : Rays

    Returns
    -------
    tensor of float32, shape (n_rays,)
        Line integrals in density times pixels.
    """
    near, far = torch.from_numpy(rays.near)[:, None], torch.from_numpy(rays.far)[:, None]
    middle = 0.5 * (along[:, 1:] + along[:, :-1])
    edges = torch.cat([near, middle, far], dim=1)
    return (density * (edges[:, 1:] - edges[:, :-1])).sum(dim=1)


def stratified(rays: Rays, count: int, rng: np.random.Generator) -> torch.Tensor:
    """Draw one sample in each of several equal sections of every ray.

    Parameters
    ----------
    rays : Rays
    count : int
        Number of sections.
    rng : numpy.random.Generator

    Returns
    -------
    tensor of float32, shape (n_rays, count)
        Places along the rays in pixels, ascending.
    """
    fraction = (np.arange(count) + rng.random((len(rays.near), count))) / count
    return torch.from_numpy((rays.near[:, None] + fraction * rays.length[:, None]).astype(np.float32))
