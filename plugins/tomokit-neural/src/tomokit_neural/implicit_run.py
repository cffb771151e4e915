"""The fit of method `implicit`."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from tomokit.data.problem import Problem
from tomokit_neural.adam import Adam
from tomokit_neural.implicit import ImplicitOptions
from tomokit_neural.networks import EncodedField, ResidualFlow
from tomokit_neural.rays import Rays
from tomokit_neural.run import NeuralRun, integral, stratified

_NOISE = 0.05  # standard deviation of an intensity that the flow starts from


class ImplicitRun(NeuralRun):
    """A fit under way (see :class:`tomokit.methods.interface.Run`)."""

    def __init__(self, problem: Problem, options: ImplicitOptions) -> None:
        super().__init__(problem, options)
        self.options: ImplicitOptions
        # Networks are drawn from PyTorch's own generator: seeded for them alone, and put back.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(problem.seed)
            self.field = EncodedField(options.octaves, options.width, options.depth, options.depth_after)
            self.proposal = EncodedField(options.proposal_octaves, options.proposal_width, 3, 0)
            self.flow = ResidualFlow(options.flow_layers, 32, _NOISE) if options.flow_layers else None
        used = problem.projections.reshape(-1)[self.used]
        largest = float(np.abs(used).max(initial=0.0))
        self.scale = 2.0 * largest / (self.kappa * problem.thickness_px)
        half = max(self.box.half_x, self.box.half_z, self.box.half_y)
        self.unit = 1.0 / half
        modules: dict[str, torch.nn.Module] = {"field": self.field, "proposal": self.proposal}
        if self.flow is not None:
            modules["flow"] = self.flow
        parameters = {f"{name}.{key}": value for name, one in modules.items() for key, value in one.named_parameters()}
        self.optimizer = Adam(parameters, dict.fromkeys(parameters, options.lr))

    @property
    def n_parameters(self) -> int:
        """Numbers that are fitted."""
        return sum(tensor.numel() for tensor in self.optimizer.parameters.values())

    def density(self, points: torch.Tensor) -> torch.Tensor:
        """The network's density."""
        return self.scale * self.field(points * self.unit)

    def loss(self, rays: Rays, data: torch.Tensor, weight: torch.Tensor, rng: np.random.Generator) -> dict[str, Any]:
        """Both renderings by least squares; the fine one by the flow's likelihood once it is time."""
        options = self.options
        coarse_at = stratified(rays, options.coarse_samples, rng)
        shape = coarse_at.shape
        coarse = self.scale * self.proposal(self.points(rays, coarse_at).flatten(0, 1) * self.unit).view(shape)
        drawn = self.importance(rays, coarse.detach(), rng)
        fine_at = torch.cat([coarse_at, drawn], dim=1).sort(dim=1).values
        fine = self.density(self.points(rays, fine_at).flatten(0, 1)).view(fine_at.shape)
        coarse_p, fine_p = (
            self.kappa * integral(density, at, rays) for density, at in ((coarse, coarse_at), (fine, fine_at))
        )
        total = weight.sum().clamp(min=1e-6)
        residual = self.centred(data - fine_p, weight, rays.view)
        # The intensity that is observed once the offset is taken off, against that which is predicted.
        intensity = (-fine_p).exp()
        apart = (-(fine_p + residual)).exp() - intensity
        off = (-(coarse_p + self.centred(data - coarse_p, weight, rays.view))).exp() - (-coarse_p).exp()
        terms: dict[str, Any] = {"_proposal": (weight * off * off).sum() / total}
        terms["data"] = float((weight * residual * residual).sum().detach() / total)
        if self.flow is None or self.steps < options.least_squares_steps:
            terms["_fit"] = (weight * apart * apart).sum() / total
            if self.flow is not None:
                # So that the noise model is ready when its time comes.
                terms["_flow"] = (weight * self.flow(apart.detach(), intensity.detach())).sum() / total
        else:
            terms["_fit"] = (weight * self.flow(apart, intensity.detach())).sum() / total
        return terms

    def importance(self, rays: Rays, density: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        """Samples drawn in proportion to a density that is constant in each of the coarse parts."""
        count, parts = self.options.fine_samples, density.shape[1]
        share = density + 1e-3 * density.mean(dim=1, keepdim=True) + 1e-9
        edges = torch.cat([torch.zeros(len(share), 1), (share / share.sum(1, keepdim=True)).cumsum(1)], dim=1)
        wanted = (np.arange(count) + rng.random((len(share), count))) / count
        at = torch.from_numpy(wanted.astype(np.float32))
        part = (torch.searchsorted(edges.contiguous(), at, right=True) - 1).clamp(0, parts - 1)
        low, high = edges.gather(1, part), edges.gather(1, part + 1)
        inside = ((at - low) / (high - low).clamp(min=1e-9)).clamp(0, 1)
        near, length = torch.from_numpy(rays.near)[:, None], torch.from_numpy(rays.length)[:, None]
        return near + (part + inside) / parts * length
