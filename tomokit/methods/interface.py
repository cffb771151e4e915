"""The interface of reconstruction methods: classes that turn a problem into a run, which goes epoch by epoch.

Every method, ours or a plugin's, is driven through this interface, so that progress, held-out scores, checkpoints and
memory checks are written once. What a method may offer beyond it is in :mod:`tomokit.methods.capabilities`. Inside,
arrays put the tilt axis last: projections are ``[tilt, u, y]`` and volumes ``[x, z, y]``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from tomokit.data.problem import Problem, ProblemShape
from tomokit.geometry import TiltGeometry


class Run(Protocol):
    """A reconstruction under way, deterministic: the same problem and options give the same values."""

    @property
    def epochs(self) -> int:
        """Number of epochs that the whole run takes."""
        ...

    @property
    def epoch(self) -> int:
        """Number of epochs finished so far."""
        ...

    def advance(self) -> dict[str, float]:
        """Compute one epoch: a pass over all views, or an iteration with all of them.

        Returns
        -------
        dict
            The terms of the loss by name; ``"loss"`` is their total, ``"data"`` the data term.

        Raises
        ------
        EpochPaused
            If the run can be paused (:class:`tomokit.methods.capabilities.Pausable`) and was asked to.
        """
        ...

    def predict(self, geometry: TiltGeometry) -> NDArray[np.float32]:
        """Project the present density, for scores on views that were not fitted.

        Parameters
        ----------
        geometry : TiltGeometry
            Views of the same detector, fitted or not.

        Returns
        -------
        ndarray of float32, shape (n_views, n_u, n_v)
            ``[tilt, u, y]``, in units of projection, without offsets.
        """
        ...

    def volume(self) -> NDArray[np.float32]:
        """The present density in voxels of one detector pixel.

        Returns
        -------
        ndarray of float32, shape (n_u, thickness_px, n_v)
            ``[x, z, y]``, such that ``kappa * line integral in pixels + b_t`` predicts the projections.
        """
        ...

    def offsets(self) -> NDArray[np.float32]:
        """The additive intensity offset ``b_t`` of each view.

        Returns
        -------
        ndarray of float32, shape (n_views,)
            In units of projection; zeros where offsets are not fitted.
        """
        ...

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Every array that is needed to continue from here, for a state.

        Returns
        -------
        dict
            Arrays by name; the same names in every epoch.
        """
        ...

    def restore(self, epoch: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Continue from the arrays of a state, to the same result as if the run had never been interrupted.

        Parameters
        ----------
        epoch : int
            Epochs that were finished then.
        arrays : mapping
            What :meth:`arrays` returned.

        Raises
        ------
        InputError
            If an array is missing or does not belong to such a run, which is then as it was.
        """
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
        """Set up a run; nothing is fitted before the first :meth:`Run.advance`.

        Parameters
        ----------
        problem : Problem
        options : Options
            The method's own.

        Returns
        -------
        Run
        """
        ...

    def estimate_bytes(self, problem_shape: ProblemShape, options: Any) -> int:
        """Peak bytes that a run will allocate beyond the problem itself, from sizes alone.

        Parameters
        ----------
        problem_shape : ProblemShape
        options : Options
            The method's own.

        Returns
        -------
        int
            Bytes. A method whose memory follows from the data says here what is sure before they are read
            (:class:`tomokit.methods.capabilities.EstimatesBytesOfData`).
        """
        ...
