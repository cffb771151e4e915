"""Corrections of an alignment: what each view's shift, tilt, rotation and magnification are changed by.

A point that the refined geometry has at ``q = (u, v)`` in a view lies in the view as it was given at ``M (q + d)``,
with ``M`` the rotation and magnification of the view about its centre and ``d`` its shift.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import InputError, OptionError

Floats = NDArray[np.float64]

KINDS = ("shifts", "angles", "rotation", "magnification")
"""What can be refined, by the names that a user gives."""
UNITS = {"shifts": " px", "angles": " degrees", "rotation": " degrees", "magnification": ""}
"""Of what is told of them."""
BOUNDS = {"shifts": 0.1, "angles": 3.0, "rotation": 3.0, "magnification": 0.03}
"""Largest correction: a share of the view's width, degrees, degrees and a share of one."""
_FIELDS = ("shift_u_px", "shift_v_px", "tilt_deg", "rotation_deg", "magnification")


def parse_kinds(text: str) -> tuple[str, ...]:
    """Read what is to be refined.

    Parameters
    ----------
    text : str
        Names of :data:`KINDS` between commas.

    Returns
    -------
    tuple of str
        In the order of :data:`KINDS`, each once.

    Raises
    ------
    OptionError
        If a name is none of them, or there is none.
    """
    names = [part.strip() for part in text.split(",") if part.strip()]
    wrong = next((name for name in names if name not in KINDS), None)
    if wrong is not None or not names:
        problem = f"{wrong!r} cannot be refined" if names else "nothing is named"
        raise OptionError(problem, field="--refine", remedy=f"give some of {','.join(KINDS)}")
    return tuple(kind for kind in KINDS if kind in names)


@dataclass(frozen=True)
class Corrections:
    """What the views of a series are corrected by, each array of shape (n_views,).

    Attributes
    ----------
    shift_u_px, shift_v_px : ndarray of float64
        How far the view has been moved across and along the tilt axis, in pixels of the images that were given: added
        to the residual shifts of the geometry.
    tilt_deg : ndarray of float64
        Degrees that are added to its tilt.
    rotation_deg : ndarray of float64
        By how much it is turned in its plane, from u to v.
    magnification : ndarray of float64
        By what share it is larger than the others.
    """

    shift_u_px: Floats
    shift_v_px: Floats
    tilt_deg: Floats
    rotation_deg: Floats
    magnification: Floats

    @classmethod
    def none(cls, n_views: int) -> Corrections:
        """Leave all views as they are.

        Parameters
        ----------
        n_views : int

        Returns
        -------
        Corrections
        """
        return cls(*(np.zeros(n_views) for _ in _FIELDS))

    def parameters(self, binning: float) -> Floats:
        """Represent the corrections as numbers of one size.

        Parameters
        ----------
        binning : float
            Edge of a pixel in those of the images that were given.

        Returns
        -------
        ndarray of float64, shape (n_views, 5)
            Shifts in such pixels, tilt and rotation in radians, magnification.
        """
        shifts = self.shift_u_px / binning, self.shift_v_px / binning
        return np.stack([*shifts, np.deg2rad(self.tilt_deg), np.deg2rad(self.rotation_deg), self.magnification], 1)

    @classmethod
    def from_parameters(cls, parameters: Floats, binning: float) -> Corrections:
        """Take the corrections from what :meth:`parameters` gave.

        Parameters
        ----------
        parameters : ndarray of float64, shape (n_views, 5)
        binning : float
            As there.

        Returns
        -------
        Corrections
        """
        u, v, tilt, rotation, magnification = parameters.T
        return cls(u * binning, v * binning, np.rad2deg(tilt), np.rad2deg(rotation), magnification.copy())

    @property
    def resamples(self) -> bool:
        """Whether a view is turned or scaled, which no shift of the geometry can express."""
        return bool(self.rotation_deg.any() or self.magnification.any())

    def matrices(self) -> Floats:
        """Compute what takes the images that were given back: the inverse of ``M``.

        Returns
        -------
        ndarray of float64, shape (n_views, 2, 2)
        """
        turn, scale = np.deg2rad(self.rotation_deg), 1.0 / (1.0 + self.magnification)
        cos, sin = scale * np.cos(turn), scale * np.sin(turn)
        return np.stack([np.stack([cos, sin], 1), np.stack([-sin, cos], 1)], 1)

    def transforms(self) -> Floats:
        """Compute the transforms that correct the images that were given, as of an ``.xf``.

        Returns
        -------
        ndarray of float64, shape (n_views, 6)
            ``A11 A12 A21 A22 DX DY`` of each view about the centres, to be applied after those that it was aligned by.
        """
        return np.column_stack([self.matrices().reshape(-1, 4), -self.shift_u_px, -self.shift_v_px])

    def after(self, transforms: Floats) -> Floats:
        """Append the corrections to the transforms by which views were aligned.

        Parameters
        ----------
        transforms : ndarray of float64, shape (n_views, 6)
            From raw to aligned images.

        Returns
        -------
        ndarray of float64, shape (n_views, 6)
            From raw to corrected images.
        """
        matrix = self.matrices()
        linear = matrix @ transforms[:, :4].reshape(-1, 2, 2)
        shift = (matrix @ transforms[:, 4:, None])[:, :, 0] - np.stack([self.shift_u_px, self.shift_v_px], 1)
        return np.concatenate([linear.reshape(-1, 4), shift], axis=1)

    def without_gauge(self, tilt_deg: Floats, fitted: NDArray[np.bool_]) -> Corrections:
        """Remove what moves, turns or scales the specimen and leaves it as it is.

        Parameters
        ----------
        tilt_deg : ndarray of float64, shape (n_views,)
            Tilts, corrected, in degrees.
        fitted : ndarray of bool, shape (n_views,)
            The views that make the specimen; the others are moved with it.

        Returns
        -------
        Corrections
            Of the fitted views neither a shift that is one of the specimen along x, y and z, by least squares, nor a
            mean change of tilt or magnification.
        """
        angle = np.deg2rad(tilt_deg)
        waves = np.stack([np.cos(angle), -np.sin(angle)], 1)
        moved = np.linalg.lstsq(waves[fitted], self.shift_u_px[fitted], rcond=None)[0]
        return replace(
            self,
            shift_u_px=self.shift_u_px - waves @ moved,
            shift_v_px=self.shift_v_px - self.shift_v_px[fitted].mean(),
            tilt_deg=self.tilt_deg - self.tilt_deg[fitted].mean(),
            magnification=self.magnification - self.magnification[fitted].mean(),
        )

    def rms(self, kinds: tuple[str, ...]) -> dict[str, float]:
        """Tell how large the corrections are.

        Parameters
        ----------
        kinds : tuple of str
            What was refined.

        Returns
        -------
        dict of str to float
            Root mean square over views by kind; of shifts that of their length.
        """
        squares = {
            "shifts": self.shift_u_px**2 + self.shift_v_px**2,
            "angles": self.tilt_deg**2,
            "rotation": self.rotation_deg**2,
            "magnification": self.magnification**2,
        }
        return {kind: float(np.sqrt(squares[kind].mean())) for kind in kinds}

    def to_json(self) -> dict[str, list[float]]:
        """Represent the corrections exactly.

        Returns
        -------
        dict of str to list of float
        """
        return {name: [float(value) for value in getattr(self, name)] for name in _FIELDS}

    @classmethod
    def from_json(cls, record: Mapping[str, Any], n_views: int, file: str) -> Corrections:
        """Read what :meth:`to_json` made.

        Parameters
        ----------
        record : mapping
        n_views : int
            Views that it has to be of.
        file : str
            Where it stands, for messages.

        Returns
        -------
        Corrections

        Raises
        ------
        InputError
            If it is no such record, or of another number of views.
        """
        for name in _FIELDS:
            values = record.get(name)
            if not (
                isinstance(values, list)
                and len(values) == n_views
                and all(isinstance(value, float) and math.isfinite(value) and abs(value) < 1e6 for value in values)
            ):
                raise InputError("holds no corrections of these views", file=file, field=f"refinement {name}")
        if min(record["magnification"], default=0.0) <= -0.5:
            raise InputError("holds no corrections of these views", file=file, field="refinement magnification")
        return cls(*(np.array(record[name]) for name in _FIELDS))
