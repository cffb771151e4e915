"""The optimizer Adam (Kingma and Ba, 2015), whose state is named tensors that a run can save."""

from __future__ import annotations

from collections.abc import Mapping

import torch


class Adam:
    """Adam over named parameters, each with its own learning rate.

    Parameters
    ----------
    parameters : mapping of str to tensor
        Tensors that require gradients, by name.
    rates : mapping of str to float
        Learning rates, by the same names.

    Attributes
    ----------
    count : int
        Steps done so far.
    mean, square : dict of str to tensor
        Running means of each parameter's gradient and of its square.
    """

    def __init__(self, parameters: Mapping[str, torch.Tensor], rates: Mapping[str, float]) -> None:
        self.parameters, self.rates = dict(parameters), dict(rates)
        self.count = 0
        self.mean = {name: torch.zeros_like(tensor) for name, tensor in self.parameters.items()}
        self.square = {name: torch.zeros_like(tensor) for name, tensor in self.parameters.items()}

    @torch.no_grad()
    def step(self, factor: float = 1.0) -> None:
        """Change the parameters by one step, and clear their gradients.

        Parameters
        ----------
        factor : float
            What the learning rates are multiplied by.
        """
        self.count += 1
        # Both means start from zero: divided by this they are means over the steps so far.
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
