"""Fits of settings to the views of a fold, scored on the others after every epoch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tomokit.data.views import parse_hold_out
from tomokit.errors import OptionError
from tomokit.pipeline.computation import compute_with
from tomokit.pipeline.known_geometry import KnownGeometry, read_request_alignment
from tomokit.pipeline.opening import Opened, open_job
from tomokit.pipeline.plan import make_plan
from tomokit.pipeline.progress import Progress, Silent
from tomokit.pipeline.readers import Reader
from tomokit.pipeline.request import ReconstructionRequest
from tomokit.tuning.parameters import Values, lay_over

Curve = NDArray[np.float64]
"""A score after each epoch."""


@dataclass(frozen=True)
class Fit:
    """What a setting came to on one fold.

    Attributes
    ----------
    values : dict of str to float
        The setting: what differs from the options as given, by name.
    fold : int
        K of the views that were held out, those with ``index % N == K``.
    rings : list of float
        Mean ring correlation after each epoch; empty if the fit failed.
    correlation : list of float
        Correlation over pixels after each epoch.
    seconds : float
        Time of the fit.
    failure : str or None
        Why it failed, such as by a density that is not finite.
    """

    values: Values
    fold: int
    rings: list[float]
    correlation: list[float]
    seconds: float
    failure: str | None = None


def folds_of(hold_out: int | str, count: int) -> list[int]:
    """Choose the views that are held out in turn: the place that was asked for first, then its neighbours.

    Parameters
    ----------
    hold_out : int or str
        ``N`` or ``N:K``, as ``--hold-out`` has it.
    count : int
        How many folds.

    Returns
    -------
    list of int
        K of each fold; the last ones would hold out the outermost views.

    Raises
    ------
    OptionError
        If there are not so many.
    """
    every, first = parse_hold_out(hold_out)
    if not 1 <= count <= every:
        raise OptionError(
            f"{count} folds of {every}", field="--folds", remedy=f"give 1 to {every}, or another --hold-out"
        )
    steps = [0]
    for step in range(1, every):
        steps += [step, -step]
    return list(dict.fromkeys((first + step) % every for step in steps))[:count]


def middle_rows(request: ReconstructionRequest, reader: Reader, rows: int, warn: Callable[[str], None]) -> str | None:
    """Choose the rows that are fitted: some in the middle, along the tilt axis.

    Every row of the detector sees the specimen's slice of that row alone, so that fewer rows are less of the same work
    and not another one.

    Parameters
    ----------
    request : ReconstructionRequest
        The job.
    reader : Reader
        Reads the series.
    rows : int
        After binning; 0 for all.
    warn : callable
        Is given each doubt.

    Returns
    -------
    str or None
        ``A:B`` as ``--y`` has it; None for all, also where the request says itself what is reconstructed, or turns it.
    """
    if not rows or request.y or request.size or request.center:
        return request.y
    shape = reader.shape(request.stack)
    alignment = read_request_alignment(request, shape, warn)
    plan = make_plan(request, shape, KnownGeometry.of(request, reader, alignment))
    n_y = plan.shape.n_y
    if n_y <= rows or plan.rows != (0, n_y) or not plan.box.is_level(plan.shape.n_u):
        return None
    first = (n_y - rows) // 2 * request.bin
    return f"{first}:{first + rows * request.bin}"


class Trials:
    """Fits settings to a series, which is read once for each fold.

    Parameters
    ----------
    request : ReconstructionRequest
        The job: how the series is read, and the options that are as given.
    every : int
        N of the folds.
    reader : Reader
        Reads the series.
    progress : Progress
        Is told of each warning once.
    """

    def __init__(self, request: ReconstructionRequest, every: int, reader: Reader, progress: Progress) -> None:
        self._request, self._every, self._reader = request, every, reader
        self._progress = _Quiet(progress)
        self._opened: dict[int, Opened] = {}

    def opened(self, fold: int) -> Opened:
        """Read the series for a fold, if it has not been.

        Parameters
        ----------
        fold : int

        Returns
        -------
        Opened

        Raises
        ------
        TomokitError
            As of :func:`tomokit.pipeline.driver.reconstruct`.
        """
        if fold not in self._opened:
            request = replace(self._request, hold_out=f"{self._every}:{fold}")
            self._opened[fold] = open_job(request, self._reader, self._progress)
        return self._opened[fold]

    def fit(self, values: Values, fold: int) -> Fit:
        """Fit a setting to all views but those of a fold.

        Parameters
        ----------
        values : dict of str to float
        fold : int

        Returns
        -------
        Fit
            With the reason, where these values cannot be fitted.

        Raises
        ------
        OptionError
            If the settings as given cannot be fitted.
        TomokitError
            If it is not the values that are at fault.
        """
        opened = self.opened(fold)
        try:
            history = compute_with(opened, lay_over(opened.request.options, values), self._progress).history
            scores = [entry["held_out"] for entry in history]
            seconds = sum(entry["seconds"] for entry in history)
            rings = [score["mean_ring_correlation"] for score in scores]
            if None in rings:
                raise OptionError("the prediction of views that were not fitted is not finite")
        except OptionError as error:
            if not values:
                raise
            return Fit(values, fold, [], [], 0.0, str(error))
        return Fit(
            values,
            fold,
            [round(ring, 6) for ring in rings],
            [round(score["correlation"], 6) for score in scores],
            round(seconds, 2),
        )


class _Quiet(Silent):
    """Passes on each warning once, and nothing of single fits."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._told = progress, set[str]()

    def warning(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self._progress.warning(text)
