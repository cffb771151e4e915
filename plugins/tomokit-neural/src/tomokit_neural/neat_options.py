"""Options of method `neat`."""

from __future__ import annotations

from dataclasses import dataclass

from tomokit.data.margin import margin_option
from tomokit.plugin.options import option


@dataclass(frozen=True)
class NeatOptions:
    """Options of :class:`tomokit_neural.neat.Neat`, whose defaults are the authors'."""

    epochs: int = option(20, "Number of passes over all pixels.", minimum=1)
    rays_per_step: int = option(2048, "Number of pixels in one optimizer step.", minimum=1)
    samples_px: float = option(1.0, "Distance of samples along a ray, in pixels.", minimum=0.1)
    n: int = option(17, "Vertices along the edge of a node.", minimum=3, maximum=65)
    features: int = option(4, "Number of features at each vertex.", minimum=1, maximum=32)
    width: int = option(64, "Units of each of the decoder's two layers.", minimum=4)
    max_nodes: int = option(512, "Largest number of nodes of the octree.", minimum=1)
    depth: int = option(4, "Levels of the octree, the coarsest of which are cubes that cover the slab.", minimum=1)
    structure_epochs: tuple[int, ...] = option((2, 4, 6), "Epochs after which nodes may split and merge.", minimum=1)
    grid_lr: float = option(0.04, "Adam's learning rate of the features.", minimum=0.0)
    decoder_lr: float = option(5e-5, "Adam's learning rate of the decoder.", minimum=0.0)
    tv: float = option(1e-4, "Weight of the features' total variation inside nodes.", minimum=0.0)
    boundary: float = option(1e-3, "Weight of the features' consistency between nodes.", minimum=0.0)
    margin: float | None = margin_option()
