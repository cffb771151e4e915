"""All judgements of a series' geometry, in the order in which one fault can hide another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tomokit.diagnosis.axis import judge_axis
from tomokit.diagnosis.bead_tracks import as_aligned, judge_tracks
from tomokit.diagnosis.defocus_gradient import judge_hand
from tomokit.diagnosis.finding import Diagnosis, Judgement
from tomokit.diagnosis.geometry import Geometry
from tomokit.diagnosis.order import judge_order
from tomokit.diagnosis.plane import judge_plane
from tomokit.diagnosis.records import judge_records
from tomokit.diagnosis.shifts import judge_shifts
from tomokit.diagnosis.small_views import SmallViews
from tomokit.diagnosis.views import judge_views
from tomokit.fiducials.tracks import Track

Stack = NDArray[np.float32]
Floats = NDArray[np.float64]
_WIDTH = 64


def examine(
    images: Stack,
    mask: Stack | None,
    geometry: Geometry,
    *,
    x_tilt_deg: float = 0.0,
    tilt_offset_deg: float = 0.0,
    tracks: Sequence[Track] = (),
    angle_records: Mapping[str, Floats] | None = None,
    axis_records: Mapping[str, float] | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Diagnosis:
    """Judge the geometry of a series by its images, its beads and what other files record of it.

    What a judgement finds is mended for those after it, in the result only. An order that was found wrong is judged
    once more where shifts turn out to be in another unit: views that are out of place have a best path of their own.

    Parameters
    ----------
    images : ndarray of float32, shape (n_views, n_y, n_x)
        Raw views; may be memory-mapped.
    mask : ndarray of float32, shape (n_views, n_y, n_x), optional
        Of the raw views; pixels of 0 do not count.
    geometry : Geometry
        As given.
    x_tilt_deg : float
        X-axis tilt in degrees by which the specimen is to be levelled, sign of IMOD's XAXISTILT.
    tilt_offset_deg : float
        What has been added to the angles to level it, in degrees.
    tracks : sequence of Track
        Of beads in aligned views, in raw pixels.
    angle_records, axis_records : mapping, optional
        As of :func:`~tomokit.diagnosis.records.judge_records`.
    tell : callable
        Is given what is being judged.

    Returns
    -------
    Diagnosis
    """
    made: list[Judgement] = []
    mended = before_order = geometry
    small = SmallViews.make(images, mask, _WIDTH)

    def judge() -> Iterator[tuple[str, Callable[[], Judgement]]]:
        yield "records", lambda: judge_records(mended, angle_records or {}, axis_records or {})
        yield "order", lambda: judge_order(small.align(mended)[0], mended)
        yield "binning", lambda: judge_shifts(small, mended)
        yield "tilt axis", lambda: judge_axis(small, mended)
        yield "views", lambda: judge_views(small, mended)
        if tracks:
            yield "tracks", lambda: judge_tracks(as_aligned(tracks, geometry, mended), mended)
        yield "hand", lambda: judge_hand(images, mask, mended)
        yield (
            "plane",
            lambda: judge_plane(small, mended, x_tilt_deg, tilt_offset_deg, as_aligned(tracks, geometry, mended)),
        )

    for name, work in judge():
        tell(name)
        judgement = work()
        if name == "binning" and judgement.findings and made[-1].findings:
            scaled = judge_shifts(small, before_order)
            for finding in scaled.findings:
                assert finding.geometry is not None
                order = judge_order(small.align(finding.geometry)[0], finding.geometry)
                if not order.findings:
                    made[-1], judgement = order, scaled
        if name == "order":
            before_order = mended
        made.append(judgement)
        for finding in judgement.findings:
            mended = mended if finding.geometry is None else finding.geometry
    return Diagnosis(tuple(made), geometry, mended)
