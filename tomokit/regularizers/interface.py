"""The interface of regularizers: penalties on a field over leaves, each with its own gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from tomokit.octree import Forest
from tomokit.octree.faces import Faces, shared_faces

if TYPE_CHECKING:
    from tomokit.gpu.device import Device


class RegularizerOptions(Protocol):
    """The options that a fit asks of every regularizer; each one's class of options has its own beside them.

    Attributes
    ----------
    weight : float
        Factor of the penalty in the loss; 0 switches it off.
    every : int
        Steps from one evaluation to the next.
    space : str
        ``"rho"`` if densities are penalized, ``"raw"`` for raw values.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def weight(self) -> float:
        """Factor of the penalty in the loss."""
        ...

    @property
    def every(self) -> int:
        """Steps from one evaluation to the next."""
        ...

    @property
    def space(self) -> str:
        """Whether densities (``"rho"``) or raw values (``"raw"``) are penalized."""
        ...


EVERY_HELP = (
    "Evaluated once in so many steps, with its weight raised to match. Raise it to 2 or 4 if the fit is "
    "too slow; more makes the density rougher between."
)
"""What the option `every` does, which the built-in regularizers have in common."""


@dataclass
class Field:
    """A field on the leaves of a forest, as it is given to a regularizer.

    Attributes
    ----------
    forest : Forest
        The leaves: their corners, sizes and spacings in detector pixels.
    values : ndarray of float32 or float64, shape (n_leaves, n, n, n)
        ``[leaf, x, z, y]``: densities rho, or the raw values v before the activation, by the regularizer's ``space``.
        Where `device` is given, an array on it, always of float32.
    inside : ndarray of bool, shape (n_leaves,)
        Leaves that touch the region of interest.
    rng : numpy.random.Generator
        The only source of randomness; drawn from in the same way whatever the values are.
    step : int
        Optimizer steps taken so far.
    device : Device or None
        Where the values lie, which is then the current device; None for the host. Everything else of a field is on the
        host in either case.
    """

    forest: Forest
    values: NDArray[np.floating]
    inside: NDArray[np.bool_]
    rng: np.random.Generator
    step: int = 0
    device: Device | None = None

    @property
    def xp(self) -> Any:
        """The module that makes arrays where the values lie: ``numpy``, or ``cupy``."""
        return np if self.device is None else self.device.xp

    @property
    def faces(self) -> Faces:
        """All pairs of leaves that share at least a piece of a face, found once for each forest."""
        return shared_faces(self.forest)


@runtime_checkable
class Regularizer(Protocol):
    """A penalty, as registered by the hook ``tomokit_register_regularizers``.

    Attributes
    ----------
    name : str
        What a user gives in ``--set regularizers.NAME.option=...``.
    summary : str
        One line for ``tomokit plugins list``.
    Options : type
        A frozen dataclass of options with at least ``weight`` (0 switches it off), ``every`` (evaluated every so many
        steps, with its weight scaled to match) and ``space`` (``"rho"`` or ``"raw"``).

    What it may offer beyond this is declared by runtime protocols: :class:`RunsOnGpu`, :class:`CountsGpuBytes`,
    :class:`HasConvexForm` and :class:`LooksUpTables` here, :class:`tomokit.regularizers.fusion.Fusable`, and
    :class:`tomokit.regularizers.cuda.interface.FusableOnGpu`.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    Options: ClassVar[type]

    def __init__(self, options: Any) -> None:
        """Make the regularizer with its options."""
        ...

    def value_and_gradient(self, field: Field, gradient: NDArray[np.floating], scale: float) -> float:
        """Compute the unweighted penalty, and add its gradient times `scale` to `gradient`, shaped like the values.

        This is all that a regularizer needs. A fit takes a fused term instead where one is offered
        (:mod:`tomokit.regularizers.fusion`), with the same result.

        On a device the gradient is an array there, and nothing should be fetched from it: a fit launches its steps
        without waiting for them. The value may then be an array of no axes on the device. Random numbers are drawn on
        the host, as on the CPU, so that both backends draw alike.

        Parameters
        ----------
        field : Field
            Not to be changed.
        gradient : ndarray of float32 or float64, shape (n_leaves, n, n, n)
            Of the values' type; added to, since it may hold what other regularizers left.
        scale : float
            The weight, times ``every`` where the regularizer is not evaluated at each step.

        Returns
        -------
        float, or an array of no axes on the field's device
            Not a number if a value is not finite.
        """
        ...


@runtime_checkable
class RunsOnGpu(Protocol):
    """A regularizer that says whether it can be evaluated on a GPU; one that does not say so cannot."""

    def cuda_unsupported_reason(self, options: Any) -> str | None:
        """Why ``value_and_gradient`` does not take fields whose ``device`` is given.

        Parameters
        ----------
        options : Options
            Its own.

        Returns
        -------
        str or None
            A short clause; None if it takes them.
        """
        ...


@runtime_checkable
class CountsGpuBytes(Protocol):
    """A regularizer that says how much memory it takes on a GPU; for others twice the field's size is counted."""

    def cuda_bytes(self, options: Any, n_leaves: int, n: int) -> int:
        """Most bytes that the regularizer holds on the device beyond values and gradient.

        Parameters
        ----------
        options : Options
            Its own.
        n_leaves, n : int
            Leaves of the forest, and vertices along a leaf's edge.

        Returns
        -------
        int
            Bytes.
        """
        ...


@runtime_checkable
class LooksUpTables(Protocol):
    """A regularizer that may look its values up in tables, so that its gradient is a little off a derivative.

    Attributes
    ----------
    tabulated : bool
        Whether it does; the checks of :mod:`tomokit.testing` then allow for it.
    """

    tabulated: ClassVar[bool]


@runtime_checkable
class HasConvexForm(Protocol):
    """A regularizer that is not convex and has a convex form, with which a fit may begin."""

    def convex_form(self) -> Any:
        """The options of the convex form.

        Returns
        -------
        Options
            The regularizer's own, changed where need be.
        """
        ...


def is_own(regularizer: Regularizer, capability: str) -> bool:
    """Whether a capability speaks for a regularizer's present ``value_and_gradient``.

    A class that is derived from another one and has its own ``value_and_gradient`` inherits capabilities that know
    nothing of it: what is fused, or has kernels, would be the base's penalty.

    Parameters
    ----------
    regularizer : Regularizer
    capability : str
        Name of a method that takes the place of ``value_and_gradient``.

    Returns
    -------
    bool
        Whether the class that has the method is the one that has ``value_and_gradient``, or is derived from it.
    """
    classes = type(regularizer).__mro__

    def depth(method: str) -> int:
        # Place of the first class, from the most derived one, that defines the method itself.
        return next((number for number, cls in enumerate(classes) if method in vars(cls)), len(classes))

    return depth(capability) <= depth("value_and_gradient")
