"""Where a result comes from: what it depends on, and nothing of the machine, the place or the hour."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tomokit.errors import InputError, PluginError
from tomokit.geometry import ORIENTATION
from tomokit.pipeline.plan import Plan
from tomokit.pipeline.prepare import Prepared
from tomokit.pipeline.request import FILES, ReconstructionRequest
from tomokit.plugin.registry import KINDS_WITH_OPTIONS, Registry
from tomokit.version import __version__

OF_THE_PLACE = ("state", "state_epochs", "state_seconds", "threads", "slabs", "backend")
"""Settings that change no bit of the result, and the backend, which is recorded as it was chosen."""

Provenance = dict[str, Any]

_KINDS = (*KINDS_WITH_OPTIONS, "reader")


def make_provenance(
    request: ReconstructionRequest,
    options: Any,
    backend: str,
    plan: Plan,
    prepared: Prepared,
    inputs: Mapping[str, str],
    plugins: list[dict[str, str]],
    resolved_parameters: Mapping[str, Any],
) -> Provenance:
    """Make the record of what a result depends on, which goes into the state and beside the tomogram.

    The same job gives the same record on any machine: files are told by name and SHA-256, not by place.

    Parameters
    ----------
    request : ReconstructionRequest
        The job.
    options : object
        Options of the method, a dataclass.
    backend : str
        Where it is computed.
    plan : Plan
        Which views are fitted and held out.
    prepared : Prepared
        The series and its linearization.
    inputs : mapping of str to str
        SHA-256 of each input by its role.
    plugins : list of dict
        What :func:`plugins_used` gave.
    resolved_parameters : mapping
        What the method made of options that were left to it.

    Returns
    -------
    dict
        JSON-serializable, equal to what is read back from JSON.
    """
    return _as_read_from_json(
        {
            **job_record(request, options, backend),
            "resolved_parameters": dict(resolved_parameters),
            "inputs": dict(inputs),
            "plugins": plugins,
            "views": {"fitted": list(plan.views.fitted), "held_out": list(plan.views.held_out)},
            "linearization": prepared.linearization.to_json(),
            **({} if plan.box.is_level(plan.shape.n_u) else {"level": plan.box.to_json()}),
            # Warnings name files by their place, and are told anyway.
            "series": {key: value for key, value in prepared.series.provenance.items() if key != "warnings"},
        }
    )


def job_record(request: ReconstructionRequest, options: Any, backend: str) -> Provenance:
    """Make the part of the record that is known of a job before its inputs are read.

    Parameters
    ----------
    request, options, backend
        As of :func:`make_provenance`.

    Returns
    -------
    dict
        JSON-serializable, equal to what is read back from JSON. With the same inputs it is the same job, and has the
        same result.
    """
    return _as_read_from_json(
        {
            "tomokit": __version__,
            "method": request.method,
            "backend": backend,
            "seed": request.seed,
            "configuration": {**_settings(request), "options": dataclasses.asdict(options)},
        }
    )


def header_labels(provenance: Provenance) -> dict[str, Any]:
    """Pick what of a provenance goes into the ten labels of an MRC header, the essential first.

    Parameters
    ----------
    provenance : dict
        What :func:`make_provenance` gave.

    Returns
    -------
    dict
        Short values by short names.
    """
    linearization, configuration = provenance["linearization"], provenance["configuration"]
    named = ("imin", "imax", "scale", *(("offset",) if linearization.get("offset") else ()))
    numbers = " ".join(f"{name}={linearization[name]:.6g}" for name in named)
    series, inputs = provenance["series"], provenance["inputs"]
    return {
        "method": provenance["method"],
        "linearization": f"{linearization['kind']} {numbers}",
        "units": linearization["volume_units"],
        **({"half": f"{provenance['half']} views"} if "half" in provenance else {}),
        **({"views": done} if (done := done_to_views(series)) else {}),
        "orientation": ORIENTATION,
        **({"x tilt": f"levelled by {provenance['level']['x_tilt_deg']:g} degrees"} if _is_turned(provenance) else {}),
        "seed": provenance["seed"],
        "bin": configuration["bin"],
        "backend": provenance["backend"],
        "stack": series.get("stack", configuration["stack"]),
        "sha256": next(iter(inputs.values())),
        **{f"{role} sha256": digest for role, digest in list(inputs.items())[1:]},
    }


_CTF_CORRECTIONS = {
    "phase flipping": "CTF phases flipped",
    "model": "predicted through their CTF",
    "model-from-peak": "predicted through their CTF from its first peak",
}


def done_to_views(series: Mapping[str, Any]) -> str:
    """Say how views were filtered and weighed.

    Parameters
    ----------
    series : mapping
        The provenance of a series that was prepared.

    Returns
    -------
    str
        In words; empty where they were not.
    """
    done = []
    if dose := series.get("dose_weighting"):
        done.append(f"dose-weighted at {dose['voltage_kv']:g} kV")
    if ctf := series.get("ctf"):
        what = _CTF_CORRECTIONS[ctf["correction"]]
        done.append(f"{what} at {ctf['voltage_kv']:g} kV")
    if weights := series.get("view_weights"):
        done.append(f"weighted by {weights['by']}")
    return ", ".join(done)


def _is_turned(provenance: Provenance) -> bool:
    return bool(provenance.get("level", {}).get("x_tilt_deg"))


def plugins_used(
    registry: Registry, request: ReconstructionRequest, options: Any, reader: object
) -> list[dict[str, str]]:
    """List the plugins that did not come with tomokit and that a job names, or reads by.

    Parameters
    ----------
    registry : Registry
        All that is registered.
    request : ReconstructionRequest
        The job.
    options : object
        Options of the method, a dataclass: any text or key in them may be a plugin's name.
    reader : object
        What reads the series.

    Returns
    -------
    list of dict
        ``kind``, ``name``, ``origin`` and ``version`` of each.
    """
    # Settings have underscores where names have hyphens.
    names = {text.replace("_", "-") for text in (request.method, *_texts_of(dataclasses.asdict(options)))}
    return [
        {"kind": entry.kind, "name": entry.name, "origin": entry.origin, "version": entry.version}
        for entry in registry.entries(_KINDS)
        if entry.origin != "tomokit"
        and (entry.target is type(reader) if entry.kind == "reader" else entry.name in names)
    ]


def check_plugins(registry: Registry, needed: list[dict[str, str]], path: Path) -> list[str]:
    """Make sure that the plugins that a state needs are installed.

    Parameters
    ----------
    registry : Registry
        All that is registered.
    needed : list of dict
        What :func:`plugins_used` gave when the state was made.
    path : Path
        The state, for messages.

    Returns
    -------
    list of str
        Warnings: plugins that are of another version.

    Raises
    ------
    PluginError
        Naming what is missing, and the distribution that brings it.
    """
    warnings = []
    present = {(entry.kind, entry.name): entry for entry in registry.entries(_KINDS)}
    for plugin in needed:
        entry = present.get((plugin["kind"], plugin["name"]))
        if entry is None or entry.origin != plugin["origin"]:
            raise PluginError(
                f"needs the {plugin['kind']} {plugin['name']!r} of plugin {plugin['origin']} {plugin['version']}, "
                "which is not installed",
                file=path,
                remedy="install it, and see `tomokit plugins list`",
            )
        if entry.version != plugin["version"]:
            warnings.append(
                f"{path}: made with {plugin['origin']} {plugin['version']}, continued with {entry.version}: "
                "the result may differ from an uninterrupted run"
            )
    return warnings


def check_inputs(
    inputs: Mapping[str, str], expected: Mapping[str, str], files: Mapping[str, Path], state: Path
) -> None:
    """Make sure that files are the ones that a state was made from.

    Parameters
    ----------
    inputs, expected : mapping
        SHA-256 by role, found and recorded.
    files : mapping
        The files that are known by role, for the message.
    state : Path
        The state, for the message.

    Raises
    ------
    InputError
        Naming the file that differs.
    """
    for role in dict.fromkeys((*expected, *inputs)):
        if inputs.get(role) != expected.get(role):
            raise InputError(
                f"is not the {role} that {state.name} was made from: its SHA-256 differs",
                file=files.get(role, state),
                field=None if role in files else role,
                remedy="put the right file there, or start anew by `tomokit reconstruct`",
            )


def _settings(request: ReconstructionRequest) -> dict[str, Any]:
    """Every setting of the request but those of the place; files by name."""
    settings = {key: value for key, value in request.settings().items() if key not in OF_THE_PLACE}
    for role in FILES:
        path = getattr(request, role)
        settings[role] = None if path is None else path.name
    return settings


def _texts_of(options: Any) -> set[str]:
    """All keys and texts in nested options."""
    if isinstance(options, Mapping):
        return {str(key) for key in options} | set().union(*map(_texts_of, options.values()), set())
    if isinstance(options, (list, tuple)):
        return set().union(*map(_texts_of, options), set())
    return {options} if isinstance(options, str) else set()


def _as_read_from_json(record: Provenance) -> Provenance:
    """A record as it will be when it is read back: tuples are lists, paths are texts."""
    read: Provenance = json.loads(json.dumps(record, default=str))
    return read
