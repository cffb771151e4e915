"""The options of an octree fit, and the checks for contradictions between them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tomokit.data.margin import margin_option
from tomokit.errors import OptionError
from tomokit.plugin.options import option

_LEAST_SPACING_PX = 0.1


@dataclass(frozen=True)
class OctreeOptions:
    """Options of the octree method, :class:`tomokit.methods.octree.method.Octree`, with their helps and bounds."""

    epochs: int = option(
        30, "Passes over all views. Give more if the loss still falls, fewer for a quick preview.", minimum=1
    )
    coarse_epochs: int = option(
        0,
        "Number of first epochs on projections of half the resolution. They are faster and less noisy.",
        minimum=0,
    )
    large_leaves: float = option(
        0.0,
        "Fraction of all epochs, from the first on, with the finest leaves twice as large. Raise it to fit faster, "
        "lower it if fine detail comes out weak.",
        minimum=0.0,
        maximum=0.95,
    )
    convex: float = option(
        0.0,
        "Fraction of all epochs, from the first on, in which a concave total variation is replaced by the isotropic "
        "one. Raise it if noise is sharpened into edges.",
        minimum=0.0,
        maximum=1.0,
    )
    convex_strength: float = option(
        1.0,
        "Factor on strength during the first epochs that the option convex sets. Lower it if the density is smoothed "
        "too early.",
        minimum=0.0,
    )
    decay_epochs: int | None = option(
        None,
        "Number of last epochs at the reduced learning rate (decay). Without it, decay_share says how many.",
        minimum=0,
    )
    decay_share: float = option(
        0.25,
        "Fraction of the full-resolution epochs, the last ones, at the reduced learning rate (decay). Unused if "
        "decay_epochs is given.",
        minimum=0.0,
        maximum=1.0,
    )
    decay: float = option(
        0.1,
        "Factor on the learning rate in the last epochs (decay_epochs or decay_share). Lower it if the density still "
        "fluctuates at the end.",
        minimum=1e-6,
        maximum=1.0,
    )
    views_per_step: int = option(
        1, "Views fitted together in one optimizer step. More give smoother steps, but fewer in an epoch.", minimum=1
    )
    n: int | None = option(
        None,
        "Density samples (vertices) along a leaf's edge. Without it about 32, chosen so that whole leaves fill the "
        "thickness.",
        minimum=4,
        maximum=128,
    )
    max_leaves: int = option(
        384, "Most leaves that the octree may have. Raise it for large volumes; memory grows with it.", minimum=1
    )
    leaf_px: float | None = option(
        None,
        "Edge of the leaves in the region of interest, in pixels. Without it the smallest that max_leaves and "
        "spacing_px allow.",
        minimum=1.0,
    )
    spacing_px: float | None = option(
        None,
        "Smallest distance between density samples in pixels, unless leaf_px is given. Without it 0.5 to 1, wider "
        "the noisier the data.",
        minimum=_LEAST_SPACING_PX,
    )
    structure_epochs: tuple[int, ...] = option(
        (),
        "Epochs after which leaves may be split or merged where the density needs it. Give some, with finer, to "
        "adapt the octree to the specimen.",
        minimum=1,
    )
    structure_stall: float = option(
        0.95,
        "Leaves change only if the loss is at least this fraction of the previous epoch's. With 0 they change after "
        "each of structure_epochs.",
        minimum=0.0,
    )
    coarser: int = option(
        1,
        "Levels of larger leaves around the region of interest, each twice the size of the one before. Raise it if a "
        "wide margin uses up max_leaves.",
        minimum=0,
        maximum=4,
    )
    finer: int = option(
        0,
        "Levels of smaller leaves that structure_epochs may add, each half the size of the one before. Raise it for "
        "detail finer than the first leaves.",
        minimum=0,
        maximum=3,
    )
    push_roi: bool = option(
        False,
        "Split leaves in the region of interest first when the octree changes. Use it if leaves are spent on the "
        "margin.",
    )
    activation: str = option(
        "squareplus",
        "Function that turns stored values into densities. The first two keep densities positive; identity also "
        "allows negative ones.",
        choices=("squareplus", "softplus", "identity"),
    )
    bend: float | None = option(
        None,
        "How softly the activation bends near zero density: b of squareplus, beta of softplus. Without it the "
        "publication's, (ln 2)^2 and 2.",
        minimum=1e-12,
    )
    unit: float | None = option(
        None,
        "Density, per pixel and times kappa, that the fit counts as 1. Without it the projections' contrast sets it; "
        "give it only to repeat a published setting.",
        minimum=1e-30,
    )
    start: float = option(
        0.1,
        "Uniform density to start from; 1 is the mean projection spread evenly over the slab. Lower it if empty "
        "regions stay grey.",
        minimum=0.0,
    )
    optimizer: str = option(
        "rmsprop", "Rule that turns gradients into steps: rmsprop, adam, sgd, or the name of a plugin's optimizer."
    )
    optimizers: dict[str, Any] = field(
        default_factory=dict,
        metadata={"help": "Options of optimizers, as optimizers.NAME.OPTION: optimizers.adam.lr=0.04."},
    )
    strength: float = option(
        1.0,
        "Smoothing relative to what the measured noise asks for, where no weight is given. Raise it if the volume is "
        "noisy, lower it if detail is lost.",
        minimum=0.0,
    )
    field_filling_strength: float | None = option(
        None,
        "Replaces strength in all epochs if the specimen fills the field of view (offsets are fitted). Without it "
        "strength and convex_strength hold.",
        minimum=0.0,
    )
    field_filling_rate: float = option(
        1.0,
        "Factor on the learning rate if the specimen fills the field of view (offsets are fitted). Raise it if such a "
        "fit is slow to converge.",
        minimum=1e-6,
    )
    regularizers: dict[str, Any] = field(
        default_factory=dict,
        metadata={"help": "Options of regularizers, as regularizers.NAME.OPTION: regularizers.tv.weight=0."},
    )
    margin: float | None = margin_option()

    def __post_init__(self) -> None:
        """Refuse options that contradict each other, before anything is read."""
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
        """Number of first epochs on leaves of twice the size."""
        return int(self.large_leaves * self.epochs)

    @property
    def convex_epochs(self) -> int:
        """Number of first epochs under a convex total variation."""
        return int(self.convex * self.epochs)

    @property
    def decays(self) -> int:
        """Number of last epochs at the reduced learning rate."""
        if self.decay_epochs is not None:
            return self.decay_epochs
        return int(self.decay_share * (self.epochs - self.coarse_epochs))


def _contradiction(name: str, problem: str, remedy: str) -> OptionError:
    return OptionError(problem, field=f"method octree: {name}", remedy=remedy)
