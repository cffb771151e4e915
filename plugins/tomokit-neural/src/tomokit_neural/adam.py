"""Adam (Kingma and Ba, 2015) with its state in plain sight, to be saved by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch


class Adam:
    """Adam over named parameters, each with its own learning rate.

    Parameters
    ----------
    parameters : mapping
        Tensors that require gradients, by name.
    rates : mapping
        Learning rates, by the same names.
    """

    def __init__(self, parameters: Mapping[str, Any], rates: Mapping[str, float]) -> None:
        self.parameters, self.rates = dict(parameters), dict(rates)
        self.count = 0
        self.mean = {name: torch.zeros_like(tensor) for name, tensor in self.parameters.items()}
        self.square = {name: torch.zeros_like(tensor) for name, tensor in self.parameters.items()}

    @torch.no_grad()
    def step(self, factor: float = 1.0) -> None:
        """One step, at the learning rates times `factor`; gradients are used up."""
        self.count += 1
        unbias_mean, unbias_square = 1 - 0.9**self.count, 1 - 0.999**self.count
        for name, tensor in self.parameters.items():
            if tensor.grad is None:
                continue
            mean, square = self.mean[name], self.square[name]
            mean.mul_(0.9).add_(tensor.grad, alpha=0.1)
            square.mul_(0.999).addcmul_(tensor.grad, tensor.grad, value=0.001)
            size = square.div(unbias_square).sqrt_().add_(1e-8)
            tensor.addcdiv_(mean, size, value=-factor * self.rates[name] / unbias_mean)
            tensor.grad = None
