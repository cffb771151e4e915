"""Refinement of an alignment: fields are fitted, views are moved to where the others predict them, and so on.

A round fits one field to all views but a fourth of them, four times, and moves each view by Gauss-Newton steps to
where the field that has not seen it predicts it. The first and the last views are predicted from beyond the others,
which makes what is long along the beam look displaced across the axis: across it, and in tilt, they go by the fields
that have seen them. Rounds begin with large pixels. Held-out views go by the mean of the fields, and feed none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tomokit.data.margin import margin_px
from tomokit.data.problem import ProblemShape
from tomokit.projector.slopes import project_with_slopes
from tomokit.refinement.corrections import BOUNDS, KINDS, Corrections
from tomokit.refinement.fields import FOLDS, Field, fit_field, folds_of
from tomokit.refinement.levels import Level
from tomokit.refinement.step import PARAMETERS, Image, plane_slopes, view_step, without_background

Floats = NDArray[np.float64]
Views = NDArray[np.intp]

ENDS = 2
"""Views at either end of the tilts that go by fields that have seen them."""
STEPS = 2
"""Steps of each view by one field."""
_MOST_PX, _LEAST_PX = 256, 24
"""Longest side of the views at the finest level, and shortest at the coarsest."""
_BACKGROUND_SHARE = 1 / 30
"""Structure some times wider than this share of a view looks alike in any alignment, and other views lack it."""
_STEP_PX = (1.5, 1.5, 4.0, 3.0, 3.0)
"""Longest steps of the parameters, as what is moved by at half the thickness or at the views' edges, in pixels."""
_SPREAD = {"shifts": 0.02, "angles": 1.0, "rotation": 1.0, "magnification": 0.01}
"""Standard deviations that corrections are expected to have, in the units of the bounds."""
_KIND_OF = dict(zip(PARAMETERS, ("shifts", *KINDS), strict=True))


@dataclass(frozen=True)
class Schedule:
    """How many rounds there are, and how far fields are fitted.

    Attributes
    ----------
    rounds : tuple of int
        At each level, the coarsest first; there are at most so many levels.
    first_epochs : int
        Iterations of the fields in the first round of a level,
    epochs : int
        and in each of the others, in which they go on.
    score_epochs : int
        Iterations of the fields that tell what the refinement was worth.
    """

    rounds: tuple[int, ...] = (8, 6, 4)
    first_epochs: int = 40
    epochs: int = 8
    score_epochs: int = 30


@dataclass(frozen=True)
class Refined:
    """What a refinement gave.

    Attributes
    ----------
    corrections : Corrections
        Of all views; none where they were not worth it.
    applied : bool
        Whether the others predict the fitted views better by them.
    at_bound : tuple of int
        Places of views whose corrections have come to their bounds.
    bins : list of int
        Edges of the levels' pixels in those of the images that were given.
    prediction, held_out : dict of str to float, or None
        Mean correlation ``"before"`` and ``"after"`` of fitted views with their predictions from others, and of
        held-out ones, if there are any, background left out.
    """

    corrections: Corrections
    applied: bool
    at_bound: tuple[int, ...]
    bins: list[int]
    prediction: dict[str, float]
    held_out: dict[str, float] | None


def refine(
    level: Level,
    kinds: tuple[str, ...],
    tell: Callable[[str], None] = lambda text: None,
    schedule: Schedule | None = None,
) -> Refined:
    """Refine the alignment of views.

    Parameters
    ----------
    level : Level
        The views as they were given.
    kinds : tuple of str
        What is refined, of :data:`tomokit.refinement.corrections.KINDS`.
    tell : callable
        Is told in one line of each level.
    schedule : Schedule, optional

    Returns
    -------
    Refined
    """
    schedule = Schedule() if schedule is None else schedule
    factors = _factors(level, len(schedule.rounds))
    levels = [level.binned(factor) for factor in factors]
    corrections = Corrections.none(level.geometry.n_views)
    for one, rounds in zip(levels, schedule.rounds[-len(levels) :], strict=True):
        tell(f"refining {', '.join(kinds)} at bin {one.binning:g}: {rounds} rounds")
        corrections = _refine_level(one, kinds, corrections, rounds, schedule)
    tell(f"predicting each view by both alignments at bin {levels[-1].binning:g}")
    given = Corrections.none(level.geometry.n_views)
    before, after = (_scores(levels[-1].corrected(each), schedule.score_epochs) for each in (given, corrections))
    at_bound = np.flatnonzero(_at_bound(corrections, level, kinds))
    fitted = level.fitted
    means = [{"before": float(before[views].mean()), "after": float(after[views].mean())} if views.any() else None
             for views in (fitted, ~fitted)]  # fmt: skip
    prediction = means[0] or {"before": 0.0, "after": 0.0}
    applied = prediction["after"] > prediction["before"]
    bins = [round(one.binning) for one in levels]
    return Refined(corrections if applied else given, applied, tuple(at_bound.tolist()), bins, prediction, means[1])


def bytes_of_refinement(level: Level) -> int:
    """Estimate the bytes that a refinement takes beside the views.

    Parameters
    ----------
    level : Level
        The views as they were given.

    Returns
    -------
    int
    """
    factor = _factors(level, 1)[-1]
    shape = ProblemShape.of(level.problem(level.fitted))
    wide = 1 + 2 * margin_px(shape, None) / shape.n_u
    # A field for each fold, and those that a fit takes; views with masks, resampled, predicted, and their slopes.
    return int((FOLDS + 5) * shape.volume_bytes * wide / factor**3 + 8 * shape.stack_bytes / factor**2)


def _factors(level: Level, most: int) -> list[int]:
    """Edges of the levels' pixels in those of the views, the largest first."""
    sides = level.geometry.n_u, level.geometry.n_v
    finest = 1
    while max(sides) / finest > _MOST_PX:
        finest *= 2
    factors = [finest * 2**i for i in range(most)]
    return [factor for factor in factors if factor == finest or min(sides) / factor >= _LEAST_PX][::-1]


def _refine_level(
    level: Level, kinds: tuple[str, ...], corrections: Corrections, rounds: int, schedule: Schedule
) -> Corrections:
    """Rounds of one level."""
    folds, ends = _folds_and_ends(level)
    # By the tilts as given, so that fields go on where tilts are changed.
    n_x = _width(level)
    fields: list[Field | None] = [None] * FOLDS
    for number in range(rounds):
        epochs = schedule.first_epochs if number == 0 else schedule.epochs
        now = level.corrected(corrections)
        new = _fit_fields(now, n_x, folds, epochs, fields)
        mean = np.asarray(np.mean(new, axis=0, dtype=new[0].dtype))
        moved = corrections
        for fold in range(FOLDS):
            moved = _move(level, np.flatnonzero(folds == fold), new[fold], kinds, moved)
        by_all = _move(level, np.append(ends, np.flatnonzero(~level.fitted)), mean, kinds, corrections)
        corrections = _take(moved, by_all, ends, np.flatnonzero(~level.fitted))
        corrections = corrections.without_gauge(level.geometry.tilt_deg + corrections.tilt_deg, level.fitted)
        fields = list(new)
    return corrections


def _take(moved: Corrections, by_all: Corrections, ends: Views, held_out: Views) -> Corrections:
    """Of the views at the ends all but the shift along the axis, and all of those held out, from `by_all`."""
    arrays = {}
    for name in ("shift_u_px", "shift_v_px", "tilt_deg", "rotation_deg", "magnification"):
        views = held_out if name == "shift_v_px" else np.append(ends, held_out)
        arrays[name] = getattr(moved, name).copy()
        arrays[name][views] = getattr(by_all, name)[views]
    return Corrections(**arrays)


def _folds_and_ends(level: Level) -> tuple[NDArray[np.intp], Views]:
    """The fold of each view, -1 if it is held out, and the views at both ends of the tilts."""
    fitted = np.flatnonzero(level.fitted)
    folds = np.full(level.geometry.n_views, -1, np.intp)
    folds[fitted] = folds_of(level.geometry.tilt_deg[fitted])
    order = fitted[np.argsort(level.geometry.tilt_deg[fitted], kind="stable")]
    return folds, np.concatenate([order[:ENDS], order[-ENDS:]])


def _width(level: Level) -> int:
    """Voxels of a field across the tilt axis, the margin included that its highest tilt asks for."""
    return level.geometry.n_u + 2 * margin_px(ProblemShape.of(level.problem(level.fitted)), None)


def _fit_fields(
    level: Level, n_x: int, folds: NDArray[np.intp], epochs: int, fields: list[Field | None]
) -> list[Field]:
    """A field for each fold, fitted to the other ones."""
    return [
        fit_field(level.problem(level.fitted & (folds != fold)), n_x, epochs, fields[fold]) for fold in range(FOLDS)
    ]


def _move(level: Level, views: Views, field: Field, kinds: tuple[str, ...], corrections: Corrections) -> Corrections:
    """Move some views to where a field predicts them."""
    n_u = level.geometry.n_u
    bounds, spread = (_in_pixels(table, level) for table in (BOUNDS, _SPREAD))
    half = max(level.thickness_px, n_u / 4) / 2
    longest = np.array(_STEP_PX) / np.array([1.0, 1.0, half, n_u / 2, n_u / 2])
    parameters = corrections.parameters(level.binning)
    for _ in range(STEPS if views.size else 0):
        now = level.corrected(corrections)
        slopes = project_with_slopes(field, now.geometry.select(views))
        for i, view in enumerate(views):
            weight = None if now.mask is None else now.mask[view]
            images: dict[str, Image] = {"u": slopes.by_shift_u[i], "v": slopes.by_shift_v[i], "tilt": slopes.by_tilt[i]}
            images["rotation"], images["magnification"] = plane_slopes(images["u"], images["v"])
            data, predicted, *level_slopes = (
                without_background(image, weight, n_u * _BACKGROUND_SHARE)
                for image in (now.views[view], slopes.views[i], *images.values())
            )
            chosen = {name: image for name, image in zip(images, level_slopes, strict=True) if _KIND_OF[name] in kinds}
            change = view_step(data, weight, predicted, chosen, parameters[view], spread)
            change /= max(1.0, float(np.max(np.abs(change) / longest)))
            parameters[view] = np.clip(parameters[view] + change, -bounds, bounds)
        corrections = Corrections.from_parameters(parameters, level.binning)
    return corrections


def _in_pixels(table: dict[str, float], level: Level) -> Floats:
    """Bounds or spreads of the parameters, in pixels of a level, radians and one."""
    share = table["shifts"] * level.geometry.n_u
    turns = np.deg2rad([table["angles"], table["rotation"]])
    return np.array([share, share, *turns, table["magnification"]])


def _at_bound(corrections: Corrections, level: Level, kinds: tuple[str, ...]) -> NDArray[np.bool_]:
    """Views of which a correction has come to its bound; the gauge may have moved it back a little."""
    reached = np.abs(corrections.parameters(level.binning)) >= 0.95 * _in_pixels(BOUNDS, level)
    return np.asarray(reached[:, [_KIND_OF[name] in kinds for name in PARAMETERS]].any(axis=1))


def _scores(level: Level, epochs: int) -> Floats:
    """Correlation of each view, background left out, with its prediction from a field that has not seen it."""
    folds, _ = _folds_and_ends(level)
    fields = _fit_fields(level, _width(level), folds, epochs, [None] * FOLDS)
    fields.append(np.mean(fields, axis=0, dtype=fields[0].dtype))
    scores = np.zeros(level.geometry.n_views)
    for fold, field in zip((*range(FOLDS), -1), fields, strict=True):
        views = np.flatnonzero(folds == fold)
        if not views.size:
            continue
        predicted = project_with_slopes(field, level.geometry.select(views)).views
        for image, view in zip(predicted, views, strict=True):
            weight = None if level.mask is None else level.mask[view]
            used = np.s_[:] if weight is None else weight > 0
            pair = (without_background(each, weight, level.geometry.n_u * _BACKGROUND_SHARE)[used].ravel()
                    for each in (level.views[view], image))  # fmt: skip
            first, second = (each - each.mean(dtype=np.float64) for each in pair)
            scale = float(np.sqrt((first @ first) * (second @ second)))
            scores[view] = float(first @ second) / scale if scale > 0 else 0.0
    return scores
