"""A trained network in a file, and back, from strangers too.

The file is what ``torch.save`` writes: a ZIP archive of tensors and of a pickle. It is looked at before anything of it
is unpickled: only an archive of a plausible size, when unpacked too, whose pickle is read by PyTorch's unpickler for
weights, which makes tensors, dictionaries, texts and numbers and calls nothing else. What comes out has to be the
weights of a network of this plugin, name by name and shape by shape.
"""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from tomokit.errors import InputError, TomokitError
from tomokit.io.digest import file_digest
from tomokit.io.regular import open_regular
from tomokit.plugin.options import build_options
from tomokit_denoise.network import Denoiser, NetworkOptions

FORMAT = "tomokit-denoise 1"
_MOST_BYTES = 1 << 28
_REMEDY = "give a file that --save-model wrote"


def model_bytes(network: Denoiser, record: dict[str, Any]) -> bytes:
    """Make the content of a file.

    Parameters
    ----------
    network : Denoiser
        On the CPU.
    record : dict
        How it was trained, JSON-serializable.

    Returns
    -------
    bytes
    """
    sizes = {"width": network.options.width}
    content = {
        "format": FORMAT,
        "network": json.dumps(sizes),
        "record": json.dumps(record),
        "weights": {name: tensor.detach().clone() for name, tensor in network.state_dict().items()},
    }
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


def read_model(path: Path) -> tuple[Denoiser, dict[str, Any]]:
    """Read a network from a file, whoever made it.

    Parameters
    ----------
    path : Path

    Returns
    -------
    network : Denoiser
    record : dict
        How it was trained, by the file's own account, with the ``sha256`` of the file.

    Raises
    ------
    InputError
        If it is missing, no model of this plugin, larger than any, or has values that are no numbers.
    """
    with open_regular(path) as stream:
        _require_archive(path, stream)
        stream.seek(0)
        try:
            content = torch.load(stream, map_location="cpu", weights_only=True)
        except (
            pickle.UnpicklingError,
            RuntimeError,
            ValueError,
            EOFError,
            KeyError,
            TypeError,
            AttributeError,
        ) as error:
            raise InputError(
                "holds more than weights, or is damaged; nothing of it was run",
                file=path,
                field="model",
                remedy=_REMEDY,
            ) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputError(f"is no model of this plugin ({FORMAT})", file=path, field="format", remedy=_REMEDY)
    sizes, record = (_parsed(path, name, content.get(name)) for name in ("network", "record"))
    try:
        network = Denoiser(build_options(NetworkOptions, sizes, "network"))
    except TomokitError as error:
        raise InputError(error.problem, file=path, field="network", remedy=_REMEDY) from error
    weights = content.get("weights")
    for name, own in network.state_dict().items():
        given = weights.get(name) if isinstance(weights, dict) else None
        if not isinstance(given, torch.Tensor) or given.shape != own.shape or given.dtype != own.dtype:
            raise InputError(
                f"weights {name} are missing or of another shape", file=path, field="weights", remedy=_REMEDY
            )
        if given.layout != torch.strided or not bool(torch.isfinite(given).all()):
            raise InputError(f"weights {name} are not finite", file=path, field="weights", remedy=_REMEDY)
        with torch.no_grad():
            own.copy_(given)
    return network.eval(), {**record, "sha256": file_digest(path)}


def _require_archive(path: Path, stream: Any) -> None:
    try:
        with zipfile.ZipFile(stream) as archive:
            packed = sum(item.compress_size for item in archive.infolist())
            unpacked = sum(item.file_size for item in archive.infolist())
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
        raise InputError("is not what PyTorch saves", file=path, field="model", remedy=_REMEDY) from error
    if max(packed, unpacked) > _MOST_BYTES:
        raise InputError("is larger than any model of this plugin", file=path, field="model", remedy=_REMEDY)


def _parsed(path: Path, name: str, text: Any) -> dict[str, Any]:
    try:
        value = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise InputError("cannot be read", file=path, field=name, remedy=_REMEDY)
    return value
