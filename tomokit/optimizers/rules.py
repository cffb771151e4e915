"""The built-in optimizers: RMSprop (the publication's), Adam, and stochastic gradient descent with momentum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tomokit.optimizers.block import BlockOptimizer
from tomokit.optimizers.codes import ADAM, RMSPROP, SGD
from tomokit.plugin.options import option

_ALMOST_ONE = 1.0 - 1e-9
_RATE_HELP = (
    "Learning rate: about how far a density moves in a step, in the fit's unit. Lower it if the loss "
    "goes up and down, raise it if it still falls at the end."
)
_EPS_HELP = (
    "Keeps steps finite where gradients vanish. Leave it: octree fits take 1e-15, since their gradients are about 1e-9."
)


@dataclass(frozen=True)
class RmspropOptions:
    """Options of the RMSprop optimizer, :class:`Rmsprop`."""

    lr: float = option(0.01, _RATE_HELP, minimum=0.0)
    alpha: float = option(
        0.99,
        "How long past gradients set the length of a step: 0.99 looks back some hundred steps. Leave it; "
        "raise it if single views throw the fit off.",
        minimum=0.0,
        maximum=_ALMOST_ONE,
    )
    eps: float = option(1e-8, _EPS_HELP, minimum=1e-30)


class Rmsprop(BlockOptimizer):
    """RMSprop: each step is the gradient over the root of its running mean square (Tieleman and Hinton, 2012).

    The formula is at the head of :mod:`tomokit.optimizers.kernel`.

    Parameters
    ----------
    options : RmspropOptions
    """

    name: ClassVar[str] = "rmsprop"
    summary: ClassVar[str] = "gradient over the root of its running mean square"
    Options: ClassVar[type] = RmspropOptions
    kind: ClassVar[int] = RMSPROP
    second = "mean_square"

    def __init__(self, options: RmspropOptions) -> None:
        self.options = options

    def hyper(self, rate: float = 1.0) -> NDArray[np.float64]:
        """Lay out the hyper-parameters of RMSprop for :func:`tomokit.optimizers.kernel.optimizer_block`.

        Parameters
        ----------
        rate : float
            Factor on the learning rate.

        Returns
        -------
        ndarray of float64, shape (4,)
            ``[learning rate, 0, alpha, eps]``.
        """
        return np.array([self.options.lr * rate, 0.0, self.options.alpha, self.options.eps])


@dataclass(frozen=True)
class AdamOptions:
    """Options of the Adam optimizer, :class:`Adam`."""

    lr: float = option(0.01, _RATE_HELP, minimum=0.0)
    beta1: float = option(
        0.9,
        "How long past gradients set the direction of a step: 0.9 looks back some ten steps. Raise it for "
        "very noisy views, lower it if the loss swings.",
        minimum=0.0,
        maximum=_ALMOST_ONE,
    )
    beta2: float = option(
        0.99,
        "How long past gradients set the length of a step: 0.99 looks back some hundred steps. Leave it "
        "unless a series has several hundred views, which a higher one covers.",
        minimum=0.0,
        maximum=_ALMOST_ONE,
    )
    eps: float = option(1e-8, _EPS_HELP, minimum=1e-30)


class Adam(BlockOptimizer):
    """Adam: momentum over the root of the mean square, both freed of their bias towards zero (Kingma and Ba, 2015).

    The formula is at the head of :mod:`tomokit.optimizers.kernel`.

    Parameters
    ----------
    options : AdamOptions
    """

    name: ClassVar[str] = "adam"
    summary: ClassVar[str] = "momentum over the root of the running mean square, both bias-corrected"
    Options: ClassVar[type] = AdamOptions
    kind: ClassVar[int] = ADAM
    first = "momentum"
    second = "mean_square"

    def __init__(self, options: AdamOptions) -> None:
        self.options = options

    def hyper(self, rate: float = 1.0) -> NDArray[np.float64]:
        """Lay out the hyper-parameters of Adam for :func:`tomokit.optimizers.kernel.optimizer_block`.

        Parameters
        ----------
        rate : float
            Factor on the learning rate.

        Returns
        -------
        ndarray of float64, shape (4,)
            ``[learning rate, beta 1, beta 2, eps]``.
        """
        return np.array([self.options.lr * rate, self.options.beta1, self.options.beta2, self.options.eps])


@dataclass(frozen=True)
class SgdOptions:
    """Options of stochastic gradient descent with momentum, :class:`Sgd`."""

    lr: float = option(
        1.0,
        "Learning rate in units of value over gradient. Gradients of an octree fit are about 1e-9, so it has "
        "to be large (1e7) and found by trial: take adam unless you compare optimizers.",
        minimum=0.0,
    )
    momentum: float = option(
        0.9,
        "How much of the last step is kept for the next. Lower it if the loss swings, raise it if it falls slowly.",
        minimum=0.0,
        maximum=_ALMOST_ONE,
    )


class Sgd(BlockOptimizer):
    """Stochastic gradient descent with momentum: each step is a decaying sum of gradients.

    The formula is at the head of :mod:`tomokit.optimizers.kernel`.

    Parameters
    ----------
    options : SgdOptions
    """

    name: ClassVar[str] = "sgd"
    summary: ClassVar[str] = "stochastic gradient descent with momentum"
    Options: ClassVar[type] = SgdOptions
    kind: ClassVar[int] = SGD

    def __init__(self, options: SgdOptions) -> None:
        self.options = options
        self.first = "momentum" if options.momentum > 0 else None

    def hyper(self, rate: float = 1.0) -> NDArray[np.float64]:
        """Lay out the hyper-parameters of SGD for :func:`tomokit.optimizers.kernel.optimizer_block`.

        Parameters
        ----------
        rate : float
            Factor on the learning rate.

        Returns
        -------
        ndarray of float64, shape (4,)
            ``[learning rate, momentum, 0, 0]``.
        """
        return np.array([self.options.lr * rate, self.options.momentum, 0.0, 0.0])
