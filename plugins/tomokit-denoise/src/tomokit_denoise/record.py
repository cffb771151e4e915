"""What is said of a denoised tomogram: the record beside it, and the labels in it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from tomokit.version import __version__
from tomokit_denoise.blocks import Scale
from tomokit_denoise.halves import Halves
from tomokit_denoise.network import Denoiser
from tomokit_denoise.training import Trained


def scale_between(halves: Halves, targets: Halves) -> Scale:
    """Find what makes densities of a network's result: they come in the units of what it was held to.

    Parameters
    ----------
    halves, targets : Halves

    Returns
    -------
    Scale
    """
    deviation = halves.deviation
    return Scale(targets.deviation / deviation, (sum(targets.means) - sum(halves.means)) / (2 * deviation))


def scale_of_model(model: dict[str, Any]) -> Scale:
    """Find the same by a model's own account.

    Parameters
    ----------
    model : dict
        The record in its file.

    Returns
    -------
    Scale
        That of the halves themselves where the record does not say.
    """
    told = model.get("scale")
    factor, offset = (told.get(name) if isinstance(told, dict) else None for name in ("factor", "offset"))
    if isinstance(factor, float) and isinstance(offset, float) and np.isfinite([factor, offset]).all():
        return Scale(factor, offset)
    return Scale()


def make_record(
    halves: Halves,
    targets: Halves,
    network: Denoiser,
    scale: Scale,
    trained: Trained | None,
    model: dict[str, Any] | None,
    device: str,
) -> dict[str, Any]:
    """Say what the denoised tomogram depends on.

    Parameters
    ----------
    halves, targets : Halves
    network : Denoiser
    scale : Scale
    trained : Trained or None
        How the network was trained, if it was.
    model : dict or None
        The record of the file that it was read from, if it was.
    device : str

    Returns
    -------
    dict
        JSON-serializable, without place and hour.
    """
    record = {
        "tomokit": __version__,
        "method": "denoise",
        "made_by": "a neural network; detail is what it expects by the halves that it was trained on, and may be wrong",
        "halves": _inputs(halves),
        **({} if targets is halves else {"targets": _inputs(targets)}),
        "scale": asdict(scale),
        "tilt_axis": halves.tilt_axis,
        "network": network.to_json(),
        "torch": torch.__version__.split("+")[0],
        "device": device,
        "threads": torch.get_num_threads(),
    }
    if trained is not None:
        return {**record, "training": trained.to_json()}
    return {**record, "model": model}


def make_labels(halves: Halves, told: dict[str, Any]) -> dict[str, Any]:
    """Pick what the labels of an MRC say of it, the essential first.

    Parameters
    ----------
    halves : Halves
    told : dict
        What :func:`make_record` gave.

    Returns
    -------
    dict
        Short values by short names.
    """
    model = told.get("model")
    own = model is None or [each["sha256"] for each in told["halves"].values()] == [
        each.get("sha256") for each in (model.get("halves") or {}).values() if isinstance(each, dict)
    ]
    axes = {"axes": "sections along y, rows along z"} if halves.tilt_axis == 0 else {}
    return {
        "denoised by": "a network trained on its halves" if own else "a network trained on other halves",
        "plugin": "tomokit-denoise",
        **axes,
        "halves": ", ".join(path.name for path in halves.paths),
        **{f"{name} sha256": each["sha256"] for name, each in told["halves"].items()},
        "halves by": halves.methods[0],
    }


def _inputs(halves: Halves) -> dict[str, Any]:
    return {
        name: {"file": path.name, "sha256": digest, "method": method}
        for name, path, digest, method in zip(
            ("even", "odd"), halves.paths, halves.digests, halves.methods, strict=True
        )
    }
