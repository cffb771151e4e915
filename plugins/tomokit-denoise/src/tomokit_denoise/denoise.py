"""The whole job: halves in, a network trained or taken from a file, the denoised tomogram and its record out."""

from __future__ import annotations

import json
import os
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tomokit.data import Volume
from tomokit.errors import OptionError, OutputError, ResourceError
from tomokit.io.clean_end import clean_end
from tomokit.io.locks import locked
from tomokit.io.output import check_file, check_output
from tomokit.io.output_names import check_name
from tomokit.io.output_set import Existing, new_outputs
from tomokit.io.volume_file import VolumeFile
from tomokit.io.volume_write import add_volume, check_volume_output
from tomokit.metrics.boxes import Box, check_box
from tomokit.pipeline.memory import available_bytes, check_disk, peak_bytes
from tomokit.pipeline.progress import Progress
from tomokit.pipeline.request import provenance_beside
from tomokit_denoise.blocks import Scale, block_edge, denoised_rows
from tomokit_denoise.halves import LEAST_VOXELS, Halves, check_targets, doubts, open_halves
from tomokit_denoise.model_file import model_bytes, read_model
from tomokit_denoise.network import STRIDE, Denoiser, NetworkOptions
from tomokit_denoise.patches import Patches
from tomokit_denoise.record import make_labels, make_record, scale_between, scale_of_model
from tomokit_denoise.training import Trained, TrainingOptions, train

_MOST_OF_MEMORY = 0.4
_LEAST_BYTES = 1 << 30
_MODEL_SUFFIXES = (".pt", ".pth")


@dataclass(frozen=True)
class DenoisingJob:
    """What is asked for.

    Attributes
    ----------
    halves : tuple of two Paths
    output : Path
    targets : tuple of two Paths or None
        Halves of the same views that the network is held to; None for those that it is given.
    training : TrainingOptions
    network : NetworkOptions
    box : Box or None
        Where patches for training may lie, in voxels of the files' axes; None for all.
    minutes : float or None
        Time for training, in place of the steps.
    model : Path or None
        A trained network that is applied, in place of training.
    save_model : Path or None
        Where the trained network is written.
    device : {"auto", "cpu", "cuda"}
    threads : int or None
        Of the CPU; None for as many as this process may use.
    block : int or None
        Edge of the blocks in voxels; None for what memory allows.
    overwrite : bool
    """

    halves: tuple[Path, Path]
    output: Path
    targets: tuple[Path, Path] | None = None
    training: TrainingOptions = field(default_factory=TrainingOptions)
    network: NetworkOptions = field(default_factory=NetworkOptions)
    box: Box | None = None
    minutes: float | None = None
    model: Path | None = None
    save_model: Path | None = None
    device: str = "auto"
    threads: int | None = None
    block: int | None = None
    overwrite: bool = False


def denoise(job: DenoisingJob, progress: Progress) -> dict[str, Any]:
    """Train a network on the halves of a tomogram, or take one from a file, and apply it.

    Outputs are checked before any work, and written together or not at all.

    Parameters
    ----------
    job : DenoisingJob
    progress : Progress

    Returns
    -------
    dict
        The summary, JSON-serializable; its keys are in the README.

    Raises
    ------
    InputError
        If a file cannot be used.
    OptionError
        If options contradict each other.
    OutputError
        If an output may not or cannot be written.
    ResourceError
        If there is no GPU where one is asked for.
    """
    began = time.monotonic()
    _check_options(job)
    record = provenance_beside(job.output)
    _check_outputs(job, record)
    device = _device(job.device)
    torch.set_num_threads(job.threads or len(os.sched_getaffinity(0)))
    with locked(job.output, "tomogram"):
        progress.stage(f"reading {job.halves[0].name} and {job.halves[1].name}")
        network, trained, model = None, None, None
        if job.model is not None:
            network, model = read_model(job.model)
        halves = open_halves(*job.halves)
        targets = halves if job.targets is None else open_halves(*job.targets)
        check_targets(halves, targets)
        check_disk(job.output, 4 * int(np.prod(halves.shape)))
        warnings = doubts(halves, targets)
        for text in warnings:
            progress.warning(text)
        if network is None:
            trained = _train(job, halves, targets, progress, device)
            for text in trained.warnings:
                progress.warning(text)
            warnings += trained.warnings
            network = trained.network
        scale = scale_between(halves, targets) if model is None else scale_of_model(model)
        told = make_record(halves, targets, network, scale, trained, model, device)
        progress.stage("denoising")
        _write(job, record, halves, network, scale, trained is not None, told, device, progress)
    return {
        "output": str(job.output),
        "provenance_file": None if record is None else str(record),
        "halves": [str(path) for path in halves.paths],
        "targets": [str(path) for path in targets.paths],
        "model": None if job.model is None else str(job.model),
        "saved_model": None if job.save_model is None else str(job.save_model),
        "shape": list(halves.shape),
        "voxel_size_angstrom": halves.images[0].pixel_size_angstrom,
        "network": network.to_json(),
        "training": None if trained is None else trained.to_json(),
        "device": device,
        "seconds": {
            "training": 0.0 if trained is None else trained.seconds,
            "all": time.monotonic() - began,
        },
        "peak_memory_bytes": peak_bytes(),
        "warnings": warnings,
    }


def _check_options(job: DenoisingJob) -> None:
    if job.model is not None and job.targets is not None:
        raise OptionError("nothing is trained", field="--target", remedy="leave it out with --model")
    if job.model is not None and job.save_model is not None:
        raise OptionError("there is nothing new to be saved", field="--save-model", remedy="leave it out with --model")
    if job.minutes is not None and not 0 < job.minutes < 1e5:
        raise OptionError(f"{job.minutes:g} is out of bounds", field="--minutes", remedy="give more than 0")
    if job.training.patch % STRIDE:
        raise OptionError(
            f"{job.training.patch} is no multiple of {STRIDE}", field="--patch",
            remedy=f"give {job.training.patch // STRIDE * STRIDE}",
        )  # fmt: skip
    if job.block is not None and (job.block % STRIDE or job.block < LEAST_VOXELS):
        raise OptionError(
            f"{job.block} is no multiple of {STRIDE} from {LEAST_VOXELS} on",
            field="--block",
            remedy="give such a number",
        )
    if job.threads is not None and job.threads < 1:
        raise OptionError(f"{job.threads} is out of bounds", field="--threads", remedy="give at least 1")


def _check_outputs(job: DenoisingJob, record: Path | None) -> None:
    inputs = [*job.halves, *(job.targets or ()), *([] if job.model is None else [job.model])]
    check_volume_output(job.output, overwrite=job.overwrite, inputs=inputs)
    if record is not None:
        check_output(record, overwrite=job.overwrite, inputs=inputs)
    if job.save_model is not None:
        if job.save_model.suffix.lower() not in _MODEL_SUFFIXES:
            check_name(job.save_model, "a model", _MODEL_SUFFIXES, "--save-model")
        check_output(job.save_model, overwrite=job.overwrite, inputs=inputs)
        if job.save_model.resolve() in (job.output.resolve(), record and record.resolve()):
            raise OutputError(
                "is another output of this job", file=job.save_model, field="--save-model", remedy="give another name"
            )


def _device(asked: str) -> str:
    there = torch.cuda.is_available()
    if asked == "cuda" and not there:
        raise ResourceError(
            "PyTorch finds no GPU", field="--device", remedy="give --device cpu, or install PyTorch for CUDA"
        )
    return "cuda" if there and asked != "cpu" else "cpu"


def _train(job: DenoisingJob, halves: Halves, targets: Halves, progress: Progress, device: str) -> Trained:
    everything = (slice(0, halves.shape[0]), slice(0, halves.shape[1]), slice(0, halves.shape[2]))
    if job.box is not None:
        check_box(job.box, halves.shape)
        if min(b - a for a, b in zip(job.box.start, job.box.stop, strict=True)) < LEAST_VOXELS:
            raise OptionError(
                f"{job.box} is too small", field="--box", remedy=f"give at least {LEAST_VOXELS} voxels along every axis"
            )
    patches = Patches(halves, targets, job.training.patch, everything if job.box is None else job.box.slices)
    progress.stage("training the network on one half against the other")
    return train(patches, job.network, job.training, progress, device=device, minutes=job.minutes)


def _write(
    job: DenoisingJob,
    record: Path | None,
    halves: Halves,
    network: Denoiser,
    scale: Scale,
    is_new: bool,
    told: dict[str, Any],
    device: str,
    progress: Progress,
) -> None:
    room = max(_LEAST_BYTES, int(_MOST_OF_MEMORY * available_bytes()))
    edge = job.block or block_edge(network.options.width, room)
    header = halves.images[0].header
    existing: Existing = "replace" if job.overwrite else "refuse"
    with clean_end(), ExitStack() as files:
        volume_file = VolumeFile(job.output, halves.shape)
        files.callback(volume_file.discard)
        progress.epochs_begin(())
        tell = lambda done, total: progress.step(done / total)  # noqa: E731
        for row, rows in denoised_rows(network, halves, scale, edge, device, tell):
            volume_file.write_block(row, rows)
        volume_file.measure()
        volume = Volume(
            volume_file.mapped(),
            halves.images[0].pixel_size_angstrom,
            header.origin_angstrom,
            make_labels(halves, told),
        )
        with new_outputs() as outputs:
            if record is not None:
                with outputs.new(record, check_file, existing) as temporary:
                    temporary.write_text(json.dumps({"output": job.output.name, **told}, indent=2) + "\n", "utf-8")
            if job.save_model is not None and is_new:
                with outputs.new(job.save_model, check_file, existing) as temporary:
                    temporary.write_bytes(model_bytes(network, told))
            add_volume(
                outputs, job.output, volume, existing, provenance=told, size_is_known=header.pixel_size_known,
                made_in=volume_file,
            )  # fmt: skip
