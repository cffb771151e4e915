"""X-rays and defective pixels of raw views, mended before the views are aligned and interpolation spreads them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tomokit.data.defect_report import tell_spots
from tomokit.data.defects import find_defects
from tomokit.geometry import TiltGeometry, centre
from tomokit.io.transforms import transform_points


class RawMender:
    """Replaces isolated extreme pixels of raw views, and keeps account of them.

    Parameters
    ----------
    tilt_deg : ndarray of float64, shape (n_views,)
        Tilt angles in degrees.
    index : ndarray of int, shape (n_views,)
        What each view is called: its index in the stack.
    warnings : list of str
        A line is appended if pixels were replaced.

    Attributes
    ----------
    replaced : dict of str to int
        Pixels replaced, by view.
    """

    def __init__(self, tilt_deg: NDArray[np.float64], index: NDArray[np.intp], warnings: list[str]) -> None:
        self._tilt_deg, self._index, self._warnings = tilt_deg, index.tolist(), warnings
        self.replaced: dict[str, int] = {}

    def mend(
        self, images: NDArray[np.number], xf: NDArray[np.float64], out_shape: tuple[int, int] | None
    ) -> NDArray[np.number]:
        """Replace isolated extreme pixels by the median around each.

        Parameters
        ----------
        images : ndarray of any real type, shape (n_views, n_y, n_x)
            Raw views of finite pixels.
        xf : ndarray of float64, shape (n_views, 6)
            Their transforms, by which points of the specimen are told from defects.
        out_shape : tuple of int or None
            ``(n_y, n_x)`` of the aligned views; None for that of the raw ones.

        Returns
        -------
        ndarray of the same type and shape
            `images`, or a copy.
        """
        raw = images.shape[1:]
        n_v, n_u = raw if out_shape is None else out_shape

        def to_aligned(view: int, x: float, y: float) -> tuple[float, float]:
            moved = transform_points(xf[view], [(x - centre(raw[1]), y - centre(raw[0]))])[0]
            return float(moved[0]) + centre(n_u), float(moved[1]) + centre(n_v)

        defects = find_defects(images, TiltGeometry(self._tilt_deg, n_u, n_v), to_aligned=to_aligned)
        self._warnings += tell_spots(defects, self._index, True)
        self.replaced = defects.replaced(self._index)
        return defects.mend(images)
