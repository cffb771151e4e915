"""Options of method `implicit`."""

from __future__ import annotations

from dataclasses import dataclass

from tomokit.data.margin import margin_option
from tomokit.plugin.options import option


@dataclass(frozen=True)
class ImplicitOptions:
    """Options of :class:`tomokit_neural.implicit.Implicit`, whose defaults are the authors'."""

    epochs: int = option(100, "Number of passes over all pixels.", minimum=1)
    rays_per_step: int = option(256, "Number of pixels in one optimizer step.", minimum=1)
    width: int = option(256, "Units of each layer of the density network.", minimum=4)
    depth: int = option(5, "Layers of the density network before the skip connection.", minimum=1)
    depth_after: int = option(4, "Layers of the density network after the skip connection.", minimum=1)
    octaves: int = option(10, "Octaves of the density network's frequency encoding.", minimum=1, maximum=16)
    proposal_width: int = option(256, "Units of each layer of the proposal network.", minimum=4)
    proposal_octaves: int = option(5, "Octaves of the proposal network's frequency encoding.", minimum=1, maximum=16)
    coarse_samples: int = option(64, "Samples of each ray for the proposal network.", minimum=2)
    fine_samples: int = option(
        128, "Samples of each ray drawn where the proposal network finds density, beside the coarse ones.", minimum=1
    )
    lr: float = option(5e-5, "Learning rate of Adam for all networks.", minimum=0.0)
    flow_layers: int = option(4, "Radial layers of the noise model; 0 for least squares throughout.", minimum=0)
    least_squares_steps: int = option(
        5000, "Number of first steps that fit by least squares, before the noise model takes over.", minimum=0
    )
    margin: float | None = margin_option()
