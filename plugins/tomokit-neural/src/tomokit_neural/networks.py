"""The networks of both methods: small perceptrons, a frequency encoding, and a flow for the noise."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import torch
from torch import nn

_START = -2.0


def perceptron(sizes: list[int], activation: type[nn.Module]) -> nn.Sequential:
    """Linear layers of the given sizes with activations between them."""
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes):
        layers += [nn.Linear(before, after), activation()]
    return nn.Sequential(*layers[:-1])


def encode(points: torch.Tensor, octaves: int) -> torch.Tensor:
    """Points in [-1, 1], and sines and cosines of ``2^k pi`` times them: shape (n, 3 + 6 octaves)."""
    factors = math.pi * 2.0 ** torch.arange(octaves, dtype=points.dtype)
    angles = (points[:, None, :] * factors[:, None]).flatten(1)
    return torch.cat([points, angles.sin(), angles.cos()], dim=1)


class EncodedField(nn.Module):
    """``sigmoid`` of a perceptron of encoded points: `depth` layers, the encoding once more, `depth_after` layers.

    Parameters
    ----------
    octaves, width, depth : int
    depth_after : int
        0 for no skip connection.
    """

    def __init__(self, octaves: int, width: int, depth: int, depth_after: int) -> None:
        super().__init__()
        self.octaves = octaves
        encoded = 3 + 6 * octaves
        self.first = perceptron([encoded] + [width] * depth + ([1] if not depth_after else []), nn.ReLU)
        self.second = perceptron([width + encoded] + [width] * depth_after + [1], nn.ReLU) if depth_after else None
        # Thin at the start: from a dense slab the first steps would drive it to where the sigmoid has no slope.
        last: Any = (self.first if self.second is None else self.second)[-1]
        nn.init.constant_(last.bias, _START)

    def forward(self, points: torch.Tensor) -> torch.Tensor:
        """Values in (0, 1), shape (n,)."""
        encoded = encode(points, self.octaves)
        hidden = self.first(encoded)
        if self.second is not None:
            hidden = self.second(torch.cat([hidden.relu(), encoded], dim=1))
        return hidden.sigmoid().squeeze(1)


class ResidualFlow(nn.Module):
    """Likelihood of a residual, given the noise-free intensity: radial layers on top of a normal distribution.

    ``z <- scale * z``, then for each layer ``z <- z + beta (z - z0) / (alpha + |z - z0|)`` (Rezende and Mohamed, 2015),
    invertible for ``beta > -alpha``; all parameters follow from the intensity by a small perceptron. z is normal.
    """

    def __init__(self, layers: int, width: int, scale: float) -> None:
        super().__init__()
        self.layers, self.start = layers, -math.log(scale)
        self.condition = perceptron([1, width, 1 + 3 * layers], nn.SiLU)
        # At the start the residual is normal with the standard deviation `scale`, whatever the intensity.
        last: Any = self.condition[-1]
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, residual: torch.Tensor, intensity: torch.Tensor) -> torch.Tensor:
        """Negative log-likelihood of each residual, shape (n,)."""
        found = self.condition(intensity[:, None])
        log_slope = self.start + found[:, 0]
        z = residual * log_slope.exp()
        for layer in range(self.layers):
            alpha, beta, centre = found[:, 1 + 3 * layer : 4 + 3 * layer].unbind(1)
            alpha = nn.functional.softplus(alpha + 0.5413)  # 1 at the start
            beta = nn.functional.softplus(beta + 0.5413) - alpha  # above -alpha
            away = z - centre
            h = 1 / (alpha + away.abs())
            log_slope = log_slope + torch.log1p(beta * h - beta * h * h * away.abs())
            z = z + beta * h * away
        return 0.5 * z * z + 0.5 * math.log(2 * math.pi) - log_slope
