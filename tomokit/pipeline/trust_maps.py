"""Maps of what a tomogram can be trusted for: where halves agree, how much noise there is, and what views cover.

``docs/evidence.md`` says how they are read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.data import Volume
from tomokit.data.angular_coverage import angular_coverage, typical_arc_rad
from tomokit.methods.slabs import crop_rows
from tomokit.metrics.local_agreement import WINDOW_PX, chance_level, local_agreement
from tomokit.pipeline.plan import Plan
from tomokit.pipeline.prepare import Prepared


@dataclass(frozen=True)
class TrustMaps:
    """Four maps on the lattice of a tomogram, and their figures.

    Attributes
    ----------
    agreement : Volume
        Share of signal in the local variance, 0 to 1, by the agreement of the halves.
    noise : Volume
        Standard deviation of the noise, in units of density, by their difference.
    coverage : Volume
        Share of all directions across the tilt axis that the views cover, 0 to 1.
    trust : Volume
        Coverage times agreement, 0 to 1: of all directions those that were measured, times the share of signal.
    facts : dict
        What the maps were made with and their means, JSON-serializable.
    """

    agreement: Volume
    noise: Volume
    coverage: Volume
    trust: Volume
    facts: dict[str, Any]

    def by_name(self) -> dict[str, Volume]:
        """Give the maps by the ends of their files' names.

        Returns
        -------
        dict of str to Volume
        """
        return {"agreement": self.agreement, "noise": self.noise, "coverage": self.coverage, "trust": self.trust}


def make_trust_maps(whole: Volume, even: Volume, odd: Volume, prepared: Prepared, size_is_known: bool) -> TrustMaps:
    """Compare two halves from place to place, and tell what the views of the whole cover.

    Parameters
    ----------
    whole, even, odd : Volume
        Densities ``[z, y, x]`` of one lattice.
    prepared : Prepared
        The problem of all views that are fitted.
    size_is_known : bool
        Whether the voxel's edge is known, so that the coverage's resolution is told in ångström.

    Returns
    -------
    TrustMaps
    """
    found = local_agreement(even.density, odd.density)
    chance = chance_level(even.density, odd.density)
    coverage, arc_rad = _coverage(prepared)
    thickness = prepared.problem.thickness_px
    resolution_px = arc_rad * thickness
    resolution = resolution_px * whole.voxel_size_angstrom if size_is_known else None
    within = f"{resolution_px:.3g} voxels" if resolution is None else f"{resolution:.4g} A"
    texts = {
        "agreement": ("share of signal in local variance, 0 to 1", f"2c/(1+c), c of halves, sigma {WINDOW_PX:g} px"),
        "noise": ("std. dev. of noise, unit of density", f"half the halves' difference, sigma {WINDOW_PX:g} px"),
        "coverage": ("share of directions across y, 0 to 1", f"arcs of {math.degrees(arc_rad):.3g} deg, to {within}"),
    }
    texts["trust"] = ("coverage times agreement, 0 to 1", f"{texts['coverage'][1]}; {texts['agreement'][1]}")
    trust = coverage * found.signal
    labels = {name: {"map": what, "by": how} for name, (what, how) in texts.items()}
    facts = {
        "window_px": WINDOW_PX,
        "agreement": {
            "mean": _mean(found.signal),
            "chance": chance,
            "share_above_chance": float(np.mean(found.signal > chance)),
        },
        "noise": {"mean": _mean(found.noise)},
        "trust": {"mean": _mean(trust)},
        "coverage": {
            "mean": _mean(coverage),
            "least": float(coverage.min()),
            "most": float(coverage.max()),
            "arc_deg": math.degrees(arc_rad),
            "resolution_px": resolution_px,
            "resolution_angstrom": resolution,
        },
    }
    return TrustMaps(
        _as_map(whole, found.signal, labels["agreement"]),
        _as_map(whole, found.noise, labels["noise"]),
        _as_map(whole, coverage, labels["coverage"]),
        _as_map(whole, trust, labels["trust"]),
        facts,
    )


def _as_map(whole: Volume, values: NDArray[np.float32], labels: Mapping[str, str]) -> Volume:
    """Values in the place of a tomogram's densities; of its labels those that say where it came from."""
    kept = ("method", "views", "orientation", "bin", "stack", "sha256")
    told = {key: value for key, value in whole.provenance.items() if key in kept}
    return replace(whole, density=values, provenance={**labels, **told})


def _coverage(prepared: Prepared) -> tuple[NDArray[np.float32], float]:
    """The coverage ``[z, y, x]`` in the box of the tomogram, and the arc of a view in radians."""
    plan = prepared.plan
    problem = prepared.problem
    if problem.geometry.n_v != plan.volume_shape.n_y:
        problem = crop_rows(problem, plan.rows)
    arc_rad = typical_arc_rad(problem.geometry.tilt_rad, problem.thickness_px)
    covered = angular_coverage(problem.geometry, problem.mask, problem.thickness_px, arc_rad)
    return _levelled(np.ascontiguousarray(covered.transpose(1, 2, 0)), plan), arc_rad


def _levelled(coverage: NDArray[np.float32], plan: Plan) -> NDArray[np.float32]:
    """Turned and cut as the tomogram was; nothing covers what lies beyond."""
    if plan.box.is_level(coverage.shape[2]):
        return coverage
    level = plan.box.levelling.apply(coverage, 0.0)
    # The spline overshoots at the edges of what is covered.
    return np.clip(level, 0, 1, out=level)


def _mean(values: NDArray[np.float32]) -> float:
    return float(values.mean(dtype=np.float64))
