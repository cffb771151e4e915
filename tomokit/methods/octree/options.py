"""The options of an octree fit, and what contradicts itself among them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tomokit.data.margin import margin_option
from tomokit.errors import OptionError
from tomokit.plugin.options import option

_LEAST_SPACING_PX = 0.1


@dataclass(frozen=True)
class OctreeOptions:
    """Options of :class:`tomokit.methods.octree.method.Octree`."""

    epochs: int = option(30, "Passes over all views.", minimum=1)
    coarse_epochs: int = option(0, "Epochs at half resolution, before the others.", minimum=0)
    large_leaves: float = option(
        0.0,
        "Share of the epochs, the first ones, in which the finest leaves are twice as large.",
        minimum=0.0,
        maximum=0.95,
    )
    convex: float = option(
        0.0, "Share of them in which a concave total variation is still the isotropic one.", minimum=0.0, maximum=1.0
    )
    convex_strength: float = option(1.0, "Factor of strength in those.", minimum=0.0)
    decay_epochs: int | None = option(
        None, "Last epochs at a smaller learning rate; none given: decay_share of those at full resolution.", minimum=0
    )
    decay_share: float = option(
        0.25, "Share of the epochs at full resolution at it, where decay_epochs is not given.", minimum=0.0, maximum=1.0
    )
    decay: float = option(0.1, "Factor on the learning rate in those.", minimum=1e-6, maximum=1.0)
    views_per_step: int = option(1, "Views of one optimizer step.", minimum=1)
    n: int | None = option(
        None,
        "Vertices along a leaf's edge; none given: about 32, such that whole leaves make the thickness.",
        minimum=4,
        maximum=128,
    )
    max_leaves: int = option(384, "Most leaves of the forest.", minimum=1)
    leaf_px: float | None = option(None, "Edge of the finest leaves; none given: as max_leaves allows.", minimum=1.0)
    spacing_px: float | None = option(
        None,
        "Vertices are never closer than this, where leaf_px is not given; none given: 0.5 to 1 by noise and specimen.",
        minimum=_LEAST_SPACING_PX,
    )
    structure_epochs: tuple[int, ...] = option((), "Epochs after which the octree may change.", minimum=1)
    structure_stall: float = option(
        0.95, "It changes if the epoch's loss is at least this share of the one before.", minimum=0.0
    )
    coarser: int = option(1, "Levels coarser than the region of interest's, for the margin.", minimum=0, maximum=4)
    finer: int = option(0, "Levels finer than it, which structure updates may add.", minimum=0, maximum=3)
    push_roi: bool = option(False, "Spend spare leaves on the region of interest first.")
    activation: str = option(
        "squareplus", "From stored values to densities.", choices=("squareplus", "softplus", "identity")
    )
    bend: float | None = option(
        None, "b of squareplus or beta of softplus; none given: the publication's (ln 2)^2 and 2.", minimum=1e-12
    )
    unit: float | None = option(
        None, "Density that counts as 1 in the fit; none given: from the range of the projections.", minimum=1e-30
    )
    start: float = option(
        0.1, "Density to start from, relative to the mean projection spread over the slab.", minimum=0.0
    )
    optimizer: str = option("rmsprop", "Optimizer, by name.")
    optimizers: dict[str, Any] = field(
        default_factory=dict, metadata={"help": "Options of optimizers: optimizers.NAME.option."}
    )
    strength: float = option(1.0, "Total variation relative to the noise, where its weight is not given.", minimum=0.0)
    field_filling_strength: float | None = option(
        None,
        "Strength in all epochs where offsets are fitted, that is where the specimen fills the field; none given: "
        "as elsewhere.",
        minimum=0.0,
    )
    field_filling_rate: float = option(1.0, "Factor of the learning rate there.", minimum=1e-6)
    regularizers: dict[str, Any] = field(
        default_factory=dict, metadata={"help": "Options of regularizers: regularizers.NAME.option."}
    )
    margin: float | None = margin_option()

    def __post_init__(self) -> None:
        """Refuse what contradicts itself, before anything is read."""
        if self.coarse_epochs > self.epochs:
            raise _contradiction(
                "coarse_epochs",
                f"{self.coarse_epochs} of {self.epochs} epochs",
                f"give at most {self.epochs}, or more epochs",
            )
        if self.decays > self.epochs - self.coarse_epochs:
            raise _contradiction(
                "decay_epochs",
                f"{self.decays} of {self.epochs - self.coarse_epochs} epochs at full resolution",
                f"give at most {self.epochs - self.coarse_epochs}, or more epochs",
            )
        late = [epoch for epoch in self.structure_epochs if epoch >= self.epochs]
        if late:
            raise _contradiction(
                "structure_epochs",
                f"nothing is fitted after epoch {late[0]} of {self.epochs}",
                f"give epochs below {self.epochs}, or more epochs",
            )
        if self.large_leaf_epochs and not self.coarser:
            raise _contradiction(
                "large_leaves", "the leaves cannot be larger than roots", "give coarser=1, or large_leaves=0"
            )
        early = [epoch for epoch in self.structure_epochs if epoch < self.large_leaf_epochs]
        if early:
            raise _contradiction(
                "structure_epochs",
                f"what epoch {early[0]} changes is undone after epoch {self.large_leaf_epochs}",
                f"give epochs from {self.large_leaf_epochs}, or a smaller share of large_leaves",
            )
        if self.structure_epochs and not self.finer:
            raise _contradiction(
                "structure_epochs", "there is no level to refine to", "give finer=1, or no structure_epochs"
            )
        if self.leaf_px is not None and self.n is not None and self.leaf_px / (self.n - 1) < _LEAST_SPACING_PX:
            raise _contradiction(
                "n",
                f"{self.n} vertices in leaves of {self.leaf_px:g} px lie closer than {_LEAST_SPACING_PX} px",
                "give fewer, or larger leaves",
            )

    @property
    def large_leaf_epochs(self) -> int:
        """First epochs on larger leaves."""
        return int(self.large_leaves * self.epochs)

    @property
    def convex_epochs(self) -> int:
        """First epochs under a convex total variation."""
        return int(self.convex * self.epochs)

    @property
    def decays(self) -> int:
        """Epochs at the smaller learning rate."""
        if self.decay_epochs is not None:
            return self.decay_epochs
        return int(self.decay_share * (self.epochs - self.coarse_epochs))


def _contradiction(name: str, problem: str, remedy: str) -> OptionError:
    return OptionError(problem, field=f"method octree: {name}", remedy=remedy)
