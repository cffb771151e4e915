"""A picture and a table of all settings that a search has tried."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from io import BytesIO, StringIO
from typing import Any

import numpy as np

from tomokit.tuning.parameters import Parameter
from tomokit.tuning.trials import Fit
from tomokit.tuning.verdict import Setting

_GIVEN, _CHOSEN, _OTHERS = "#999999", "#aa3344", "#1b3f73"


def as_csv(settings: Sequence[Setting], names: Sequence[str], given: Mapping[str, Any], folds: Sequence[int]) -> str:
    """Write a table with a line for each setting, in the order in which they were tried.

    Parameters
    ----------
    settings : sequence of Setting
    names : sequence of str
        The options that were varied.
    given : mapping of str to object
        Their values before tuning; None for one that follows from the data.
    folds : sequence of int
        K of each fold.

    Returns
    -------
    str
        CSV with a line of names; empty where there is no value.
    """
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    by_fold = [f"fold_{fold}" for fold in folds]
    writer.writerow([*names, "epochs", "mean_ring_correlation", *by_fold, "correlation", "seconds", "failure"])
    for setting in settings:
        values = [setting.values.get(name, given[name]) for name in names]
        by_fold_or_none: list[float | None] = [*setting.by_fold] or [None] * len(folds)
        scores = [setting.score, *by_fold_or_none, setting.correlation, setting.seconds]
        numbers = ["" if value is None else f"{value:.6g}" for value in (*values, setting.epochs or None, *scores)]
        writer.writerow([*numbers, setting.failure or ""])
    return text.getvalue()


def draw(
    settings: Sequence[Setting],
    parameters: Sequence[Parameter],
    given: Mapping[str, Any],
    curves: Mapping[str, Sequence[Fit]],
    chosen: Setting,
    title: str,
) -> bytes:
    """Draw the score over each option that was varied, and over the epochs.

    Parameters
    ----------
    settings : sequence of Setting
        The first is that of the options as given.
    parameters : sequence of Parameter
    given : mapping of str to object
        The values of their options before tuning; None for one that follows from the data.
    curves : mapping of str to sequence of Fit
        Fits by what they are, ``"as given"`` and ``"chosen"``, one for each fold.
    chosen : Setting
    title : str
        Headline.

    Returns
    -------
    bytes
        A PNG.
    """
    from matplotlib.figure import Figure

    panels = len(parameters) + 1
    columns = min(panels, 3)
    rows = -(-panels // columns)
    figure = Figure(figsize=(4.2 * columns, 3.5 * rows + 0.6), layout="constrained", dpi=110)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    scores = [setting.score for setting in settings]
    for axes, one in zip(grid, parameters, strict=False):
        places = [setting.values.get(one.name, given[one.name]) for setting in settings]
        drawn = [
            (float(x), float(y), setting)
            for x, y, setting in zip(places, scores, settings, strict=True)
            if x is not None and y is not None
        ]
        others = [(x, y) for x, y, setting in drawn if setting is not chosen and setting is not settings[0]]
        axes.plot(*np.array(others).reshape(-1, 2).T, "o", color=_OTHERS, alpha=0.55, ms=5)
        for x, y, setting in drawn:
            if setting is settings[0]:
                axes.plot(x, y, "s", color=_GIVEN, ms=9, mec="black", mew=0.8)
            if setting is chosen:
                axes.plot(x, y, "*", color=_CHOSEN, ms=15, mec="white", mew=0.6)
        axes.set_xlim(*_with_room(one, [x for x, _, _ in drawn]))
        if one.by_ratio:
            _log_axis(axes)
        axes.set_xlabel(one.name, parse_math=False)
        axes.set_ylabel("mean ring correlation")
        axes.grid(alpha=0.25)
    axes = grid[len(parameters)]
    for (name, fits), colour in zip(curves.items(), (_GIVEN, _CHOSEN), strict=True):
        for fit in fits:
            axes.plot(range(1, len(fit.rings) + 1), fit.rings, color=colour, lw=0.7, alpha=0.6)
        if fits:
            mean = np.mean([fit.rings for fit in fits], axis=0)
            axes.plot(range(1, len(mean) + 1), mean, color=colour, lw=2, label=name)
    axes.set_xlabel("epoch")
    axes.set_ylabel("mean ring correlation")
    axes.grid(alpha=0.25)
    for unused in grid[panels:]:
        unused.set_visible(False)
    handles = [
        axes.plot([], [], marker, color=colour, ms=size, mec=edge, mew=0.8, label=label)[0]
        for marker, colour, size, edge, label in (
            ("s", _GIVEN, 8, "black", "as given"),
            ("*", _CHOSEN, 13, "white", "chosen"),
            ("o", _OTHERS, 5, _OTHERS, "others"),
        )
    ]
    figure.suptitle(title.encode("utf-8", "replace").decode("utf-8"), fontsize=11, parse_math=False)
    note = "lines: epochs as given and as chosen, thin for each fold"
    figure.legend(handles=handles, fontsize=8.5, loc="outside lower center", ncols=3, frameon=False, title=note)
    stream = BytesIO()
    figure.savefig(stream, format="png")
    return stream.getvalue()


def _with_room(one: Parameter, places: Sequence[float]) -> tuple[float, float]:
    """The range of an axis: that of the parameter and all that was tried, with room at both ends."""
    low, high = min([one.low, *places]), max([one.high, *places])
    if one.by_ratio and low > 0:
        room = (high / low) ** 0.06
        return low / room, high * room
    room = 0.06 * (high - low)
    return low - room, high + room


def _log_axis(axes: Any) -> None:
    """A logarithmic axis whose numbers are written out."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
