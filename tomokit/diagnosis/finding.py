"""What the images say of a series' geometry: faults with their evidence, figures, and what they cannot decide."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.diagnosis.geometry import Geometry

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Finding:
    """A fault of the geometry that the evidence shows.

    Attributes
    ----------
    what : str
        The fault, as a sentence without a full stop.
    evidence : str
        What shows it, with figures.
    certainty : str
        ``"certain"``, ``"likely"`` or ``"possible"``.
    remedy : str
        What to do about it.
    geometry : Geometry or None
        The geometry without the fault, where a change of angles or transforms mends it.
    options : tuple of str
        Options of ``tomokit reconstruct`` that mend it otherwise.
    """

    what: str
    evidence: str
    certainty: str
    remedy: str
    geometry: Geometry | None = None
    options: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Represent the finding as a dictionary.

        Returns
        -------
        dict
            JSON-serializable: ``what``, ``evidence``, ``certainty``, ``remedy``, ``options``.
        """
        return {
            "what": self.what,
            "evidence": self.evidence,
            "certainty": self.certainty,
            "remedy": self.remedy,
            "options": list(self.options),
        }


@dataclass(frozen=True)
class Judgement:
    """What one kind of evidence says.

    Attributes
    ----------
    name : str
        What is judged: ``"order"``, ``"tilt axis"``, ``"binning"``, ``"views"``, ``"plane"``, ``"tracks"``, ``"hand"``
        or ``"records"``.
    decided : bool
        Whether the evidence suffices to tell right from wrong.
    summary : str
        One line with the figures.
    findings : tuple of Finding
        Faults; none if there are none, or nothing is decided.
    figures : dict of str to float
        The figures, in units that their names carry.
    """

    name: str
    decided: bool
    summary: str
    findings: tuple[Finding, ...] = ()
    figures: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Diagnosis:
    """All that was judged.

    Attributes
    ----------
    judgements : tuple of Judgement
        In the order in which they were made.
    given, mended : Geometry
        The geometry as it was given, and with every fault mended that a change of angles or transforms mends.
    """

    judgements: tuple[Judgement, ...]
    given: Geometry
    mended: Geometry

    @property
    def findings(self) -> list[Finding]:
        """The faults of all judgements, in their order."""
        return [finding for judgement in self.judgements for finding in judgement.findings]

    @property
    def options(self) -> list[str]:
        """Options of ``tomokit reconstruct`` that mend what angles and transforms do not."""
        return [option for finding in self.findings for option in finding.options]

    @property
    def is_mended(self) -> bool:
        """Whether angles or transforms have been changed."""
        return self.mended is not self.given

    def to_json(self) -> dict[str, Any]:
        """Represent the diagnosis as a dictionary.

        Returns
        -------
        dict
            JSON-serializable: ``judgements`` (each with ``name``, ``decided``, ``summary``, ``figures``) and
            ``findings``.
        """
        return {
            "judgements": [
                {"name": one.name, "decided": one.decided, "summary": one.summary, "figures": one.figures}
                for one in self.judgements
            ],
            "findings": [finding.to_json() for finding in self.findings],
        }


def certainty_of(sigmas: float) -> str:
    """Put into a word how sure evidence is that lies so many standard errors from none.

    Parameters
    ----------
    sigmas : float

    Returns
    -------
    str
        ``"certain"`` from 10 on, ``"likely"`` from 5 on, else ``"possible"``.
    """
    return "certain" if sigmas >= 10 else "likely" if sigmas >= 5 else "possible"
