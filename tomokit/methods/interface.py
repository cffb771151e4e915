"""What a reconstruction method is: a class that turns a problem into a run, one epoch at a time.

Every method, ours or a plugin's, is driven through this contract, so that progress, held-out scores,
checkpoints and memory checks are written once. Inside, arrays put the tilt axis last:
projections are ``[tilt, u, y]`` and volumes ``[x, z, y]``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from tomokit.data.problem import Problem, ProblemShape
from tomokit.geometry import TiltGeometry


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
        """Projections ``[tilt, u, y]`` of the present density in a geometry of the same detector, without offset."""
        ...

    def volume(self) -> NDArray[np.float32]:
        """The present density ``[x, z, y]``, shape ``(n_u, thickness_px, n_v)``, such that
        ``kappa * line integral in pixels + b_t`` predicts the projections."""
        ...

    def offsets(self) -> NDArray[np.float32]:
        """The additive offset ``b_t`` of each view, shape (n_views,)."""
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
