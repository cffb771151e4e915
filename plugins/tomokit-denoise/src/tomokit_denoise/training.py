"""Training by Noise2Inverse: a network that is given one half is held to the other.

What is noise in one half says nothing of the noise in the other, so that the best that can be done is what both are
expected to have in common: the density as such a reconstruction shows it, without the noise (Lehtinen et al., ICML
2018; for tomography Hendriksen, Pelt and Batenburg, IEEE Trans. Comput. Imaging 6, 1320, 2020). That needs noise that
is independent in both, and halves whose expectation is the density: those of a linear method.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Any

import torch

from tomokit.errors import InputError
from tomokit.pipeline.progress import Progress
from tomokit.plugin.options import option
from tomokit_denoise.network import Denoiser, NetworkOptions, make_network
from tomokit_denoise.patches import Pair, Patches

_WARM_UP = 20
_JUDGED = 10
"""Times that training is judged, beside its start."""

_JUDGED_PATCHES = 8
_TIMED = 6
"""Steps by which it is known how many there is time for, beside two that make the machine ready."""

_BY_HEART = 1.02


@dataclass(frozen=True)
class TrainingOptions:
    """How a network is trained."""

    steps: int = option(1200, "Steps of the optimizer.", minimum=1, maximum=1_000_000)
    patch: int = option(48, "Edge of a patch in voxels.", minimum=16, maximum=256)
    batch: int = option(1, "Patches in a step.", minimum=1, maximum=256)
    lr: float = option(2e-3, "Learning rate of Adam at its highest.", minimum=1e-7, maximum=1.0)
    seed: int = option(0, "Of weights and patches.", minimum=0)


@dataclass(frozen=True)
class Trained:
    """A network that was trained, and how that went.

    Attributes
    ----------
    network : Denoiser
        On the CPU.
    options : TrainingOptions
        With the steps that were taken.
    curve : list of dict
        ``step``, ``training`` (mean squared error of the batches since the last entry; absent at the start) and
        ``held_out`` (of the patches that were kept for judgement), in units of the variance of the halves.
    seconds : float
    warnings : list of str
    """

    network: Denoiser
    options: TrainingOptions
    curve: list[dict[str, float]]
    seconds: float
    warnings: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """How the network was trained, for records; without the time, which is not a property of the result.

        Returns
        -------
        dict
        """
        return {
            "method": "Noise2Inverse",
            "optimizer": "Adam, rate falling as a cosine",
            "loss": "mean squared difference from the other half",
            **{name: getattr(self.options, name) for name in ("steps", "patch", "batch", "lr", "seed")},
            "curve": self.curve,
        }


def train(
    patches: Patches,
    sizes: NetworkOptions,
    options: TrainingOptions,
    progress: Progress,
    *,
    device: str = "cpu",
    minutes: float | None = None,
) -> Trained:
    """Train a network on patches of two halves.

    On the CPU the same options and number of threads give the same bits.

    Parameters
    ----------
    patches : Patches
    sizes : NetworkOptions
    options : TrainingOptions
    progress : Progress
    device : {"cpu", "cuda"}
    minutes : float, optional
        Take as many steps as there is time for, in place of `options.steps`: that is measured at the start.

    Returns
    -------
    Trained

    Raises
    ------
    InputError
        If the loss is no number: the halves have values beyond all others.
    """
    began = time.monotonic()
    network = make_network(sizes, options.seed).to(device)
    steps = options.steps if minutes is None else _steps_in(minutes, patches, network, options, device)
    optimizer = torch.optim.Adam(network.parameters(), lr=options.lr)
    judged = patches.held_out(_JUDGED_PATCHES)
    curve = [{"step": 0, "held_out": _judge(network, judged, device)}]
    progress.epochs_begin(())
    total, count, every = 0.0, 0, max(1, math.ceil(steps / _JUDGED))
    for step, pair in enumerate(patches.batches(steps, options.batch, options.seed), 1):
        for group in optimizer.param_groups:
            group["lr"] = options.lr * _rate(step - 1, steps)
        loss = _loss(network, pair, device)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total, count = total + loss.item(), count + 1
        progress.step((step % every or every) / every)
        if step % every == 0 or step == steps:
            if not math.isfinite(total):
                raise InputError(
                    "training gave no numbers",
                    field="density",
                    remedy="look for voxels beyond all others, or give a lower --lr",
                )
            curve.append({"step": step, "training": total / count, "held_out": _judge(network, judged, device)})
            progress.epoch(len(curve) - 1, math.ceil(steps / every), {"loss": curve[-1]["held_out"]}, None)
            total, count = 0.0, 0
    taken = TrainingOptions(steps, options.patch, options.batch, options.lr, options.seed)
    return Trained(network.cpu().eval(), taken, curve, time.monotonic() - began, _warnings(curve))


def _loss(network: Denoiser, pair: Pair, device: str) -> torch.Tensor:
    given, wanted = (torch.from_numpy(values).to(device) for values in (pair.given, pair.wanted))
    return torch.nn.functional.mse_loss(network(given), wanted)


@torch.no_grad()
def _judge(network: Denoiser, pair: Pair, device: str) -> float:
    """The loss on patches that were not trained on."""
    return float(_loss(network, pair, device))


def _rate(step: int, steps: int) -> float:
    """Factor of the learning rate: up in the first steps, then down as a quarter of a cosine's period."""
    return min(1.0, (step + 1) / _WARM_UP) * 0.5 * (1 + math.cos(math.pi * step / steps))


def _steps_in(minutes: float, patches: Patches, network: Denoiser, options: TrainingOptions, device: str) -> int:
    """How many steps there is time for; the network's weights stay as they are."""
    began = time.monotonic()
    for number, pair in enumerate(patches.batches(2 + _TIMED, options.batch, options.seed)):
        if number == 2:
            began = time.monotonic()
        _loss(network, pair, device).backward()
    network.zero_grad()
    each = (time.monotonic() - began) / _TIMED
    return max(10, int(60 * minutes / max(each, 1e-6)))


def _warnings(curve: list[dict[str, float]]) -> list[str]:
    best = min(curve[1:], key=lambda entry: entry["held_out"])
    last = curve[-1]
    if last["held_out"] > _BY_HEART * best["held_out"]:
        return [
            f"patches that were not trained on were predicted better after {best['step']:.0f} steps than after "
            f"{last['step']:.0f}: the network learns noise by heart; give --steps {best['step']:.0f}, or a larger --box"
        ]
    if last["held_out"] >= curve[0]["held_out"]:
        return ["the network predicts the other half no better than its mean does: the halves have little in common"]
    return []
