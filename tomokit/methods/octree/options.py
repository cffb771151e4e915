"""The options of an octree fit, and the checks for contradictions between them."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from tomokit.data.margin import margin_option
from tomokit.errors import OptionError
from tomokit.plugin.options import build_options, option, range_text
from tomokit.plugin.settings import merge

_LEAST_SPACING_PX = 0.1
# Below, the slope of an activation that keeps densities positive is so small that no step changes anything.
LEAST_START = 1e-3
"""Of the densities that a fit begins with, for activations that keep them positive."""


@dataclass(frozen=True)
class OctreeOptions:
    """Options of the octree method, :class:`tomokit.methods.octree.method.Octree`, with their helps and bounds."""

    epochs: int = option(
        30,
        "Passes over all views. More sharpen detail until the held-out score stops rising; fewer give a "
        "quick preview. The shares below follow it.",
        minimum=1,
        maximum=1_000_000,
    )
    coarse_epochs: int = option(
        0,
        "First epochs that are fitted to projections of half the resolution. They are faster and less noisy; "
        "raise it for large or very noisy series, and expect less fine detail if few full-resolution epochs "
        "are left.",
        minimum=0,
    )
    large_leaves: float = option(
        0.0,
        "Share of the epochs, from the first on, in which the finest leaves are twice as large, so that the "
        "fit begins with a coarse specimen. Raise it to fit faster, lower it if fine detail comes out weak.",
        minimum=0.0,
        maximum=0.95,
    )
    convex: float = option(
        0.0,
        "Share of the epochs, from the first on, in which edges are smoothed like everything else (isotropic "
        "in place of concave total variation). Raise it if noise is sharpened into speckles or edges; "
        "without effect on other variants.",
        minimum=0.0,
        maximum=1.0,
    )
    convex_strength: float = option(
        1.0,
        "Factor on strength in the epochs that convex sets. Lower it if the specimen is smoothed away before "
        "it has formed, raise it if the first epochs fit noise.",
        minimum=0.0,
    )
    decay_epochs: int | None = option(
        None,
        "Number of last epochs with small steps, which settle the density. Leave it to decay_share unless "
        "you need an exact number; 0 keeps full steps to the end.",
        minimum=0,
    )
    decay_share: float = option(
        0.25,
        "Share of the full-resolution epochs, the last ones, with small steps, which settle the density. "
        "Raise it if the result still looks grainy or changes from epoch to epoch.",
        minimum=0.0,
        maximum=1.0,
    )
    decay: float = option(
        0.1,
        "How small those last steps are: factor on the learning rate. Lower it if the density still "
        "fluctuates at the end, raise it if the loss is still falling.",
        minimum=1e-6,
        maximum=1.0,
    )
    views_per_step: int = option(
        1,
        "Views that are fitted together before the density changes. More make steps smoother, which helps at "
        "very low dose, but there are fewer of them in an epoch.",
        minimum=1,
    )
    n: int | None = option(
        None,
        "Samples (vertices) along the edge of a leaf. Without it about 32, so that whole leaves fill the "
        "thickness; give it only to repeat a published setting.",
        minimum=4,
        maximum=128,
    )
    max_leaves: int = option(
        384,
        "Most leaves that the octree may have, which bounds memory and detail. Raise it for large volumes if "
        "the leaves come out coarser than spacing_px, lower it if memory is short.",
        minimum=1,
    )
    leaf_px: float | None = option(
        None,
        "Edge of a leaf inside the tomogram, in binned pixels. Without it the smallest that max_leaves and "
        "spacing_px allow; give it only to repeat a setting.",
        minimum=1.0,
    )
    spacing_px: float | None = option(
        None,
        "Least distance between samples of the density, in binned pixels. Without it 0.5 to 1, wider the "
        "noisier the data; lower it for finer detail in clean data, raise it for speed and smoothness.",
        minimum=_LEAST_SPACING_PX,
    )
    structure_epochs: tuple[int, ...] = option(
        (),
        "Epochs after which leaves are split where the density varies most and merged where it does not. "
        "Give some, such as 5,10, together with finer, for thin features in a large empty volume.",
        minimum=1,
    )
    structure_stall: float = option(
        0.95,
        "Leaves change only if the loss is still at least this share of that of the epoch before, so that a "
        "fit which is improving is left alone. Set it to 0 to change them after each of structure_epochs.",
        minimum=0.0,
    )
    coarser: int = option(
        1,
        "Levels of larger leaves beside the tomogram, each twice the size of the one before, for what high "
        "tilts see there. Raise it if a wide margin uses up max_leaves; 0, which needs large_leaves=0, makes "
        "all leaves alike.",
        minimum=0,
        maximum=4,
    )
    finer: int = option(
        0,
        "Levels of smaller leaves that structure_epochs may add, each half the size of the one before. Raise "
        "it, with structure_epochs, for detail that is finer than the first leaves show.",
        minimum=0,
        maximum=3,
    )
    push_roi: bool = option(
        False,
        "When leaves change, split as many of those inside the tomogram as max_leaves allows and merge none "
        "of them, whatever their error. Use it if detail is wanted everywhere, as in a crowded cell; leave "
        "it off for single particles in empty ice.",
    )
    activation: str = option(
        "squareplus",
        "How stored numbers become densities. squareplus and softplus keep every density above zero, which "
        "closes gaps that the missing wedge leaves; identity allows negative ones, for data of which zero is "
        "not the least. clipped, for solver=primal-dual alone, sets negative ones to zero.",
        choices=("squareplus", "softplus", "identity", "clipped"),
    )
    bend: float | None = option(
        None,
        "How softly densities come down to zero: b of squareplus (a smaller one is sharper) or beta of "
        "softplus (a larger one is sharper), for densities in the fit's unit. Make it sharper if empty "
        "regions stay grey, softer if weak detail near zero does not appear.",
        minimum=1e-12,
        maximum=1e3,
    )
    unit: float | None = option(
        None,
        "Density, per pixel and times kappa, that counts as 1 in the fit. Without it the contrast of the "
        "projections sets it; give it only to repeat a published setting.",
        minimum=1e-30,
        maximum=1e30,
    )
    start: float = option(
        0.1,
        "Uniform density that the fit starts from; 1 is the mean projection spread evenly over the "
        "thickness. Lower it if empty regions stay grey.",
        minimum=0.0,
        maximum=1e3,
    )
    solver: str = option(
        "gradient",
        "How the fit is minimized: gradient steps of an optimizer, or primal-dual, which ties leaves together, comes "
        "to rest at the minimum of data and isotropic total variation, and has no learning rate. Take primal-dual, "
        "best by --preset primal-dual, for specimens that fill the field of view.",
        choices=("gradient", "primal-dual"),
    )
    balance: float = option(
        0.6,
        "How long solver=primal-dual's steps in the data are compared with those of the density; it changes the speed "
        "and not the converged result. Leave it; try 0.3 or 0.9 if the loss falls slowly.",
        minimum=1e-4,
        maximum=1.0,
    )
    tilt_weights: float = option(
        0.0,
        "Power of the cosine of its tilt by which solver=primal-dual weighs a view: tilted views look through more "
        "ice and are the least well described. 0 weighs all alike. Raise it if streaks along the highest tilts "
        "appear, lower it if low tilts were spoilt.",
        minimum=0.0,
        maximum=10.0,
    )
    negative_penalty: float | None = option(
        None,
        "Lets solver=primal-dual make densities negative at this price, relative to the smoothing, where "
        "activation=clipped would set them to zero: the dark fringes that defocus puts around a specimen are "
        "below the level of the ice. Raise it if empty regions come out grey, lower it if fringes are lost.",
        minimum=0.0,
        maximum=1e12,
    )
    texture_strength: float = option(
        1.0,
        "Least share of the smoothing that is left where the specimen has texture, with solver=primal-dual; 1 "
        "smooths everywhere alike. Lower it if fine detail of the specimen is lost while its surroundings are "
        "still noisy, raise it if the specimen is speckled.",
        minimum=0.01,
        maximum=1.0,
    )
    texture_gradient: float = option(
        0.03,
        "Mean slope of the density, in the fit's unit per pixel, at which texture_strength halves the "
        "smoothing. Lower it to spare fainter texture, raise it if noise is taken for texture.",
        minimum=1e-9,
        maximum=1e9,
    )
    texture_px: float = option(
        3.0,
        "Over how many pixels that slope is averaged (standard deviation of a Gaussian). Raise it if the "
        "smoothing is patchy, lower it if noise is left around small particles.",
        minimum=0.5,
        maximum=100.0,
    )
    texture_begin: float = option(
        0.35,
        "Share of the epochs after which texture_strength begins to act: before, the density has no texture "
        "that could be told from noise. Leave it.",
        minimum=0.0,
        maximum=1.0,
    )
    optimizer: str = option(
        "rmsprop",
        "Rule by which the density follows its gradients: adam, rmsprop (the publication's), sgd, or that of "
        "a plugin. Leave it unless you repeat a published setting; the learning rates of others differ.",
    )
    optimizers: dict[str, Any] = field(
        default_factory=dict,
        metadata={
            "help": "Options of optimizers, as optimizers.NAME.OPTION: optimizers.adam.lr=0.04. Each is explained with "
            "its optimizer."
        },
    )
    strength: float = option(
        1.0,
        "Smoothing relative to what the measured noise asks for. The first option to try: raise it (1, 1.4) "
        "if the tomogram is noisy, lower it (0.5, 0.35) if detail is lost. It has no say where a weight is "
        "given.",
        minimum=0.0,
    )
    field_filling_strength: float | None = option(
        None,
        "The same for specimens that fill the field of view (their offsets are fitted), in all epochs. Raise "
        "it if a lamella or cell comes out noisy, lower it if membranes are lost; without it strength and "
        "convex_strength hold.",
        minimum=0.0,
    )
    field_filling_rate: float = option(
        1.0,
        "Factor on the learning rate for specimens that fill the field of view. Raise it if such a fit "
        "converges slowly, lower it if its loss goes up and down.",
        minimum=1e-6,
    )
    regularizers: dict[str, Any] = field(
        default_factory=dict,
        metadata={
            "help": "Options of regularizers, as regularizers.NAME.OPTION: regularizers.tv.weight=0. Each is explained "
            "with its regularizer; one that is off is switched on by giving an option of it."
        },
    )
    field_filling: dict[str, Any] = field(
        default_factory=dict,
        metadata={
            "help": "Options that replace the others if the specimen fills the field of view (its offsets are "
            "fitted), as field_filling.NAME=...; they give way to those that are given by themselves, and all of "
            "them to what field_filling.unless names. Leave it, or give solver=gradient to do without."
        },
    )
    margin: float | None = margin_option()
    depth_margin: float = option(
        0.0,
        "Room above the tomogram, and as much below, as a share of its thickness, in the largest leaves. What moves "
        "with the tilt as if it lay beyond the specimen, such as uneven illumination, is then not pressed into bright "
        "or dark slabs at the faces. It needs coarser=1 or more; raise it if there are such slabs.",
        minimum=0.0,
        maximum=10.0,
    )

    def __post_init__(self) -> None:
        """Refuse options that contradict each other, before anything is read."""
        self._check_solver()
        self.for_specimen(True)
        if self.activation not in ("identity", "clipped") and self.start < LEAST_START:
            raise _contradiction(
                "start",
                f"{self.start:g} with the activation {self.activation}, which hardly moves from there",
                f"give at least {LEAST_START:g}, or activation=identity",
            )
        if self.coarse_epochs > self.epochs:
            raise _contradiction(
                "coarse_epochs",
                f"{self.coarse_epochs} of {self.epochs} epochs",
                f"give {range_text(0, self.epochs)}, or more epochs",
            )
        if self.decays > self.epochs - self.coarse_epochs:
            raise _contradiction(
                "decay_epochs",
                f"{self.decays} of {self.epochs - self.coarse_epochs} epochs at full resolution",
                f"give {range_text(0, self.epochs - self.coarse_epochs)}, or more epochs",
            )
        late = [epoch for epoch in self.structure_epochs if epoch >= self.epochs]
        if late:
            raise _contradiction(
                "structure_epochs",
                f"nothing is fitted after epoch {late[0]} of {self.epochs}",
                f"give {range_text(1, self.epochs - 1)}, or more epochs" if self.epochs > 1 else "give more epochs",
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
        if self.depth_margin and not self.coarser:
            raise _contradiction(
                "depth_margin", "the leaves cannot be larger than roots", "give coarser=1, or depth_margin=0"
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

    def for_specimen(self, fills_field: bool) -> OctreeOptions:
        """The options that hold for a specimen.

        Parameters
        ----------
        fills_field : bool
            Whether the specimen fills the field of view, so that offsets are fitted.

        Returns
        -------
        OctreeOptions
            Without ``field_filling``: it has had its say.

        Raises
        ------
        OptionError
            If ``field_filling`` has an unknown name, a bad value, or contradicts the other options.
        """
        if not self.field_filling:
            return self
        own = {item.name: getattr(self, item.name) for item in fields(self)} | {"field_filling": {}}
        if fills_field:
            own = merge(own, {name: value for name, value in self.field_filling.items() if name != "unless"})
        made: OctreeOptions = build_options(OctreeOptions, own, "method octree: field_filling")
        return made

    def _check_solver(self) -> None:
        """Refuse a solver and an activation, or a schedule, that do not go together."""
        if self.solver == "gradient":
            is_replaced = self.field_filling.get("solver", "gradient") != "gradient"
            asked = ["negative_penalty"] * (self.negative_penalty is not None)
            asked += ["texture_strength"] * (self.texture_strength < 1) + ["tilt_weights"] * (self.tilt_weights > 0)
            if asked and not is_replaced:
                raise _contradiction(asked[0], "solver=gradient has none", "leave it out, or give solver=primal-dual")
            if self.activation == "clipped":
                raise _contradiction(
                    "activation",
                    "clipped leaves an optimizer no slope to follow",
                    "give squareplus, or solver=primal-dual",
                )
            return
        if self.activation not in ("identity", "clipped"):
            raise _contradiction(
                "activation",
                f"solver=primal-dual changes densities themselves, which {self.activation} hides from it",
                "give clipped, or identity for signed densities, or --preset primal-dual",
            )
        if self.negative_penalty is not None and self.activation == "identity":
            raise _contradiction(
                "negative_penalty", "activation=identity lets densities be negative at no price", "give clipped"
            )
        if self.coarse_epochs:
            raise _contradiction(
                "coarse_epochs", "solver=primal-dual has one set of projections", "give 0, and large_leaves instead"
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
