"""The networks of both methods: small perceptrons, a frequency encoding, and a flow for the noise."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import cast

import torch
from torch import nn

_START = -2.0  # of the sigmoid's argument


def perceptron(sizes: list[int], activation: type[nn.Module]) -> nn.Sequential:
    """Make linear layers of given sizes with activations between them, and none after the last.

    Parameters
    ----------
    sizes : list of int
        Numbers at the input and after each layer.
    activation : type
        Class of the activations, made without arguments.

    Returns
    -------
    torch.nn.Sequential
    """
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes):
        layers += [nn.Linear(before, after), activation()]
    return nn.Sequential(*layers[:-1])


def encode(points: torch.Tensor, octaves: int) -> torch.Tensor:
    """Encode points by sines and cosines of frequencies that double from octave to octave.

    Parameters
    ----------
    points : tensor, shape (n, 3)
        Coordinates in [-1, 1].
    octaves : int
        Number of frequencies: ``2^k pi`` for k = 0, ..., octaves - 1.

    Returns
    -------
    tensor, shape (n, 3 + 6 octaves)
        The coordinates, then all sines, then all cosines, each octave by octave.
    """
    factors = math.pi * 2.0 ** torch.arange(octaves, dtype=points.dtype)
    angles = (points[:, None, :] * factors[:, None]).flatten(1)
    return torch.cat([points, angles.sin(), angles.cos()], dim=1)


class EncodedField(nn.Module):
    """A field with values in (0, 1): a perceptron of encoded points with a skip connection, and a sigmoid.

    Parameters
    ----------
    octaves : int
        Frequencies of the encoding.
    width : int
        Units of each hidden layer.
    depth : int
        Hidden layers before the encoding is given once more.
    depth_after : int
        Hidden layers after it; 0 for no skip connection.
    """

    def __init__(self, octaves: int, width: int, depth: int, depth_after: int) -> None:
        super().__init__()
        self.octaves = octaves
        encoded = 3 + 6 * octaves
        self.first = perceptron([encoded] + [width] * depth + ([1] if not depth_after else []), nn.ReLU)
        self.second = perceptron([width + encoded] + [width] * depth_after + [1], nn.ReLU) if depth_after else None
        # Thin at the start: from a dense slab the first steps would drive it to where the sigmoid has no slope.
        last = cast(nn.Linear, (self.first if self.second is None else self.second)[-1])
        nn.init.constant_(last.bias, _START)

    def forward(self, points: torch.Tensor) -> torch.Tensor:
        """Evaluate the field at points.

        Parameters
        ----------
        points : tensor of float32, shape (n, 3)
            Coordinates in [-1, 1].

        Returns
        -------
        tensor of float32, shape (n,)
            Values in (0, 1).
        """
        encoded = encode(points, self.octaves)
        hidden = self.first(encoded)
        if self.second is not None:
            hidden = self.second(torch.cat([hidden.relu(), encoded], dim=1))
        return hidden.sigmoid().squeeze(1)


class ResidualFlow(nn.Module):
    """Likelihood of a residual, given the noise-free intensity: radial layers on top of a normal distribution.

    From the residual z, ``z <- slope * z``, then for each layer ``z <- z + beta (z - z0) / (alpha + |z - z0|)``
    (Rezende and Mohamed, 2015), invertible for ``beta > -alpha``; the z that results is normal. All parameters, slope,
    alpha, beta and z0, follow from the intensity by a small perceptron.

    Parameters
    ----------
    layers : int
        Number of radial layers.
    width : int
        Units of the perceptron's hidden layer.
    scale : float
        Standard deviation of the residual at the start, in units of intensity.
    """

    def __init__(self, layers: int, width: int, scale: float) -> None:
        super().__init__()
        self.layers, self.start = layers, -math.log(scale)
        self.condition = perceptron([1, width, 1 + 3 * layers], nn.SiLU)
        # At the start the residual is normal with the standard deviation `scale`, whatever the intensity.
        last = cast(nn.Linear, self.condition[-1])
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, residual: torch.Tensor, intensity: torch.Tensor) -> torch.Tensor:
        """Negative log-likelihood of each residual.

        Parameters
        ----------
        residual, intensity : tensor of float32, shape (n,)
            Residual of each pixel's intensity, and the noise-free intensity itself.

        Returns
        -------
        tensor of float32, shape (n,)
        """
        parameters = self.condition(intensity[:, None])
        log_slope = self.start + parameters[:, 0]
        z = residual * log_slope.exp()
        for layer in range(self.layers):
            alpha, beta, centre = parameters[:, 1 + 3 * layer : 4 + 3 * layer].unbind(1)
            alpha = nn.functional.softplus(alpha + 0.5413)  # 1 at the start
            beta = nn.functional.softplus(beta + 0.5413) - alpha  # above -alpha, so that the layer is invertible
            away = z - centre
            h = 1 / (alpha + away.abs())
            # The logarithm of the layer's derivative, which is 1 + beta h - beta h^2 |z - z0|.
            log_slope = log_slope + torch.log1p(beta * h - beta * h * h * away.abs())
            z = z + beta * h * away
        # Minus the logarithm of a normal density at z times the slope of z by the residual.
        return 0.5 * z * z + 0.5 * math.log(2 * math.pi) - log_slope
