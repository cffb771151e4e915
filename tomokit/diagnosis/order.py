"""Whether views that are neighbours in angle look alike: an order of angles that is not that of the views.

The mean correlation of neighbours is compared with that along the best path through all views: each view once, the most
alike next to each other. A path has no direction, so that a reversed order is never told by it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tomokit.diagnosis.finding import Finding, Judgement, certainty_of
from tomokit.diagnosis.geometry import Geometry
from tomokit.diagnosis.small_views import Stack

Floats = NDArray[np.float64]

LEAST_VIEWS = 7
_LEAST_GAIN = 0.03
_LEAST_SIGMAS = 5.0
_LEAST_CONTRAST = 0.1
"""Where neighbours along the best path are no more alike than any two views by so much, noise makes the path."""
_RIGHT_SHARE, _WRONG_SHARE = 0.05, 0.1
"""What the best path gains, as a share of that: at most 0.02 of a right order, at least 0.2 of the wrong ones that were
tried (docs/doctor.md)."""


def judge_order(views: Stack, geometry: Geometry) -> Judgement:
    """Judge whether the angles are in the order of the views.

    Parameters
    ----------
    views : ndarray of float32, shape (n_views, n_y, n_x)
        Aligned views of mean 0.
    geometry : Geometry
        As given.

    Returns
    -------
    Judgement
        Its finding has the geometry with the same angles along the best path.
    """
    tilt = geometry.tilt_deg
    if tilt.size < LEAST_VIEWS:
        return Judgement("order", False, f"{tilt.size} views are too few to tell their order")
    likeness = similarity(views)
    given = np.argsort(tilt, kind="stable")
    best = best_path(likeness, given)
    as_given, as_best = _along(likeness, given), _along(likeness, best)
    figures = {"neighbours_correlation": float(as_given.mean()), "best_path_correlation": float(as_best.mean())}
    gain = float(as_best.mean() - as_given.mean())
    contrast = float(as_best.mean() - np.median(likeness[np.triu_indices(tilt.size, 1)]))
    figures["contrast"] = contrast
    summary = f"neighbours in angle correlate by {as_given.mean():.2f}, along the best path by {as_best.mean():.2f}"
    if contrast < _LEAST_CONTRAST:
        return Judgement("order", False, f"{summary}: neighbours are too little alike to tell", (), figures)
    # View by view, since those at high tilt are less alike in any order.
    each = _of_views(likeness, best) - _of_views(likeness, given)
    sigmas = float(each.mean() / max(each.std(ddof=1) / np.sqrt(each.size), 1e-12))
    if gain < _RIGHT_SHARE * contrast:
        return Judgement("order", True, f"{summary}: the angles are in the order of the views", (), figures)
    if gain < max(_LEAST_GAIN, _WRONG_SHARE * contrast) or sigmas < _LEAST_SIGMAS:
        return Judgement("order", False, f"{summary}: too little to tell", (), figures)
    angles = np.empty_like(tilt)
    # Of the two directions the one in which more views rise as they are stored.
    path = best if np.corrcoef(best, np.arange(best.size))[0, 1] >= 0 else best[::-1]
    angles[path] = np.sort(tilt)
    finding = Finding(
        "the angles are not in the order of the views",
        f"{summary}, {sigmas:.0f} standard errors apart",
        certainty_of(sigmas),
        "give the angles in the order of the stack; the order found by likeness has no direction, so that the sign of "
        "all angles stays open",
        geometry.with_angles(angles),
    )
    return Judgement("order", True, summary, (finding,), figures)


def similarity(views: Stack) -> Floats:
    """Correlation of every view with every other.

    Parameters
    ----------
    views : ndarray of float32, shape (n_views, n_y, n_x)

    Returns
    -------
    ndarray of float64, shape (n_views, n_views)
    """
    flat = views.reshape(len(views), -1).astype(np.float64)
    flat /= np.maximum(np.linalg.norm(flat, axis=1), 1e-12)[:, None]
    return np.asarray(flat @ flat.T)


def best_path(likeness: Floats, start: NDArray[np.intp]) -> NDArray[np.intp]:
    """Find a path through all views along which neighbours are most alike.

    From the given order and from a greedy one, improved by turning stretches around and by moving short ones
    (Lin, Bell System Technical Journal 44, 2245, 1965; Or, 1976), until nothing is gained.

    Parameters
    ----------
    likeness : ndarray of float64, shape (n, n)
    start : ndarray of int, shape (n,)

    Returns
    -------
    ndarray of int, shape (n,)
    """
    paths = [_improve(likeness, list(path)) for path in (start, _greedy(likeness))]
    return np.array(max(paths, key=lambda path: float(_along(likeness, np.array(path)).sum())), dtype=np.intp)


def _of_views(likeness: Floats, path: NDArray[np.intp]) -> Floats:
    """How alike each view is to its neighbours on a path."""
    along = _along(likeness, path)
    sums, counts = np.zeros(path.size), np.zeros(path.size)
    for ends in (path[:-1], path[1:]):
        sums[ends] += along
        counts[ends] += 1
    return np.asarray(sums / counts)


def _along(likeness: Floats, path: NDArray[np.intp]) -> Floats:
    return np.asarray(likeness[path[:-1], path[1:]])


def _greedy(likeness: Floats) -> list[int]:
    """Join the most alike ends of pieces first."""
    n = len(likeness)
    pieces = {view: [view] for view in range(n)}
    of = list(range(n))
    rows, columns = np.triu_indices(n, 1)
    for pair in np.argsort(-likeness[rows, columns], kind="stable"):
        a, b = int(rows[pair]), int(columns[pair])
        first, second = pieces[of[a]], pieces[of[b]]
        if first is second or a not in (first[0], first[-1]) or b not in (second[0], second[-1]):
            continue
        left = first if first[-1] == a else first[::-1]
        right = second if second[0] == b else second[::-1]
        joined, name = left + right, of[a]
        del pieces[of[b]]
        pieces[name] = joined
        for view in joined:
            of[view] = name
    return next(iter(pieces.values()))


def _improve(likeness: Floats, path: list[int]) -> list[int]:
    score = _total(likeness, path)
    gained = True
    while gained:
        gained = False
        for other in _neighbours(path):
            total = _total(likeness, other)
            if total > score + 1e-9:
                path, score, gained = other, total, True
                break
    return path


def _total(likeness: Floats, path: list[int]) -> float:
    return float(_along(likeness, np.array(path)).sum())


def _neighbours(path: list[int]) -> Iterator[list[int]]:
    """Paths with one stretch turned around, or one of at most three views moved."""
    n = len(path)
    for i in range(n):
        for j in range(i + 2, n + 1):
            yield path[:i] + path[i:j][::-1] + path[j:]
    for length in (1, 2, 3):
        for i in range(n - length + 1):
            piece, rest = path[i : i + length], path[:i] + path[i + length :]
            for k in range(len(rest) + 1):
                if k != i:
                    yield rest[:k] + piece + rest[k:]
