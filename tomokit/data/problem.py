"""The data term that a method fits: projections, weights and geometry; and its sizes alone.

Inside, arrays put the tilt axis last: projections are ``[tilt, u, y]`` and volumes ``[x, z, y]``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tomokit.data.noise import noise_level
from tomokit.data.transfer_model import TransferModel
from tomokit.errors import InputError
from tomokit.geometry import TiltGeometry


@dataclass(frozen=True)
class Problem:
    """The data term that a method fits: projections, weights and geometry.

    Attributes
    ----------
    projections : ndarray of float32, shape (n_views, n_u, n_y)
        Projections ``p`` after linearization; each is a line integral of density over pixels, times ``geometry.kappa``.
    mask : ndarray of float32 or None, shape (n_views, n_u, n_y)
        Weights ``m``: 1 where a pixel counts, 0 where it carries no weight; None if all count.
    geometry : TiltGeometry
        The geometry of exactly these views.
    thickness_px : int
        Extent of the volume along z, in voxels of one detector pixel.
    fit_offsets : bool
        Whether the additive offset ``b_t`` of each view is solved for, or held at 0.
    seed : int
        Seed of every random choice.
    backend : str
        ``"cpu"``, ``"cuda"`` or ``"reference"``; never ``"auto"``.
    transfer : TransferModel or None
        Contrast transfer that acts on the line integrals of each view before the offset is added; None for none.
    whole : Problem or None
        The problem that this one has some of the views of, such as half of them; None if it stands alone. What is
        measured of data or follows from the range of tilts is then the whole's, so that its parts are solved alike.

    Raises
    ------
    InputError
        If shapes disagree or the thickness is not positive.
    """

    projections: NDArray[np.float32]
    mask: NDArray[np.float32] | None
    geometry: TiltGeometry
    thickness_px: int
    fit_offsets: bool = False
    seed: int = 0
    backend: str = "cpu"
    transfer: TransferModel | None = None
    whole: Problem | None = None

    def __post_init__(self) -> None:
        expected = (self.geometry.n_views, self.geometry.n_u, self.geometry.n_v)
        if self.projections.shape != expected:
            raise InputError(f"projections of shape {self.projections.shape}, geometry of {expected}")
        if self.mask is not None and self.mask.shape != expected:
            raise InputError(f"mask of shape {self.mask.shape}, projections of {expected}")
        if self.thickness_px < 1:
            raise InputError(f"thickness of {self.thickness_px} voxels", remedy="give --thickness of at least 1")

    def part(self, views: ArrayLike) -> Problem:
        """Take some of the views, to be solved by the scales of all.

        Parameters
        ----------
        views : array_like of int, shape (n_selected,)
            Their indices from 0.

        Returns
        -------
        Problem
            Its `whole` is this problem.
        """
        index = np.asarray(views, np.intp)
        return replace(
            self,
            projections=self.projections[index],
            mask=None if self.mask is None else self.mask[index],
            geometry=self.geometry.select(index),
            transfer=None if self.transfer is None else self.transfer.select(index),
            whole=self,
        )

    @property
    def scaled_by(self) -> Problem:
        """The problem that scales are measured of: the whole, where this is a part of one."""
        return self if self.whole is None else self.whole

    @property
    def share(self) -> float:
        """Views over those of the whole: a weight against a sum over views is less by as much in a part."""
        return self.geometry.n_views / self.scaled_by.geometry.n_views

    @cached_property
    def empty_loss(self) -> float:
        """Data term ``sum m (P - p)^2 / sum m`` of a density of zero, offsets fitted where they are."""
        squares, weight = 0.0, 0.0
        for view, projection in enumerate(self.projections):
            used = projection.ravel() if self.mask is None else projection[self.mask[view] > 0]
            values = used.astype(np.float64)
            # Of one value in a view, the weight of the view, where it is not 0.
            of_view = 1.0 if self.mask is None or not used.size else float(self.mask[view].max())
            deviations = (values - values.mean()) if self.fit_offsets and used.size else values
            squares += of_view * float(np.sum(deviations**2))
            weight += of_view * used.size
        return squares / max(weight, 1.0)

    @cached_property
    def noise_level(self) -> float:
        """Standard deviation of the projections' noise (:mod:`tomokit.data.noise`), estimated once, in seconds."""
        if self.whole is not None:
            return self.whole.noise_level
        return noise_level(self.projections, self.mask)


@dataclass(frozen=True)
class ProblemShape:
    """The sizes of a problem, known before its arrays are read.

    Attributes
    ----------
    n_views, n_u, n_y : int
        Numbers of views, detector columns (x) and detector rows (y).
    thickness_px : int
        Extent of the volume along z, in voxels of one detector pixel.
    highest_tilt_deg : float
        Largest tilt, either way, in degrees.
    fit_offsets : bool
        Whether offsets will be fitted.
    relative_noise : float or None
        Standard deviation of the noise over the range of the projections without it; None where it is not measured.
    """

    n_views: int
    n_u: int
    n_y: int
    thickness_px: int
    highest_tilt_deg: float = 60.0
    fit_offsets: bool = False
    relative_noise: float | None = None

    @classmethod
    def of(cls, problem: Problem) -> ProblemShape:
        """Read off the sizes of a problem, of a part with the tilts of its whole; its noise is not measured.

        Parameters
        ----------
        problem : Problem

        Returns
        -------
        ProblemShape
        """
        geometry = problem.geometry
        highest = float(np.abs(problem.scaled_by.geometry.tilt_deg).max())
        return cls(geometry.n_views, geometry.n_u, geometry.n_v, problem.thickness_px, highest, problem.fit_offsets)

    @property
    def volume_bytes(self) -> int:
        """Bytes of one float32 volume without a margin."""
        return 4 * self.n_u * self.n_y * self.thickness_px

    @property
    def stack_bytes(self) -> int:
        """Bytes of one float32 stack of projections."""
        return 4 * self.n_views * self.n_u * self.n_y
