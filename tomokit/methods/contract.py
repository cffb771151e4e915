"""What a reconstruction method is: a class that turns a problem into a run, one epoch at a time.

Every method, ours or a plugin's, is driven through this contract, so that progress, held-out scores,
checkpoints and memory checks are written once. Inside, arrays put the tilt axis last:
projections are ``[tilt, u, y]`` and volumes ``[x, z, y]``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from tomokit.data.noise import noise_level
from tomokit.errors import InputError
from tomokit.geometry import TiltGeometry


@dataclass(frozen=True)
class Problem:
    """The data term that a method fits.

    Attributes
    ----------
    projections : ndarray of float32, shape (n_views, n_u, n_y)
        Transformed projections ``p``; a line integral of density over pixels, times ``geometry.kappa``.
    mask : ndarray of float32 or None, shape (n_views, n_u, n_y)
        Weights ``m``: 1 where a pixel counts, 0 where it carries no weight; None if all count.
    geometry : TiltGeometry
        The geometry of exactly these views.
    thickness_px : int
        Extent of the volume along z, in voxels of one detector pixel.
    fit_exposure : bool
        Whether the additive exposure ``b_t`` of each view is solved for, or held at 0.
    seed : int
        Seed of every random choice.
    backend : str
        ``"cpu"``, ``"cuda"`` or ``"reference"``; never ``"auto"``.

    Raises
    ------
    InputError
        If shapes disagree or the thickness is not positive.
    """

    projections: NDArray[np.float32]
    mask: NDArray[np.float32] | None
    geometry: TiltGeometry
    thickness_px: int
    fit_exposure: bool = False
    seed: int = 0
    backend: str = "cpu"

    def __post_init__(self) -> None:
        expected = (self.geometry.n_views, self.geometry.n_u, self.geometry.n_v)
        if self.projections.shape != expected:
            raise InputError(f"projections of shape {self.projections.shape}, geometry of {expected}")
        if self.mask is not None and self.mask.shape != expected:
            raise InputError(f"mask of shape {self.mask.shape}, projections of {expected}")
        if self.thickness_px < 1:
            raise InputError(f"thickness of {self.thickness_px} voxels", remedy="give --thickness of at least 1")

    @cached_property
    def noise_level(self) -> float:
        """Standard deviation of the projections' noise (:mod:`tomokit.data.noise`); it takes seconds, once."""
        return noise_level(self.projections, self.mask)


class Run(Protocol):
    """A reconstruction under way. Deterministic: the same problem and options give the same values."""

    @property
    def epochs(self) -> int:
        """Epochs that the whole run takes."""
        ...

    @property
    def epoch(self) -> int:
        """Epochs finished so far."""
        ...

    def advance(self) -> dict[str, float]:
        """Do one epoch. Returns the loss terms by name; ``"loss"`` is their total, ``"data"`` the data term."""
        ...

    def predict(self, geometry: TiltGeometry) -> NDArray[np.float32]:
        """Projections ``[tilt, u, y]`` of the present density in a geometry of the same detector, without exposure."""
        ...

    def volume(self) -> NDArray[np.float32]:
        """The present density ``[x, z, y]``, shape ``(n_u, thickness_px, n_v)``, such that
        ``kappa * line integral in pixels + b_t`` predicts the projections."""
        ...

    def exposure(self) -> NDArray[np.float32]:
        """The additive exposure ``b_t`` of each view, shape (n_views,)."""
        ...

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Every array that is needed to continue from here, by name."""
        ...

    def restore(self, epoch: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Continue from what :meth:`arrays` returned after `epoch` epochs."""
        ...


@runtime_checkable
class Method(Protocol):
    """A reconstruction method, as registered by the hook ``tomokit_register_methods``.

    Attributes
    ----------
    name : str
        What a user gives to ``--method``.
    summary : str
        One line for ``tomokit plugins list``.
    Options : type
        A frozen dataclass of the method's options, each field made with :func:`tomokit.plugin.options.option`.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    Options: ClassVar[type]

    def start(self, problem: Problem, options: Any) -> Run:
        """Set up a run. Nothing is fitted before the first :meth:`Run.advance`."""
        ...

    def estimate_bytes(self, problem_shape: ProblemShape, options: Any) -> int:
        """Peak bytes that a run will allocate beyond the problem itself.

        A method whose sizes follow from the data may also have ``estimate_bytes_of(problem, options)``, which is asked
        when they have been read; here it says what is sure before.
        """
        ...


@dataclass(frozen=True)
class ProblemShape:
    """The sizes of a problem, known before its arrays are read.

    Attributes
    ----------
    n_views, n_u, n_y : int
        Views, detector columns and detector rows.
    thickness_px : int
        Extent along z in voxels.
    highest_tilt_deg : float
        Largest tilt, either way, in degrees.
    fit_exposure : bool
        Whether exposures will be fitted.
    relative_noise : float or None
        Noise over the range of the projections without it; None where nobody has measured it.
    """

    n_views: int
    n_u: int
    n_y: int
    thickness_px: int
    highest_tilt_deg: float = 60.0
    fit_exposure: bool = False
    relative_noise: float | None = None

    @classmethod
    def of(cls, problem: Problem) -> ProblemShape:
        """The sizes of a problem; its noise is not measured."""
        geometry = problem.geometry
        highest = float(np.abs(geometry.tilt_deg).max())
        return cls(geometry.n_views, geometry.n_u, geometry.n_v, problem.thickness_px, highest, problem.fit_exposure)

    @property
    def volume_bytes(self) -> int:
        """Bytes of one float32 volume."""
        return 4 * self.n_u * self.n_y * self.thickness_px

    @property
    def stack_bytes(self) -> int:
        """Bytes of one float32 stack."""
        return 4 * self.n_views * self.n_u * self.n_y
