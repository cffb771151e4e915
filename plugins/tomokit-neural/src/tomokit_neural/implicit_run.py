"""The fit of method `implicit`: networks, their loss on a batch of rays, and importance sampling."""

from __future__ import annotations

import numpy as np
import torch

from tomokit.data.problem import Problem
from tomokit_neural.adam import Adam
from tomokit_neural.implicit_options import ImplicitOptions
from tomokit_neural.networks import EncodedField, ResidualFlow
from tomokit_neural.rays import Rays
from tomokit_neural.run import LossTerm, NeuralRun, integral, stratified

_NOISE = 0.05  # standard deviation of an intensity that the flow starts from


class ImplicitRun(NeuralRun):
    """A fit of networks under way (see :class:`tomokit.methods.interface.Run`)."""

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
        # The encoding takes points in [-1, 1].
        half = max(self.box.half_x, self.box.half_z, self.box.half_y)
        self.unit = 1.0 / half
        modules: dict[str, torch.nn.Module] = {"field": self.field, "proposal": self.proposal}
        if self.flow is not None:
            modules["flow"] = self.flow
        parameters = {f"{name}.{key}": value for name, one in modules.items() for key, value in one.named_parameters()}
        self.optimizer = Adam(parameters, dict.fromkeys(parameters, options.lr))

    @property
    def n_parameters(self) -> int:
        """How many numbers are fitted."""
        return sum(tensor.numel() for tensor in self.optimizer.parameters.values())

    def density(self, points: torch.Tensor) -> torch.Tensor:
        """The network's density at points (see :class:`tomokit_neural.run.NeuralRun`)."""
        return self.scale * self.field(points * self.unit)

    def loss(
        self, rays: Rays, data: torch.Tensor, weight: torch.Tensor, rng: np.random.Generator
    ) -> dict[str, LossTerm]:
        """Loss of both networks on a batch (see :class:`tomokit_neural.run.NeuralRun`).

        The proposal is fitted by least squares of intensities, and so is the density at first; from step
        ``least_squares_steps`` on the density is fitted by the flow's likelihood.
        """
        options = self.options
        coarse_at = stratified(rays, options.coarse_samples, rng)
        shape = coarse_at.shape
        coarse = self.scale * self.proposal(self.points(rays, coarse_at).flatten(0, 1) * self.unit).view(shape)
        drawn = self.importance(rays, coarse.detach(), rng)
        # The fine network sees both sets, and an integral needs them in order.
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
        terms: dict[str, LossTerm] = {"_proposal": (weight * off * off).sum() / total}
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
        """Draw samples along rays in proportion to a density, by inverting its cumulative sum.

        Parameters
        ----------
        rays : Rays
        density : tensor of float32, shape (n_rays, n_sections)
            Density in each of the equal sections of a ray, in which it is taken as constant.
        rng : numpy.random.Generator

        Returns
        -------
        tensor of float32, shape (n_rays, fine_samples)
            Ascending places along the rays in pixels.
        """
        count, sections = self.options.fine_samples, density.shape[1]
        # A little everywhere: sections that the proposal takes for empty are looked at now and then.
        likelihood = density + 1e-3 * density.mean(dim=1, keepdim=True) + 1e-9
        cumulative = (likelihood / likelihood.sum(1, keepdim=True)).cumsum(1)
        edges = torch.cat([torch.zeros(len(likelihood), 1), cumulative], dim=1)
        # One sample in each of `count` equal intervals of the cumulative sum.
        quantile = (np.arange(count) + rng.random((len(likelihood), count))) / count
        at = torch.from_numpy(quantile.astype(np.float32))
        section = (torch.searchsorted(edges.contiguous(), at, right=True) - 1).clamp(0, sections - 1)
        low, high = edges.gather(1, section), edges.gather(1, section + 1)
        inside = ((at - low) / (high - low).clamp(min=1e-9)).clamp(0, 1)
        near, length = torch.from_numpy(rays.near)[:, None], torch.from_numpy(rays.length)[:, None]
        return near + (section + inside) / sections * length
