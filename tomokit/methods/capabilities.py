"""Capabilities that methods and runs may offer beyond their interface, declared by runtime protocols.

Each is optional. Without :class:`RunsOnGpu` a method is computed on the CPU; without :class:`EstimatesBytesOfData`
its memory is estimated from sizes alone; without :class:`Pausable` a run is stopped and saved between epochs; without
:class:`ForeseesCosts` all epochs are taken to last as long as each other; without :class:`Samplable` a state holds the
volume beside the run's arrays; without :class:`ResolvesParameters` the provenance has the options as they were given,
and no more; without :class:`WeighsViews` views cannot be weighed against each other; without
:class:`ModelsTransfer` contrast transfer has no place in the prediction; without
:class:`HasStructure` and :class:`StartsOnStructure` a method is taken to have one structure for all parts of a problem;
without :class:`ListsKernels` machine code is compiled when it is called and not before; without
:class:`SuggestsTuning` a search for settings has to be told by the user what to vary; without
:class:`BeginsLongerRuns` a shorter run is taken to go another way than a longer one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from numpy.typing import NDArray

from tomokit.data.problem import Problem
from tomokit.methods.interface import Run


@runtime_checkable
class RunsOnGpu(Protocol):
    """A method that says whether it can run on a GPU; one without this capability cannot."""

    def cuda_unsupported_reason(self, options: Any) -> str | None:
        """Why the backend ``"cuda"`` cannot be used with these options.

        Parameters
        ----------
        options : Options
            The method's own.

        Returns
        -------
        str or None
            A short clause; None if it can.
        """
        ...


@runtime_checkable
class EstimatesBytesOfData(Protocol):
    """A method whose memory depends on the data themselves and not on their sizes alone."""

    def estimate_bytes_of(self, problem: Problem, options: Any) -> int:
        """Peak bytes that a run will allocate beyond the problem itself, when the data have been read.

        Parameters
        ----------
        problem : Problem
        options : Options
            The method's own.

        Returns
        -------
        int
            Bytes. What is sure before the data are read is ``estimate_bytes``'s to say.
        """
        ...


@runtime_checkable
class Pausable(Protocol):
    """A run whose epochs have steps, between which it can be stopped and saved.

    Attributes
    ----------
    pause : callable
        Asked after every step but an epoch's last; if it says True, ``advance`` raises
        :class:`tomokit.methods.pausing.EpochPaused`.
    """

    pause: Callable[[], bool]


@runtime_checkable
class ForeseesCosts(Protocol):
    """A run whose epochs do not all take as long, and that knows by how much."""

    def epoch_costs(self) -> Sequence[float]:
        """What each epoch of the whole run takes, relative to the others.

        Returns
        -------
        sequence of float
            One for each epoch, above zero; only for telling how long a run will take.
        """
        ...


@runtime_checkable
class Samplable(Protocol):
    """A run that describes how its density follows from its arrays, so that a state can be sampled without the run."""

    def stored_density(self) -> dict[str, Any]:
        """Describe how the density follows from the run's arrays.

        Returns
        -------
        dict
            The recipe, JSON-serializable, as :mod:`tomokit.state.density` reads it.
        """
        ...


@runtime_checkable
class ResolvesParameters(Protocol):
    """A run that reports its resolved parameters: values of options that were left for it to choose."""

    def resolved_parameters(self) -> dict[str, Any]:
        """Values that follow from the data and the options.

        Returns
        -------
        dict
            JSON-serializable, for the provenance.
        """
        ...


@runtime_checkable
class WeighsViews(Protocol):
    """A method in whose data term a view counts by the mask's value, which need not be 0 or 1.

    Attributes
    ----------
    weighs_views : bool
        True. A method whose steps are normalized by the mask of their own views has no such term.
    """

    weighs_views: bool


@runtime_checkable
class ModelsTransfer(Protocol):
    """A method that predicts views through the contrast transfer of its problem, on the host.

    Attributes
    ----------
    models_transfer : bool
        True. Its runs apply :attr:`tomokit.data.problem.Problem.transfer` to line integrals, and its transpose to
        residuals; what they predict for other views has none.
    """

    models_transfer: bool


@runtime_checkable
class HasStructure(Protocol):
    """A run that adapts the structure of its density to the data, such as the leaves of an octree."""

    def structure(self) -> dict[str, NDArray[Any]]:
        """Give the present structure, as it would be saved.

        Returns
        -------
        dict
            Small arrays by name.
        """
        ...


@runtime_checkable
class StartsOnStructure(Protocol):
    """A method whose runs can take the structure that another run has come to, in place of adapting one of their own.

    Two halves of one series are fitted so: a structure that each half chose by its own noise would be no common one.
    """

    def start_on(self, problem: Problem, options: Any, structure: Mapping[str, NDArray[Any]]) -> Run:
        """Set up a run as :meth:`tomokit.methods.interface.Method.start` does.

        Parameters
        ----------
        problem : Problem
        options : Options
            The method's own.
        structure : mapping
            What :meth:`HasStructure.structure` of a run of the same sizes and options gave at its end.

        Returns
        -------
        Run
        """
        ...


@runtime_checkable
class ListsKernels(Protocol):
    """A method that lists the kernels that it will call, so that they are compiled while the data are read."""

    def list_of_kernels(self, options: Any, fit_offsets: bool) -> str:
        """Name a list of the kernels that a run on the CPU calls.

        Parameters
        ----------
        options : Options
            The method's own.
        fit_offsets : bool
            Whether an offset is fitted for each view; before the series is read this may be a guess.

        Returns
        -------
        str
            ``MODULE:FUNCTION``; the function returns the list (see :mod:`tomokit.kernels.ahead`).
        """
        ...


@runtime_checkable
class SuggestsTuning(Protocol):
    """A method that says which of its options are worth a search on a series, and between which values."""

    def worth_tuning(self, problem: Problem, options: Any) -> Mapping[str, tuple[float, float]]:
        """Options whose best value differs between series.

        Parameters
        ----------
        problem : Problem
            What is fitted.
        options : Options
            The method's own, as the search begins with them.

        Returns
        -------
        mapping of str to (float, float)
            Lowest and highest value by the option's name, as ``--set`` has it, both above zero, to be searched by
            ratio. Only options that have a say for this problem.
        """
        ...


@runtime_checkable
class BeginsLongerRuns(Protocol):
    """A method of which a run of k epochs is the first k epochs of any longer one with the same options.

    Attributes
    ----------
    epochs_are_a_prefix : bool
        True. A method with a schedule that follows the number of epochs cannot say so.
    """

    epochs_are_a_prefix: bool


TUNING_RATIO = 4.0
"""How far, by ratio, a search goes to either side of a value where nothing more is known."""


def around(value: float) -> tuple[float, float]:
    """The range of a search about a value.

    Parameters
    ----------
    value : float
        Above zero.

    Returns
    -------
    low, high : float
    """
    return value / TUNING_RATIO, value * TUNING_RATIO
