"""Beads of a series: where each one is seen, view by view, and masks of what they cover."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tomokit.fiducials.profile import look_at, refine_centre
from tomokit.fiducials.tracks import TrackFit, predict
from tomokit.geometry import TiltGeometry, centre

Stack = NDArray[np.float32]

_SEEN = 3.0
"""A disc is darker than its surroundings where its depth is so many times its own noise,"""
_SHALLOW = 0.3
"""and at least this share of what the same bead has in the median of its views."""
_NEARLY_EVERYWHERE = 0.8
"""A bead that is seen in this share of the views of its field is in the others too."""


@dataclass(frozen=True)
class Disc:
    """A bead in one view.

    Attributes
    ----------
    view : int
        From 0.
    y, x : float
        Row and column of its centre.
    depth : float
        How much darker, or for bright beads brighter, than its surroundings it is, in units of the images.
    painted : bool
        Whether it is painted over in one grey.
    """

    view: int
    y: float
    x: float
    depth: float = 0.0
    painted: bool = False


@dataclass(frozen=True)
class Bead:
    """A bead of the specimen.

    Attributes
    ----------
    fit : TrackFit
        Its position, and how well it explains the places where the bead was found.
    discs : list of Disc
        Where it is seen.
    views_in_field : int
        In how many views it would lie in the field.
    """

    fit: TrackFit
    discs: list[Disc]
    views_in_field: int

    @property
    def seen_share(self) -> float:
        """Share of the views of its field that it has discs in."""
        return len(self.discs) / self.views_in_field if self.views_in_field else 0.0


@dataclass(frozen=True)
class Beads:
    """The beads of a series.

    Attributes
    ----------
    radius_px : float
        Radius at half depth in pixels.
    reach_px : float
        Radius beyond which a view is as it would be without the bead: what a mask has to cover.
    sign : float
        1 for dark beads, -1 for bright ones, 0 for beads that are painted over.
    beads : list of Bead
        Those with a position.
    loose : list of Disc
        Discs of single views that are as beads are there.
    warnings : list of str
        What the user should know of them.
    """

    radius_px: float
    reach_px: float
    sign: float
    beads: list[Bead]
    loose: list[Disc] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def discs(self) -> list[Disc]:
        """All discs of all views."""
        return [*(disc for bead in self.beads for disc in bead.discs), *self.loose]

    @property
    def rms_px(self) -> float:
        """Median over the beads of the distance, root mean square, between where they are seen and fitted."""
        return float(np.median([bead.fit.rms_px for bead in self.beads])) if self.beads else 0.0


def see_bead(
    fit: TrackFit,
    images: Stack,
    geometry: TiltGeometry,
    mask: Stack | None,
    radius_px: float,
    sign: float,
    tolerance_px: float,
) -> Bead:
    """Look in every view for a bead whose position is known.

    Parameters
    ----------
    fit : TrackFit
        Its position.
    images : ndarray of float32, shape (n_views, n_y, n_x)
        Aligned views.
    geometry : TiltGeometry
        Their angles and residual shifts.
    mask : ndarray of float32 or None, shape (n_views, n_y, n_x)
        Pixels of 0 do not count.
    radius_px : float
        Radius of the bead.
    sign : float
        1 for a dark bead, -1 for a bright one.
    tolerance_px : float
        How far from its expected place it may lie.

    Returns
    -------
    Bead
        With discs where something as deep as the bead elsewhere is seen.
    """
    u, v = predict(fit.xyz_px, geometry.tilt_deg)
    expected_x = u + geometry.shift_u_px + centre(geometry.n_u)
    expected_y = v + geometry.shift_v_px + centre(geometry.n_v)
    seen, in_field = [], 0
    for view in range(geometry.n_views):
        y, x = float(expected_y[view]), float(expected_x[view])
        if not (-0.5 <= y <= geometry.n_v - 0.5 and -0.5 <= x <= geometry.n_u - 0.5):
            continue
        used = None if mask is None else mask[view] > 0
        if not np.isfinite(look_at(images[view], used, y, x, radius_px).depth):
            continue
        in_field += 1
        found = refine_centre(images[view], used, y, x, radius_px, sign)
        if np.hypot(found[0] - y, found[1] - x) > tolerance_px:
            found = y, x
        look = look_at(images[view], used, *found, radius_px)
        if sign * look.depth > _SEEN * look.noise:
            seen.append(Disc(view, *found, depth=sign * look.depth))
    typical = float(np.median([disc.depth for disc in seen])) if seen else 0.0
    seen = [disc for disc in seen if disc.depth >= _SHALLOW * typical]
    return Bead(fit, seen, in_field)


def fill_gaps(bead: Bead, geometry: TiltGeometry, reach_px: float) -> Bead:
    """Add the views in which a bead that is seen nearly everywhere else must be, whole or cut by an edge.

    In a single view a bead is hidden by what lies before or behind it, or by the padding. A voxel that only such a view
    sees would take up all of the bead's density.

    Parameters
    ----------
    bead : Bead
        As found; nothing is added to one that is seen in less than four fifths of the views of its field.
    geometry : TiltGeometry
        Angles and residual shifts of the views.
    reach_px : float
        How far from its centre a bead is masked.

    Returns
    -------
    Bead
        With a disc for every view that it reaches into.
    """
    if bead.seen_share < _NEARLY_EVERYWHERE:
        return bead
    discs = {disc.view: disc for disc in bead.discs}
    u, v = predict(bead.fit.xyz_px, geometry.tilt_deg)
    x, y = u + geometry.shift_u_px + centre(geometry.n_u), v + geometry.shift_v_px + centre(geometry.n_v)
    reached = (np.abs(x - centre(geometry.n_u)) < geometry.n_u / 2 + reach_px) & (
        np.abs(y - centre(geometry.n_v)) < geometry.n_v / 2 + reach_px
    )
    for view in np.flatnonzero(reached).tolist():
        discs.setdefault(view, Disc(view, float(y[view]), float(x[view])))
    return Bead(bead.fit, [discs[view] for view in sorted(discs)], bead.views_in_field)


def draw_discs(discs: list[Disc], shape: tuple[int, int, int], radius_px: float) -> NDArray[np.bool_]:
    """Draw discs as a stack of masks.

    Parameters
    ----------
    discs : list of Disc
        Centres beyond the edge of the view are fine.
    shape : tuple of int
        ``(n_views, n_y, n_x)``.
    radius_px : float
        Pixels whose centres are nearer than this to that of a disc are covered.

    Returns
    -------
    ndarray of bool, shape (n_views, n_y, n_x)
        True where a disc covers a pixel.
    """
    covered = np.zeros(shape, bool)
    for disc in discs:
        top, left = max(0, int(np.ceil(disc.y - radius_px))), max(0, int(np.ceil(disc.x - radius_px)))
        bottom, right = int(np.floor(disc.y + radius_px)) + 1, int(np.floor(disc.x + radius_px)) + 1
        if bottom <= top or right <= left:
            continue
        window = covered[disc.view, top:bottom, left:right]
        rows = np.arange(top, top + window.shape[0])[:, None]
        columns = np.arange(left, left + window.shape[1])[None, :]
        window |= np.hypot(rows - disc.y, columns - disc.x) < radius_px
    return covered
