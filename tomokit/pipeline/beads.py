"""Beads of a series that is about to be reconstructed: found, or taken from a model, and masked."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.data import TiltSeries
from tomokit.errors import InputError
from tomokit.fiducials.beads import Beads, draw_discs
from tomokit.fiducials.find import find_beads
from tomokit.fiducials.model import read_fiducials
from tomokit.fiducials.place import place_beads
from tomokit.io.digest import file_digest
from tomokit.io.given_inputs import AUTO
from tomokit.pipeline.coarse_model import tracks_on_aligned_views

MOST_COVERED = 0.5
"""Beads that would cover a larger fraction of the pixels are none."""


def beads_of(
    series: TiltSeries,
    model: str | os.PathLike[str] | None,
    *,
    views: Sequence[int] | None = None,
    n_stack: int | None = None,
    radius_px: float | None = None,
    transforms: NDArray[np.float64] | None = None,
    raw_shape: tuple[int, int] | None = None,
) -> Beads | None:
    """Find the beads of a series, or place those of a model in it.

    Parameters
    ----------
    series : TiltSeries
        Aligned views; what is masked does not count.
    model : path-like or None
        A model of fiducials; None to find beads without one.
    views : sequence of int, optional
        Which views of the stack those of `series` are; default: all.
    n_stack : int, optional
        Views of the stack; default: those of `series`.
    radius_px : float, optional
        Radius of the beads in pixels; default: measured.
    transforms : ndarray of float64, shape (n_stack, 6), optional
        By which raw views were aligned, for a model of Etomo's coarsely aligned stack.
    raw_shape : tuple of int, optional
        ``(n_y, n_x)`` of the raw views; with `transforms`.

    Returns
    -------
    Beads or None
        None if there are none.

    Raises
    ------
    InputError
        If the model cannot be used, or does not fit.
    OptionError
        If the radius has to be given.
    """
    if model is None:
        return find_beads(series.images, series.geometry, series.mask, radius_px=radius_px)
    read = read_fiducials(model)
    all_views = series.n_views if n_stack is None else n_stack
    tracks, through = tracks_on_aligned_views(
        read, series.geometry, all_views, None if views is None else list(views), transforms, raw_shape
    )
    beads = place_beads(tracks, series.images, series.geometry, series.mask, radius_px=radius_px, file=model)
    if through:
        told = f"{read.path.name} is a model of the coarsely aligned stack: taken to the aligned views by {through}"
        beads = replace(beads, warnings=[told, *beads.warnings])
    return beads


def cover_beads(series: TiltSeries, beads: Beads, radius_px: float) -> tuple[NDArray[np.float32], float]:
    """Mask beads, beside what is masked already.

    Parameters
    ----------
    series : TiltSeries
        The views.
    beads : Beads
        Their beads.
    radius_px : float
        How far from their centres they are masked.

    Returns
    -------
    mask : ndarray of float32, shape (n_views, n_y, n_x)
        1 where a pixel is used, 0 elsewhere.
    share : float
        Fraction of the pixels used before that the beads cover.

    Raises
    ------
    InputError
        If they would cover more than half of the pixels.
    """
    covered = draw_discs(beads.discs, series.images.shape, radius_px)
    mask = np.ones(series.images.shape, np.float32) if series.mask is None else np.array(series.mask, np.float32)
    before = np.count_nonzero(mask)
    mask[covered] = 0
    share = 1 - np.count_nonzero(mask) / before if before else 0.0
    if share > MOST_COVERED:
        raise InputError(
            f"{len(beads.discs)} discs of radius {radius_px:.1f} pixels would mask {share:.0%} of the pixels",
            file=series.source,
            field="beads",
            remedy="give a smaller radius, or another model",
        )
    return mask, share


def describe_beads(beads: Beads, radius_px: float, share: float) -> dict[str, Any]:
    """Collect what is told and recorded of masked beads.

    Parameters
    ----------
    beads : Beads
    radius_px : float
        How far from their centres they are masked.
    share : float
        Fraction of the pixels that they cover.

    Returns
    -------
    dict
        JSON-serializable.
    """
    return {
        "beads": len(beads.beads),
        "single_discs": len(beads.loose),
        "discs": len(beads.discs),
        "painted_discs": sum(disc.painted for disc in beads.discs),
        "contrast": {1.0: "dark", -1.0: "bright"}.get(beads.sign, "painted"),
        "bead_radius_px": round(float(beads.radius_px), 3),
        "masked_radius_px": round(float(radius_px), 3),
        "rms_px": round(beads.rms_px, 3),
        "masked_fraction": round(float(share), 6),
    }


def beads_text(facts: dict[str, Any]) -> str:
    """Say in one line which beads were masked.

    Parameters
    ----------
    facts : dict
        From :func:`describe_beads`.

    Returns
    -------
    str
    """
    n, single, painted = facts["beads"], facts["single_discs"], facts["painted_discs"]
    radius = "" if facts["contrast"] == "painted" else f" of radius {facts['bead_radius_px']:.1f} pixels"
    kind = "painted over" if facts["contrast"] == "painted" else facts["contrast"]
    alone = f" and {single} that are in no track" if single else ""
    greyed = f", {painted} of them painted over" if painted and facts["contrast"] != "painted" else ""
    return (
        f"{n} bead{'' if n == 1 else 's'}{radius}, {kind}: {facts['discs'] - single} discs{alone}{greyed}, masked to "
        f"{facts['masked_radius_px']:.1f} pixels from their centres, {facts['masked_fraction']:.2%} of the pixels; "
        f"positions fit to {facts['rms_px']:.1f} pixels"
    )


def mask_beads(
    series: TiltSeries,
    given: os.PathLike[str],
    views: Sequence[int],
    stack_shape: tuple[int, int, int],
    transforms: NDArray[np.float64] | None = None,
) -> tuple[TiltSeries, list[str]]:
    """Mask the beads of a series, as ``reconstruct --mask-beads`` does.

    Parameters
    ----------
    series : TiltSeries
        Aligned views, not binned.
    given : path-like
        ``auto``, or a model of fiducials.
    views : sequence of int
        Which views of the stack those of `series` are.
    stack_shape : tuple of int
        ``(n_views, n_y, n_x)`` of the stack.
    transforms : ndarray of float64, shape (n_views of the stack, 6), optional
        By which raw views were aligned.

    Returns
    -------
    series : TiltSeries
        With the beads in its mask, and their description as ``"beads"`` in its provenance.
    warnings : list of str
        What the user should know.

    Raises
    ------
    InputError
        As :func:`beads_of` and :func:`cover_beads`.
    """
    model = None if os.fspath(given) == AUTO else given
    raw_shape = None if transforms is None else stack_shape[1:]
    try:
        beads = beads_of(series, model, views=views, n_stack=stack_shape[0], transforms=transforms, raw_shape=raw_shape)
    except InputError as error:
        if error.remedy:
            error.remedy += "; or --mask-beads auto, which finds beads without a model"
        raise
    if beads is None:
        text = "no beads found: none is masked; give a model of them by --mask-beads FILE if there are any"
        return replace(series, provenance={**series.provenance, "beads": {"by": AUTO, "beads": 0}}), [text]
    mask, share = cover_beads(series, beads, beads.reach_px)
    by = AUTO if model is None else os.path.basename(os.fspath(model))
    provenance = {**series.provenance, "beads": {"by": by, **describe_beads(beads, beads.reach_px, share)}}
    if model is not None and "sha256" in provenance:
        provenance["sha256"] = {**provenance["sha256"], "mask_beads": file_digest(model)}
    return replace(series, mask=mask, provenance=provenance), list(beads.warnings)
