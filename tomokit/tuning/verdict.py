"""Which setting is the best, by how much, and whether that is more than folds differ by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tomokit.tuning.parameters import Values
from tomokit.tuning.trials import Curve, Fit

TELLING = 1e-3
"""Smaller differences of a ring correlation are not worth another setting, nor fewer epochs."""


@dataclass(frozen=True)
class Setting:
    """A setting that was tried on every fold.

    Attributes
    ----------
    values : dict of str to float
        What differs from the options as given.
    epochs : int
        After how many it is judged.
    is_cut : bool
        Whether its fits went on after that.
    by_fold : list of float
        Mean ring correlation of the views held out, for each fold; empty if a fit failed.
    correlation : float or None
        Their correlation over pixels, averaged over folds.
    seconds : float
        Time of all fits.
    failure : str or None
        Why a fit failed.
    """

    values: Values
    epochs: int
    is_cut: bool
    by_fold: list[float]
    correlation: float | None
    seconds: float
    failure: str | None = None

    @property
    def score(self) -> float | None:
        """Mean over folds; None if a fit failed."""
        return float(np.mean(self.by_fold)) if self.by_fold else None

    def to_json(self) -> dict[str, Any]:
        """Put it into plain values.

        Returns
        -------
        dict
            JSON-serializable.
        """
        return {
            "values": self.values,
            "epochs": self.epochs,
            "mean_ring_correlation": None if self.score is None else round(self.score, 6),
            "by_fold": self.by_fold,
            "correlation": self.correlation,
            "seconds": round(self.seconds, 2),
            "failure": self.failure,
        }


def mean_curve(fits: Sequence[Fit]) -> Curve:
    """Average the mean ring correlation over folds.

    Parameters
    ----------
    fits : sequence of Fit
        Of one setting, none of which failed.

    Returns
    -------
    ndarray of float64, shape (n_epochs,)
    """
    return np.mean([fit.rings for fit in fits], axis=0)


def best_epoch(curve: Curve) -> int:
    """Find after how many epochs a run is best; the last where that is worth nothing.

    Parameters
    ----------
    curve : ndarray, shape (n_epochs,)
        Score after each.

    Returns
    -------
    int
        From 1.
    """
    best = int(np.argmax(curve))
    return best + 1 if curve[best] - curve[-1] > TELLING else len(curve)


def judge(fits: Sequence[Fit], epochs: int | None = None) -> Setting:
    """Judge a setting by its fits on all folds.

    Parameters
    ----------
    fits : sequence of Fit
        One for each fold.
    epochs : int, optional
        After how many epochs; default: all.

    Returns
    -------
    Setting
    """
    values, seconds = fits[0].values, sum(fit.seconds for fit in fits)
    failure = next((fit.failure for fit in fits if fit.failure is not None), None)
    if failure is not None:
        return Setting(values, 0, False, [], None, seconds, failure)
    whole = len(fits[0].rings)
    last = (epochs or whole) - 1
    return Setting(
        values,
        last + 1,
        last + 1 < whole,
        [fit.rings[last] for fit in fits],
        round(float(np.mean([fit.correlation[last] for fit in fits])), 6),
        seconds,
    )


def best_of(settings: Sequence[Setting]) -> Setting:
    """Choose the setting with the highest score, or the first of all where that is hardly higher.

    Parameters
    ----------
    settings : sequence of Setting
        The first is that of the options as given, which did not fail.

    Returns
    -------
    Setting
    """
    given, best = settings[0], max(settings, key=_score)
    return best if _score(best) - _score(given) >= TELLING else given


def _score(setting: Setting) -> float:
    return -2.0 if setting.score is None else setting.score


@dataclass(frozen=True)
class Gain:
    """How much better the choice is than the settings as given, fold by fold.

    Attributes
    ----------
    before, after : float
        Mean ring correlation, averaged over folds.
    by_fold : list of float
        The difference on each fold.
    """

    before: float
    after: float
    by_fold: list[float]

    @classmethod
    def of(cls, given: Setting, chosen: Setting) -> Gain:
        """Compare two settings that were tried on the same folds.

        Parameters
        ----------
        given, chosen : Setting
            Neither failed.

        Returns
        -------
        Gain
        """
        differences = [after - before for before, after in zip(given.by_fold, chosen.by_fold, strict=True)]
        return cls(float(np.mean(given.by_fold)), float(np.mean(chosen.by_fold)), differences)

    @property
    def mean(self) -> float:
        """The gain, averaged over folds."""
        return float(np.mean(self.by_fold))

    @property
    def spread(self) -> float | None:
        """Standard deviation over folds; None of a single one."""
        return float(np.std(self.by_fold, ddof=1)) if len(self.by_fold) > 1 else None

    @property
    def is_beyond_spread(self) -> bool | None:
        """Whether it is above zero in every fold, and its mean larger than its spread; None of a single fold."""
        return None if self.spread is None else min(self.by_fold) > 0 and self.mean > self.spread

    def to_json(self) -> dict[str, Any]:
        """Put it into plain values.

        Returns
        -------
        dict
            JSON-serializable.
        """
        return {
            "before": round(self.before, 6),
            "after": round(self.after, 6),
            "gain": round(self.mean, 6),
            "by_fold": [round(one, 6) for one in self.by_fold],
            "spread": None if self.spread is None else round(self.spread, 6),
            "is_beyond_spread": self.is_beyond_spread,
        }

    def text(self) -> str:
        """Say it in words.

        Returns
        -------
        str
        """
        numbers = f"{self.before:.4f} before, {self.after:.4f} after: {self.mean:+.4f}"
        if self.spread is None:
            return numbers
        by_fold = ", ".join(f"{one:+.4f}" for one in self.by_fold)
        verdict = "more than its spread" if self.is_beyond_spread else "which its spread may explain,"
        return f"{numbers} (by fold {by_fold}), {verdict} {self.spread:.4f}"


def as_given(setting: Setting) -> Setting:
    """Name the number of epochs of a setting whose fits went on after it, as a setting of its own.

    Parameters
    ----------
    setting : Setting

    Returns
    -------
    Setting
        With ``epochs`` among its values, if it is cut.
    """
    if not setting.is_cut:
        return setting
    return replace(setting, values={**setting.values, "epochs": setting.epochs}, is_cut=False)
