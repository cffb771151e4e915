"""Centres of IMOD and RELION, by positions of beads."""

from __future__ import annotations

import numpy as np
import pytest
from beads import project, transforms

from tomokit.geometry.centres import imod_tilt_centre, recentre, relion_centre
from tomokit.geometry.tilt import centre


@pytest.mark.parametrize(("n", "imod", "relion"), [(8, 3.5, 4), (9, 3.5, 4), (1, -0.5, 0), (4096, 2047.5, 2048)])
def test_centres(n: int, imod: float, relion: float) -> None:
    assert imod_tilt_centre(n) == imod
    assert relion_centre(n) == relion
    # As IMOD writes it: from 1, with a division of whole numbers.
    assert imod == (n // 2 + 0.5) - 1
    assert imod - centre(n) == (-0.5 if n % 2 else 0)
    assert relion - centre(n) == (0 if n % 2 else 0.5)


@pytest.mark.parametrize("raw", [(64, 80), (65, 81), (64, 81)])
@pytest.mark.parametrize("aligned", [(72, 71), (63, 64)])
def test_beads_of_relion_lie_where_they_are(raw: tuple[int, int], aligned: tuple[int, int]) -> None:
    """Pixel indices by RELION's rule, carried through the rewritten transform, are those of its own aligned image."""
    beads, rows = np.array([[14.0, -8.0, 6.0], [-15.0, 7.0, -4.0]]), transforms(3)
    rewritten = recentre(rows, raw, aligned, relion_centre)
    for row, ours, tilt in zip(rows, rewritten, (-40.0, 0.0, 25.0), strict=True):
        # RELION's positions in the aligned and the raw image, as indices [x, y].
        seen = project(beads, tilt)
        aligned_index = seen + [n // 2 for n in aligned[::-1]]
        raw_index = np.linalg.solve(row[:4].reshape(2, 2), (seen - row[4:]).T).T + [n // 2 for n in raw[::-1]]
        from_centre = raw_index - (np.array(raw[::-1]) - 1) / 2
        found = from_centre @ ours[:4].reshape(2, 2).T + ours[4:] + (np.array(aligned[::-1]) - 1) / 2
        np.testing.assert_allclose(found, aligned_index, atol=1e-10)
