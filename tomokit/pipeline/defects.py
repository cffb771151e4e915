"""Defects of a series that was read: edges without an image masked, bad views left out, spoilt pixels mended; told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from tomokit.data import TiltSeries
from tomokit.data.defect_report import tell_spots, tell_views
from tomokit.data.defects import find_defects
from tomokit.data.padding import find_padding, tell_padding
from tomokit.data.views import ViewSelection
from tomokit.errors import InputError
from tomokit.pipeline.memory import check_memory
from tomokit.pipeline.request import ReconstructionRequest

FEW_USED = 0.2
"""A mask that leaves a smaller fraction of the pixels is more often one that has 1 and 0 exchanged."""
LEAST_USED = 16
"""Views of fewer pixels that count determine nothing."""


class Mended(NamedTuple):
    """A series after its defects were seen to.

    Attributes
    ----------
    series : TiltSeries
        The views that are left, mended.
    views : ViewSelection
        Which of them are fitted and held out, by their index in the stack.
    warnings : list of str
        What was found, and what was done.
    """

    series: TiltSeries
    views: ViewSelection
    warnings: list[str]


def mend_series(series: TiltSeries, views: ViewSelection, request: ReconstructionRequest) -> Mended:
    """Leave out the views that hold no image, and replace the pixels that x-rays or the detector have spoilt.

    Parameters
    ----------
    series : TiltSeries
        The views of `views`, ascending, not binned.
    views : ViewSelection
        Their division, by index in the stack.
    request : ReconstructionRequest
        Its ``keep_views`` and ``x_rays`` say what is only told.

    Returns
    -------
    Mended

    Raises
    ------
    InputError
        If no view would be left to fit, or none of the held-out ones.
    """
    index = sorted((*views.fitted, *views.held_out))
    replacing = request.x_rays == "replace"
    defects = find_defects(series.images, series.geometry, series.mask, thickness_px=request.thickness)
    warnings = tell_views(defects, index, not request.keep_views) + tell_spots(defects, index, replacing)
    if replacing and defects.spots:
        before = series.provenance.get("replaced_pixels", {})
        counts = defects.replaced(index)
        merged = {view: before.get(view, 0) + counts.get(view, 0) for view in (before | counts)}
        provenance = {**series.provenance, "replaced_pixels": merged}
        series = replace(series, images=defects.mend(series.images), provenance=provenance)
    if defects.lost and not request.keep_views:
        lost = {index[place] for place in defects.lost}
        views = _without(views, lost, request)
        series = series.select(np.array([place for place, view in enumerate(index) if view not in lost], int))
        series = replace(series, provenance={**series.provenance, "left_out_views": sorted(lost)})
    return Mended(series, views, warnings)


def mask_padding(series: TiltSeries, views: Sequence[int], padding: str) -> tuple[TiltSeries, list[str]]:
    """Mask the edges of an aligned stack that are filled with a constant, where there is no image.

    Parameters
    ----------
    series : TiltSeries
        The views of a stack that was aligned by another program, as they are in the file.
    views : sequence of int
        Their index in the stack.
    padding : {"mask", "keep"}
        Whether it is masked or only told.

    Returns
    -------
    series : TiltSeries
        With the padding in its mask, and the fraction of the pixels as ``"padding"`` in its provenance.
    warnings : list of str
        What was found, and what was done.

    Raises
    ------
    ResourceError
        If there is no room for a mask.
    """
    found = [
        find_padding(series.images[place], None if series.mask is None else series.mask[place] > 0)
        for place in range(series.n_views)
    ]
    shares = [0.0 if edges is None else float(edges.mean()) for edges in found]
    told = tell_padding(shares, views, padding == "mask")
    if padding == "keep" or not told:
        return series, told
    if series.mask is None:
        check_memory(4 * series.images.size, f"a mask of {series.n_views} views", "give --padding keep")
    mask = np.ones(series.images.shape, np.float32) if series.mask is None else np.array(series.mask, np.float32)
    for place, edges in enumerate(found):
        if edges is not None:
            mask[place][edges] = 0
    provenance = {**series.provenance, "padding": float(np.mean(shares))}
    return replace(series, mask=mask, provenance=provenance), told


def doubt_mask(series: TiltSeries, request: ReconstructionRequest) -> list[str]:
    """Tell that a mask leaves little, and refuse one that leaves nothing to speak of.

    Parameters
    ----------
    series : TiltSeries
        The views, before anything looks at their pixels' range.
    request : ReconstructionRequest
        Names the mask.

    Returns
    -------
    list of str
        One warning, or none.

    Raises
    ------
    InputError
        If fewer than 16 pixels of the typical view count, where it has more.
    """
    if series.mask is None:
        return []
    # A view at a time: of a memory-mapped mask no more is held.
    used = [int(np.count_nonzero(view > 0)) for view in series.mask]
    size = series.mask[0].size
    typical = int(np.median(used))
    if typical < min(LEAST_USED, size):
        raise InputError(
            f"{typical} of the {size} pixels of a view count: too few for a tomogram",
            file=request.mask or request.xf or request.alignment or request.stack,
            field="mask",
            remedy="give a mask that is 1 where a pixel is used, 0 on beads and padding",
        )
    left = float(np.mean(used)) / size
    if left >= FEW_USED:
        return []
    if request.mask is None and (request.xf or request.alignment):
        return [f"the transforms leave {left:.1%} of the pixels"]
    return [f"the mask leaves {left:.1%} of the pixels; is it 1 where a pixel is used, and 0 on beads and padding?"]


def _without(views: ViewSelection, lost: set[int], request: ReconstructionRequest) -> ViewSelection:
    fitted = tuple(view for view in views.fitted if view not in lost)
    held_out = tuple(view for view in views.held_out if view not in lost)
    for what, before, after in (("to be fitted", views.fitted, fitted), ("held out", views.held_out, held_out)):
        if before and not after:
            raise InputError(
                f"no view {what} holds an image: they are black, constant or dark",
                file=request.stack,
                remedy="check the stack, or give --keep-views",
            )
    return ViewSelection(fitted, held_out)
